//! The final contents of the database, as read over REST.

use super::fact::digest;
use protocol::id::{ChatId, Seq, UserId};
use std::collections::BTreeMap;

/// A message in the database that is not deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryMessage<'a> {
    /// The `seq` of the message's creation.
    pub id: Seq,
    /// The message's author.
    pub sender: UserId,
    /// The sender's idempotency key; empty where there is none.
    pub key: &'a str,
    /// The newest text.
    pub text: &'a str,
}

/// What is stored of the run's chats. A chat not told of here is not judged against the database.
#[derive(Clone, Debug, Default)]
pub struct StoredChats(pub(super) BTreeMap<ChatId, StoredChat>);

#[derive(Clone, Debug, Default)]
pub(super) struct StoredChat {
    /// It was read from here on.
    pub after: i64,
    pub messages: BTreeMap<i64, StoredMessage>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StoredMessage {
    pub sender: i64,
    /// Zero where there is none.
    pub key: u64,
    pub text: u64,
}

impl StoredChats {
    /// The chat was read from its message after `after` on (zero: all of it); its messages follow.
    pub fn chat(&mut self, chat: ChatId, after: Seq) {
        self.0.entry(chat).or_default().after = after.0;
    }

    /// A message of a chat, told of before.
    pub fn add(&mut self, chat: ChatId, message: &HistoryMessage<'_>) {
        let key = if message.key.is_empty() { 0 } else { digest(message.key) };
        let stored = StoredMessage { sender: message.sender.0, key, text: digest(message.text) };
        self.0.entry(chat).or_default().messages.insert(message.id.0, stored);
    }
}
