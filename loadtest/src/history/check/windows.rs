//! The same for windows that have no numbers and show only messages: it finds the messages by their text.

use super::{
    course::Course,
    findings::{FaultKind, Findings, describe_ack},
    segments::Sum,
};
use crate::history::{
    fact::EventFact,
    record::{DeviceRecord, UnnumberedView},
};
use protocol::id::ChatId;
use std::collections::{BTreeSet, HashMap};

/// A message acknowledged so long after the window opened was sent after that: servers give up on a
/// message after 15 s.
const SURELY_LATER: u32 = 20_000;

/// The messages of a chat by the digests of the texts that they had.
pub(super) struct Texts(HashMap<u64, Vec<i64>>);

impl Texts {
    pub(super) fn new(course: &Course<'_>) -> Self {
        let mut texts: HashMap<u64, Vec<i64>> = HashMap::new();
        let mut enter = |text: u64, id: i64| {
            let of = texts.entry(text).or_default();
            if !of.contains(&id) {
                of.push(id);
            }
        };
        for seq in course.timeline.places() {
            for claim in course.timeline.claims(seq) {
                if let EventFact::Message { id, text, .. } | EventFact::Edited { id, text } =
                    claim.fact
                {
                    enter(text, id);
                }
            }
        }
        for (id, message) in course.stored.into_iter().flat_map(|chat| &chat.messages) {
            enter(message.text, *id);
        }
        Self(texts)
    }
}

/// Judges one window.
pub(super) fn check(
    device: &DeviceRecord,
    chat: ChatId,
    window: &UnnumberedView,
    (course, texts): (&Course<'_>, &Texts),
    findings: &mut Findings<'_>,
) -> Sum {
    let who = findings.device(device.number);
    let mut heard: BTreeSet<i64> = BTreeSet::new();
    for text in &window.heard {
        let Some(ids) = texts.0.get(text) else {
            findings.add(FaultKind::Altered, || {
                format!("{who} got a text in chat {chat} that nobody sent")
            });
            continue;
        };
        let Some(&id) = ids.iter().find(|id| !heard.contains(id)) else {
            findings.add(FaultKind::Repeated, || {
                format!("{who} got message {} of chat {chat} again", ids[0])
            });
            continue;
        };
        if let Some(&after) = heard.last().filter(|last| **last > id) {
            findings.add(FaultKind::Reordered, || {
                format!("{who} got message {id} of chat {chat} after message {after}")
            });
        }
        heard.insert(id);
    }
    let mut sum =
        Sum { delivered: heard.len() as u64, expected: heard.len() as u64, ..Sum::default() };
    let end = if window.ended { heard.last().copied() } else { Some(course.head()) };
    for &id in course.between(0, end.unwrap_or(0)) {
        if heard.contains(&id) || !is_due(id, window, course, heard.first()) {
            continue;
        }
        if course.fate(id).gone {
            sum.skipped += 1;
            continue;
        }
        sum.expected += 1;
        findings.add(FaultKind::Lost, || {
            let acked = course.acked(id).map(|claim| format!(", {}", describe_ack(claim)));
            format!("{who} never got message {id} of chat {chat}{}", acked.unwrap_or_default())
        });
    }
    sum
}

/// Whether this place is a message that the window should have shown.
fn is_due(id: i64, window: &UnnumberedView, course: &Course<'_>, first: Option<&i64>) -> bool {
    let claim = course.reference(id);
    let stored = || course.stored.and_then(|chat| chat.messages.get(&id));
    let sender = match claim.map(|claim| claim.fact) {
        Some(EventFact::Message { sender, .. }) => Some(sender),
        Some(_) => None,
        None => stored().map(|message| message.sender),
    };
    let Some(sender) = sender else { return false };
    let acked = claim.and_then(|claim| claim.acked);
    let is_later = acked.is_some_and(|at| at >= window.since.saturating_add(SURELY_LATER));
    Some(sender) != window.not_from && (first.is_some_and(|first| id > *first) || is_later)
}
