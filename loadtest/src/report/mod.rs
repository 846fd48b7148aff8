//! The result of a run, as data: the JSON report, whose schema is this file's types. The files beside this
//! one display it.

pub mod build;
pub mod compare;
mod html;
mod json;
mod junit;
#[cfg(test)]
pub(crate) mod sample;
pub(crate) mod text;

pub use compare::{ComparedFigure, FigureVerdict, ReportComparison, compare};
pub use json::ReadError;

use crate::{
    history::Verdict,
    measure::{Count, Op},
    scenario::Scenario,
};
use protocol::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The schema's number. It grows when a reader of the old one would misread the new one.
pub const VERSION: u32 = 1;

/// A run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    pub version: u32,
    /// The load tester's version.
    pub tool: String,
    /// Names the run; part of its accounts' and chats' names.
    pub run: String,
    pub target: String,
    pub started: Timestamp,
    pub scenario: Scenario,
    pub agents: usize,
    pub phases: Vec<PhaseReport>,
    /// All phases but the warm-ups.
    pub total: Sums,
    pub series: Vec<Point>,
    /// Each operation's percentile curve over [`Report::total`].
    pub curves: BTreeMap<Op, Vec<CurvePoint>>,
    pub truth: Verdict,
    pub marks: Vec<FaultMark>,
    pub generator: Generator,
    /// What was scraped from the servers, by the name of each.
    pub targets: BTreeMap<String, TargetUse>,
    pub thresholds: Vec<ThresholdResult>,
    pub outcome: RunOutcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunOutcome {
    Passed,
    /// A threshold was not kept.
    Failed,
    /// The generator was the limit: the figures say nothing of the server.
    GeneratorLimited,
    /// Stopped before its end.
    Interrupted,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PhaseReport {
    pub name: String,
    pub warmup: bool,
    /// Seconds since the first phase began.
    pub from: f64,
    pub to: f64,
    pub sums: Sums,
}

/// What a stretch of time adds up to.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Sums {
    pub seconds: f64,
    /// By the names of [`crate::measure::Count`].
    pub counts: BTreeMap<String, u64>,
    pub latencies: BTreeMap<Op, LatencySums>,
    pub errors: BTreeMap<String, u64>,
    pub closes: BTreeMap<String, u64>,
}

impl Sums {
    /// How many there were.
    pub fn counted(&self, count: Count) -> u64 {
        self.counts.get(count.name()).copied().unwrap_or_default()
    }

    /// How many there were per second; 0 for no time at all.
    pub fn per_second(&self, count: Count) -> f64 {
        if self.seconds > 0.0 { self.counted(count) as f64 / self.seconds } else { 0.0 }
    }
}

/// In milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LatencySums {
    pub count: u64,
    pub mean: f64,
    pub p50: f64,
    pub p90: f64,
    pub p95: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
}

/// One place of the charts over time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Point {
    /// Its end, in seconds since the first phase began, and how long it lasted.
    pub at: f64,
    pub seconds: f64,
    pub connections: u64,
    pub counts: BTreeMap<String, u64>,
    pub errors: u64,
    pub latencies: BTreeMap<Op, LatencySums>,
    /// CPU seconds per second that the load tester itself used, on all agents.
    pub generator_cpu: f64,
    /// CPU seconds per second and resident bytes of each scraped server.
    pub targets: BTreeMap<String, TargetPoint>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TargetPoint {
    pub cpu: f64,
    pub memory: f64,
}

/// A place of a percentile curve: so many percent took at most so many milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    pub percentile: f64,
    pub millis: f64,
}

/// What happened from outside at a moment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FaultMark {
    /// Seconds since the first phase began.
    pub at: f64,
    pub name: String,
    /// How it ended, such as `exit 0`.
    pub outcome: String,
    /// Seconds until deliveries were as fast as before; none when that was not seen.
    pub recovery: Option<f64>,
}

/// Whether the load tester itself was up to it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Generator {
    pub cpu_seconds: f64,
    pub max_memory_bytes: u64,
    pub lag: LatencySums,
    /// Why it was the limit, when it was.
    pub limited: Option<String>,
    /// By how much the clocks of two agents may differ, in milliseconds: latencies between them are so
    /// exact. Nothing with one agent, whose stamps are all of one clock.
    #[serde(default)]
    pub clock_uncertainty_ms: f64,
}

/// What a server used during the phases that count.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct TargetUse {
    pub cpu_seconds: f64,
    pub max_memory_bytes: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ThresholdResult {
    /// As it was written.
    pub expression: String,
    /// What was found, in the expression's unit; none when nothing of it was measured, which fails.
    pub value: Option<f64>,
    pub ok: bool,
}
