//! Turns the measurements, second by second, into a report's series, sums and curves. It does not decide what
//! the figures mean for the run's outcome.

use super::{CurvePoint, LatencySums, PhaseReport, Point, Sums, TargetPoint, TargetUse};
use crate::{
    engine::{PartSlice, UsageReading},
    measure::{Latency, Op, Slice},
    scenario::Phase,
};
use std::collections::BTreeMap;

/// Up to this percentile a curve goes: beyond it a run would need ten million records.
const CURVE_END: f64 = 99.9999;

/// What a run's measurements add up to: the parts of a [`super::Report`] of the same names.
#[derive(Clone, Debug)]
pub(crate) struct MeasuredRun {
    pub phases: Vec<PhaseReport>,
    pub total: Sums,
    pub series: Vec<Point>,
    pub curves: BTreeMap<Op, Vec<CurvePoint>>,
    pub targets: BTreeMap<String, TargetUse>,
}

/// Readings of each server, by the seconds since the first phase began, in order.
pub(crate) type TargetReadings = BTreeMap<String, Vec<(f64, UsageReading)>>;

/// Adds a run up. The slices are all agents' together, in the order of time. A slice counts for the
/// phase that its middle falls in, and what comes after the last phase for that one: it is late, not
/// lost. Phases that never began are left out.
pub(crate) fn measured(
    phases: &[Phase],
    slices: &[PartSlice],
    readings: &TargetReadings,
) -> MeasuredRun {
    let reached = slices.last().map_or(0.0, |last| last.at);
    let mut measured_phases = measured_phases(phases);
    for slice in slices {
        if let Some(place) = place(&measured_phases, slice.at - slice.seconds / 2.0) {
            measured_phases[place].slice.then(&slice.slice);
        }
    }
    let targets =
        readings.iter().map(|(name, read)| (name.clone(), target_use(read, &measured_phases)));
    let targets = targets.collect();
    let mut total = (0.0, Slice::default());
    let mut told = Vec::new();
    for phase_of in measured_phases.into_iter().filter(|phase_of| phase_of.from < reached) {
        let MeasuredPhase { name, warmup, from, to, slice } = phase_of;
        let to = to.min(reached);
        if !warmup {
            total.0 += to - from;
            total.1.then(&slice);
        }
        told.push(PhaseReport { name, warmup, from, to, sums: sums(&slice, to - from) });
    }
    MeasuredRun {
        phases: told,
        total: sums(&total.1, total.0),
        series: slices.iter().map(|slice| point(slice, readings)).collect(),
        curves: total.1.latencies.iter().map(|(op, latency)| (*op, curve(latency))).collect(),
        targets,
    }
}

/// A phase, and what was measured in it.
struct MeasuredPhase {
    name: String,
    warmup: bool,
    from: f64,
    to: f64,
    slice: Slice,
}

/// The phases, one right after the other.
fn measured_phases(phases: &[Phase]) -> Vec<MeasuredPhase> {
    let mut end = 0.0;
    let mut phase_of = |phase: &Phase| {
        let from = end;
        end += phase.duration.as_secs_f64();
        let (name, warmup) = (phase.name.clone(), phase.warmup);
        MeasuredPhase { name, warmup, from, to: end, slice: Slice::default() }
    };
    phases.iter().map(&mut phase_of).collect()
}

/// Which phase a moment is in.
fn place(phases: &[MeasuredPhase], at: f64) -> Option<usize> {
    let found = phases.iter().position(|phase| at < phase.to);
    found.or_else(|| phases.len().checked_sub(1))
}

/// A slice as a place of the charts, with what was read of the servers meanwhile.
pub(crate) fn point(
    PartSlice { at, seconds, slice, cpu }: &PartSlice,
    readings: &TargetReadings,
) -> Point {
    let target = |(name, read): (&String, &Vec<(f64, UsageReading)>)| {
        let (from, to) = (at - seconds, *at);
        let memory = memory(read, from, to)?;
        Some((name.clone(), TargetPoint { cpu: cpu_seconds(read, from, to) / seconds, memory }))
    };
    Point {
        at: *at,
        seconds: *seconds,
        connections: slice.connections,
        counts: counts(slice),
        errors: slice.errors.values().sum(),
        latencies: latencies(slice),
        generator_cpu: cpu / seconds,
        targets: readings.iter().filter_map(target).collect(),
    }
}

