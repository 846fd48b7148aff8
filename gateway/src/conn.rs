//! The handle to one connection: what everybody but its own task holds of it.

use crate::{
    native,
    outbox::{Outbox, Worth},
    relayed::Dialect,
};
use shared::{
    chat::UserRef,
    id::{ChatId, SessionId},
    protocol::ServerFrame,
};
use std::{
    collections::HashSet,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

/// Names a connection within this process; later ones are greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

/// A connection that has said hello.
#[derive(Debug)]
pub struct Conn {
    pub id: ConnId,
    pub user: UserRef,
    pub session: SessionId,
    pub dialect: Dialect,
    pub outbox: Outbox,
    /// The chats whose rooms hold this connection. Changed under the room's lock only.
    chats: Mutex<HashSet<ChatId>>,
    /// How often the user lost the right to watch some chat since the connection was made.
    departures: AtomicU32,
}

/// A state of a connection's departures: see [`Conn::departures`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Departures(u32);

impl Conn {
    pub fn new(
        id: ConnId,
        user: UserRef,
        session: SessionId,
        dialect: Dialect,
        max_outbox_bytes: usize,
    ) -> Self {
        Self {
            id,
            user,
            session,
            dialect,
            outbox: Outbox::new(max_outbox_bytes),
            chats: Mutex::default(),
            departures: AtomicU32::new(0),
        }
    }

    /// To be read before asking the api what the user may watch: when it is another one by the time
    /// of joining, that answer may be out of date.
    pub fn departures(&self) -> Departures {
        Departures(self.departures.load(Ordering::Acquire))
    }

    /// The user lost the right to watch some chat.
    pub fn depart(&self) {
        self.departures.fetch_add(1, Ordering::Release);
    }

    /// Queues a frame of the native protocol.
    pub fn send(&self, frame: &ServerFrame, worth: Worth) {
        self.outbox.push(native::encode(frame), worth);
    }

    /// Whether this connection watches the chat.
    pub fn watches(&self, chat: ChatId) -> bool {
        self.chats().contains(&chat)
    }

    /// How many chats this connection watches.
    pub fn watched(&self) -> usize {
        self.chats().len()
    }

    /// The chats this connection watches.
    pub fn chat_ids(&self) -> Vec<ChatId> {
        self.chats().iter().copied().collect()
    }

    pub(crate) fn chats(&self) -> std::sync::MutexGuard<'_, HashSet<ChatId>> {
        self.chats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
