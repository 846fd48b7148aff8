//! `--abort-on-fail`: watches a run's figures and stops the run when a threshold can no longer be met.

use crate::{
    engine::{Observer, PartSlice, RunEvent},
    measure::Slice,
    report::build::sums,
    scenario::Scenario,
    threshold::Threshold,
};
use parking_lot::Mutex;
use std::sync::{Arc, OnceLock};
use tokio_util::sync::CancellationToken;

/// Stops a run that has failed already.
pub(super) struct Abort {
    phases: Vec<PhaseEnd>,
    thresholds: Vec<Threshold>,
    seen: Mutex<Vec<PhaseTotal>>,
    stop: CancellationToken,
    /// The first threshold that failed.
    because: OnceLock<String>,
}

/// A phase.
struct PhaseEnd {
    name: String,
    warmup: bool,
    to: f64,
}

/// What was measured in one.
#[derive(Clone, Default)]
struct PhaseTotal {
    slice: Slice,
    seconds: f64,
}

impl Abort {
    /// `stop` ends the run.
    pub(super) fn new(scenario: &Scenario, stop: CancellationToken) -> Arc<Self> {
        let mut to = 0.0;
        let phases: Vec<PhaseEnd> = scenario
            .phases
            .iter()
            .map(|phase| {
                to += phase.duration.as_secs_f64();
                PhaseEnd { name: phase.name.clone(), warmup: phase.warmup, to }
            })
            .collect();
        let thresholds = scenario.thresholds.iter().filter_map(|text| text.parse().ok());
        let thresholds = thresholds.filter(Threshold::only_gets_worse).collect();
        let seen = Mutex::new(vec![PhaseTotal::default(); phases.len()]);
        Arc::new(Self { phases, thresholds, seen, stop, because: OnceLock::new() })
    }

    /// For the engine.
    pub(super) fn observer(self: &Arc<Self>) -> Observer {
        let this = Arc::clone(self);
        Arc::new(move |progress| {
            if let RunEvent::Second(slice) = progress {
                this.second(slice);
            }
        })
    }

    /// The threshold that ended the run.
    pub(super) fn reason(&self) -> Option<&str> {
        self.because.get().map(String::as_str)
    }

    fn second(&self, slice: &PartSlice) {
        // A slice counts for the phase of its middle, as in the report.
        let middle = slice.at - slice.seconds / 2.0;
        let Some(place) = self.phases.iter().position(|stretch| middle < stretch.to) else {
            return;
        };
        let mut seen = self.seen.lock();
        let now = &mut seen[place];
        now.slice.then(&slice.slice);
        now.seconds += slice.seconds;
        for threshold in &self.thresholds {
            let mut whole = PhaseTotal::default();
            for (stretch, seen) in self.phases.iter().zip(&*seen) {
                let counts = match &threshold.phase {
                    Some(phase) => *phase == stretch.name,
                    None => !stretch.warmup,
                };
                if counts {
                    whole.slice.then(&seen.slice);
                    whole.seconds += seen.seconds;
                }
            }
            if threshold.is_broken(&sums(&whole.slice, whole.seconds)) {
                let _ = self.because.set(threshold.to_string());
                self.stop.cancel();
            }
        }
    }
}
