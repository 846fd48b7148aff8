//! The schedule: which action is due when, and who performs it. Pure, from the scenario and its seed. Every agent computes the
//! whole schedule, which costs some 50 ns an action, and does what falls to its own people; so their
//! schedules add up to the scenario's exactly.
//!
//! Arrivals are jittered, one within each 1/rate: not exactly periodic, which could keep step with some
//! timer of the server, and not Poisson's, whose chance bursts would differ from seed to seed and show
//! in the very percentiles that runs are compared by. And their number is the integral of the rate.

use super::plan::{PhaseSpan, Plan};
use crate::{
    client::ChatAction,
    scenario::{Phase, PhaseRate, Scenario},
};
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use std::time::Duration;

/// Clients that a storm cuts come back within this time, as good clients do.
const STORM_RETURN: f64 = 1.0;

/// Something that is due.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ScheduledAction {
    /// Since the first phase began.
    pub at: Duration,
    pub what: ActionKind,
    /// Who does it; nobody, when no connection was to be open.
    pub slot: Option<usize>,
    /// Chooses whatever else there is to choose.
    pub chance: u64,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum ActionKind {
    /// The slot's first connection, or its next one after a `Close`.
    Open,
    /// Closed for good.
    Close,
    /// Cut without a word; back, resuming, after this long.
    Cut {
        away: Duration,
    },
    /// Closed for good, and replaced by one that knows nothing.
    Replace,
    /// Begins to send as fast as the answers come, with so many messages in flight.
    Loop {
        window: usize,
    },
    InChat(ChatAction),
    History,
}

/// All that is due in one phase, in order.
#[derive(Debug)]
pub(super) struct Schedule {
    span: PhaseSpan,
    streams: Vec<Stream>,
}

#[derive(Debug)]
struct Stream {
    arrivals: Arrivals,
    next: Option<ScheduledAction>,
    chance: SmallRng,
}

/// Where the moments of a stream's actions come from.
#[derive(Debug)]
enum Arrivals {
    /// At the beginning of the phase, these.
    Once(std::vec::IntoIter<(ActionKind, usize)>),
    /// Slots that open or close evenly over the phase; the next one's place.
    Ramp(usize),
    /// The deed, how often, and how many there have been.
    Rate(ActionKind, PhaseRate, u64),
}

impl Schedule {
    /// Of the phase at this place of the scenario.
    pub(super) fn new(scenario: &Scenario, plan: &Plan, phase: usize) -> Self {
        let span = plan.spans()[phase];
        let mut seeds = SmallRng::seed_from_u64(
            scenario.seed ^ (phase as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15),
        );
        let phase = &scenario.phases[phase];
        // A stream has its chances to itself: another rate of edits leaves the messages as they were.
        let mut stream = |arrivals: fn(&Phase, &PhaseSpan, &mut SmallRng) -> Arrivals| {
            let mut chance = SmallRng::seed_from_u64(seeds.random());
            Stream { arrivals: arrivals(phase, &span, &mut chance), next: None, chance }
        };
        let mut streams = vec![
            stream(|_, _, _| Arrivals::Ramp(0)),
            stream(|phase, span, chance| Arrivals::Once(storm(phase, span, chance))),
            stream(|phase, span, _| Arrivals::Once(loops(phase, span))),
            stream(|phase, _, _| {
                Arrivals::Rate(ActionKind::InChat(ChatAction::Message), phase.messages, 0)
            }),
            stream(|phase, _, _| {
                Arrivals::Rate(ActionKind::InChat(ChatAction::Edit), phase.edits, 0)
            }),
            stream(|phase, _, _| {
                Arrivals::Rate(ActionKind::InChat(ChatAction::Delete), phase.deletes, 0)
            }),
            stream(|phase, _, _| {
                Arrivals::Rate(ActionKind::InChat(ChatAction::Typing), phase.typing, 0)
            }),
            stream(|phase, _, _| {
                Arrivals::Rate(ActionKind::InChat(ChatAction::Read), phase.reads, 0)
            }),
            stream(|phase, _, _| Arrivals::Rate(ActionKind::History, phase.history, 0)),
            stream(|phase, _, _| {
                Arrivals::Rate(ActionKind::Cut { away: Duration::ZERO }, phase.reconnects, 0)
            }),
            stream(|phase, _, _| Arrivals::Rate(ActionKind::Replace, phase.churn, 0)),
        ];
        streams.iter_mut().for_each(|stream| stream.advance(&span));
        Self { span, streams }
    }
}

