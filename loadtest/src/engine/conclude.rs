//! Builds the report from the results of all parts.

use super::{
    GeneratorUse, Observer, PartSlice, RunError, RunEvent, RunOptions, RunPart, ServerObservations,
    Shortfall, environment, faults, truth,
};
use crate::{
    history::{Record, Verdict},
    measure::Latency,
    report::{
        Generator, Report, RunOutcome, VERSION,
        build::{latency_sums, measured},
    },
    threshold,
};
use std::collections::BTreeMap;

/// Reads what the database holds, checks what all parts recorded, and adds everything up. The
/// thresholds are evaluated, too.
pub(crate) async fn conclude(
    options: &RunOptions,
    mut parts: Vec<RunPart>,
    watched: ServerObservations,
    observer: Observer,
) -> Result<Report, RunError> {
    let started = parts.iter().map(|part| part.started).min().ok_or(RunError::NoPart)?;
    let interrupted = parts.iter().any(|part| part.interrupted);
    let agents = parts.len();
    // What comes after the last one that began is late and belongs to it.
    let begun = parts.iter().map(|part| part.begun).max().unwrap_or_default();
    let phases = &options.scenario.phases[..begun.min(options.scenario.phases.len())];
    let mut record = Record::default();
    for part in &mut parts {
        record.merge(std::mem::take(&mut part.record));
    }
    let read = truth::read(options, &parts, &record, &observer).await?;
    observer(&RunEvent::Checking);
    let mut truth = record.check(&read.stored);
    truth.unrecorded += read.unread.len() as u64;
    truth.evidence.extend(read.unread.into_iter().take(MAX_UNREAD));
    fall_short(&mut truth, parts.iter().map(|part| part.shortfall));

    let slices = add_parallel(parts.iter_mut().flat_map(|part| std::mem::take(&mut part.slices)));
    let measured = measured(phases, &slices, &watched.targets);
    let mut marks = watched.marks;
    marks.sort_by(|one, other| one.at.total_cmp(&other.at));
    for place in 0..marks.len() {
        let next = marks.get(place + 1).map(|next| next.at);
        marks[place].recovery = faults::recovery(marks[place].at, next, &slices);
    }
    let mut report = Report {
        version: VERSION,
        tool: env!("CARGO_PKG_VERSION").to_owned(),
        run: options.run.clone(),
        target: options.url.clone(),
        environment: environment::here(options).await,
        started,
        scenario: (*options.scenario).clone(),
        agents,
        phases: measured.phases,
        total: measured.total,
        series: measured.series,
        curves: measured.curves,
        truth,
        marks,
        generator: generator(parts.into_iter().map(|part| part.generator)),
        targets: measured.targets,
        thresholds: Vec::new(),
        outcome: RunOutcome::Passed,
    };
    report.thresholds = threshold::judge(&options.scenario.thresholds, &report);
    report.outcome = outcome(&report, interrupted);
    Ok(report)
}

/// Chats that are named when they could not be read; the others are counted.
const MAX_UNREAD: usize = 5;

/// Says what the schedule asked for and did not come about: figures of the rest would look like a run's.
fn fall_short(truth: &mut Verdict, parts: impl Iterator<Item = Shortfall>) {
    for Shortfall { unconnected, unsent } in parts {
        truth.unconnected += unconnected;
        truth.unsent += unsent;
    }
    let (unconnected, unsent) = (truth.unconnected, truth.unsent);
    if unconnected > 0 {
        let words = "of the connections asked for were not there; errors and closes say why";
        truth.evidence.push(format!("unconnected: {unconnected} {words}"));
    }
    if unsent > 0 {
        let words = "of what was due were not sent or not answered in the end";
        truth.evidence.push(format!("unsent: {unsent} {words}"));
    }
}

/// What is wrong with the servers' word outranks who was the limit, which outranks figures.
fn outcome(report: &Report, interrupted: bool) -> RunOutcome {
    let truth = &report.truth;
    let faults: u64 = truth.faults().iter().map(|(_, number, _)| number).sum();
    // In this order: an interrupted run proves nothing, a fault in the truth outweighs every figure, and
    // a busy generator makes the thresholds on latencies meaningless.
    if interrupted {
        RunOutcome::Interrupted
    } else if faults > 0 || truth.delivered != truth.expected {
        RunOutcome::Failed
    } else if report.generator.limited.is_some() {
        RunOutcome::GeneratorLimited
    } else if report.thresholds.iter().any(|threshold| !threshold.ok) {
        RunOutcome::Failed
    } else {
        RunOutcome::Passed
    }
}

/// The parts' slices of the same stretches added up. All parts cut at the same places but in the very
/// end, and where one was too busy to; that goes to the next place of the others.
fn add_parallel(slices: impl Iterator<Item = PartSlice>) -> Vec<PartSlice> {
    let mut by_end: BTreeMap<u64, PartSlice> = BTreeMap::new();
    for slice in slices {
        match by_end.get_mut(&slice.at.to_bits()) {
            Some(same) => same.add_parallel(&slice),
            None => _ = by_end.insert(slice.at.to_bits(), slice),
        }
    }
    // Slices that reach over the end of another one's begin there.
    let mut slices: Vec<PartSlice> = by_end.into_values().collect();
    let mut reached = 0.0;
    for slice in &mut slices {
        slice.seconds = slice.at - reached;
        reached = slice.at;
    }
    slices
}

/// One that was the limit makes the whole run's figures worthless.
fn generator(parts: impl Iterator<Item = GeneratorUse>) -> Generator {
    let mut sum = Generator::default();
    let mut lag = Latency::default();
    for (number, part) in (1..).zip(parts) {
        sum.cpu_seconds += part.cpu_seconds;
        sum.max_memory_bytes += part.max_memory_bytes;
        lag.add(&part.lag);
        let named = part.limited.map(|why| format!("part {number}: {why}"));
        sum.limited = sum.limited.or(named);
    }
    sum.lag = latency_sums(&lag);
    sum
}
