//! What does not work in a simulation at the moment, and until when. Everybody who carries something over a link asks here.

use super::script::{ApiLink, BusLink, Fault};
use protocol::id::ChatId;
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use std::time::Duration;
use tokio::time::Instant;

/// How long it takes to notice that a call has no answer.
const NO_ANSWER: Duration = Duration::from_millis(1_500);

/// The faults in force.
#[derive(Debug)]
pub(super) struct Weather {
    chance: SmallRng,
    faults: Vec<(Instant, Fault)>,
    /// The simulation has an end: then nothing fails any more.
    calm: bool,
}

/// What becomes of a call to the api.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CallFate {
    Answered,
    /// It does not arrive.
    LostOnTheWay,
    /// It takes effect, and its answer does not arrive.
    AnswerLost,
}

impl Weather {
    pub(super) fn new(seed: u64) -> Self {
        Self { chance: SmallRng::seed_from_u64(seed), faults: Vec::new(), calm: false }
    }

    /// A fault begins.
    pub(super) fn begin(&mut self, fault: Fault, lasts: Duration) {
        let now = Instant::now();
        self.faults.retain(|(end, _)| *end > now);
        self.faults.push((now + lasts, fault));
    }

    /// All faults are over.
    pub(super) fn clear(&mut self) {
        self.faults.clear();
        self.calm = true;
    }

    fn now(&self) -> impl Iterator<Item = Fault> {
        let now = Instant::now();
        self.faults.iter().filter(move |(end, _)| *end > now).map(|(_, fault)| *fault)
    }

    fn happens(&mut self, percent: u8) -> bool {
        self.chance.random_range(0..100) < percent
    }

    /// A number that differs each time.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.chance.random_range(0..bound)
    }

    /// How long something takes that takes no time worth speaking of.
    pub(super) fn moment(&mut self) -> Duration {
        // Mostly short, and sometimes long enough that much happens meanwhile.
        let most = if self.happens(10) { 60 } else { 5 };
        Duration::from_millis(self.chance.random_range(0..most))
    }

    /// What becomes of this gateway's call, and how long its way takes, or the time until it is given up.
    pub(super) fn call(&mut self, gateway: usize) -> (CallFate, Duration) {
        let links: Vec<ApiLink> = self
            .now()
            .filter_map(|fault| match fault {
                Fault::Api { gateway: of, link } if of == gateway => Some(link),
                _ => None,
            })
            .collect();
        let mut way = self.moment();
        for link in links {
            match link {
                ApiLink::Silent => return (CallFate::LostOnTheWay, NO_ANSWER),
                ApiLink::AnswersLost { percent } if self.happens(percent) => {
                    return (CallFate::AnswerLost, NO_ANSWER);
                }
                ApiLink::Refuses => return (CallFate::LostOnTheWay, way),
                ApiLink::Slow { ms } => way += Duration::from_millis(u64::from(ms)),
                ApiLink::AnswersLost { .. } => {}
            }
        }
        (CallFate::Answered, way)
    }

    /// How long a commit takes.
    pub(super) fn commit(&mut self) -> Duration {
        let stalled: Vec<u16> = self
            .now()
            .filter_map(|fault| match fault {
                Fault::CommitsStall { ms } => Some(ms),
                _ => None,
            })
            .collect();
        let stalled = stalled.into_iter().max().unwrap_or_default();
        self.moment() + Duration::from_millis(u64::from(stalled))
    }

    /// Whether an api dies between a commit and its publication.
    pub(super) fn dies_before_publishing(&mut self) -> bool {
        let percent: Option<u8> = self.now().find_map(|fault| match fault {
            Fault::PublishersDie { percent } => Some(percent),
            _ => None,
        });
        percent.is_some_and(|percent| self.happens(percent))
    }

    /// Whether the lists of `changed` are cut.
    pub(super) fn cuts_lists(&self) -> bool {
        self.now().any(|fault| fault == Fault::ListsAreCut)
    }

    /// How long the bus takes from a publisher to a gateway. `None`: it loses what is published.
    pub(super) fn bus(&mut self, gateway: usize, publisher: usize) -> Option<Duration> {
        let mut way = self.moment();
        let links: Vec<BusLink> = self
            .now()
            .filter_map(|fault| match fault {
                Fault::Bus { gateway: of, link } if of == gateway => Some(link),
                _ => None,
            })
            .collect();
        for link in links {
            match link {
                BusLink::Loses { percent } if self.happens(percent) => return None,
                BusLink::Late { publisher: of, ms } if of == publisher => {
                    way += Duration::from_millis(u64::from(ms));
                }
                _ => {}
            }
        }
        Some(way)
    }

    /// Whether a gateway is deaf for a chat without knowing it.
    pub(super) fn is_deaf(&self, gateway: usize, chat: Option<ChatId>) -> bool {
        self.now().any(|fault| match fault {
            Fault::Bus { gateway: of, link: BusLink::Deaf { chat: one } } => {
                of == gateway && Some(one) == chat
            }
            Fault::Bus { gateway: of, link: BusLink::Down } => of == gateway,
            _ => false,
        })
    }
}
