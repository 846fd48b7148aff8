//! An event of a chat as one witness reports it: the server in an `ack`, or a device that received it. Types only.

use protocol::{
    chat::Change,
    frames::ChatEvent,
    id::{ChatId, Seq, UserId},
};

/// The event at a place of a chat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportedEvent<'a> {
    /// The chat that the event changes.
    pub chat: ChatId,
    /// The event's place among the chat's events.
    pub seq: Seq,
    /// What the witness says that the event did. Witnesses of one place must agree.
    pub what: ReportedContent<'a>,
}

/// What the event did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportedContent<'a> {
    /// A new message.
    Message {
        /// The message's id, which is the `seq` of this event.
        id: Seq,
        /// The message's author.
        sender: UserId,
        /// The sender's idempotency key, empty where the server shows none.
        key: &'a str,
        /// The text as this witness saw it.
        text: &'a str,
    },
    /// A message got another text.
    Edited {
        /// The `seq` of the message's creation.
        id: Seq,
        /// The whole new text.
        text: &'a str,
    },
    /// A message was removed.
    Deleted {
        /// The `seq` of the message's creation.
        id: Seq,
    },
    /// Another change of the chat, such as a new member, or one that only a newer server knows. The
    /// checker compares only its place.
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
