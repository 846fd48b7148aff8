//! The result of a run, as data: the JSON report, whose schema is this file's types. The files beside this
//! one display it.

pub(crate) mod build;
mod compare;
mod html;
mod json;
mod junit;
#[cfg(test)]
pub(crate) mod sample;
pub(crate) mod text;

pub(crate) use compare::compare;
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
    /// The schema's number, see [`VERSION`].
    pub version: u32,
    /// The load tester's version.
    pub tool: String,
    /// Names the run; part of its accounts' and chats' names.
    pub run: String,
    /// The base URL that was loaded.
    pub target: String,
    /// Where and how. Reports of before have none.
    #[serde(default)]
    pub environment: RunEnvironment,
    /// When the first phase began.
    pub started: Timestamp,
    /// The scenario as it ran, with the changes of the command line.
    pub scenario: Scenario,
    /// The processes that created the load: 1 without agents.
    pub agents: usize,
    /// The phases that began, in the order of time.
    pub phases: Vec<PhaseReport>,
    /// All phases but the warm-ups.
    pub total: Sums,
    /// The charts over time, from the first phase until everything had settled.
    pub series: Vec<Point>,
    /// Each operation's percentile curve over [`Report::total`].
    pub curves: BTreeMap<Op, Vec<CurvePoint>>,
    /// Whether every device received what it should.
    pub truth: Verdict,
    /// The faults that happened, in the order of time.
    pub marks: Vec<FaultMark>,
    /// What the load tester needed itself.
    pub generator: Generator,
    /// What was scraped from the servers, by the name of each.
    pub targets: BTreeMap<String, TargetUse>,
    /// Every threshold, met or missed, those that hold for every run included.
    pub thresholds: Vec<ThresholdResult>,
    /// The result in one word. The exit code follows from it.
    pub outcome: RunOutcome,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunOutcome {
    /// All thresholds were met.
    Passed,
    /// A threshold was missed.
    Failed,
    /// The generator was the limit: the figures say nothing of the server.
    GeneratorLimited,
    /// Stopped before its end.
    Interrupted,
}

/// One phase of the scenario.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PhaseReport {
    /// Its name in the scenario.
    pub name: String,
    /// Whether totals and thresholds leave it out.
    pub warmup: bool,
    /// Seconds since the first phase began.
    pub from: f64,
    /// Its end on the same clock; earlier than planned if the run was stopped.
    pub to: f64,
    /// What the clients did in it.
    pub sums: Sums,
}

/// What a stretch of time adds up to.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Sums {
    /// How long the stretch lasted.
    pub seconds: f64,
    /// By the names of [`crate::measure::Count`].
    pub counts: BTreeMap<String, u64>,
    /// The operations that ended in it. An operation that never did is missing.
    pub latencies: BTreeMap<Op, LatencySums>,
    /// See [`crate::measure::Slice::errors`].
    pub errors: BTreeMap<String, u64>,
    /// See [`crate::measure::Slice::closes`].
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

/// The latencies of one operation, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LatencySums {
    /// How many operations were timed.
    pub count: u64,
    /// The arithmetic mean.
    pub mean: f64,
    /// The median.
    pub p50: f64,
    /// 90 percent of the operations took at most this long; the next fields accordingly.
    pub p90: f64,
    /// 95 percent.
    pub p95: f64,
    /// 99 percent.
    pub p99: f64,
    /// 99.9 percent.
    pub p999: f64,
    /// The slowest operation.
    pub max: f64,
}

/// One place of the charts over time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Point {
    /// Its end, in seconds since the first phase began.
    pub at: f64,
    /// How long it lasted.
    pub seconds: f64,
    /// Connections that were ready at its end.
    pub connections: u64,
    /// By the names of [`crate::measure::Count`].
    pub counts: BTreeMap<String, u64>,
    /// Errors of all kinds.
    pub errors: u64,
    /// The operations that ended in it.
    pub latencies: BTreeMap<Op, LatencySums>,
    /// CPU seconds per second that the load tester itself used, on all agents.
    pub generator_cpu: f64,
    /// CPU seconds per second and resident bytes of each scraped server.
    pub targets: BTreeMap<String, TargetPoint>,
}

/// What one server used at a place of the charts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TargetPoint {
    /// CPU seconds per second.
    pub cpu: f64,
    /// Resident bytes.
    pub memory: f64,
}

/// A place of a percentile curve: so many percent took at most so many milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// 0 to 100.
    pub percentile: f64,
    /// The longest latency of that share.
    pub millis: f64,
}

/// What happened from outside at a moment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FaultMark {
    /// Seconds since the first phase began.
    pub at: f64,
    /// Its name in the scenario.
    pub name: String,
    /// How it ended, such as `exit 0`.
    pub outcome: String,
    /// Seconds until deliveries were as fast as before; none when that was not seen.
    pub recovery: Option<f64>,
}

/// Whether the load tester itself was up to it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Generator {
    /// CPU time of all agents over the whole run.
    pub cpu_seconds: f64,
    /// The peak of resident memory; with several agents, the sum of their peaks.
    pub max_memory_bytes: u64,
    /// How late the load tester began its operations.
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
    /// CPU time, without the warm-ups.
    pub cpu_seconds: f64,
    /// The most resident memory that one reading found.
    pub max_memory_bytes: f64,
}

/// Where and how a run was made, for those who compare reports later.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunEnvironment {
    /// The load tester's command line, without secrets. Empty where a program started the run.
    pub command: String,
    /// The machine of the load tester, or of the coordinator of its agents.
    pub host: String,
    /// Its kernel.
    pub kernel: String,
    /// The name of its processor.
    pub cpu: String,
    /// The cores that the load tester may use there.
    pub cores: usize,
    /// The version that the servers say they have, where they do.
    pub server: Option<String>,
}

/// One threshold and whether the run met it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ThresholdResult {
    /// As it was written.
    pub expression: String,
    /// What was found, in the expression's unit; none when nothing of it was measured, which fails.
    pub value: Option<f64>,
    /// Whether the value meets the expression.
    pub ok: bool,
}
