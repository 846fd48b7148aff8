//! The queues of crowded chats. A delivery to thousands of watchers takes a core for milliseconds, in which the
//! task that reads the bus could serve no other chat. Each crowded chat therefore has a queue of bus payloads,
//! and a task of its own that handles them in order. `bus.rs` runs that task.

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

/// The maximum number of queued bytes of a crowded chat: some seconds of a chat in which everybody talks. The
/// gateway requests the events of payloads that find no space from the api.
const MAX_BYTES: usize = 4 << 20;

/// The maximum number of queued payloads of a crowded chat: it bounds the cost of many small ones.
const MAX_PAYLOADS: usize = 4_096;

/// The crowded chats of a node.
#[derive(Default)]
pub(crate) struct Crowds(RwLock<HashMap<ChatId, Crowd>>);

/// The payloads queued for a crowded chat. Its task ends after the last payload.
struct Crowd {
    waiting: mpsc::Sender<Payload>,
    /// One permit for each free byte.
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
    /// Hands a payload to the chat's task; `false` if the chat has none. Never waits. A payload without space
    /// is dropped, as if the bus had lost it, and the task has its events requested later.
    pub(crate) fn hand_over(&self, chat: ChatId, bytes: &Bytes) -> bool {
        let crowds = self.0.read();
        let Some(crowd) = crowds.get(&chat) else { return false };
        // Clamped, so that a payload above the bound fits into an empty queue.
        let size = u32::try_from(bytes.len().clamp(1, MAX_BYTES)).unwrap_or(u32::MAX);
        let place = Arc::clone(&crowd.space).try_acquire_many_owned(size);
        let payload = place.map(|place| Payload { bytes: bytes.clone(), _place: place });
        if !payload.is_ok_and(|payload| crowd.waiting.try_send(payload).is_ok()) {
            metrics::counter!("gateway_crowd_overflows_total").increment(1);
            crowd.missed.store(true, Ordering::Release);
        }
        true
    }

    /// Queues the chat's payloads from now on. The caller handles them.
    pub(crate) fn form(&self, chat: ChatId) -> Payloads {
        let (waiting, receiver) = mpsc::channel(MAX_PAYLOADS);
        let (space, missed) = (Arc::new(Semaphore::new(MAX_BYTES)), Arc::new(Missed::new(false)));
        let crowd = Crowd { waiting, space, missed: Arc::clone(&missed) };
        self.0.write().insert(chat, crowd);
        Payloads { waiting: receiver, missed }
    }

    /// Stops queueing the chat's payloads. The chat's task ends after the last one.
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
    /// The next payload; `None` when the crowd has dispersed.
    pub(crate) async fn next(&mut self) -> Option<Payload> {
        self.waiting.recv().await
    }

    /// Whether payloads were dropped for lack of space since the last call.
    pub(crate) fn have_overflowed(&self) -> bool {
        self.missed.swap(false, Ordering::AcqRel)
    }
}

#[cfg(test)]
mod tests;
