//! The feed of one chat on this gateway: puts the chat's events in order, whatever the bus lost,
//! repeated or swapped. A pure state machine: no I/O, no clock, no connections.

use crate::{config::FeedConfig, hub::shared_event::Relayed};
use shared::{
    chat::Event,
    id::{ChatId, Seq},
    internal::RangeFound,
    protocol::ChatEvent,
};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

/// One chat's feed. `last` is delivered; `last + 1` is expected.
#[derive(Debug)]
pub struct Feed {
    chat_id: ChatId,
    last: Seq,
    /// The newest event known to exist.
    head: Seq,
    /// A range after `last` has been asked for and not been answered.
    asked: bool,
    /// Nothing in a chat that is quiet, which most are.
    held: Option<Box<Held>>,
}

/// The events that a feed holds.
#[derive(Debug)]
struct Held {
    /// Everything after here is in the window.
    base: Seq,
    window: VecDeque<Arc<Relayed>>,
    window_bytes: usize,
    /// Runs `(after, upto)` that came as a range with superseded events left out: complete for
    /// whoever was at `after`, but not for a cursor inside the run.
    folded: VecDeque<(Seq, Seq)>,
    ahead: BTreeMap<Seq, Arc<Relayed>>,
    ahead_bytes: usize,
}

/// What became deliverable, in order.
#[derive(Debug, Default)]
#[must_use]
pub struct Update {
    /// Where the feed was before.
    pub after: Seq,
    pub deliver: Vec<Arc<Relayed>>,
    /// Events that had been seen before.
    pub repeats: usize,
    /// Something is missing: [`Feed::ask`] soon.
    pub behind: bool,
}

impl Feed {
    /// A feed whose clients have everything up to `last`.
    pub fn new(chat_id: ChatId, last: Seq) -> Self {
        Self { chat_id, last, head: last, asked: false, held: None }
    }

    pub fn chat_id(&self) -> ChatId {
        self.chat_id
    }

    /// The newest event delivered.
    pub fn last(&self) -> Seq {
        self.last
    }

    /// The newest event known to exist, delivered or not.
    pub fn head(&self) -> Seq {
        self.head
    }

    /// Whether events exist that were not delivered yet.
    pub fn is_behind(&self) -> bool {
        self.last < self.head
    }

    /// A run of committed events, from the bus or from the reply to an own batch. `config` bounds what
    /// is kept of them for `watchers`.
    pub fn on_live(&mut self, events: Vec<Event>, config: &FeedConfig, watchers: usize) -> Update {
        let mut update = Update { after: self.last, ..Update::default() };
        for event in events {
            self.head = self.head.max(event.seq);
            if event.seq <= self.last {
                update.repeats += 1;
            } else if event.seq == self.last.next() {
                self.deliver(self.relay(event), &mut update);
            } else {
                let relayed = self.relay(event);
                update.repeats += self.held().keep_ahead(relayed, config);
            }
        }
        self.deliver_ahead(&mut update);
        self.finish(update, config, watchers)
    }

    /// The chat has got at least this far, as the api says.
    pub fn on_head(&mut self, head: Seq) {
        self.head = self.head.max(head);
    }

    /// What to ask the api for now: the events after this place. `None` when nothing is known to be
    /// missing or the question is already out. Answer with [`Feed::on_range`] or [`Feed::on_no_range`].
    pub fn ask(&mut self) -> Option<Seq> {
        if self.is_behind() { self.ask_anyway() } else { None }
    }

    /// Like [`Feed::ask`], though nothing is known to be missing: after subscribing, when events may
    /// have passed unheard.
    pub fn ask_anyway(&mut self) -> Option<Seq> {
        (!std::mem::replace(&mut self.asked, true)).then_some(self.last)
    }

    /// The question got no answer: ask again later.
    pub fn on_no_range(&mut self) {
        self.asked = false;
    }

    /// The question cannot be answered: goes on at the newest event, without what is missing.
    pub fn on_refused(&mut self) {
        self.asked = false;
        self.last = self.head;
        self.held = None;
    }

