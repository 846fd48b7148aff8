//! The metrics of thresholds: the names of a run's figures, and their places in a report.

use super::unit::Quantity;
use crate::{
    history::Verdict,
    measure::{Count, Op},
    report::{LatencySums, Report, Sums},
    suggest::suggestion,
};
use std::{collections::BTreeMap, fmt, str::FromStr};
use strum::VariantNames;

/// A figure of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ThresholdMetric {
    /// `delivery.p99`
    Latency(Op, Stat),
    /// `sent`
    Count(Count),
    /// `rate(sent)`: each second, on average.
    Rate(Count),
    /// `errors`, or `errors(rate_limited)`: those whose name is this or has this word.
    Errors(Option<String>),
    /// `closes`, or `closes(slow_consumer)`, `closes(1013)`.
    Closes(Option<String>),
    /// `lost`
    Truth(TruthCount),
    /// `generator.cpu`, `gateway-1.memory`
    Use(String, ResourceUse),
}

/// Of the times that something took.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, strum::Display, strum::EnumString, strum::VariantNames,
)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum Stat {
    Count,
    Mean,
    P50,
    P90,
    P95,
    P99,
    P999,
    Max,
}

/// What the history checker counts. `acked` is not here: clients count it, too, and by phase.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, strum::Display, strum::EnumString, strum::VariantNames,
)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum TruthCount {
    Lost,
    Repeated,
    Reordered,
    Altered,
    NotStored,
    StoredTwice,
    Unconnected,
    Unsent,
    Resyncs,
    Stored,
    Expected,
}

/// What a process uses.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, strum::Display, strum::EnumString, strum::VariantNames,
)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum ResourceUse {
    /// CPU seconds a second, on average.
    Cpu,
    /// The most resident memory.
    Memory,
}

/// The load tester itself, among those whose use is measured.
const GENERATOR: &str = "generator";

impl ThresholdMetric {
    /// Whether it is known of each phase. The truth is decided in the end, about everything.
    pub(super) fn is_of_phases(&self) -> bool {
        match self {
            Self::Truth(_) => false,
            Self::Use(of, _) => of != GENERATOR,
            _ => true,
        }
    }

    /// The scraped server that it is about.
    pub(crate) fn target(&self) -> Option<&str> {
        match self {
            Self::Use(of, _) if of != GENERATOR => Some(of),
            _ => None,
        }
    }

    pub(super) fn quantity(&self) -> Quantity {
        match self {
            Self::Latency(_, Stat::Count) => Quantity::Number,
            Self::Latency(..) => Quantity::Time,
            Self::Rate(_) => Quantity::Rate,
            Self::Use(_, ResourceUse::Cpu) => Quantity::Cpu,
            Self::Use(_, ResourceUse::Memory) => Quantity::Memory,
            _ => Quantity::Number,
        }
    }

    /// Its value, in what the report counts in; none when nothing of it was measured.
    pub(super) fn find(&self, report: &Report, phase: Option<&str>) -> Option<f64> {
        let phase = match phase {
            None => None,
            Some(name) => Some(report.phases.iter().find(|phase| phase.name == name)?),
        };
        match self {
            Self::Truth(count @ (TruthCount::Unconnected | TruthCount::Unsent)) => {
                Some(count.of(&report.truth) as f64)
            }
            // Nobody listened: nothing can have been lost, and nothing was shown.
            Self::Truth(_) if report.truth.devices == 0 => None,
            Self::Truth(count) => Some(count.of(&report.truth) as f64),
            Self::Use(of, what) if of == GENERATOR => {
                let generator = &report.generator;
                Some(match what {
                    ResourceUse::Cpu => generator.cpu_seconds / positive(report.total.seconds)?,
                    ResourceUse::Memory => positive(generator.max_memory_bytes as f64)?,
                })
            }
            Self::Use(of, what) => match phase {
                None => {
                    let used = report.targets.get(of)?;
                    Some(match what {
                        ResourceUse::Cpu => used.cpu_seconds / positive(report.total.seconds)?,
                        ResourceUse::Memory => used.max_memory_bytes,
                    })
                }
                Some(phase) => what.in_points(report, of, phase.from, phase.to),
            },
            _ => self.in_sums(phase.map_or(&report.total, |phase| &phase.sums)),
        }
    }

    /// Its value in what clients counted and timed, if it is about that.
    pub(super) fn in_sums(&self, sums: &Sums) -> Option<f64> {
        match self {
            Self::Latency(op, stat) => stat.of(sums.latencies.get(op)),
            Self::Count(count) => Some(count_of(sums, *count)),
            Self::Rate(count) => Some(count_of(sums, *count) / positive(sums.seconds)?),
            Self::Errors(kind) => Some(sum(&sums.errors, kind.as_deref())),
            Self::Closes(kind) => Some(sum(&sums.closes, kind.as_deref())),
            Self::Truth(_) | Self::Use(..) => None,
        }
    }

    /// Whether it never sinks while a run goes on.
    pub(super) fn only_grows(&self) -> bool {
        match self {
            Self::Latency(_, stat) => matches!(stat, Stat::Count | Stat::Max),
            Self::Count(_) | Self::Errors(_) | Self::Closes(_) => true,
            Self::Rate(_) | Self::Truth(_) | Self::Use(..) => false,
        }
    }
}

impl Stat {
    fn of(self, sums: Option<&LatencySums>) -> Option<f64> {
        let sums = sums.filter(|sums| sums.count > 0);
        Some(match self {
            // Nothing took any time: that is a count as well.
            Self::Count => sums.map_or(0.0, |sums| sums.count as f64),
            Self::Mean => sums?.mean,
            Self::P50 => sums?.p50,
            Self::P90 => sums?.p90,
            Self::P95 => sums?.p95,
            Self::P99 => sums?.p99,
            Self::P999 => sums?.p999,
            Self::Max => sums?.max,
        })
    }
}

