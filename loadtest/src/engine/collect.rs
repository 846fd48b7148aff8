//! Collects the clients' measurements, second by second, and decides at the end whether the load tester kept
//! up. All parts of a run cut at the same moments, so that they can be summed.

use super::{GeneratorUse, Observer, PartSlice, RunEvent, RunOptions, Tuning, plan::Plan, usage};
use crate::{
    measure::{Latency, Op},
    recorder::Recorder,
};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// Slices kept of a phase, about; in a run of more seconds they are of several seconds each. One has
/// three large histograms as a rule, so this is 80 MiB.
const SLICES: f64 = 1_000.0;

/// The measurements of one process.
#[derive(Debug)]
pub(super) struct Collector {
    recorder: Recorder,
    tuning: Tuning,
    start: Instant,
    /// Where each phase ends, and whether it is a warm-up.
    phases: Vec<(f64, bool)>,
    /// Seconds of a kept slice.
    width: f64,
    reached: f64,
    cpu: f64,
    open: Option<PartSlice>,
    kept: Vec<PartSlice>,
    /// Over the phases that count: lag, CPU seconds, seconds, and seconds in which it was busy.
    lag: Latency,
    used: f64,
    seconds: f64,
    busy: f64,
}

impl Collector {
    /// For a run whose first phase begins at `start`.
    pub(super) fn new(
        options: &RunOptions,
        plan: &Plan,
        recorder: Recorder,
        start: Instant,
    ) -> Self {
        let ends = plan.spans().iter().map(|span| span.to);
        let warmups = options.scenario.phases.iter().map(|phase| phase.warmup);
        Self {
            recorder,
            tuning: options.tuning.clone(),
            start,
            phases: ends.zip(warmups).collect(),
            width: (plan.seconds() / SLICES).ceil().max(1.0),
            reached: 0.0,
            cpu: usage::own_cpu(),
            open: None,
            kept: Vec::new(),
            lag: Latency::default(),
            used: 0.0,
            seconds: 0.0,
            busy: 0.0,
        }
    }

    /// When [`Collector::cut`] is due: each second, and at each phase's end.
    pub(super) fn next_cut(&self) -> Instant {
        self.start + Duration::from_secs_f64(self.next_place())
    }

    /// Takes what was measured since the last cut, when it is time. A cut that comes late is said to be
    /// where the last one was due that it replaces.
    pub(super) fn cut(&mut self, now: Instant, observer: &Observer) {
        let mut place = None;
        while self.next_cut() <= now {
            place = Some(self.next_place());
            self.reached = self.next_place();
        }
        if let Some(place) = place {
            self.take(place, observer);
        }
    }

    /// Takes the rest, and everything.
    pub(super) fn finish(
        mut self,
        now: Instant,
        observer: &Observer,
    ) -> (Vec<PartSlice>, GeneratorUse) {
        self.cut(now, observer);
        let rest = now.saturating_duration_since(self.start).as_secs_f64();
        self.take(rest, observer);
        self.kept.extend(self.open.take());
        let limited = self.limited();
        let generator = GeneratorUse {
            cpu_seconds: self.used,
            max_memory_bytes: usage::own_peak_bytes(),
            lag: self.lag,
            limited,
        };
        (self.kept, generator)
    }

    fn next_place(&self) -> f64 {
        let second = self.reached.floor() + 1.0;
        let ends = self.phases.iter().map(|(end, _)| *end);
        ends.filter(|end| *end > self.reached).fold(second, f64::min)
    }

    fn take(&mut self, at: f64, observer: &Observer) {
        let since = self.open.as_ref().or(self.kept.last()).map_or(0.0, |slice| slice.at);
        let cpu = usage::own_cpu();
        let taken = PartSlice {
            at,
            seconds: at - since,
            slice: self.recorder.drain(),
            cpu: cpu - std::mem::replace(&mut self.cpu, cpu),
        };
        self.weigh(&taken);
        observer(&RunEvent::Second(Arc::new(taken.clone())));
        match &mut self.open {
            Some(open) => open.then(&taken),
            None => self.open = Some(taken),
        }
        // Multiples of the width, wherever the last one was kept: the same places in all parts.
        let width = |at: f64| (at / self.width).floor();
        let is_end = self.phases.iter().any(|(end, _)| *end == at);
        if is_end || width(at) > width(self.kept.last().map_or(0.0, |kept| kept.at)) {
            self.kept.extend(self.open.take());
        }
    }

    /// What the second says of the generator itself. The first ones of a phase that counts may be late
    /// with what a warm-up left; that is a second of many.
    fn weigh(&mut self, taken: &PartSlice) {
        let middle = taken.at - taken.seconds / 2.0;
        let phase = self.phases.iter().find(|(end, _)| middle < *end);
        if phase.is_none_or(|(_, warmup)| *warmup) {
            return;
        }
        if let Some(lag) = taken.slice.latencies.get(&Op::Lag) {
            self.lag.add(lag);
        }
        self.used += taken.cpu;
        self.seconds += taken.seconds;
        if taken.cpu > self.tuning.busy * cores() * taken.seconds {
            self.busy += taken.seconds;
        }
    }

    fn limited(&self) -> Option<String> {
        let Tuning { max_lag, busy, busy_seconds, .. } = self.tuning;
        let lag = Duration::from_micros(self.lag.0.value_at_quantile(0.99));
        if lag > max_lag {
            return Some(format!(
                "one in a hundred of its actions began more than {} ms late; {} ms are allowed. Use \
                 more agents, or a machine that does nothing else",
                lag.as_millis(),
                max_lag.as_millis()
            ));
        }
        (self.busy > busy_seconds * self.seconds).then(|| {
            format!(
                "it used more than {:.0} % of its {} cores in {:.0} of {:.0} seconds. Use more agents, \
                 or a larger machine",
                busy * 100.0,
                cores(),
                self.busy,
                self.seconds
            )
        })
    }
}

impl PartSlice {
    /// Adds the stretch that follows.
    pub(super) fn then(&mut self, later: &Self) {
        self.at = later.at;
        self.seconds += later.seconds;
        self.cpu += later.cpu;
        self.slice.then(&later.slice);
    }

    /// Adds what another process measured in the same stretch.
    pub(super) fn add_parallel(&mut self, other: &Self) {
        self.cpu += other.cpu;
        self.slice.add_parallel(&other.slice);
    }
}

/// The cores that this process may use.
fn cores() -> f64 {
    std::thread::available_parallelism().map_or(1.0, |cores| cores.get() as f64)
}

#[cfg(test)]
mod tests;