    /// The api's answer to the question after `after`.
    pub fn on_range(
        &mut self,
        after: Seq,
        found: RangeFound,
        config: &FeedConfig,
        watchers: usize,
    ) -> Update {
        let mut update = Update { after: self.last, ..Update::default() };
        self.asked = false;
        self.head = self.head.max(found.head);
        // When live events came in meanwhile, the answer no longer fits: it left out changes that
        // are superseded for a reader at `after`, not for one further on.
        if after == self.last {
            let whole = found.upto.0 - after.0 == found.events.len() as i64;
            for event in found.events {
                if event.seq > self.last {
                    self.deliver(self.relay(event), &mut update);
                }
            }
            let folded = !whole && found.upto > after;
            if folded {
                self.held().folded.push_back((after, found.upto));
            }
            self.last = self.last.max(found.upto);
            if folded && self.held().folded.len() > config.window_events {
                self.forget_window();
            }
            let next = self.last.next();
            if let Some(held) = &mut self.held {
                held.forget_ahead(next);
            }
            self.deliver_ahead(&mut update);
        }
        self.finish(update, config, watchers)
    }

    /// The events after `cursor`, or `None` when the window does not reach back so far.
    pub fn since(&self, cursor: Seq) -> Option<impl Iterator<Item = &Arc<Relayed>>> {
        let inside = |(after, upto): &(Seq, Seq)| *after < cursor && cursor < *upto;
        let held = self.held.as_deref();
        if cursor < held.map_or(self.last, |held| held.base)
            || cursor > self.last
            || held.is_some_and(|held| held.folded.iter().any(inside))
        {
            return None;
        }
        Some(held.into_iter().flat_map(move |held| {
            let start = held.window.partition_point(|relayed| relayed.seq <= cursor);
            held.window.range(start..)
        }))
    }

    /// Lets the window go: nobody has resumed from it for long.
    pub fn forget_window(&mut self) {
        if let Some(held) = &mut self.held {
            held.base = self.last;
            held.window = VecDeque::new();
            held.window_bytes = 0;
            held.folded = VecDeque::new();
            if held.ahead.is_empty() {
                self.held = None;
            }
        }
    }

    fn held(&mut self) -> &mut Held {
        self.held.get_or_insert_with(|| Box::new(Held::after(self.last)))
    }

    fn relay(&self, event: Event) -> Arc<Relayed> {
        Arc::new(Relayed::new(&ChatEvent { chat_id: self.chat_id, event }))
    }

    fn deliver_ahead(&mut self, update: &mut Update) {
        let mut next = self.last.next();
        while let Some(relayed) = self.held.as_mut().and_then(|held| held.take_ahead(next)) {
            self.deliver(relayed, update);
            next = self.last.next();
        }
    }

    fn deliver(&mut self, relayed: Arc<Relayed>, update: &mut Update) {
        let held = self.held();
        held.window_bytes += relayed.bytes();
        held.window.push_back(Arc::clone(&relayed));
        self.last = relayed.seq;
        update.deliver.push(relayed);
    }

    /// Cuts the window to its bounds, once after each run.
    fn finish(&mut self, mut update: Update, config: &FeedConfig, watchers: usize) -> Update {
        update.behind = self.is_behind();
        if let Some(held) = &mut self.held {
            let max_bytes = config.window_bytes + watchers * config.window_bytes_each;
            while held.window.len() > config.window_events || held.window_bytes > max_bytes {
                let Some(oldest) = held.window.pop_front() else { break };
                held.window_bytes -= oldest.bytes();
                held.base = oldest.seq;
            }
            while held.folded.front().is_some_and(|(_, upto)| *upto <= held.base) {
                held.folded.pop_front();
            }
        }
        update
    }
}

impl Held {
    /// Nothing yet, of a feed that got as far as this.
    fn after(base: Seq) -> Self {
        Self {
            base,
            window: VecDeque::new(),
            window_bytes: 0,
            folded: VecDeque::new(),
            ahead: BTreeMap::new(),
            ahead_bytes: 0,
        }
    }

    /// Keeps an event that came before its turn, if there is room; how many repeats it was.
    fn keep_ahead(&mut self, relayed: Arc<Relayed>, config: &FeedConfig) -> usize {
        if self.ahead.contains_key(&relayed.seq) {
            return 1;
        }
        let bytes = self.ahead_bytes + relayed.bytes();
        if self.ahead.len() < config.max_ahead && bytes <= config.max_ahead_bytes {
            self.ahead_bytes = bytes;
            self.ahead.insert(relayed.seq, relayed);
        }
        0
    }

    fn take_ahead(&mut self, seq: Seq) -> Option<Arc<Relayed>> {
        let relayed = self.ahead.remove(&seq)?;
        self.ahead_bytes -= relayed.bytes();
        Some(relayed)
    }

