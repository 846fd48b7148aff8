//! Compares two reports: what improved, what became worse, and what is noise. It warns if the two runs may
//! not be comparable, but does not decide that.

use super::{
    LatencySums, Report,
    text::{FigureUnit, number},
};
use crate::measure::{Count, Op};
use std::{collections::BTreeSet, fmt::Write as _};

/// Differences of latencies up to this many milliseconds are noise, whatever the percentage: a
/// scheduler's tick, and what two runs on one idle machine differ by.
const NOISE_MILLIS: f64 = 1.0;

/// What two reports differ in.
#[derive(Clone, Debug)]
pub(crate) struct ReportComparison {
    /// The change from which on it counts, such as 0.1 for a tenth.
    pub tolerance: f64,
    pub rows: Vec<ComparedFigure>,
    /// Why the comparison may be unfair. Complete sentences without a full stop.
    pub warnings: Vec<String>,
}

/// One figure of both.
#[derive(Clone, Debug)]
pub(crate) struct ComparedFigure {
    pub name: String,
    /// None where one run has none.
    pub values: [Option<f64>; 2],
    pub unit: FigureUnit,
    /// The second less the first, by the first; none when there is nothing to compare with.
    pub change: Option<f64>,
    pub verdict: FigureVerdict,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FigureVerdict {
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
pub(crate) fn compare(earlier: &Report, later: &Report, tolerance: f64) -> ReportComparison {
    let both = [earlier, later];
    let mut rows = ComparedRows { both, tolerance, rows: Vec::new() };
    rows.add_latencies();
    rows.add_counts();
    rows.add_usage();
    ReportComparison { tolerance, rows: rows.rows, warnings: warnings(earlier, later) }
}

/// The table while it is filled, from the top.
struct ComparedRows<'a> {
    both: [&'a Report; 2],
    tolerance: f64,
    rows: Vec<ComparedFigure>,
}

impl ComparedRows<'_> {
    /// Adds a figure unless neither report has it. Differences up to `least` are noise.
    fn add(
        &mut self,
        name: String,
        unit: FigureUnit,
        good: Good,
        least: f64,
        of: impl Fn(&Report) -> Option<f64>,
    ) {
        let values = self.both.map(of);
        if values.iter().any(Option::is_some) {
            self.rows.push(row(name, values, unit, good, least, self.tolerance));
        }
    }

    /// Adds a figure that is better when it is lower, in any amount.
    fn add_plain(&mut self, name: impl Into<String>, of: impl Fn(&Report) -> Option<f64>) {
        self.add(name.into(), FigureUnit::Plain, Good::Less, 0.0, of);
    }

    fn add_latencies(&mut self) {
        for op in [Op::Delivery, Op::Ack, Op::Connect, Op::Resume, Op::History] {
            let mut add = |name: &str, of: fn(&LatencySums) -> f64| {
                let name = format!("{}.{name}", op.name());
                self.add(name, FigureUnit::Millis, Good::Less, NOISE_MILLIS, |report| {
                    report.total.latencies.get(&op).map(of)
                });
            };
            add("p50", |sums| sums.p50);
            add("p95", |sums| sums.p95);
            add("p99", |sums| sums.p99);
            add("p99.9", |sums| sums.p999);
            add("max", |sums| sums.max);
        }
    }

    fn add_counts(&mut self) {
        for count in [Count::Sent, Count::Acked, Count::Delivered] {
            let name = format!("{}/s", count.name());
            self.add(name, FigureUnit::PerSecond, Good::More, 0.0, |report| {
                Some(report.total.per_second(count)).filter(|rate| *rate > 0.0)
            });
        }
        self.add_plain("errors", |report| Some(report.total.errors.values().sum::<u64>() as f64));
        for count in [Count::Dropped, Count::Skipped] {
            self.add_plain(count.name(), |report| Some(report.total.counted(count) as f64));
        }
        for (place, (kind, ..)) in self.both[0].truth.faults().into_iter().enumerate() {
            self.add_plain(kind, |report| Some(report.truth.faults()[place].1 as f64));
        }
    }

    fn add_usage(&mut self) {
        let targets = self.both.iter().flat_map(|report| report.targets.keys());
        let servers: BTreeSet<&String> = targets.collect();
        for server in &servers {
            self.add_plain(format!("{server}: CPU-s per million"), |report| {
                per_million(report, report.targets.get(*server)?.cpu_seconds)
            });
            let name = format!("{server}: memory");
            self.add(name, FigureUnit::Bytes, Good::Less, 0.0, |report| {
                Some(report.targets.get(*server)?.max_memory_bytes)
            });
        }
        // With one server the sum would repeat its row.
        if servers.len() > 1 {
            self.add_plain("all servers: CPU-s per million", |report| {
                per_million(report, report.targets.values().map(|used| used.cpu_seconds).sum())
            });
        }
        self.add_plain("load tester: CPU-s per million", |report| {
            per_million(report, report.generator.cpu_seconds)
        });
    }
}

fn row(
    name: String,
    values: [Option<f64>; 2],
    unit: FigureUnit,
    good: Good,
    least: f64,
    tolerance: f64,
) -> ComparedFigure {
    let [Some(before), Some(after)] = values else {
        return ComparedFigure {
            name,
            values,
            unit,
            change: None,
            verdict: FigureVerdict::Unknown,
        };
    };
    let change = (before != 0.0).then(|| (after - before) / before);
    // From nothing to something is no percentage, and beyond every tolerance.
    let beyond = change.map_or(after != before, |change| change.abs() > tolerance);
    let verdict = match good {
        _ if !beyond || (after - before).abs() <= least => FigureVerdict::Noise,
        Good::Less if after < before => FigureVerdict::Better,
        Good::More if after > before => FigureVerdict::Better,
        Good::Less | Good::More => FigureVerdict::Worse,
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
            super::RunOutcome::GeneratorLimited => {
                warnings.push(format!("Run {run} was limited by the load tester"));
            }
            super::RunOutcome::Interrupted => warnings.push(format!("Run {run} was interrupted")),
            super::RunOutcome::Passed | super::RunOutcome::Failed => {}
        }
    }
    warnings
}

impl ReportComparison {
    /// What became worse beyond the tolerance. Any at all makes the exit code 99.
    pub(crate) fn regressions(&self) -> impl Iterator<Item = &ComparedFigure> {
        self.rows.iter().filter(|row| row.verdict == FigureVerdict::Worse)
    }

    /// For the terminal: warnings, a table, a last line that says it all.
    pub(crate) fn to_text(&self) -> String {
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
    pub(crate) fn summary(&self) -> String {
        let count = |verdict| self.rows.iter().filter(|row| row.verdict == verdict).count();
        format!(
            "{} worse, {} better, the rest within {} %",
            count(FigureVerdict::Worse),
            count(FigureVerdict::Better),
            number(self.tolerance * 100.0)
        )
    }
}

impl ComparedFigure {
    /// A value as people read it.
    pub(crate) fn shown(&self, value: Option<f64>) -> String {
        value.map_or("–".to_owned(), |value| self.unit.text(value))
    }

    /// The change in percent.
    pub(crate) fn percent(&self) -> String {
        match (self.change, self.values) {
            (Some(change), _) => format!("{:+.1} %", change * 100.0),
            (None, [Some(before), Some(after)]) if before != after => "new".to_owned(),
            (None, _) => String::new(),
        }
    }
}

impl FigureVerdict {
    /// In one word; none for what says nothing.
    pub(crate) fn word(self) -> &'static str {
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
