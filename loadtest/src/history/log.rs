//! What one device heard, over all its connections.

use super::{Ledger, Told};
use shared::id::{ChatId, Seq, UserId};
use std::sync::Arc;

/// One device's record. Owned by its task; gives itself back to the ledger when dropped.
#[derive(Debug)]
pub struct Log {
    _ledger: Arc<Ledger>,
}

impl Log {
    pub(super) fn new(ledger: Arc<Ledger>, _device: String) -> Self {
        Self { _ledger: ledger }
    }

    /// The chat is live after this place: `ready`, `chat` or `subscribed` said so. Nothing happens
    /// when it is watched already, so that every `ready` can be told whole: one that resumes goes on.
    pub fn watch(&mut self, _chat: ChatId, _after: Seq) {}

    /// The same for a window that tells no numbers ([`Log::heard_text`]): live from its first message
    /// on; only messages are shown, and none of `not_from`, where a window does not show its own
    /// user's. What is acknowledged 20 s after now or later is expected even when it hears nothing.
    pub fn watch_texts(&mut self, _chat: ChatId, _not_from: Option<UserId>) {}

    /// The device watches it no more: `chat_removed`, `unsubscribed`, or a connection ended that cannot
    /// be resumed. A later `watch` begins a new stretch; nothing in between is expected.
    pub fn unwatch(&mut self, _chat: ChatId) {}

    /// The connection ended, in whatever way. Until `watch` or `catching_up`, nothing more is expected.
    pub fn away(&mut self) {}

    /// A connection resumed: the chats watched are caught up, each until its `caught_up` or `resync`.
    pub fn catching_up(&mut self) {}

    pub fn caught_up(&mut self, _chat: ChatId, _seq: Seq) {}

    /// What came before this place cannot be sent: excused, and counted.
    pub fn resync(&mut self, _chat: ChatId, _seq: Seq) {}

    /// An event arrived. Its content is compared with what others heard.
    pub fn heard(&mut self, _told: &Told<'_>) {}

    /// The same, when the frame's bytes equal those of an event that this process has entered by
    /// [`Log::heard`] before: no lock and no allocation while events come in order.
    pub fn heard_again(&mut self, _chat: ChatId, _seq: Seq) {}

    /// A message arrived at a window that tells no numbers. It is identified by its text.
    pub fn heard_text(&mut self, _chat: ChatId, _text: &str) {}

    /// Whether it has everything of its chats that this process knows to exist. False while away.
    pub fn is_even(&self) -> bool {
        true
    }
}