    /// Forgets what came ahead of its turn before `next`.
    fn forget_ahead(&mut self, next: Seq) {
        self.ahead = self.ahead.split_off(&next);
        self.ahead_bytes = self.ahead.values().map(|relayed| relayed.bytes()).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use shared::{
        chat::{Change, Message, UserRef},
        id::UserId,
        time::Timestamp,
    };

    const CONFIG: FeedConfig = FeedConfig {
        window_events: 8,
        window_bytes: 1 << 20,
        window_bytes_each: 0,
        max_ahead: 4,
        max_ahead_bytes: 1 << 20,
    };

    fn event(seq: i64) -> Event {
        let message = Message {
            id: Seq(seq),
            sender: UserRef::registered(UserId(1), "ann"),
            text: format!("message {seq}"),
            timestamp: Timestamp(0),
            client_message_id: None,
            reply_to: None,
            edited_at: None,
        };
        Event { seq: Seq(seq), change: Change::Message(message) }
    }

    fn feed(last: i64) -> Feed {
        Feed::new(ChatId(1), Seq(last))
    }

    fn seqs<'a>(events: impl IntoIterator<Item = &'a Arc<Relayed>>) -> Vec<i64> {
        events.into_iter().map(|relayed| relayed.seq.0).collect()
    }

    fn live(feed: &mut Feed, numbers: &[i64]) -> (Vec<i64>, bool) {
        let update = feed.on_live(numbers.iter().map(|n| event(*n)).collect(), &CONFIG, 0);
        (seqs(&update.deliver), update.behind)
    }

    fn range(feed: &mut Feed, after: Seq, found: RangeFound) -> Update {
        feed.on_range(after, found, &CONFIG, 0)
    }

    fn found(numbers: impl IntoIterator<Item = i64>, upto: i64, head: i64) -> RangeFound {
        let events = numbers.into_iter().map(event).collect();
        RangeFound { events, upto: Seq(upto), head: Seq(head) }
    }

    #[test]
    fn in_order_is_delivered_and_repeats_are_dropped() {
        let mut feed = feed(4);
        assert_eq!(live(&mut feed, &[5, 6]), (vec![5, 6], false));
        assert_eq!(live(&mut feed, &[5, 6, 7]), (vec![7], false));
        assert_eq!(feed.ask(), None);
    }

    #[test]
    fn a_gap_is_asked_for_once_and_then_everything_follows() {
        let mut feed = feed(4);
        assert_eq!(live(&mut feed, &[7, 8]), (vec![], true));
        assert_eq!(feed.ask(), Some(Seq(4)));
        assert_eq!(feed.ask(), None, "the question is out");
        let update = range(&mut feed, Seq(4), found([5, 6], 6, 8));
        assert_eq!(seqs(&update.deliver), [5, 6, 7, 8]);
        assert!(!update.behind);
    }

    #[test]
    fn a_gap_that_fills_by_itself_needs_no_answer() {
        let mut feed = feed(0);
        assert_eq!(live(&mut feed, &[2]), (vec![], true));
        assert_eq!(feed.ask(), Some(Seq(0)));
        assert_eq!(live(&mut feed, &[1]), (vec![1, 2], false));
        let update = range(&mut feed, Seq(0), found([1, 2], 2, 2));
        assert!(update.deliver.is_empty());
    }

    #[test]
    fn an_answer_that_live_events_overtook_is_asked_for_again() {
        // Message 1 was edited as event 3: for a reader at 0 the range has it once, as message 1.
        // A reader that got 1 live still needs 3.
        let mut feed = feed(0);
        let _ = live(&mut feed, &[4]);
        assert_eq!(feed.ask(), Some(Seq(0)));
        assert_eq!(live(&mut feed, &[1]).0, [1]);
        let update = range(&mut feed, Seq(0), found([1, 2], 3, 4));
        assert!(update.deliver.is_empty() && update.behind);
        assert_eq!(feed.ask(), Some(Seq(1)));
        let update = range(&mut feed, Seq(1), found([2, 3], 3, 4));
        assert_eq!(seqs(&update.deliver), [2, 3, 4]);
    }

    #[test]
    fn a_long_gap_is_filled_page_by_page() {
        let mut feed = feed(0);
        feed.on_head(Seq(5));
        assert_eq!(feed.ask(), Some(Seq(0)));
        let update = range(&mut feed, Seq(0), found([1, 2], 2, 5));
        assert!(update.behind);
        assert_eq!(feed.ask(), Some(Seq(2)));
        assert_eq!(seqs(&range(&mut feed, Seq(2), found([3, 4, 5], 5, 5)).deliver), [3, 4, 5]);
    }

    #[test]
    fn too_many_ahead_are_fetched_instead() {
        let mut feed = feed(0);
        let _ = live(&mut feed, &[2, 3, 4, 5, 6, 7, 8]);
        let _ = feed.ask();
        let update = range(&mut feed, Seq(0), found([1], 1, 8));
        assert_eq!(seqs(&update.deliver), [1, 2, 3, 4, 5]);
        assert!(update.behind);
        assert_eq!(feed.ask(), Some(Seq(5)));
    }

