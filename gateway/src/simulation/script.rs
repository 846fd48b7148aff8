//! What happens in a simulation, and when: made from a seed, and made smaller while it still fails.

use protocol::{chat::MemberChange, id::ChatId};
use rand::{RngExt, SeedableRng, rngs::SmallRng, seq::IndexedRandom};
use std::{fmt, time::Duration};

/// How long things happen.
const LASTS_MS: u64 = 12_000;

/// The chats that there are.
pub(super) const CHATS: [ChatId; 2] = [ChatId(1), ChatId(2)];

/// A simulation.
#[derive(Clone, Debug)]
pub(super) struct Script {
    pub seed: u64,
    pub gateways: usize,
    /// The user of each device.
    pub devices: Vec<usize>,
    pub users: usize,
    /// In the order of time.
    pub steps: Vec<(Duration, Step)>,
}

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Step {
    /// A device sends a message.
    Say { device: usize, chat: ChatId },
    /// It gives its newest message in this chat another text.
    Edit { device: usize, chat: ChatId },
    /// It deletes it.
    Delete { device: usize, chat: ChatId },
    /// Its connection breaks.
    Cut { device: usize },
    /// It takes so long for each frame, for a while.
    Slow { device: usize, ms: u16, lasts: Duration },
    /// A user joins or leaves a chat.
    Member { user: usize, chat: ChatId, change: MemberChange },
    /// A gateway ends without a word, and is there again after a while.
    Kill { gateway: usize, back: Duration },
    /// It is told to stop, and is there again when it has ended.
    Stop { gateway: usize },
    /// Something does not work for a while.
    Fault { fault: Fault, lasts: Duration },
}

