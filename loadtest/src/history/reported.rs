//! An event of a chat as one witness reports it: the server in an `ack`, or a device that received it. Types only.

use protocol::{
    chat::Change,
    frames::ChatEvent,
    id::{ChatId, Seq, UserId},
};

/// The event at a place of a chat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportedEvent<'a> {
    pub chat: ChatId,
    pub seq: Seq,
    pub what: ReportedContent<'a>,
}

/// What it is. `key` is the sender's idempotency key, empty where the server shows none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportedContent<'a> {
    Message {
        id: Seq,
        sender: UserId,
        key: &'a str,
        text: &'a str,
    },
    Edited {
        id: Seq,
        text: &'a str,
    },
    Deleted {
        id: Seq,
    },
    /// Somebody joined, left or was removed; or what a newer server knows.
    Other,
}

impl<'a> From<&'a ChatEvent> for ReportedEvent<'a> {
    fn from(event: &'a ChatEvent) -> Self {
        let what = match &event.event.change {
            Change::Message(message) => ReportedContent::Message {
                id: message.id,
                sender: message.sender.id,
                key: message.client_message_id.as_deref().unwrap_or_default(),
                text: &message.text,
            },
            Change::Edited(message) => {
                ReportedContent::Edited { id: message.id, text: &message.text }
            }
            Change::Deleted { id, .. } => ReportedContent::Deleted { id: *id },
            Change::Member { .. }
            | Change::Renamed { .. }
            | Change::Owner { .. }
            | Change::Unknown => ReportedContent::Other,
        };
        Self { chat: event.chat_id, seq: event.event.seq, what }
    }
}
