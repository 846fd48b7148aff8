//! Compares two reports: what improved, what became worse, and what is noise. It warns if the two runs may
//! not be comparable, but does not decide that.

use super::{
    Report,
    text::{Unit, number},
};
use crate::measure::{Count, Op};
use std::fmt::Write as _;

/// Differences of latencies up to this many milliseconds are noise, whatever the percentage: a
/// scheduler's tick, and what two runs on one idle machine differ by.
const NOISE_MILLIS: f64 = 1.0;

/// What two reports differ in.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// How the runs are called, the earlier one first.
    pub names: [String; 2],
    /// The change from which on it counts, such as 0.1 for a tenth.
    pub tolerance: f64,
    pub rows: Vec<ComparedFigure>,
    /// Why the comparison may be unfair. Complete sentences without a full stop.
    pub warnings: Vec<String>,
}

/// One figure of both.
#[derive(Clone, Debug)]
pub struct ComparedFigure {
    pub name: String,
    /// None where one run has none.
    pub values: [Option<f64>; 2],
    pub unit: Unit,
    /// The second less the first, by the first; none when there is nothing to compare with.
    pub change: Option<f64>,
    pub verdict: Change,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Better,
    Worse,
    /// Within the tolerance, or too little to tell.
    Noise,
    /// Only one run has it.
    Unknown,
}

/// Which direction is better.
#[derive(Clone, Copy)]
enum Good {
    Less,
    More,
}

/// Compares a run with an earlier one.
pub fn compare(earlier: &Report, later: &Report, tolerance: f64) -> Comparison {
    let both = [earlier, later];
    let mut rows = Vec::new();
    let mut add = |name: String, unit, good, least, of: &dyn Fn(&Report) -> Option<f64>| {
        let values = both.map(of);
        if values.iter().any(Option::is_some) {
            rows.push(row(name, values, unit, good, least, tolerance));
        }
    };
    for op in [Op::Delivery, Op::Ack, Op::Connect, Op::Resume, Op::History] {
        let sums = |report: &Report| report.total.latencies.get(&op).copied();
        let mut latency = |name: &str, of: fn(&super::LatencySums) -> f64| {
            let name = format!("{}.{name}", op.name());
            add(name, Unit::Millis, Good::Less, NOISE_MILLIS, &|report| {
                sums(report).as_ref().map(of)
            });
        };
        latency("p50", |sums| sums.p50);
        latency("p95", |sums| sums.p95);
        latency("p99", |sums| sums.p99);
        latency("p99.9", |sums| sums.p999);
        latency("max", |sums| sums.max);
    }
    for count in [Count::Sent, Count::Acked, Count::Delivered] {
        let rate =
            |report: &Report| Some(report.total.per_second(count)).filter(|rate| *rate > 0.0);
        add(format!("{}/s", count.name()), Unit::PerSecond, Good::More, 0.0, &rate);
    }
    let errors = |report: &Report| Some(report.total.errors.values().sum::<u64>() as f64);
    add("errors".to_owned(), Unit::Plain, Good::Less, 0.0, &errors);
    for count in [Count::Dropped, Count::Skipped] {
        let n = |report: &Report| Some(report.total.counted(count) as f64);
        add(count.name().to_owned(), Unit::Plain, Good::Less, 0.0, &n);
    }
    for (place, (kind, ..)) in earlier.truth.faults().into_iter().enumerate() {
        let found = |report: &Report| Some(report.truth.faults()[place].1 as f64);
        add(kind.to_owned(), Unit::Plain, Good::Less, 0.0, &found);
    }
    let mut servers: Vec<&String> = both.iter().flat_map(|report| report.targets.keys()).collect();
    servers.sort_unstable();
    servers.dedup();
    for server in &servers {
        let used = |report: &Report| {
            per_million(report, report.targets.get(*server).map(|used| used.cpu_seconds)?)
        };
        add(format!("{server}: CPU-s per million"), Unit::Plain, Good::Less, 0.0, &used);
        let memory = |report: &Report| Some(report.targets.get(*server)?.max_memory_bytes);
        add(format!("{server}: memory"), Unit::Bytes, Good::Less, 0.0, &memory);
    }
    if servers.len() > 1 {
        let used = |report: &Report| {
            let used = report.targets.values().map(|used| used.cpu_seconds);
            per_million(report, (!report.targets.is_empty()).then(|| used.sum())?)
        };
        add("all servers: CPU-s per million".to_owned(), Unit::Plain, Good::Less, 0.0, &used);
    }
    let own = |report: &Report| per_million(report, report.generator.cpu_seconds);
    add("load tester: CPU-s per million".to_owned(), Unit::Plain, Good::Less, 0.0, &own);
    Comparison {
        names: both.map(|report| format!("{} ({})", report.run, report.started)),
        tolerance,
        rows,
        warnings: warnings(earlier, later),
    }
}

