//! Requests the events that a feed lacks from the api: after a gap, when a newer head is known, and when an
//! event may have passed unnoticed.

use crate::{
    backend::Unavailable,
    hub::{Hub, local_chat::LocalChat},
};
use platform::bus::Partitions;
use protocol::{
    calls::{Range, RangeFound},
    id::{ChatId, Seq},
    relay::Channel,
};
use std::sync::Arc;
use tokio::time::Instant;

impl Hub {
    /// Notes that a chat has reached at least this `seq`, as the api said. After a moment, the gateway requests the
    /// events that have not arrived. `missed` are the partitions in which the bus may have lost some.
    pub(crate) fn on_head(self: &Arc<Self>, chat_id: ChatId, head: Seq, missed: &Partitions) {
        self.with_chat(chat_id, |chat| {
            let was_behind = chat.feed.is_behind();
            chat.feed.on_head(head);
            if !chat.feed.is_behind() {
                return;
            }
            let busy = chat.busy();
            busy.behind_since.get_or_insert(Instant::now());
            // Nothing that the bus brought says so.
            busy.is_unheard |= !was_behind && !missed.contains(Channel::Chat(chat_id).partition());
            if !self.hearing.hears(chat_id) {
                // The bus brings nothing now, so waiting for the sweep would only lose a second.
                self.schedule_request(chat);
            }
        });
    }

    /// Applies the api's answer to a request; `None` if the chat was deleted.
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
                    // The rest of a long gap will not fill by itself: request it at once.
                    self.with_chat(asked.chat_id, |chat| self.request_missing(chat));
                }
            }
            Ok(None) => self.close_chat(asked.chat_id),
            Err(Unavailable::Refused(_)) => {
                self.with_chat(asked.chat_id, LocalChat::pass_over);
            }
            Err(Unavailable::NotAnswered(_)) => {
                // The lane has just tried for long, so the next sweep repeats the request.
                self.with_chat(asked.chat_id, |chat| {
                    chat.feed.on_no_range();
                    chat.suspect = true;
                });
            }
        }
    }

    /// Requests the missing events after `gap_patience`, unless they have arrived by then.
    pub(super) fn schedule_request(self: &Arc<Self>, chat: &mut LocalChat) {
        chat.busy().behind_since.get_or_insert(Instant::now());
        if std::mem::replace(&mut chat.request_scheduled, true) {
            return;
        }
        let (hub, chat_id) = (Arc::clone(self), chat.chat_id());
        self.lifecycle.spawn_background(async move {
            tokio::time::sleep(hub.config.gap_patience).await;
            hub.with_chat(chat_id, |chat| {
                chat.request_scheduled = false;
                hub.request_missing(chat);
            });
        });
    }

    /// Requests the events that the chat is known to lack, unless a request is out.
    pub(super) fn request_missing(self: &Arc<Self>, chat: &mut LocalChat) {
        if let Some(after) = chat.feed.request() {
            metrics::counter!("gateway_gaps_total").increment(1);
            self.request_after(chat, after);
        }
    }

    /// Requests the events after the feed, though none is known to be missing.
    pub(super) fn request_unconditionally(self: &Arc<Self>, chat: &mut LocalChat) {
        match chat.feed.request_anyway() {
            Some(after) => self.request_after(chat, after),
            // The answer on its way may be older than the suspicion, so the sweep asks once more.
            None => chat.suspect = true,
        }
    }

    fn request_after(self: &Arc<Self>, chat: &mut LocalChat, after: Seq) {
        let (hub, range) = (Arc::clone(self), Range { chat_id: chat.chat_id(), after });
        let done = Box::new(move |answer: Result<_, _>| hub.on_range(range, answer));
        chat.suspect = false;
        if self.lanes.request_range(range, done).is_err() {
            chat.feed.on_no_range();
            chat.suspect = true;
        }
    }
}
