//! Periodic work on all chats of the hub: sends overdue requests, doubts the channels that should have made them
//! needless, and drops chats and replays that nobody needs.

use crate::hub::{Hub, conn::Conn};
use platform::bus::Partitions;
use protocol::{calls::UserChat, chat::ChatType, relay::Channel};
use std::{mem, sync::Arc};
use tokio::time::Instant;

/// The maximum number of suspected chats that one sweep asks about. That is five calls, so a client that
/// resumes meanwhile hardly waits. 10,000 chats take ten sweeps.
const SUSPECTS_A_SWEEP: usize = 1_000;

/// Runs [`Hub::sweep`] periodically for the lifetime of the process.
pub(crate) async fn run(hub: Arc<Hub>) {
    let mut every = tokio::time::interval(hub.config.sweep_interval);
    loop {
        every.tick().await;
        hub.sweep();
    }
}

impl Hub {
    /// Sends overdue range requests (after a gap, a poll or a lost answer), drops chats that have had no
    /// watcher for `chat_linger`, and clears replays that nobody resumes from.
    pub(crate) fn sweep(self: &Arc<Self>) {
        let now = Instant::now();
        let (mut chats_open, mut suspects, mut deaf) = (0, 0, Vec::new());
        for shard in &self.shards {
            let mut chats = shard.lock();
            // The shard stays locked, so that no join finds a chat between the check and its removal.
            chats.retain(|chat_id, chat| {
                let mut chat = chat.lock();
                let behind_since = chat.if_busy().and_then(|busy| busy.behind_since);
                if behind_since.is_some_and(|since| now - since >= self.config.gap_patience) {
                    self.request_missing(&mut chat);
                    if chat.if_busy().is_some_and(|busy| mem::take(&mut busy.is_unheard)) {
                        deaf.push(Channel::Chat(*chat_id));
                    }
                }
                if chat.suspect && suspects < SUSPECTS_A_SWEEP {
                    suspects += 1;
                    self.request_unconditionally(&mut chat);
                }
                if now - chat.active_at > self.config.replay_age {
                    chat.feed.forget_replay();
                }
                self.forget_pages(&mut chat, now);
                chat.calm_down(now);
                self.look_at_crowd(&mut chat);
                let idle = chat.empty_since.map(|since| now - since);
                let lingers = idle.is_none_or(|idle| idle < self.config.chat_linger);
                let keep = lingers || chat.if_busy().is_some_and(|busy| !busy.pages.is_empty());
                if !keep {
                    chat.closed = true;
                    // Still under the shard's lock: a join that makes the chat anew subscribes after this.
                    if let Some(subscriber) = self.subscriber.get() {
                        subscriber.remove(&[Channel::Chat(*chat_id)]);
                    }
                }
                keep
            });
            chats_open += chats.len();
        }
        metrics::gauge!("gateway_rooms").set(chats_open as f64);
        if let Some(subscriber) = self.subscriber.get().filter(|_| !deaf.is_empty()) {
            subscriber.doubt(&deaf);
        }
    }

    /// Marks the chats of these partitions as suspect. The following sweeps request the events after each feed, for a
    /// bounded number of chats at a time.
    pub(crate) fn suspect(&self, partitions: &Partitions) {
        for shard in &self.shards {
            for (chat_id, chat) in &*shard.lock() {
                if partitions.contains(Channel::Chat(*chat_id).partition()) {
                    chat.lock().suspect = true;
                }
            }
        }
    }

    /// The users who watch private chats and groups here, each with the chat: one list for each shard.
    pub(crate) fn memberships(&self) -> impl Iterator<Item = Vec<UserChat>> {
        self.shards.iter().map(|shard| {
            // Cloned first: many chats' locks in a row must not hold up the shard.
            let chats: Vec<_> = shard.lock().values().cloned().collect();
            let mut pairs = Vec::new();
            for chat in chats {
                let chat = chat.lock();
                // Anybody may watch a room.
                if chat.chat_type != ChatType::Room {
                    let pair = |conn: &Arc<Conn>| {
                        Some(UserChat { user_id: conn.user_id()?, chat_id: chat.chat_id() })
                    };
                    pairs.extend(chat.watchers().filter_map(pair));
                }
            }
            pairs.sort_unstable_by_key(|pair| (pair.chat_id, pair.user_id));
            pairs.dedup();
            pairs
        })
    }
}
