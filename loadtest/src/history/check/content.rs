//! Checks that all contents agree: what was acknowledged, what each device received, and what the database
//! holds.

use super::{
    course::{Course, Fate},
    findings::{FaultKind, Findings, describe_ack},
};
use crate::history::{
    fact::EventFact,
    stored::{StoredChat, StoredMessage},
    timeline::Claim,
};
use protocol::id::ChatId;
use std::collections::HashMap;

/// Checks all of a chat's contents.
pub(super) fn check(chat: ChatId, course: &Course<'_>, findings: &mut Findings<'_>) {
    for seq in course.timeline.places() {
        compare(chat, seq, course, findings);
    }
    let Some(stored) = course.stored else { return };
    for seq in course.timeline.places() {
        compare_with_stored(chat, seq, course, stored, findings);
    }
    let mut first: HashMap<(i64, u64), i64> = HashMap::new();
    for (id, message) in &stored.messages {
        if message.key != 0
            && let Some(earlier) = first.insert((message.sender, message.key), *id)
        {
            findings.add(FaultKind::StoredTwice, || {
                let sender = message.sender;
                format!("one message of user {sender} is {earlier} and {id} of chat {chat}")
            });
        }
    }
}

/// The claims on one place among each other.
fn compare(chat: ChatId, seq: i64, course: &Course<'_>, findings: &mut Findings<'_>) {
    let Some(reference) = course.reference(seq) else { return };
    for claim in course.timeline.claims(seq) {
        if let Some(why) = contradiction(seq, claim, reference, course) {
            let who = findings.teller(claim);
            let than = findings.teller(reference);
            findings.add(FaultKind::Altered, || match why {
                Why::Differs => {
                    format!("event {seq} of chat {chat}: {who} got another one than {than}")
                }
                Why::Misplaced => {
                    format!(
                        "{who} got event {seq} of chat {chat} at a place that cannot be its own"
                    )
                }
            });
        }
    }
}

enum Why {
    Differs,
    Misplaced,
}

/// Why a claim cannot be true, given another one on the same place. A message's first place may show
/// any state that it had.
fn contradiction(seq: i64, claim: &Claim, reference: &Claim, course: &Course<'_>) -> Option<Why> {
    let is_at_home = match claim.fact {
        EventFact::Message { id, .. } => id == seq,
        EventFact::Edited { id, .. } => id < seq,
        EventFact::Deleted { id } => id <= seq,
        EventFact::Other => true,
    };
    if !is_at_home {
        return Some(Why::Misplaced);
    }
    let same = match (claim.fact, reference.fact) {
        (
            EventFact::Message { sender, key, text, .. },
            EventFact::Message { sender: by, key: under, text: original, .. },
        ) => {
            let same_key = key == under || key == 0 || under == 0;
            sender == by && same_key && (text == original || course.was_edited_to(seq, text))
        }
        (EventFact::Message { .. }, EventFact::Deleted { id })
        | (EventFact::Deleted { id }, EventFact::Message { .. }) => id == seq,
        (one, other) => one == other,
    };
    (!same).then_some(Why::Differs)
}

/// A message's end by the claims against its end in the database. Told once, at its creation; a
/// message that was created before anybody listened, at its last change.
fn compare_with_stored(
    chat: ChatId,
    seq: i64,
    course: &Course<'_>,
    stored: &StoredChat,
    findings: &mut Findings<'_>,
) {
    let Some(claim) = course.reference(seq) else { return };
    let Some(id) = claim.fact.id().filter(|id| *id > stored.after) else { return };
    let fate = course.fate(id);
    let tells = if course.timeline.knows(id) { seq == id } else { seq == fate.last };
    if !tells {
        return;
    }
    let Some(wrong) = mismatch(claim, fate, stored.messages.get(&id)) else { return };
    // Whose word was broken: that of the last change, where that is what is wrong.
    let word = if wrong == Mismatch::Text && fate.last > 0 { fate.last } else { id };
    let acked = course.acked(word).or(course.acked(seq));
    let kind = match wrong {
        Mismatch::Kept => FaultKind::Altered,
        _ if acked.is_some() => FaultKind::NotStored,
        _ => FaultKind::Altered,
    };
    let teller = findings.teller(acked.unwrap_or(claim));
    findings.add(kind, || {
        let told = acked.map(|claim| format!(", {}", describe_ack(claim))).unwrap_or_default();
        match wrong {
            Mismatch::Missing => {
                format!("message {id} of chat {chat}{told} and told by {teller}, is not stored")
            }
            Mismatch::Kept => format!("message {id} of chat {chat} was deleted and is still stored"),
            Mismatch::Text => {
                format!("message {id} of chat {chat}{told}, is stored with another text than {teller} got")
            }
            Mismatch::Origin => {
                format!("message {id} of chat {chat}{told}, is stored with another sender or key")
            }
        }
    });
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mismatch {
    Missing,
    Kept,
    Text,
    Origin,
}

fn mismatch(claim: &Claim, fate: Fate, stored: Option<&StoredMessage>) -> Option<Mismatch> {
    let Some(stored) = stored else { return (!fate.gone).then_some(Mismatch::Missing) };
    if fate.gone {
        return Some(Mismatch::Kept);
    }
    let mut last = fate.edited.map(|(_, text)| text);
    if let EventFact::Message { sender, key, text, .. } = claim.fact {
        let same_key = key == stored.key || key == 0 || stored.key == 0;
        if sender != stored.sender || !same_key {
            return Some(Mismatch::Origin);
        }
        last = last.or(Some(text));
    }
    (last.is_some_and(|text| text != stored.text)).then_some(Mismatch::Text)
}
