//! How the hub asks the api for the events that a feed lacks: after a gap, when another chat's head is told
//! of, and when something may have passed unheard.

use crate::{
    backend::Unavailable,
    hub::{Hub, local_chat::Room},
};
use shared::{
    id::{ChatId, Seq},
    internal::{Range, RangeFound},
};
use std::sync::Arc;
use tokio::time::Instant;

impl Hub {
    /// A chat has got at least this far: after a moment the api is asked for what has not come.
    pub fn on_head(self: &Arc<Self>, chat: ChatId, head: Seq) {
        self.with_room(chat, |room| {
            room.feed.on_head(head);
            if !room.feed.is_behind() {
                return;
            }
            room.busy().behind_since.get_or_insert(Instant::now());
            if !self.hears() {
                // Nothing is on its way: the sweeper's second would be lost.
                self.schedule_ask(room);
            }
        });
    }

    /// The api's answer about what a feed missed; `None` when the chat is gone.
    pub(crate) fn on_range(
        self: &Arc<Self>,
        asked: Range,
        answer: Result<Option<RangeFound>, Unavailable>,
    ) {
        match answer {
            Ok(Some(found)) => {
                let filled = found.events.len() as u64;
                metrics::counter!("gateway_gap_events_total").increment(filled);
                let got_on = found.upto > asked.after;
                self.update(asked.chat_id, None, |feed, config, watchers| {
                    feed.on_range(asked.after, found, config, watchers)
                });
                if got_on {
                    // What is left of a long gap needs no patience.
                    self.with_room(asked.chat_id, |room| self.ask(room));
                }
            }
            Ok(None) => self.close_room(asked.chat_id),
            Err(Unavailable::Refused(_)) => {
                self.with_room(asked.chat_id, Room::pass_over);
            }
            Err(Unavailable::NotAnswered(_)) => {
                // The sweeper asks again: the lane has just tried for long.
                self.with_room(asked.chat_id, |room| {
                    room.feed.on_no_range();
                    room.suspect = true;
                });
            }
        }
    }

    /// Asks for what a gap lacks, unless it fills by itself in a moment.
    pub(super) fn schedule_ask(self: &Arc<Self>, room: &mut Room) {
        room.busy().behind_since.get_or_insert(Instant::now());
        if std::mem::replace(&mut room.ask_scheduled, true) {
            return;
        }
        let (hub, chat) = (Arc::clone(self), room.chat_id());
        self.lifecycle.spawn_background(async move {
            tokio::time::sleep(hub.config.gap_patience).await;
            hub.with_room(chat, |room| {
                room.ask_scheduled = false;
                hub.ask(room);
            });
        });
    }

    pub(super) fn ask(self: &Arc<Self>, room: &mut Room) {
        if let Some(after) = room.feed.ask() {
            metrics::counter!("gateway_gaps_total").increment(1);
            self.put(room, after);
        }
    }

    pub(super) fn ask_anyway(self: &Arc<Self>, room: &mut Room) {
        match room.feed.ask_anyway() {
            Some(after) => self.put(room, after),
            // The answer on its way may be older than the suspicion.
            None => room.suspect = true,
        }
    }

    fn put(self: &Arc<Self>, room: &mut Room, after: Seq) {
        let (hub, range) = (Arc::clone(self), Range { chat_id: room.chat_id(), after });
        let done = Box::new(move |answer: Result<_, _>| hub.on_range(range, answer));
        room.suspect = false;
        if self.lanes.request_range(range, done).is_err() {
            room.feed.on_no_range();
            room.suspect = true;
        }
    }
}