impl TruthCount {
    fn of(self, truth: &Verdict) -> u64 {
        match self {
            Self::Lost => truth.lost,
            Self::Repeated => truth.repeated,
            Self::Reordered => truth.reordered,
            Self::Altered => truth.altered,
            Self::NotStored => truth.not_stored,
            Self::StoredTwice => truth.stored_twice,
            Self::Unconnected => truth.unconnected,
            Self::Unsent => truth.unsent,
            Self::Resyncs => truth.resyncs,
            Self::Stored => truth.stored,
            Self::Expected => truth.expected,
        }
    }
}

impl ResourceUse {
    /// From the charts' points that end within a phase.
    fn in_points(self, report: &Report, of: &str, from: f64, to: f64) -> Option<f64> {
        let within = report.series.iter().filter(|point| point.at > from && point.at <= to);
        let points = within.filter_map(|point| Some((point.seconds, point.targets.get(of)?)));
        match self {
            Self::Cpu => {
                let (cpu, seconds) = points.fold((0.0, 0.0), |(cpu, total), (seconds, point)| {
                    (cpu + point.cpu * seconds, total + seconds)
                });
                Some(cpu / positive(seconds)?)
            }
            Self::Memory => points.map(|(_, point)| point.memory).reduce(f64::max),
        }
    }
}

impl FromStr for ThresholdMetric {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some((name, argument)) = call(text) {
            return match name {
                "rate" => Ok(Self::Rate(count(argument)?)),
                "errors" if !argument.is_empty() => Ok(Self::Errors(Some(argument.to_owned()))),
                "closes" if !argument.is_empty() => Ok(Self::Closes(Some(argument.to_owned()))),
                _ => Err(format!(
                    "{text} is not a metric; the metrics with parentheses are rate(sent), \
                                  errors(rate_limited), closes(slow_consumer)"
                )),
            };
        }
        // A target's name may have dots; the statistic has none.
        if let Some((of, stat)) = text.rsplit_once('.') {
            return split(of, stat);
        }
        match text {
            "errors" => return Ok(Self::Errors(None)),
            "closes" => return Ok(Self::Closes(None)),
            _ => {}
        }
        if let Ok(truth) = text.parse() {
            return Ok(Self::Truth(truth));
        }
        if let Some(op) = Op::ALL.iter().find(|op| op.name() == text) {
            let op = op.name();
            return Err(format!("{op} has many values: choose one, such as {op}.p99 or {op}.max"));
        }
        count(text).map(Self::Count).map_err(|_| {
            let known = Count::ALL.iter().map(|count| count.name());
            let known = known.chain(TruthCount::VARIANTS.iter().copied());
            let known = known.chain(["errors", "closes", "delivery.p99", "ack.p99", "rate(sent)"]);
            format!("there is no metric {text:?}; {}", suggestion(text, known))
        })
    }
}

/// What is before and after the last dot.
fn split(of: &str, stat: &str) -> Result<ThresholdMetric, String> {
    if let Some(op) = Op::ALL.iter().copied().find(|op| op.name() == of) {
        return stat.parse().map(|stat| ThresholdMetric::Latency(op, stat)).map_err(|_| {
            format!("{of} has no {stat:?}; {}", suggestion(stat, Stat::VARIANTS.iter().copied()))
        });
    }
    if let Some(what) = stat.parse().ok().filter(|_| !of.is_empty()) {
        return Ok(ThresholdMetric::Use(of.to_owned(), what));
    }
    if stat.parse::<Stat>().is_ok() {
        let known = Op::ALL.iter().map(|op| op.name());
        return Err(format!("there is no latency called {of:?}; {}", suggestion(of, known)));
    }
    Err(format!(
        "there is no metric {of}.{stat}; latencies are written like delivery.p99, and \
                 servers have NAME.cpu and NAME.memory"
    ))
}

/// `name(argument)`
fn call(text: &str) -> Option<(&str, &str)> {
    text.strip_suffix(')')?.split_once('(')
}

fn count(text: &str) -> Result<Count, String> {
    let found = Count::ALL.iter().copied().find(|count| count.name() == text);
    found.ok_or_else(|| {
        let known = Count::ALL.iter().map(|count| count.name());
        format!("there is no count called {text:?}; {}", suggestion(text, known))
    })
}

fn count_of(sums: &Sums, count: Count) -> f64 {
    sums.counts.get(count.name()).copied().unwrap_or(0) as f64
}

/// Of all kinds, or of those that are called so or have the word.
fn sum(kinds: &BTreeMap<String, u64>, kind: Option<&str>) -> f64 {
    let is_meant = |name: &str| {
        kind.is_none_or(|kind| name == kind || name.split([' ', ':']).any(|word| word == kind))
    };
    kinds.iter().filter(|(name, _)| is_meant(name)).map(|(_, count)| count).sum::<u64>() as f64
}

fn positive(number: f64) -> Option<f64> {
    (number > 0.0).then_some(number)
}

impl fmt::Display for ThresholdMetric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latency(op, stat) => write!(f, "{}.{stat}", op.name()),
            Self::Count(count) => f.write_str(count.name()),
            Self::Rate(count) => write!(f, "rate({})", count.name()),
            Self::Errors(None) => f.write_str("errors"),
            Self::Errors(Some(kind)) => write!(f, "errors({kind})"),
            Self::Closes(None) => f.write_str("closes"),
            Self::Closes(Some(kind)) => write!(f, "closes({kind})"),
            Self::Truth(count) => write!(f, "{count}"),
            Self::Use(of, what) => write!(f, "{of}.{what}"),
        }
    }
}
