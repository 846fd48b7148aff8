//! Every kind of fault, planted in a sound history, is found, and nothing else is.

mod bounds;
mod changes;
mod executions;
mod planted;
mod server;
mod windows;

use super::*;
use protocol::id::{ChatId, Seq, UserId};

const CHAT: ChatId = ChatId(9);

fn message<'a>(seq: i64, text: &'a str) -> ReportedEvent<'a> {
    let what = ReportedContent::Message { id: Seq(seq), sender: UserId(3), key: text, text };
    ReportedEvent { chat: CHAT, seq: Seq(seq), what }
}

fn edited(seq: i64, id: i64, text: &str) -> ReportedEvent<'_> {
    ReportedEvent { chat: CHAT, seq: Seq(seq), what: ReportedContent::Edited { id: Seq(id), text } }
}

fn deleted(seq: i64, id: i64) -> ReportedEvent<'static> {
    ReportedEvent { chat: CHAT, seq: Seq(seq), what: ReportedContent::Deleted { id: Seq(id) } }
}

fn stored(messages: &[(i64, &str, &str)]) -> StoredChats {
    let mut stored = StoredChats::default();
    stored.chat(CHAT, Seq::ZERO);
    for (id, key, text) in messages {
        stored.add(CHAT, &HistoryMessage { id: Seq(*id), sender: UserId(3), key, text });
    }
    stored
}

/// The counts of faults, to be compared at once: lost, repeated, reordered, altered, not stored,
/// stored twice.
fn faults(verdict: &Verdict) -> [u64; 6] {
    let Verdict { lost, repeated, reordered, altered, not_stored, stored_twice, .. } = *verdict;
    [lost, repeated, reordered, altered, not_stored, stored_twice]
}
