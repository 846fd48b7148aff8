//! The plan of a run: which person a connection belongs to, which dialect it speaks, how fast it reads, and
//! how many connections are open at each moment. Pure: every agent computes the same. Connections are numbered by their
//! *slot*: when there are n, they are in the slots below n, and the newest close first.

use super::Share;
use crate::scenario::{ClientDialect, Phase, Scenario};

/// The golden ratio's fraction: its multiples are as evenly spread over 0 to 1 as can be, however many
/// are taken, so that 10 connections have the shares of dialects that 10,000 have.
const SPREAD: f64 = 0.618_033_988_749_894_9;

/// A scenario's people and phases.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    people: usize,
    share: Share,
    /// Each dialect with the sum of all weights up to its own, of 1.
    dialects: Vec<(ClientDialect, f64)>,
    slow: f64,
    spans: Vec<PhaseSpan>,
}

/// A phase, with seconds since the first one began.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct PhaseSpan {
    pub from: f64,
    pub to: f64,
    /// Open connections at its beginning and at its end.
    pub before: usize,
    pub after: usize,
}

impl Plan {
    pub(super) fn new(scenario: &Scenario, share: Share) -> Self {
        let weights = &scenario.people.dialects;
        let sum: f64 = weights.values().sum();
        let mut reached = 0.0;
        let mut up_to = |(dialect, weight): (&ClientDialect, &f64)| {
            reached += weight / sum;
            (*dialect, reached)
        };
        let (mut from, mut before) = (0.0, 0);
        let mut span = |phase: &Phase| {
            let span = PhaseSpan {
                from,
                to: from + phase.duration.as_secs_f64(),
                before,
                after: phase.connections.unwrap_or(before),
            };
            (from, before) = (span.to, span.after);
            span
        };
        Self {
            people: scenario.people.accounts.max(1),
            share,
            dialects: weights.iter().filter(|(_, weight)| **weight > 0.0).map(&mut up_to).collect(),
            slow: scenario.people.slow.map_or(0.0, |slow| slow.share),
            spans: scenario.phases.iter().map(&mut span).collect(),
        }
    }

    /// The phases in their order.
    pub(super) fn spans(&self) -> &[PhaseSpan] {
        &self.spans
    }

    /// Seconds from the beginning of the first phase to the end of the last one.
    pub(super) fn seconds(&self) -> f64 {
        self.spans.last().map_or(0.0, |last| last.to)
    }

    /// The most connections that are open at once.
    pub(super) fn slots(&self) -> usize {
        self.spans.iter().map(|span| span.after).max().unwrap_or(0)
    }

    /// Whose device it is, by the place in the cast.
    pub(super) fn person(&self, slot: usize) -> usize {
        slot % self.people
    }

    /// Whether this process does what the slot does.
    pub(super) fn has(&self, slot: usize) -> bool {
        self.share.has(self.person(slot))
    }

    pub(super) fn dialect(&self, slot: usize) -> ClientDialect {
        let place = ((slot as f64 + 0.5) * SPREAD).fract();
        let found = self.dialects.iter().find(|(_, up_to)| place < *up_to);
        found.or(self.dialects.last()).map_or(ClientDialect::Native, |(dialect, _)| *dialect)
    }

    /// Whether it is one of those that read slowly.
    pub(super) fn is_slow(&self, slot: usize) -> bool {
        let so_far = |slots: usize| (slots as f64 * self.slow + 1e-9).floor();
        so_far(slot + 1) > so_far(slot)
    }
}

impl PhaseSpan {
    pub(super) fn seconds(&self) -> f64 {
        self.to - self.from
    }

    /// Open connections so many seconds after its beginning.
    pub(super) fn open(&self, after: f64) -> usize {
        let done = (after / self.seconds()).clamp(0.0, 1.0);
        let change = (self.after as f64 - self.before as f64) * done;
        (self.before as f64 + change).round() as usize
    }
}
