//! The queues of crowded chats. A delivery to thousands of watchers takes a core for milliseconds, in which the
//! task that reads the bus could serve no other chat. Each crowded chat therefore has a queue of payloads,
//! and a task of its own that handles them in order. `bus.rs` runs that task.
//!
//! The task rests after each delivery. What comes meanwhile is delivered together: the watchers get it in one write
//! each, where each message alone would cost a write for each watcher. A message that comes after the rest is
//! delivered at once.

use bytes::Bytes;
use parking_lot::RwLock;
use protocol::id::ChatId;
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::{Instant, sleep_until},
};

/// A chat with more local watchers than this is crowded. A delivery takes up to 0.3 µs per watcher,
/// so other work waits for at most a third of a millisecond.
pub(crate) const CROWD: usize = 1_000;

/// The maximum number of queued bytes of a crowded chat: some seconds of a chat in which everybody talks. The
/// gateway requests the events of payloads that find no space from the api.
const MAX_BYTES: usize = 4 << 20;

/// The maximum number of queued payloads of a crowded chat: it bounds the cost of many small ones.
const MAX_PAYLOADS: usize = 4_096;

/// How long a crowd rests after a delivery, for each watcher. A write costs twice as much CPU time, so a crowd's
/// writes take two cores at most.
const REST_PER_WATCHER: Duration = Duration::from_micros(5);

/// The longest rest: an event waits no longer than this, whatever the size of the crowd.
const LONGEST_REST: Duration = Duration::from_millis(50);

/// Payloads are delivered together up to this many bytes, because the chat is locked during a delivery.
const TOGETHER_BYTES: usize = 32 * 1024;

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
    pub bytes: Bytes,
    pub from: PayloadSource,
    /// Its space in the queue, until it has been handled.
    _place: OwnedSemaphorePermit,
}

/// What brought a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PayloadSource {
    Bus,
    /// The answer to this node's own commands.
    Answer,
}

/// The payloads of a crowded chat, for its task.
pub(crate) struct Payloads {
    waiting: mpsc::Receiver<Payload>,
    /// The payload that was taken from the queue and was too large for the last delivery.
    next: Option<Payload>,
    /// When the rest is over.
    rested_at: Instant,
    missed: Arc<Missed>,
}

impl Crowds {
    /// Hands a payload of the bus to the chat's task; `false` if the chat has none. Never waits. A payload without
    /// space is dropped, as if the bus had lost it, and the task has its events requested later.
    pub(crate) fn hand_over(&self, chat: ChatId, bytes: &Bytes) -> bool {
        let crowds = self.0.read();
        let Some(crowd) = crowds.get(&chat) else { return false };
        if !crowd.queue(bytes, PayloadSource::Bus) {
            metrics::counter!("gateway_crowd_overflows_total").increment(1);
            crowd.missed.store(true, Ordering::Release);
        }
        true
    }

    /// Hands a run of events that an answer brought to the chat's task; `false` if the chat has none, or its queue no
    /// space. Never waits.
    pub(crate) fn hand_over_answered(&self, chat: ChatId, run: &Bytes) -> bool {
        let crowds = self.0.read();
        crowds.get(&chat).is_some_and(|crowd| crowd.queue(run, PayloadSource::Answer))
    }

    /// Queues the chat's payloads from now on. The caller handles them.
    pub(crate) fn form(&self, chat: ChatId) -> Payloads {
        let (waiting, receiver) = mpsc::channel(MAX_PAYLOADS);
        let (space, missed) = (Arc::new(Semaphore::new(MAX_BYTES)), Arc::new(Missed::new(false)));
        let crowd = Crowd { waiting, space, missed: Arc::clone(&missed) };
        self.0.write().insert(chat, crowd);
        Payloads { waiting: receiver, next: None, rested_at: Instant::now(), missed }
    }

    /// Stops queueing the chat's payloads. The chat's task ends after the last one.
    pub(crate) fn disperse(&self, chat: ChatId) {
        self.0.write().remove(&chat);
    }
}

impl Crowd {
    /// Queues a payload; `false` if there is no space.
    fn queue(&self, bytes: &Bytes, from: PayloadSource) -> bool {
        // Clamped, so that a payload above the bound fits into an empty queue.
        let size = u32::try_from(bytes.len().clamp(1, MAX_BYTES)).unwrap_or(u32::MAX);
        let place = Arc::clone(&self.space).try_acquire_many_owned(size);
        let payload = place.map(|place| Payload { bytes: bytes.clone(), from, _place: place });
        payload.is_ok_and(|payload| self.waiting.try_send(payload).is_ok())
    }
}

impl Payloads {
    /// The payloads to deliver next, together: what has come when the rest is over. `None` when the crowd has
    /// dispersed.
    pub(crate) async fn next(&mut self) -> Option<Vec<Payload>> {
        let first = match self.next.take() {
            Some(payload) => payload,
            None => self.waiting.recv().await?,
        };
        sleep_until(self.rested_at).await;
        let mut bytes = first.bytes.len();
        let mut together = vec![first];
        while let Ok(payload) = self.waiting.try_recv() {
            bytes += payload.bytes.len();
            if bytes > TOGETHER_BYTES {
                self.next = Some(payload);
                break;
            }
            together.push(payload);
        }
        Some(together)
    }

    /// Begins the rest after a delivery to so many watchers.
    pub(crate) fn rest(&mut self, watchers: usize) {
        let watchers = u32::try_from(watchers).unwrap_or(u32::MAX);
        let rest = REST_PER_WATCHER.saturating_mul(watchers).min(LONGEST_REST);
        self.rested_at = Instant::now() + rest;
    }

    /// Whether payloads were dropped for lack of space since the last call.
    pub(crate) fn have_overflowed(&self) -> bool {
        self.missed.swap(false, Ordering::AcqRel)
    }
}

#[cfg(test)]
mod tests;
