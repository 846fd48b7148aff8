//! The result of one process, which an agent sends to its coordinator. It is not judged here.

use crate::{
    history::Record,
    measure::{Latency, Slice},
    report::FaultMark,
};
use protocol::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt};

/// One process's share of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RunPart {
    /// When the first phase began.
    pub started: Timestamp,
    pub slices: Vec<PartSlice>,
    pub record: Record,
    pub shortfall: Shortfall,
    pub generator: GeneratorUse,
    /// Whether it was stopped before its end.
    pub interrupted: bool,
    /// How many of the phases began.
    pub begun: usize,
    /// People whose tokens are not those of the cast any more.
    pub renewed: Vec<TokenRenewal>,
}

/// What the schedule asked for and did not come about, though it was waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Shortfall {
    /// See [`crate::history::Verdict::unconnected`].
    pub unconnected: u64,
    /// See [`crate::history::Verdict::unsent`].
    pub unsent: u64,
}

/// A person's newest tokens. The cast's are void.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct TokenRenewal {
    /// The place in the cast.
    pub person: usize,
    pub token: String,
    pub refresh: String,
}

impl fmt::Debug for TokenRenewal {
    /// Without the tokens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renewed").field("person", &self.person).finish_non_exhaustive()
    }
}

/// A stretch of a second, or of some in a long run. All parts cut at the same places, counted from the
/// beginning of the first phase, so that they can be added up.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PartSlice {
    /// Its end, in seconds since the first phase began.
    pub at: f64,
    /// How long it lasted.
    pub seconds: f64,
    /// What the clients of this part did in it.
    pub slice: Slice,
    /// CPU seconds that the load tester used in it.
    pub cpu: f64,
}

/// What the load tester itself needed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct GeneratorUse {
    pub cpu_seconds: f64,
    pub max_memory_bytes: u64,
    /// How late its work began, over the phases that count.
    pub lag: Latency,
    /// Why it was the limit, when it was.
    pub limited: Option<String>,
}

/// What was done to the servers and seen of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct ServerObservations {
    pub marks: Vec<FaultMark>,
    /// Readings of each server, by the seconds since the first phase began.
    pub targets: BTreeMap<String, Vec<(f64, UsageReading)>>,
    /// How many readings failed, by server, and why the first one did.
    pub unread: BTreeMap<String, (u64, String)>,
}

/// What a server had used so far, and its memory now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct UsageReading {
    pub cpu_seconds: f64,
    pub memory_bytes: f64,
}
