//! Reconstructs a chat's history from all claims and from the stored data: which positions are known, what
//! each is, and how each message ended.

use crate::history::{
    fact::EventFact,
    stored::StoredChat,
    timeline::{Claim, Timeline},
};
use std::collections::{BTreeSet, HashMap};

/// A chat's course.
pub(super) struct Course<'a> {
    pub timeline: &'a Timeline,
    pub stored: Option<&'a StoredChat>,
    /// Places at which something is known to have happened, in order.
    pub known: Vec<i64>,
    messages: HashMap<i64, Fate>,
    /// The texts that edits gave to each message.
    edits: HashMap<i64, Vec<u64>>,
}

/// How a message ended, as far as clients were told.
#[derive(Clone, Copy, Default)]
pub(super) struct Fate {
    /// Its newest edit: the place and the new text.
    pub edited: Option<(i64, u64)>,
    /// It is deleted.
    pub gone: bool,
    /// The place of its last change that is known; zero when it never changed.
    pub last: i64,
}

/// What an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EventRole {
    Creation,
    /// A change of the message with this id.
    Change(i64),
    Other,
}

impl<'a> Course<'a> {
    pub(super) fn new(timeline: &'a Timeline, stored: Option<&'a StoredChat>) -> Self {
        let kept = stored.into_iter().flat_map(|chat| chat.messages.keys().copied());
        let known: BTreeSet<i64> = timeline.places().chain(kept).collect();
        let mut messages: HashMap<i64, Fate> = HashMap::new();
        let mut edits: HashMap<i64, Vec<u64>> = HashMap::new();
        for seq in timeline.places() {
            // What was acknowledged or heard first is taken; contradictions are found as such.
            for claim in timeline.claims(seq) {
                let (EventFact::Edited { id, .. } | EventFact::Deleted { id }) = claim.fact else {
                    continue;
                };
                let fate = messages.entry(id).or_default();
                if seq > id {
                    fate.last = fate.last.max(seq);
                }
                if let EventFact::Edited { text, .. } = claim.fact {
                    edits.entry(id).or_default().push(text);
                    if fate.edited.is_none_or(|(at, _)| at < seq) {
                        fate.edited = Some((seq, text));
                    }
                } else {
                    fate.gone = true;
                }
            }
        }
        Self { timeline, stored, known: known.into_iter().collect(), messages, edits }
    }

    /// The newest place.
    pub(super) fn head(&self) -> i64 {
        self.known.last().copied().unwrap_or(0)
    }

    /// The known places after `start` up to `end`.
    pub(super) fn between(&self, start: i64, end: i64) -> &[i64] {
        let from = self.known.partition_point(|seq| *seq <= start);
        let to = self.known.partition_point(|seq| *seq <= end).max(from);
        &self.known[from..to]
    }

    /// Whether the message was edited or deleted.
    pub(super) fn fate(&self, id: i64) -> Fate {
        self.messages.get(&id).copied().unwrap_or_default()
    }

    /// Whether any message was edited or deleted: then places may be left out that nobody knows.
    pub(super) fn has_changes(&self) -> bool {
        !self.messages.is_empty()
    }

    pub(super) fn role(&self, seq: i64) -> EventRole {
        match self.timeline.claims(seq).next().and_then(|claim| claim.fact.id()) {
            Some(id) if id != seq => EventRole::Change(id),
            None if self.timeline.knows(seq) => EventRole::Other,
            // A message, or known from the database only, which holds messages.
            _ => EventRole::Creation,
        }
    }

    /// The claim that others are held against: what was acknowledged, else what fits the database, else
    /// a message's first state rather than a later one.
    pub(super) fn reference(&self, seq: i64) -> Option<&Claim> {
        let kept = self.stored.and_then(|chat| chat.messages.get(&seq));
        let fits = |claim: &&Claim| match claim.fact {
            EventFact::Message { text, .. } => kept.is_some_and(|kept| kept.text == text),
            _ => false,
        };
        let is_first_state = |claim: &&Claim| match claim.fact {
            EventFact::Message { id, text, .. } => !self.was_edited_to(id, text),
            _ => false,
        };
        let claims = || self.timeline.claims(seq);
        let unedited = self.fate(seq).edited.is_none();
        self.acked(seq)
            .or_else(|| claims().find(fits).filter(|_| unedited))
            .or_else(|| claims().find(is_first_state))
            .or_else(|| claims().next())
    }

    /// Whether an edit gave the message this text.
    pub(super) fn was_edited_to(&self, id: i64, text: u64) -> bool {
        self.edits.get(&id).is_some_and(|texts| texts.contains(&text))
    }

    /// When and to whom the event was acknowledged.
    pub(super) fn acked(&self, seq: i64) -> Option<&Claim> {
        self.timeline.claims(seq).find(|claim| claim.acked.is_some())
    }
}
