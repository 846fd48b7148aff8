//! From what was measured second by second to a report's series, sums and curves. It is fed while
//! the run goes on and keeps no second by itself, so that a soak of days needs no more memory than
//! a run of minutes. What the figures mean for the run's outcome is not decided here.

use super::{CurvePoint, LatencySums, PhaseReport, Point, Sums, TargetPoint, TargetUse};
use crate::{
    measure::{Latency, Op, Slice},
    scenario::Phase,
};
use std::collections::BTreeMap;

/// Points in a report's series, about: more than a chart has pixels, and some hundred KiB of JSON.
/// Waiting for the last deliveries adds the seconds that it lasts.
const POINTS: f64 = 1000.0;

/// Up to this percentile a curve goes: beyond it a run would need ten million records.
const CURVE_END: f64 = 99.9999;

/// Collects a run's measurements. Whoever runs it calls [`Timeline::slice`] once a second with what
/// all agents measured, and [`Timeline::scrape`] whenever a server answered, in the order of time.
/// All times are seconds since the first phase began.
#[derive(Debug)]
pub struct Timeline {
    phases: Vec<Stretch>,
    /// Seconds of a point.
    width: f64,
    open: Option<Open>,
    series: Vec<Point>,
    servers: BTreeMap<String, Server>,
    reached: f64,
}

/// What a [`Timeline`] adds up to: the parts of a [`super::Report`] of the same names.
#[derive(Clone, Debug)]
pub struct Measured {
    pub phases: Vec<PhaseReport>,
    pub total: Sums,
    pub series: Vec<Point>,
    pub curves: BTreeMap<Op, Vec<CurvePoint>>,
    pub targets: BTreeMap<String, TargetUse>,
}

#[derive(Debug)]
struct Stretch {
    name: String,
    warmup: bool,
    from: f64,
    to: f64,
    slice: Slice,
}

/// The point that is being filled.
#[derive(Debug, Default)]
struct Open {
    /// Which multiple of the width it is.
    place: u64,
    at: f64,
    seconds: f64,
    slice: Slice,
    targets: BTreeMap<String, Scraped>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Scraped {
    cpu_seconds: f64,
    seconds: f64,
    memory: f64,
}

/// A server between two scrapes.
#[derive(Debug)]
struct Server {
    at: f64,
    cpu_seconds: f64,
    used: TargetUse,
}

impl Timeline {
    /// Of a run with these phases, one right after the other.
    pub fn new(phases: &[Phase]) -> Self {
        let mut end = 0.0;
        let mut stretch = |phase: &Phase| {
            let from = end;
            end += phase.duration.as_secs_f64();
            let (name, warmup) = (phase.name.clone(), phase.warmup);
            Stretch { name, warmup, from, to: end, slice: Slice::default() }
        };
        let phases = phases.iter().map(&mut stretch).collect();
        Self {
            phases,
            width: (end / POINTS).ceil().max(1.0),
            open: None,
            series: Vec::new(),
            servers: BTreeMap::new(),
            reached: 0.0,
        }
    }

    /// Adds the measurements of the `seconds` that ended at `at`. They count for the phase that
    /// their middle falls in, and what comes after the last phase for that one: it is late, not lost.
    pub fn slice(&mut self, at: f64, seconds: f64, slice: &Slice) {
        let middle = at - seconds / 2.0;
        self.reached = self.reached.max(at);
        if let Some(phase) = place(&self.phases, middle) {
            self.phases[phase].slice.then(slice);
        }
        let place = (middle.max(0.0) / self.width) as u64;
        if self.open.as_ref().is_some_and(|open| open.place != place) {
            self.close();
        }
        let open = self.open.get_or_insert_with(|| Open { place, ..Open::default() });
        open.at = at;
        open.seconds += seconds;
        open.slice.then(slice);
    }

    /// Adds a server's CPU seconds since it began and its resident bytes, as it said at `at`. A server
    /// that began anew has used what it says.
    pub fn scrape(&mut self, at: f64, server: &str, cpu_seconds: f64, memory: f64) {
        let Some(known) = self.servers.get_mut(server) else {
            let used = TargetUse { cpu_seconds: 0.0, max_memory_bytes: 0.0 };
            self.servers.insert(server.to_owned(), Server { at, cpu_seconds, used });
            return;
        };
        let used = cpu_seconds - known.cpu_seconds;
        let used = if used < 0.0 { cpu_seconds } else { used };
        let from = std::mem::replace(&mut known.at, at);
        known.cpu_seconds = cpu_seconds;
        if at <= from {
            return;
        }
        let counted = counted(&self.phases, from, at);
        known.used.cpu_seconds += used * counted / (at - from);
        if counted > 0.0 {
            known.used.max_memory_bytes = known.used.max_memory_bytes.max(memory);
        }
        if let Some(open) = &mut self.open {
            let scraped = open.targets.entry(server.to_owned()).or_default();
            scraped.cpu_seconds += used;
            scraped.seconds += at - from;
            scraped.memory = scraped.memory.max(memory);
        }
    }

    /// The end, planned or not. Phases that never began are left out.
    pub fn finish(mut self) -> Measured {
        self.close();
        let reached = self.reached;
        let mut total = (0.0, Slice::default());
        let mut phases = Vec::new();
        for phase in self.phases.into_iter().filter(|phase| phase.from < reached) {
            let Stretch { name, warmup, from, to, slice } = phase;
            let to = to.min(reached);
            if !warmup {
                total.0 += to - from;
                total.1.then(&slice);
            }
            phases.push(PhaseReport { name, warmup, from, to, sums: sums(&slice, to - from) });
        }
        Measured {
            phases,
            total: sums(&total.1, total.0),
            series: self.series,
            curves: total.1.latencies.iter().map(|(op, latency)| (*op, curve(latency))).collect(),
            targets: self.servers.into_iter().map(|(name, server)| (name, server.used)).collect(),
        }
    }

    fn close(&mut self) {
        let Some(Open { at, seconds, slice, targets, .. }) = self.open.take() else { return };
        let target = |Scraped { cpu_seconds, seconds, memory }: Scraped| TargetPoint {
            cpu: cpu_seconds / seconds,
            memory,
        };
        self.series.push(Point {
            at,
            seconds,
            connections: slice.connections,
            errors: slice.errors.values().sum(),
            latencies: latencies(&slice),
            counts: counts(&slice),
            targets: targets.into_iter().map(|(name, scraped)| (name, target(scraped))).collect(),
        });
    }
}

/// Which phase a moment is in.
fn place(phases: &[Stretch], at: f64) -> Option<usize> {
    let found = phases.iter().position(|phase| at < phase.to);
    found.or_else(|| phases.len().checked_sub(1))
}

/// How many of the seconds between two moments are in phases that count, where the last phase never
/// ends, as in [`place`].
fn counted(phases: &[Stretch], from: f64, to: f64) -> f64 {
    let last = phases.len().saturating_sub(1);
    let within = |(place, phase): (usize, &Stretch)| {
        let end = if place == last { to } else { to.min(phase.to) };
        if phase.warmup { 0.0 } else { (end - from.max(phase.from)).max(0.0) }
    };
    phases.iter().enumerate().map(within).sum()
}

/// What a slice of so many seconds adds up to.
pub fn sums(slice: &Slice, seconds: f64) -> Sums {
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
pub fn latency_sums(latency: &Latency) -> LatencySums {
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
