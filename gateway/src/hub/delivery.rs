//! Delivers a chat's events, from the bus or from the reply to one of this node's commands, to the
//! connections that watch the chat.

use crate::{
    config::FeedConfig,
    hub::{
        Hub,
        conn::outbox::queue::Writer,
        local_chat::{
            Delivered, LocalChat,
            feed::{Feed, Update},
        },
        shared_event::SharedEvent,
        watching::Parting,
    },
};
use platform::telemetry::trace::{Kind, Span};
use protocol::{
    encoded_run::{EncodedRun, RunHead, SlicedRun},
    id::{ChatId, Seq},
    relay::ChatEvents,
    traceparent::Traceparent,
};
use std::sync::Arc;
use tokio::time::Instant;

/// Events to deliver.
#[derive(Debug, Default)]
pub(super) struct LiveRun {
    /// The span that published them, or the first of them.
    pub cause: Option<Traceparent>,
    pub events: Vec<Arc<SharedEvent>>,
}

impl Hub {
    /// Handles a run in the answer to one of this node's batches.
    pub(crate) fn on_answered(self: &Arc<Self>, run: &EncodedRun) {
        let payload = run.payload();
        match RunHead::read(payload) {
            Some(head) if self.crowds.hand_over_answered(head.chat_id, payload) => {}
            _ if self.on_run(payload).is_some() => {}
            _ => bad_payload(),
        }
    }

    /// Handles a run that had to be parsed.
    pub(crate) fn on_events(self: &Arc<Self>, run: &ChatEvents) {
        let run = EncodedRun::of(run).ok();
        if run.is_none_or(|run| self.on_run(run.payload()).is_none()) {
            bad_payload();
        }
    }

    /// Handles a run of events, and returns what its first bytes say. `None` if it cannot be taken apart.
    pub(super) fn on_run(self: &Arc<Self>, run: &[u8]) -> Option<RunHead> {
        let (head, live) = self.read_run(run)?;
        self.on_live(head.chat_id, live);
        Some(head)
    }

    /// Takes a run apart, without events if the watchers were given all of them. `None` if it cannot be taken apart.
    pub(super) fn read_run(&self, run: &[u8]) -> Option<(RunHead, LiveRun)> {
        let head = RunHead::read(run)?;
        if self.has_all(head.chat_id, head.upto) {
            // Mostly what this node's own commands made: the answer and the bus bring it.
            let repeats = head.upto.0.saturating_sub(head.after.0);
            metrics::counter!("gateway_repeats_dropped_total").increment(repeats.unsigned_abs());
            return Some((head, LiveRun::default()));
        }
        let SlicedRun { traceparent: cause, events, .. } = SlicedRun::read(run)?;
        let events = events.into_iter().map(|event| Arc::new(event.into())).collect();
        Some((head, LiveRun { cause, events }))
    }

    /// Delivers the events of a run.
    pub(super) fn on_live(self: &Arc<Self>, chat: ChatId, run: LiveRun) {
        let LiveRun { cause, events } = run;
        if !events.is_empty() {
            self.update(chat, cause, |feed, config, watchers| {
                feed.on_live(events, config, watchers)
            });
        }
    }

    /// Whether the chat's watchers here were given all events up to this one, or there are none.
    fn has_all(&self, chat: ChatId, upto: Seq) -> bool {
        self.with_chat(chat, |chat| upto <= chat.feed.last()).unwrap_or(true)
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
            let now = Instant::now();
            let delivered = chat.deliver(&update, now, self.writer(chat, &update, now));
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

    /// Who writes these events: whoever delivers them, as long as that is little. One task delivers the events of
    /// nearly all chats, and a write takes ten times as long as a wake-up. A crowd's events, and those beyond the
    /// rate, are written by the connections' tasks, on all cores.
    fn writer(&self, chat: &LocalChat, update: &Update, now: Instant) -> Writer {
        let writes = u32::try_from(chat.watchers().len()).unwrap_or(u32::MAX);
        let (rate, clock) = (&self.config.direct_writes, now - self.started);
        let is_granted = !chat.crowded
            && !update.deliver.is_empty()
            && self.direct_writes.lock().try_take(rate, clock, writes).is_ok();
        if is_granted { Writer::Deliverer(now) } else { Writer::Task }
    }
}

/// Counts a bus payload, or a run of events in an answer, that cannot be read.
pub(super) fn bad_payload() {
    metrics::counter!("gateway_bad_payloads_total").increment(1);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        backend::scripted::Scripted,
        config::Config,
        dialect::{Window, samples::message_event},
        hub::shared_event::SharedEvent,
        testing::{chat, connect, gateway, watch},
    };
    use platform::limit::Rate;
    use protocol::{chat::ChatType, id::UserId};
    use std::time::Duration;

    #[tokio::test]
    async fn whoever_delivers_writes_little_and_never_to_a_crowd() {
        let second = Duration::from_secs(1);
        let direct_writes = Rate { per: second, burst: 2 };
        let config = Config { direct_writes, ..Config::default() };
        let gateway = gateway(&Arc::new(Scripted::default()), config);
        let (hub, id) = (&gateway.hub, ChatId(1));
        let guards = [1, 2].map(|user| connect(&gateway, UserId(user), Window::Native));
        for guard in &guards {
            watch(&gateway, &guard.conn, &chat(id, ChatType::Group, Seq::ZERO));
        }
        let nothing = Update::default();
        let event = Arc::new(SharedEvent::new(&message_event()));
        let one = Update { deliver: vec![event], ..Update::default() };
        let is_direct = |update: &Update, now| {
            let writer = hub.with_chat(id, |chat| hub.writer(chat, update, now));
            matches!(writer, Some(Writer::Deliverer(_)))
        };
        let now = hub.started + second;
        assert!(!is_direct(&nothing, now));
        assert!(is_direct(&one, now), "nothing was taken for no event");
        assert!(!is_direct(&one, now), "that took a write for each watcher");
        assert!(!is_direct(&one, now + second), "half of them have come back");
        assert!(is_direct(&one, now + 2 * second));
        hub.with_chat(id, |chat| chat.crowded = true);
        assert!(!is_direct(&one, now + 10 * second));
    }
}
