//! A scenario, as its TOML file defines it. Types only: `crate::scenarios` reads, checks and ships
//! scenarios; the engine runs them.

use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

/// A whole scenario. Everything random in it follows from `seed`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Names the scenario in lists and reports.
    pub name: String,
    /// What the run is to show, for people.
    #[serde(default)]
    pub description: String,
    /// Two runs with the same seed do the same things in the same order.
    #[serde(default)]
    pub seed: u64,
    /// The accounts and how their clients behave.
    pub people: ScenarioPeople,
    /// The chats that are created for the run.
    #[serde(default)]
    pub chats: Vec<ChatGroup>,
    /// The load, one phase right after the other.
    pub phases: Vec<Phase>,
    /// Commands against the servers while the load goes on.
    #[serde(default)]
    pub faults: Vec<FaultHook>,
    /// What must be true in the end, such as `delivery.p99<250ms` or `lost==0`.
    #[serde(default)]
    pub thresholds: Vec<String>,
}

/// Who connects.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScenarioPeople {
    /// Accounts. Connections beyond them are further devices of the same people, in turn.
    pub accounts: usize,
    /// What share of the connections speaks which dialect. The shares are weights.
    #[serde(default = "native_only")]
    pub dialects: BTreeMap<ClientDialect, f64>,
    /// A share of the connections reads slowly.
    #[serde(default)]
    pub slow: Option<Slow>,
}

/// The native protocol and the four older dialects, by the names that scenarios use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientDialect {
    /// All chats of a user on one socket, with resumes.
    Native,
    /// The public lobby.
    Lobby,
    /// One chat on each socket.
    Chat,
    /// Private messages, people by name.
    Names,
    /// Private messages, people by number.
    Numbers,
}

impl ClientDialect {
    /// As scenarios and reports write it; the same as serialized.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Lobby => "lobby",
            Self::Chat => "chat",
            Self::Names => "names",
            Self::Numbers => "numbers",
        }
    }
}

/// Clients that read at most so much.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slow {
    /// 0 to 1.
    pub share: f64,
    /// The most that such a client takes from its socket.
    pub bytes_per_second: u64,
}

/// Chats of one kind. Members are dealt out in turn, so that everybody is in about as many.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChatGroup {
    /// The kind of all of them.
    pub kind: ChatKind,
    /// How many chats there are.
    pub count: usize,
    /// Members of each. Two in a direct chat.
    pub members: usize,
}

/// The kinds of chats that a scenario can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChatKind {
    /// A private chat of two people.
    Direct,
    /// A group that only its members see.
    Group,
    /// A public room.
    Room,
}

/// A stretch of time in which the load is of one shape.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phase {
    /// Names the phase in reports and in `--set`.
    pub name: String,
    /// How long the phase lasts.
    #[serde(with = "crate::duration")]
    pub duration: Duration,
    /// Connections at its end, grown or shrunk to evenly. As before, when left out.
    #[serde(default)]
    pub connections: Option<usize>,
    /// Not counted by thresholds and the report's sums.
    #[serde(default)]
    pub warmup: bool,
    /// The shape of a message's text.
    #[serde(default)]
    pub bytes: TextBytes,
    /// What is done, each so often a second, by all connections together, on a fixed schedule
    /// whatever the answers do (the open model).
    #[serde(default)]
    pub messages: PhaseRate,
    /// Edits, each of the sender's newest message in a chat.
    #[serde(default)]
    pub edits: PhaseRate,
    /// Deletes, each of the sender's newest message in a chat.
    #[serde(default)]
    pub deletes: PhaseRate,
    /// Typing signals.
    #[serde(default)]
    pub typing: PhaseRate,
    /// Read marks.
    #[serde(default)]
    pub reads: PhaseRate,
    /// Pages of 50 read over REST.
    #[serde(default)]
    pub history: PhaseRate,
    /// Lines cut without a word that come back at once and resume.
    #[serde(default)]
    pub reconnects: PhaseRate,
    /// Connections closed for good, each replaced by a new one that knows nothing.
    #[serde(default)]
    pub churn: PhaseRate,
    /// This share of the connections is cut at once when the phase begins, and comes back as good
    /// clients do: at a random moment within a second, then with growing pauses.
    #[serde(default)]
    pub storm: f64,
    /// The closed loop instead of `messages`: so many senders, each with so many messages on their
    /// way. It finds how much a deployment takes; its latencies hide stalls.
    #[serde(default)]
    pub closed: Option<ClosedPhase>,
}

/// The length of texts in bytes, evenly spread over the range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "BytesText", into = "BytesText")]
pub struct TextBytes {
    /// The shortest text.
    pub min: usize,
    /// The longest text, included in the range.
    pub max: usize,
}

/// A number, or `{ min = 100, max = 400 }`.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(untagged)]
enum BytesText {
    Same(usize),
    Range { min: usize, max: usize },
}

/// How often a second; may change evenly over the phase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "RateText", into = "RateText")]
pub struct PhaseRate {
    /// The rate when the phase begins.
    pub from: f64,
    /// The rate when the phase ends.
    pub to: f64,
}

/// A number, or `{ from = 10, to = 100 }`.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(untagged)]
enum RateText {
    Steady(f64),
    Ramp { from: f64, to: f64 },
}

/// Senders that wait for their acknowledgements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClosedPhase {
    /// How many people send.
    pub senders: usize,
    /// Messages of one sender on their way at once. One is on its way until the sender has received
    /// it as everybody else does, so that a deployment cannot fall behind unnoticed.
    pub window: usize,
}

/// A command run at a moment of the run, marked on the report's charts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultHook {
    /// The label of the mark on the charts.
    pub name: String,
    /// Since the first phase began.
    #[serde(with = "crate::duration")]
    pub at: Duration,
    /// Run by `sh -c`, once, by the coordinator.
    pub run: String,
}

impl Default for TextBytes {
    /// The size that published comparisons use.
    fn default() -> Self {
        Self { min: 128, max: 128 }
    }
}

impl From<BytesText> for TextBytes {
    fn from(text: BytesText) -> Self {
        match text {
            BytesText::Same(bytes) => Self { min: bytes, max: bytes },
            BytesText::Range { min, max } => Self { min, max },
        }
    }
}

impl From<TextBytes> for BytesText {
    fn from(TextBytes { min, max }: TextBytes) -> Self {
        if min == max { Self::Same(min) } else { Self::Range { min, max } }
    }
}

impl From<RateText> for PhaseRate {
    fn from(text: RateText) -> Self {
        match text {
            RateText::Steady(rate) => Self { from: rate, to: rate },
            RateText::Ramp { from, to } => Self { from, to },
        }
    }
}

impl From<PhaseRate> for RateText {
    fn from(PhaseRate { from, to }: PhaseRate) -> Self {
        if from == to { Self::Steady(from) } else { Self::Ramp { from, to } }
    }
}

fn native_only() -> BTreeMap<ClientDialect, f64> {
    BTreeMap::from([(ClientDialect::Native, 1.0)])
}
