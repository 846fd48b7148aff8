//! A scenario, as its TOML file defines it. Types only: [`crate::scenarios`] reads, checks and ships
//! scenarios; the engine runs them.

use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

/// A whole scenario. Everything random in it follows from `seed`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    pub name: String,
    /// What the run is to show, for people.
    #[serde(default)]
    pub description: String,
    #[serde(default)]
    pub seed: u64,
    pub people: ScenarioPeople,
    #[serde(default)]
    pub chats: Vec<ChatGroup>,
    pub phases: Vec<Phase>,
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
    Native,
    Lobby,
    Chat,
    Names,
    Numbers,
}

impl ClientDialect {
    /// As scenarios and reports write it; the same as serialised.
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
    pub bytes_per_second: u64,
}

/// Chats of one kind. Members are dealt out in turn, so that everybody is in about as many.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChatGroup {
    pub kind: ChatKind,
    pub count: usize,
    /// Members of each. Two in a direct chat.
    pub members: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChatKind {
    Direct,
    Group,
    /// A public room.
    Room,
}

/// A stretch of time in which the load is of one shape.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phase {
    pub name: String,
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
    #[serde(default)]
    pub edits: PhaseRate,
    #[serde(default)]
    pub deletes: PhaseRate,
    #[serde(default)]
    pub typing: PhaseRate,
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
    pub min: usize,
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
    pub from: f64,
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
    pub senders: usize,
    /// Messages of one sender on their way at once. One is on its way until the sender has received
    /// it as everybody else does, so that a deployment cannot fall behind unnoticed.
    pub window: usize,
}

/// A command run at a moment of the run, marked on the report's charts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultHook {
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
