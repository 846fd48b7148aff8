//! The events that a feed holds: the replay, from which clients resume, and events that came ahead of their turn.
//! The feed decides when an event is delivered.

use crate::{config::FeedConfig, hub::shared_event::SharedEvent};
use protocol::id::Seq;
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

/// The events that a feed holds.
#[derive(Debug)]
pub(super) struct Held {
    /// The replay has all events after this one.
    base: Seq,
    replay: VecDeque<Arc<SharedEvent>>,
    replay_bytes: usize,
    /// Runs `(after, upto)` that came as a range without superseded events. They are complete for a cursor at
    /// `after`, but not for a cursor inside the run.
    folded: VecDeque<(Seq, Seq)>,
    ahead: BTreeMap<Seq, Arc<SharedEvent>>,
    ahead_bytes: usize,
}

impl Held {
    /// Holds no events, for a feed that has delivered everything up to `base`.
    pub(super) fn after(base: Seq) -> Self {
        Self {
            base,
            replay: VecDeque::new(),
            replay_bytes: 0,
            folded: VecDeque::new(),
            ahead: BTreeMap::new(),
            ahead_bytes: 0,
        }
    }

    /// Keeps a delivered event for clients that resume.
    pub(super) fn keep(&mut self, event: &Arc<SharedEvent>) {
        self.replay_bytes += event.bytes();
        self.replay.push_back(Arc::clone(event));
    }

    /// Notes that the feed went from `after` to `upto` by a range without superseded events. Returns the number
    /// of such runs.
    pub(super) fn fold(&mut self, after: Seq, upto: Seq) -> usize {
        self.folded.push_back((after, upto));
        self.folded.len()
    }

    /// Whether the replay has all events that a client at `cursor` missed.
    pub(super) fn reaches(&self, cursor: Seq) -> bool {
        let is_inside = |(after, upto): &(Seq, Seq)| *after < cursor && cursor < *upto;
        cursor >= self.base && !self.folded.iter().any(is_inside)
    }

    /// The events after a cursor. The replay must reach that cursor.
    pub(super) fn since(&self, cursor: Seq) -> impl Iterator<Item = &Arc<SharedEvent>> {
        let start = self.replay.partition_point(|event| event.seq <= cursor);
        self.replay.range(start..)
    }

    /// Cuts the replay to its bounds.
    pub(super) fn cut(&mut self, config: &FeedConfig, watchers: usize) {
        let max_bytes = config.replay_bytes + watchers * config.replay_bytes_each;
        while self.replay.len() > config.replay_events || self.replay_bytes > max_bytes {
            let Some(oldest) = self.replay.pop_front() else { break };
            self.replay_bytes -= oldest.bytes();
            self.base = oldest.seq;
        }
        while self.folded.front().is_some_and(|(_, upto)| *upto <= self.base) {
            self.folded.pop_front();
        }
    }

    /// Drops the replay of a feed that has delivered everything up to `last`.
    pub(super) fn forget_replay(&mut self, last: Seq) -> &Self {
        self.base = last;
        self.replay = VecDeque::new();
        self.replay_bytes = 0;
        self.folded = VecDeque::new();
        self
    }

    /// Whether it holds no more than a new one would.
    pub(super) fn is_empty(&self) -> bool {
        self.replay.is_empty() && self.folded.is_empty() && self.ahead.is_empty()
    }

    /// Keeps an event that came ahead of its turn, if there is space. Returns 1 for a repeat, otherwise 0.
    pub(super) fn keep_ahead(&mut self, event: Arc<SharedEvent>, config: &FeedConfig) -> usize {
        if self.ahead.contains_key(&event.seq) {
            return 1;
        }
        let bytes = self.ahead_bytes + event.bytes();
        if self.ahead.len() < config.max_ahead && bytes <= config.max_ahead_bytes {
            self.ahead_bytes = bytes;
            self.ahead.insert(event.seq, event);
        }
        0
    }

    /// Takes out the event with this number, if it came ahead of its turn.
    pub(super) fn take_ahead(&mut self, seq: Seq) -> Option<Arc<SharedEvent>> {
        let event = self.ahead.remove(&seq)?;
        self.ahead_bytes -= event.bytes();
        Some(event)
    }

    /// Forgets events before `next` that came ahead of their turn.
    pub(super) fn forget_ahead(&mut self, next: Seq) {
        self.ahead = self.ahead.split_off(&next);
        self.ahead_bytes = self.ahead.values().map(|event| event.bytes()).sum();
    }
}
