//! The items of busy chats, which wait beside a lane. Another transaction holds the rows of these chats. A
//! call of their own repeats the items, in order, until each chat has answered. Meanwhile the lane goes on
//! with all other chats.

use super::{item::LaneItem, request::Request};
use crate::{backend::Unavailable, config::LaneConfig};
use protocol::id::ChatId;
use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

/// The items of busy chats, in order within each chat. They count in the lane's load, which bounds them.
pub(super) struct Aside<Q, A> {
    /// A chat whose items are all in a call stays here with an empty queue.
    chats: HashMap<ChatId, VecDeque<LaneItem<Q, A>>>,
    /// The chats in the order of their next turns.
    turns: VecDeque<ChatId>,
}

impl<Q: Request, A> Aside<Q, A> {
    pub(super) fn new() -> Self {
        Self { chats: HashMap::new(), turns: VecDeque::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.chats.is_empty()
    }

    /// Holds an item whose chat is busy, behind the chat's earlier items. Gives any other item back.
    pub(super) fn hold_if_busy(&mut self, item: LaneItem<Q, A>) -> Option<LaneItem<Q, A>> {
        let queue = item.request.chat().and_then(|chat| self.chats.get_mut(&chat));
        match queue {
            Some(queue) => {
                queue.push_back(item);
                None
            }
            None => Some(item),
        }
    }

    /// Adds items that found their chats busy, before any other items of these chats. Items that have
    /// been tried for `give_up_after` fail instead.
    pub(super) fn add(&mut self, busy: Vec<LaneItem<Q, A>>, give_up_after: Duration) {
        let late = |item: &LaneItem<Q, A>| item.waiter.since.elapsed() > give_up_after;
        let (late, busy): (Vec<_>, Vec<_>) = busy.into_iter().partition(late);
        for item in late {
            let why = "somebody else holds the chat".to_owned();
            item.finish(Err(Unavailable::NotAnswered(why)));
        }
        for item in busy.into_iter().rev() {
            // Only commands for chats are ever busy.
            let chat = item.request.chat().unwrap_or_default();
            let turns = &mut self.turns;
            let queue = self.chats.entry(chat).or_insert_with(|| {
                turns.push_back(chat);
                VecDeque::new()
            });
            queue.push_front(item);
        }
    }

    /// The items of the next call: the same number from each chat in turn, within the bounds of a call.
    pub(super) fn batch(&mut self, config: &LaneConfig) -> Vec<LaneItem<Q, A>> {
        let share = (config.max_batch / self.turns.len().max(1)).max(1);
        let (mut batch, mut bytes) = (Vec::new(), 0);
        for _ in 0..self.turns.len() {
            let Some(chat) = self.turns.pop_front() else { break };
            self.turns.push_back(chat);
            let Some(queue) = self.chats.get_mut(&chat) else { continue };
            for _ in 0..share {
                let Some(item) = queue.front() else { break };
                bytes += item.waiter.share.bytes;
                if !batch.is_empty() && bytes > config.max_batch_bytes {
                    return batch;
                }
                batch.extend(queue.pop_front());
            }
            if batch.len() >= config.max_batch {
                break;
            }
        }
        batch
    }

    /// Drops the chats without items. The lane serves them again.
    pub(super) fn drop_empty(&mut self) {
        self.chats.retain(|_, queue| !queue.is_empty());
        let chats = &self.chats;
        self.turns.retain(|chat| chats.contains_key(chat));
    }
}
