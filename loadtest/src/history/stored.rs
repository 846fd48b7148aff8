//! What the database holds in the end, as read over REST.

use shared::id::{ChatId, Seq, UserId};

/// A message in the database that is not deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept<'a> {
    pub id: Seq,
    pub sender: UserId,
    /// The sender's idempotency key; empty where there is none.
    pub key: &'a str,
    pub text: &'a str,
}

/// What is stored of the run's chats. Only chats told of here are judged against the database.
#[derive(Clone, Debug, Default)]
pub struct Stored {}

impl Stored {
    /// The chat was read from its message after `after` on (zero: all of it); its messages follow.
    pub fn chat(&mut self, _chat: ChatId, _after: Seq) {}

    pub fn add(&mut self, _chat: ChatId, _message: &Kept<'_>) {}
}