/// What a server used in the phases that count, the last of which has no end, as in [`place`].
fn target_use(read: &[(f64, UsageReading)], phases: &[MeasuredPhase]) -> TargetUse {
    let mut used = TargetUse::default();
    let last = phases.len().saturating_sub(1);
    for (place, phase) in phases.iter().enumerate().filter(|(_, phase)| !phase.warmup) {
        let to = if place == last { f64::MAX } else { phase.to };
        used.cpu_seconds += cpu_seconds(read, phase.from, to);
        let memory = memory(read, phase.from, to).unwrap_or_default();
        used.max_memory_bytes = used.max_memory_bytes.max(memory);
    }
    used
}

/// The CPU seconds between two moments, taking it as evenly used between two readings. A server that
/// began anew has used what it says.
fn cpu_seconds(read: &[(f64, UsageReading)], from: f64, to: f64) -> f64 {
    let between = |pair: &[(f64, UsageReading)]| {
        let [(start, before), (end, after)] = pair else { return 0.0 };
        let within = (end.min(to) - start.max(from)).max(0.0);
        let more = after.cpu_seconds - before.cpu_seconds;
        let more = if more < 0.0 { after.cpu_seconds } else { more };
        if end > start { more * within / (end - start) } else { 0.0 }
    };
    read.windows(2).map(between).sum()
}

/// The most memory that was read between two moments; none when nothing was.
fn memory(read: &[(f64, UsageReading)], from: f64, to: f64) -> Option<f64> {
    let within = read.iter().filter(|(at, _)| from < *at && *at <= to);
    within.map(|(_, reading)| reading.memory_bytes).reduce(f64::max)
}

/// What a slice of so many seconds adds up to.
pub(crate) fn sums(slice: &Slice, seconds: f64) -> Sums {
    Sums {
        seconds,
        counts: counts(slice),
        latencies: latencies(slice),
        errors: slice.errors.clone(),
        closes: slice.closes.clone(),
    }
}

fn counts(slice: &Slice) -> BTreeMap<String, u64> {
    slice.counts.iter().map(|(count, n)| (count.name().to_owned(), *n)).collect()
}

fn latencies(slice: &Slice) -> BTreeMap<Op, LatencySums> {
    let some = slice.latencies.iter().filter(|(_, latency)| !latency.0.is_empty());
    some.map(|(op, latency)| (*op, latency_sums(latency))).collect()
}

/// A histogram in a few figures.
pub(crate) fn latency_sums(latency: &Latency) -> LatencySums {
    let Latency(histogram) = latency;
    if histogram.is_empty() {
        return LatencySums::default();
    }
    let at = |quantile| millis(histogram.value_at_quantile(quantile));
    LatencySums {
        count: histogram.len(),
        mean: histogram.mean() / 1e3,
        p50: at(0.5),
        p90: at(0.9),
        p95: at(0.95),
        p99: at(0.99),
        p999: at(0.999),
        max: millis(histogram.max()),
    }
}

/// The percentile curve, finer the nearer it is to 100 %, as far as there are records for it.
fn curve(latency: &Latency) -> Vec<CurvePoint> {
    let Latency(histogram) = latency;
    let seen = 100.0 * (1.0 - 1.0 / histogram.len().max(1) as f64);
    let point = |percentile: f64| {
        let millis = millis(histogram.value_at_percentile(percentile));
        CurvePoint { percentile, millis }
    };
    // Ten places for each further nine.
    let places = (0..).map(|step| 100.0 * (1.0 - 10f64.powf(-f64::from(step) / 10.0)));
    places.take_while(|percentile| *percentile <= seen.min(CURVE_END)).map(point).collect()
}

fn millis(micros: u64) -> f64 {
    micros as f64 / 1e3
}

#[cfg(test)]
mod tests;