impl Iterator for Schedule {
    type Item = ScheduledAction;

    fn next(&mut self) -> Option<ScheduledAction> {
        let at = |stream: &Stream| stream.next.map_or(Duration::MAX, |action| action.at);
        let first = self.streams.iter_mut().min_by_key(|stream| at(stream))?;
        let action = first.next?;
        first.advance(&self.span);
        Some(action)
    }
}

impl Stream {
    fn advance(&mut self, span: &PhaseSpan) {
        self.next = self.arrivals.next(span, &mut self.chance);
    }
}

impl Arrivals {
    fn next(&mut self, span: &PhaseSpan, chance: &mut SmallRng) -> Option<ScheduledAction> {
        let (after, what, slot) = match self {
            Self::Once(all) => {
                let (what, slot) = all.next()?;
                (0.0, what, Some(slot))
            }
            Self::Ramp(place) => {
                let PhaseSpan { before, after, .. } = *span;
                let number = before.abs_diff(after);
                if *place == number {
                    return None;
                }
                // In the middles, so that the first and the last are as far from their neighbours'
                // in the next phase as from each other.
                let at = (*place as f64 + 0.5) / number as f64 * span.seconds();
                let (what, slot) = if after > before {
                    (ActionKind::Open, before + *place)
                } else {
                    (ActionKind::Close, before - 1 - *place)
                };
                *place += 1;
                (at, what, Some(slot))
            }
            Self::Rate(what, rate, count) => {
                let at = *count as f64 + chance.random::<f64>();
                *count += 1;
                if at >= total(*rate, span.seconds()) {
                    return None;
                }
                let after = moment(*rate, span.seconds(), at);
                let open = span.open(after);
                let slot = (open > 0).then(|| chance.random_range(0..open));
                (after, *what, slot)
            }
        };
        let at = Duration::from_secs_f64(span.from + after);
        Some(ScheduledAction { at, what, slot, chance: chance.random() })
    }
}

/// How many there are in all.
fn total(rate: PhaseRate, seconds: f64) -> f64 {
    (rate.from + rate.to) / 2.0 * seconds
}

/// After how many seconds so many have been, of `rate` that changes evenly over `seconds`: the inverse of
/// from·t + (to − from)/seconds · t²/2, in the form that is exact for a rate that hardly changes.
fn moment(rate: PhaseRate, seconds: f64, number: f64) -> f64 {
    let slope = (rate.to - rate.from) / seconds;
    let root = (rate.from * rate.from + 2.0 * slope * number).max(0.0).sqrt();
    (2.0 * number / (rate.from + root)).min(seconds)
}

/// Whom a storm cuts.
fn storm(
    phase: &Phase,
    span: &PhaseSpan,
    chance: &mut SmallRng,
) -> std::vec::IntoIter<(ActionKind, usize)> {
    let number = (phase.storm * span.before as f64).round() as usize;
    let cut = rand::seq::index::sample(chance, span.before, number.min(span.before));
    let mut away = || Duration::from_secs_f64(chance.random_range(0.0..STORM_RETURN));
    let cut: Vec<_> =
        cut.into_iter().map(|slot| (ActionKind::Cut { away: away() }, slot)).collect();
    cut.into_iter()
}

/// Who sends in a closed loop: evenly spread over those who are there when the phase begins, so that
/// every room has its share of senders.
fn loops(phase: &Phase, span: &PhaseSpan) -> std::vec::IntoIter<(ActionKind, usize)> {
    let Some(closed) = phase.closed else { return Vec::new().into_iter() };
    let open = span.before;
    let senders = closed.senders.min(open);
    let looping =
        |place: usize| (ActionKind::Loop { window: closed.window }, place * open / senders);
    (0..senders).map(looping).collect::<Vec<_>>().into_iter()
}

#[cfg(test)]
mod tests;
