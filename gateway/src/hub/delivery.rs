//! Delivers a chat's events, from the bus or from the reply to one of this node's commands, to the
//! connections that watch the chat.

use crate::{
    config::FeedConfig,
    hub::{
        Hub,
        local_chat::{
            Delivered,
            feed::{Feed, Update},
        },
        watching::Parting,
    },
};
use platform::telemetry::trace::{Kind, Span};
use protocol::{id::ChatId, relay::ChatEvents, traceparent::Traceparent};
use std::sync::Arc;
use tokio::time::Instant;

impl Hub {
    /// Handles events from the bus or from the reply to one of this node's batches.
    pub(crate) fn on_events(self: &Arc<Self>, run: ChatEvents) {
        self.update(run.chat_id, run.traceparent, |feed, config, watchers| {
            feed.on_live(run.events, config, watchers)
        });
    }

    /// Calls `change` with a chat's feed and delivers the events that became deliverable. `cause` is the span
    /// that published them.
    pub(super) fn update(
        self: &Arc<Self>,
        chat_id: ChatId,
        cause: Option<Traceparent>,
        change: impl FnOnce(&mut Feed, &FeedConfig, usize) -> Update,
    ) {
        let delivered = self.with_chat(chat_id, |chat| {
            let watchers = chat.watchers().len();
            let update = change(&mut chat.feed, &self.config.feed, watchers);
            // If all these events are repeats, another run caused their delivery.
            let cause = cause.filter(|_| !update.deliver.is_empty());
            let mut span = Span::following("deliver", Kind::Consumer, cause);
            let delivered = chat.deliver(&update, Instant::now());
            span.number("chat.id", chat_id.0);
            span.number("events", update.deliver.len() as i64);
            span.number("fanout", chat.watchers().len() as i64);
            if update.behind {
                self.schedule_request(chat);
            }
            (delivered, span)
        });
        let Some((Delivered { joined, parted }, span)) = delivered else { return };
        // After the chat's lock is released: `part` takes it again.
        span.end();
        for user in parted {
            self.part(user, chat_id, Parting::Member);
        }
        for user in joined {
            self.welcome(user, chat_id);
        }
    }
}