    #[test]
    fn what_is_held_is_bounded_in_bytes_and_the_window_grows_with_the_watchers() {
        let size = Relayed::new(&ChatEvent { chat_id: ChatId(1), event: event(1) }).bytes();
        let config = FeedConfig {
            window_events: 100,
            window_bytes: 2 * size + 10,
            window_bytes_each: size,
            max_ahead: 100,
            max_ahead_bytes: 3 * size + 10,
        };
        let mut feed = feed(0);
        let events = |numbers: std::ops::Range<i64>| numbers.map(event).collect::<Vec<_>>();
        let _ = feed.on_live(events(2..9), &config, 0);
        let update = feed.on_live(events(1..2), &config, 0);
        assert_eq!(seqs(&update.deliver), [1, 2, 3, 4], "no more were kept ahead");
        assert!(feed.since(Seq(2)).is_some() && feed.since(Seq(1)).is_none());
        let _ = feed.on_live(events(5..9), &config, 2);
        assert!(feed.since(Seq(4)).is_some() && feed.since(Seq(3)).is_none());
    }

    #[test]
    fn no_answer_means_asking_again() {
        let mut feed = feed(0);
        feed.on_head(Seq(1));
        assert!(feed.ask().is_some());
        feed.on_no_range();
        assert!(feed.ask().is_some());
    }

    #[test]
    fn what_cannot_be_had_is_passed_over() {
        let mut feed = feed(0);
        let _ = live(&mut feed, &[2, 4]);
        assert_eq!(feed.ask(), Some(Seq(0)));
        feed.on_refused();
        assert_eq!(feed.ask(), None);
        assert!(feed.since(Seq(3)).is_none());
        assert_eq!(live(&mut feed, &[4, 5]), (vec![5], false));
    }

    #[test]
    fn the_window_serves_cursors_it_reaches() {
        let mut feed = feed(10);
        let _ = live(&mut feed, &(11..=20).collect::<Vec<_>>());
        assert_eq!(feed.since(Seq(18)).map(seqs), Some(vec![19, 20]));
        assert_eq!(feed.since(Seq(20)).map(seqs), Some(vec![]));
        assert_eq!(feed.since(Seq(12)).map(seqs), Some((13..=20).collect()));
        assert!(feed.since(Seq(11)).is_none(), "evicted");
        assert!(feed.since(Seq(21)).is_none(), "not there yet");
        feed.forget_window();
        assert!(feed.since(Seq(19)).is_none());
        assert_eq!(feed.since(Seq(20)).map(seqs), Some(vec![]));
    }

    #[test]
    fn a_folded_range_serves_only_cursors_at_its_edges() {
        let mut feed = feed(0);
        feed.on_head(Seq(5));
        let _ = feed.ask();
        let _ = range(&mut feed, Seq(0), found([1, 2, 4], 5, 5));
        assert_eq!(feed.since(Seq(0)).map(seqs), Some(vec![1, 2, 4]));
        assert!(feed.since(Seq(2)).is_none());
        assert_eq!(feed.since(Seq(5)).map(seqs), Some(vec![]));
    }

    proptest! {
        /// Whatever the bus does (loss, repeats, disorder), delivery is 1, 2, 3 … once each, and
        /// with the api's help nothing is missing in the end.
        #[test]
        fn delivers_each_event_once_and_in_order(
            arrivals in prop::collection::vec(1i64..40, 0..80),
            answers in prop::collection::vec(any::<bool>(), 0..20),
        ) {
            let mut feed = feed(0);
            let mut delivered = Vec::new();
            let mut answers = answers.into_iter();
            for number in arrivals {
                delivered.extend(live(&mut feed, &[number]).0);
                if let Some(after) = feed.ask() {
                    if answers.next().unwrap_or(true) {
                        let upto = (after.0 + 3).min(feed.head().0);
                        let found = found(after.0 + 1..=upto, upto, feed.head().0);
                        delivered.extend(seqs(&range(&mut feed, after, found).deliver));
                    } else {
                        feed.on_no_range();
                    }
                }
            }
            while let Some(after) = feed.ask() {
                let head = feed.head().0;
                let found = found(after.0 + 1..=head, head, head);
                delivered.extend(seqs(&range(&mut feed, after, found).deliver));
            }
            prop_assert_eq!(delivered, (1..=feed.head().0).collect::<Vec<_>>());
        }
    }
}