/// What does not work.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Fault {
    /// Between a gateway and the apis.
    Api { gateway: usize, link: ApiLink },
    /// Between the apis and a gateway's subscription.
    Bus { gateway: usize, link: BusLink },
    /// Commits take so long.
    CommitsStall { ms: u16 },
    /// Some apis end between a commit and its publication.
    PublishersDie { percent: u8 },
    /// So much changes that the lists of `changed` are cut.
    ListsAreCut,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ApiLink {
    Silent,
    Refuses,
    AnswersLost { percent: u8 },
    Slow { ms: u16 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BusLink {
    /// Nothing comes, and the gateway knows.
    Down,
    /// Nothing comes for one chat, and nobody knows.
    Deaf {
        chat: ChatId,
    },
    Loses {
        percent: u8,
    },
    /// What one api publishes comes late, so that two apis' events change places.
    Late {
        publisher: usize,
        ms: u16,
    },
}

impl Script {
    /// The script of a seed.
    pub(super) fn of(seed: u64) -> Self {
        let mut chance = SmallRng::seed_from_u64(seed);
        let gateways = chance.random_range(1..=3);
        let users = chance.random_range(2..=3);
        let mut devices: Vec<usize> = (0..users).collect();
        devices.extend((0..chance.random_range(0..=2)).map(|_| chance.random_range(0..users)));
        let mut script = Self { seed, gateways, users, devices, steps: Vec::new() };
        // Most of it happens in a few moments: what goes wrong needs things that happen nearly at once.
        let moments: Vec<u64> =
            (0..chance.random_range(2..=6)).map(|_| chance.random_range(0..LASTS_MS)).collect();
        let focus = Focus::drawn(&mut chance, &script);
        for _ in 0..chance.random_range(10..80) {
            let step = script.step(&mut chance, &focus);
            let at = match moments.choose(&mut chance) {
                Some(moment) if chance.random_bool(0.8) => match step {
                    Step::Fault { .. } => moment.saturating_sub(chance.random_range(0..400)),
                    _ => moment + chance.random_range(0..150),
                },
                _ => chance.random_range(0..LASTS_MS),
            };
            script.steps.push((Duration::from_millis(at), step));
        }
        script.steps.sort_by_key(|(at, _)| *at);
        script
    }

    fn step(&self, chance: &mut SmallRng, focus: &Focus) -> Step {
        let drawn = Focus::drawn(chance, self);
        let Focus { device, gateway, chat, .. } =
            if chance.random_bool(0.6) { focus.clone() } else { drawn };
        let lasts = Duration::from_millis(chance.random_range(50..focus.longest_ms));
        match chance.random_range(0..100) {
            0..36 => Step::Say { device, chat },
            36..48 => Step::Edit { device, chat },
            48..52 => Step::Delete { device, chat },
            52..60 => Step::Cut { device },
            60..62 => Step::Slow { device, ms: chance.random_range(20..400), lasts },
            62..72 => {
                let changes = [MemberChange::Joined, MemberChange::Left];
                let change = *changes.choose(chance).unwrap_or(&MemberChange::Left);
                Step::Member { user: self.devices[device], chat, change }
            }
            72..75 => Step::Kill { gateway, back: lasts / 4 },
            75..77 => Step::Stop { gateway },
            _ => Step::Fault { fault: Fault::drawn(chance, gateway, chat), lasts },
        }
    }

    /// The same without some of its steps.
    fn without(&self, from: usize, count: usize) -> Self {
        let mut steps = self.steps.clone();
        steps.drain(from..(from + count).min(steps.len()));
        Self { steps, ..self.clone() }
    }

    /// The smallest script that was found to fail, by leaving out ever fewer steps at once.
    pub(super) fn shrink(self, fails: impl Fn(&Self) -> bool) -> Self {
        let mut smallest = self;
        let mut count = smallest.steps.len() / 2;
        while count > 0 {
            let mut from = 0;
            while from < smallest.steps.len() {
                let smaller = smallest.without(from, count);
                if fails(&smaller) {
                    smallest = smaller;
                } else {
                    from += count;
                }
            }
            count /= 2;
        }
        smallest
    }
}

/// What much of a script is about: whatever goes wrong needs several things in one place.
#[derive(Clone, Debug)]
struct Focus {
    device: usize,
    gateway: usize,
    chat: ChatId,
    /// How long a fault may last: mostly a while, sometimes longer than a lane tries.
    longest_ms: u64,
}

impl Focus {
    fn drawn(chance: &mut SmallRng, script: &Script) -> Self {
        Self {
            device: chance.random_range(0..script.devices.len()),
            gateway: chance.random_range(0..script.gateways),
            chat: CHATS[chance.random_range(0..CHATS.len())],
            longest_ms: if chance.random_bool(0.15) { LASTS_MS + 6_000 } else { 4_000 },
        }
    }
}

impl Fault {
    fn drawn(chance: &mut SmallRng, gateway: usize, chat: ChatId) -> Self {
        let percent = chance.random_range(10..=100);
        let api = |link| Self::Api { gateway, link };
        let bus = |link| Self::Bus { gateway, link };
        match chance.random_range(0..12) {
            0 => api(ApiLink::Silent),
            1 => api(ApiLink::Refuses),
            2 => api(ApiLink::AnswersLost { percent }),
            3 => api(ApiLink::Slow { ms: chance.random_range(20..1_200) }),
            4 => Self::CommitsStall { ms: chance.random_range(50..5_000) },
            5 => Self::PublishersDie { percent },
            6 => bus(BusLink::Down),
            7 => bus(BusLink::Deaf { chat }),
            8 => bus(BusLink::Loses { percent }),
            9 | 10 => {
                let (publisher, ms) = (chance.random_range(0..2), chance.random_range(10..800));
                bus(BusLink::Late { publisher, ms })
            }
            _ => Self::ListsAreCut,
        }
    }
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, gateways, devices, steps, .. } = self;
        writeln!(f, "seed {seed}: {gateways} gateways, devices of users {devices:?}")?;
        steps.iter().try_for_each(|(at, step)| writeln!(f, "{:>6} ms  {step:?}", at.as_millis()))
    }
}