fn row(
    name: String,
    values: [Option<f64>; 2],
    unit: Unit,
    good: Good,
    least: f64,
    tolerance: f64,
) -> ComparedFigure {
    let [Some(before), Some(after)] = values else {
        return ComparedFigure { name, values, unit, change: None, verdict: Change::Unknown };
    };
    let change = (before != 0.0).then(|| (after - before) / before);
    // From nothing to something is no percentage, and beyond every tolerance.
    let beyond = change.map_or(after != before, |change| change.abs() > tolerance);
    let verdict = match good {
        _ if !beyond || (after - before).abs() <= least => Change::Noise,
        Good::Less if after < before => Change::Better,
        Good::More if after > before => Change::Better,
        Good::Less | Good::More => Change::Worse,
    };
    ComparedFigure { name, values, unit, change, verdict }
}

fn per_million(report: &Report, cpu_seconds: f64) -> Option<f64> {
    let delivered = report.total.counted(Count::Delivered) as f64;
    (delivered > 0.0 && cpu_seconds > 0.0).then(|| cpu_seconds * 1e6 / delivered)
}

fn warnings(earlier: &Report, later: &Report) -> Vec<String> {
    let [a, b] = [&earlier.scenario, &later.scenario];
    let mut warnings = Vec::new();
    if a.name != b.name {
        warnings.push(format!("The scenarios differ: {:?} and {:?}", a.name, b.name));
    } else if (&a.people, &a.chats, &a.phases, &a.faults)
        != (&b.people, &b.chats, &b.phases, &b.faults)
    {
        warnings.push("The scenario was changed between the runs".to_owned());
    }
    if a.seed != b.seed {
        warnings.push(format!("The seeds differ: {} and {}", a.seed, b.seed));
    }
    if earlier.agents != later.agents {
        warnings.push(format!("{} agents, then {}", earlier.agents, later.agents));
    }
    for report in [earlier, later] {
        let run = &report.run;
        match report.outcome {
            super::Outcome::GeneratorLimited => {
                warnings.push(format!("Run {run} was limited by the load tester"));
            }
            super::Outcome::Interrupted => warnings.push(format!("Run {run} was interrupted")),
            super::Outcome::Passed | super::Outcome::Failed => {}
        }
    }
    warnings
}

impl Comparison {
    /// What became worse beyond the tolerance. Any at all makes the exit code 99.
    pub fn regressions(&self) -> impl Iterator<Item = &ComparedFigure> {
        self.rows.iter().filter(|row| row.verdict == Change::Worse)
    }

    /// For the terminal: warnings, a table, a last line that says it all.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for warning in &self.warnings {
            let _ = writeln!(text, "warning: {warning}");
        }
        let wide = self.rows.iter().map(|row| row.name.chars().count()).max().unwrap_or_default();
        let _ = writeln!(text, "{:<wide$}  {:>12}  {:>12}  {:>9}", "", "before", "after", "change");
        for row in &self.rows {
            let [before, after] = row.values.map(|value| row.shown(value));
            let (change, verdict) = (row.percent(), row.verdict.word());
            let line =
                format!("{:<wide$}  {before:>12}  {after:>12}  {change:>9}  {verdict}", row.name);
            let _ = writeln!(text, "{}", line.trim_end());
        }
        let _ = writeln!(text, "{}", self.summary());
        text
    }

    /// In one line.
    pub fn summary(&self) -> String {
        let count = |verdict| self.rows.iter().filter(|row| row.verdict == verdict).count();
        format!(
            "{} worse, {} better, the rest within {} %",
            count(Change::Worse),
            count(Change::Better),
            number(self.tolerance * 100.0)
        )
    }
}

impl ComparedFigure {
    /// A value as people read it.
    pub fn shown(&self, value: Option<f64>) -> String {
        value.map_or("–".to_owned(), |value| self.unit.text(value))
    }

    /// The change in percent.
    pub fn percent(&self) -> String {
        match (self.change, self.values) {
            (Some(change), _) => format!("{:+.1} %", change * 100.0),
            (None, [Some(before), Some(after)]) if before != after => "new".to_owned(),
            (None, _) => String::new(),
        }
    }
}

impl Change {
    /// In one word; none for what says nothing.
    pub fn word(self) -> &'static str {
        match self {
            Self::Better => "better",
            Self::Worse => "WORSE",
            Self::Noise => "",
            Self::Unknown => "only in one",
        }
    }
}

#[cfg(test)]
mod tests;
