//! Chats with more watchers than one delivery can serve without delaying others: it takes a core for
//! milliseconds. Each such chat has a queue of bus payloads and a task of its own that handles them in order.
//! The task that reads the bus can continue with other chats, and crowded chats are spread over the cores.

use bytes::Bytes;
use parking_lot::RwLock;
use protocol::id::ChatId;
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// A chat with more local watchers than this is crowded. A delivery takes up to 0.3 µs per watcher,
/// so other work waits for at most a third of a millisecond.
pub(crate) const CROWD: usize = 1_000;

/// The maximum number of queued bytes per crowded chat: some seconds of a chat in which everybody
/// talks. The gateway requests payloads that find no space from the api.
const MAX_BYTES: usize = 4 << 20;

/// The maximum number of queued payloads, which may be small.
const MAX_PAYLOADS: usize = 4_096;

/// The crowded chats of a node.
#[derive(Default)]
pub(crate) struct Crowds(RwLock<HashMap<ChatId, Crowd>>);

/// The payloads queued for a crowded chat. Its task ends after the last payload.
struct Crowd {
    waiting: mpsc::Sender<Payload>,
    /// A permit is a byte.
    space: Arc<Semaphore>,
    missed: Arc<Missed>,
}

/// True if a payload found no space since the chat was last suspected.
type Missed = AtomicBool;

/// A payload of a crowded chat.
pub(crate) struct Payload {
    bytes: Bytes,
    /// Its space in the queue, until it has been handled.
    _place: OwnedSemaphorePermit,
}

/// The payloads of a crowded chat, for its task.
pub(crate) struct Payloads {
    waiting: mpsc::Receiver<Payload>,
    missed: Arc<Missed>,
}

impl Crowds {
    /// Hands a payload to the chat's task, unless it has none. Never waits: what finds no space is
    /// lost, as it is to a node that does not hear it, and the task asks for it later.
    pub(crate) fn hand_over(&self, chat: ChatId, bytes: &Bytes) -> bool {
        let crowds = self.0.read();
        let Some(crowd) = crowds.get(&chat) else { return false };
        // One that is larger than the bound finds space when nothing waits.
        let size = u32::try_from(bytes.len().clamp(1, MAX_BYTES)).unwrap_or(u32::MAX);
        let place = Arc::clone(&crowd.space).try_acquire_many_owned(size);
        let payload = place.map(|place| Payload { bytes: bytes.clone(), _place: place });
        if !payload.is_ok_and(|payload| crowd.waiting.try_send(payload).is_ok()) {
            metrics::counter!("gateway_crowd_overflows_total").increment(1);
            crowd.missed.store(true, Ordering::Release);
        }
        true
    }

    /// From now on what the bus says of this chat is handed to whoever has these payloads.
    pub(crate) fn form(&self, chat: ChatId) -> Payloads {
        let (waiting, receiver) = mpsc::channel(MAX_PAYLOADS);
        let (space, missed) = (Arc::new(Semaphore::new(MAX_BYTES)), Arc::new(Missed::new(false)));
        let crowd = Crowd { waiting, space, missed: Arc::clone(&missed) };
        self.0.write().insert(chat, crowd);
        Payloads { waiting: receiver, missed }
    }

    /// The chat is a crowd no more: its task ends after the last payload.
    pub(crate) fn disperse(&self, chat: ChatId) {
        self.0.write().remove(&chat);
    }
}

impl Payload {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl Payloads {
    /// The next one; `None` when the crowd has dispersed.
    pub(crate) async fn next(&mut self) -> Option<Payload> {
        self.waiting.recv().await
    }

    /// Whether some were lost since the last call, because there was no space for them.
    pub(crate) fn have_overflowed(&self) -> bool {
        self.missed.swap(false, Ordering::AcqRel)
    }
}

#[cfg(test)]
mod tests;
