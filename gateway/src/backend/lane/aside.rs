//! What waits beside a lane: the items of chats that somebody else holds. They are asked about by
//! themselves, in their order, until each chat has answered; meanwhile the lane goes on with all
//! other chats.

use super::{item::LaneItem, request::Request};
use crate::{backend::Unavailable, config::LaneConfig};
use protocol::id::ChatId;
use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

/// Items of busy chats, each chat's in order. Bounded with the lane's load.
pub(super) struct Aside<Q, A> {
    /// A chat stays here without items while those it had are asked about.
    chats: HashMap<ChatId, VecDeque<LaneItem<Q, A>>>,
    /// The chats, the longest not asked about first.
    turns: VecDeque<ChatId>,
}

impl<Q: Request, A> Aside<Q, A> {
    pub(super) fn new() -> Self {
        Self { chats: HashMap::new(), turns: VecDeque::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.chats.is_empty()
    }

    /// Gives the item back, unless earlier ones of its chat are here: then it waits behind them.
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

    /// Takes in items that found their chats busy. They are earlier than what is here of their chats.
    /// Those that have been tried for long enough fail.
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

    /// The next items to ask about: of each chat in turn the same number, within a call's bounds.
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

    /// Lets go of the chats that have nothing waiting any more: they are the lane's again.
    pub(super) fn drop_empty(&mut self) {
        self.chats.retain(|_, queue| !queue.is_empty());
        let chats = &self.chats;
        self.turns.retain(|chat| chats.contains_key(chat));
    }
}
