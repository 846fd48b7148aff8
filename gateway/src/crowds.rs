//! Chats that so many watch here that handing out one event takes a core for milliseconds. What the
//! bus says of such a chat is handled by a task of its own, in order, so that the task that reads the
//! bus goes on: the node hears its other chats meanwhile, and crowded chats are spread over the cores.

use crate::{hub::Hub, room::Room};
use bytes::Bytes;
use shared::id::ChatId;
use std::{
    collections::HashMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// A chat with more watchers here is crowded: handing out takes up to 0.3 µs for each, so that
/// everything else waits for a third of a millisecond at most.
const CROWD: usize = 1_000;

/// The most that waits for a crowded chat's task: seconds of a chat in which everybody talks. What
/// finds no room is asked for from the api.
const MAX_BYTES: usize = 4 << 20;

/// The most payloads of it, which may be small.
const MAX_PAYLOADS: usize = 4_096;

/// The crowded chats of a node.
#[derive(Default)]
pub(crate) struct Crowds(RwLock<HashMap<ChatId, Crowd>>);

/// What waits to be handled for a crowded chat. Its task ends with it, after the last payload.
struct Crowd {
    waiting: mpsc::Sender<Payload>,
    /// A permit is a byte.
    room: Arc<Semaphore>,
    missed: Arc<Missed>,
}

/// Whether something found no room since the chat was last suspected.
type Missed = AtomicBool;

struct Payload {
    bytes: Bytes,
    /// Its place, until it has been handled.
    _place: OwnedSemaphorePermit,
}

impl Crowds {
    /// Hands a payload to the chat's task, unless it has none. Never waits: what finds no room is
    /// lost, as it is to a node that does not hear it, and the task asks for it later.
    pub fn hand_over(&self, chat: ChatId, bytes: &Bytes) -> bool {
        let crowds = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let Some(crowd) = crowds.get(&chat) else { return false };
        // One that is larger than the bound finds room when nothing waits.
        let size = u32::try_from(bytes.len().clamp(1, MAX_BYTES)).unwrap_or(u32::MAX);
        let place = Arc::clone(&crowd.room).try_acquire_many_owned(size);
        let payload = place.map(|place| Payload { bytes: bytes.clone(), _place: place });
        if !payload.is_ok_and(|payload| crowd.waiting.try_send(payload).is_ok()) {
            metrics::counter!("gateway_crowd_overflows_total").increment(1);
            crowd.missed.store(true, Ordering::Release);
        }
        true
    }

    fn form(&self, chat: ChatId) -> (mpsc::Receiver<Payload>, Arc<Missed>) {
        let (waiting, payloads) = mpsc::channel(MAX_PAYLOADS);
        let (room, missed) = (Arc::new(Semaphore::new(MAX_BYTES)), Arc::new(Missed::new(false)));
        let crowd = Crowd { waiting, room, missed: Arc::clone(&missed) };
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(chat, crowd);
        (payloads, missed)
    }

    fn disperse(&self, chat: ChatId) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(&chat);
    }
}

impl Hub {
    /// Makes a crowd of a chat with many watchers, or ends it when half of them have gone. Called when
    /// their number may have changed. What the chat's task and others handle at the same time then is
    /// put in order by the feed.
    pub(crate) fn look_at_crowd(self: &Arc<Self>, room: &mut Room) {
        let (chat, watchers) = (room.chat_id(), room.watchers().len());
        if room.crowded && watchers < CROWD / 2 {
            room.crowded = false;
            self.crowds.disperse(chat);
        } else if !room.crowded && watchers > CROWD {
            room.crowded = true;
            let (mut payloads, missed) = self.crowds.form(chat);
            let hub = Arc::clone(self);
            self.lifecycle.spawn_background(async move {
                while let Some(payload) = payloads.recv().await {
                    hub.on_chat_bytes(chat, &payload.bytes);
                    if missed.swap(false, Ordering::AcqRel) {
                        hub.with_room(chat, |room| room.suspect = true);
                    }
                }
            });
        }
    }
}

#[cfg(test)]
mod tests;
