//! The feed of one chat on this gateway: puts the chat's events in order although the bus may lose, repeat or swap
//! them. A pure state machine: no I/O, no clock, no connections.

mod held;

use crate::{config::FeedConfig, hub::shared_event::SharedEvent};
use held::Held;
use protocol::{
    calls::RangeFound,
    chat::Event,
    frames::ChatEvent,
    id::{ChatId, Seq},
};
use std::sync::Arc;

/// One chat's feed. `last` is delivered; `last + 1` is expected.
#[derive(Debug)]
pub(crate) struct Feed {
    chat_id: ChatId,
    last: Seq,
    /// The newest event known to exist.
    head: Seq,
    /// A range after `last` has been requested and not been answered.
    requested: bool,
    /// `None` in a quiet chat, as most chats are.
    held: Option<Box<Held>>,
}

/// The events that became deliverable, in order.
#[derive(Debug, Default)]
#[must_use]
pub(crate) struct Update {
    /// Where the feed was before.
    pub after: Seq,
    pub deliver: Vec<Arc<SharedEvent>>,
    /// Events that had been seen before.
    pub repeats: usize,
    /// Events are missing: call [`Feed::request`] soon.
    pub behind: bool,
}

impl Feed {
    /// A feed that starts after `last`.
    pub(crate) fn new(chat_id: ChatId, last: Seq) -> Self {
        Self { chat_id, last, head: last, requested: false, held: None }
    }

    pub(crate) fn chat_id(&self) -> ChatId {
        self.chat_id
    }

    /// The newest event delivered.
    pub(crate) fn last(&self) -> Seq {
        self.last
    }

    /// The newest event known to exist, delivered or not.
    pub(crate) fn head(&self) -> Seq {
        self.head
    }

    /// Whether events exist that have not been delivered.
    pub(crate) fn is_behind(&self) -> bool {
        self.last < self.head
    }

    /// Handles a run of committed events from the bus or from the reply to one of this node's batches. `config`
    /// and the number of `watchers` bound the replay.
    pub(crate) fn on_live(
        &mut self,
        events: Vec<Arc<SharedEvent>>,
        config: &FeedConfig,
        watchers: usize,
    ) -> Update {
        let mut update = Update { after: self.last, ..Update::default() };
        for event in events {
            self.head = self.head.max(event.seq);
            if event.seq <= self.last {
                update.repeats += 1;
            } else if event.seq == self.last.next() {
                self.deliver(event, &mut update);
            } else {
                update.repeats += self.held().keep_ahead(event, config);
            }
        }
        self.deliver_ahead(&mut update);
        self.finish(update, config, watchers)
    }

    /// Notes that the chat has at least this newest event.
    pub(crate) fn on_head(&mut self, head: Seq) {
        self.head = self.head.max(head);
    }

    /// Begins a request: returns the place after which the api must be asked for events. `None` if no event is
    /// known to be missing, or if a request is out. The caller ends the request with [`Feed::on_range`],
    /// [`Feed::on_no_range`] or [`Feed::on_refused`].
    pub(crate) fn request(&mut self) -> Option<Seq> {
        if self.is_behind() { self.request_anyway() } else { None }
    }

    /// Like [`Feed::request`], even if no event is known to be missing: after subscribing, events may have been
    /// missed.
    pub(crate) fn request_anyway(&mut self) -> Option<Seq> {
        (!std::mem::replace(&mut self.requested, true)).then_some(self.last)
    }

    /// Ends a request that got no answer. The caller requests again later.
    pub(crate) fn on_no_range(&mut self) {
        self.requested = false;
    }

    /// Ends a request that cannot be answered. The feed goes on at the newest event, without the missing ones.
    pub(crate) fn on_refused(&mut self) {
        self.requested = false;
        self.last = self.head;
        self.held = None;
    }

    /// Ends the request for the events after `after` with the api's answer.
    pub(crate) fn on_range(
        &mut self,
        after: Seq,
        found: RangeFound,
        config: &FeedConfig,
        watchers: usize,
    ) -> Update {
        let mut update = Update { after: self.last, ..Update::default() };
        self.requested = false;
        self.head = self.head.max(found.head);
        // If live events came meanwhile, the answer does not fit any more: it omits changes that are superseded
        // for a reader at `after`, but not for one further on.
        if after == self.last {
            let whole = found.upto.0 - after.0 == found.events.len() as i64;
            for event in found.events {
                if event.seq > self.last {
                    self.deliver(self.share(event), &mut update);
                }
            }
            let is_folded = !whole && found.upto > after;
            let folds = if is_folded { self.held().fold(after, found.upto) } else { 0 };
            self.last = self.last.max(found.upto);
            if folds > config.replay_events {
                self.forget_replay();
            }
            let next = self.last.next();
            if let Some(held) = &mut self.held {
                held.forget_ahead(next);
            }
            self.deliver_ahead(&mut update);
        }
        self.finish(update, config, watchers)
    }

    /// The events after `cursor`, or `None` when the replay does not reach back so far.
    pub(crate) fn since(&self, cursor: Seq) -> Option<impl Iterator<Item = &Arc<SharedEvent>>> {
        let held = self.held.as_deref();
        // A feed without a replay serves only a cursor at its end, for which it has nothing to add.
        let serves =
            held.map_or(cursor == self.last, |held| cursor <= self.last && held.reaches(cursor));
        serves.then(|| held.into_iter().flat_map(move |held| held.since(cursor)))
    }

    /// Drops the replay. Called when the chat has been quiet for long.
    pub(crate) fn forget_replay(&mut self) {
        let last = self.last;
        if self.held.as_mut().is_some_and(|held| held.forget_replay(last).is_empty()) {
            self.held = None;
        }
    }

    fn held(&mut self) -> &mut Held {
        self.held.get_or_insert_with(|| Box::new(Held::after(self.last)))
    }

    fn share(&self, event: Event) -> Arc<SharedEvent> {
        Arc::new(SharedEvent::new(&ChatEvent { chat_id: self.chat_id, event }))
    }

    fn deliver_ahead(&mut self, update: &mut Update) {
        let mut next = self.last.next();
        while let Some(event) = self.held.as_mut().and_then(|held| held.take_ahead(next)) {
            self.deliver(event, update);
            next = self.last.next();
        }
    }

    fn deliver(&mut self, event: Arc<SharedEvent>, update: &mut Update) {
        self.held().keep(&event);
        self.last = event.seq;
        update.deliver.push(event);
    }

    /// Ends each run: cuts the replay to its bounds.
    fn finish(&mut self, mut update: Update, config: &FeedConfig, watchers: usize) -> Update {
        update.behind = self.is_behind();
        if let Some(held) = &mut self.held {
            held.cut(config, watchers);
        }
        update
    }
}

#[cfg(test)]
mod tests;
