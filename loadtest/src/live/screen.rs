//! The text of the live view: from updates to lines. It writes nowhere.

use super::ViewUpdate;
use crate::{
    engine::RunEvent,
    measure::{Count, Op, Slice},
    report::{
        build::latency_sums,
        text::{count, decimals, millis, moment, number},
    },
    scenario::Scenario,
};

/// Letters of the bar: it fits beside its percentage in the narrowest terminals.
const BAR: usize = 40;

/// What is known of the run.
pub(super) struct Screen {
    scenario: String,
    phases: Vec<String>,
    /// Seconds that the phases take.
    length: f64,
    at: f64,
    stage: ScreenStage,
    /// What was measured since it was last shown, how long that was, and the CPU seconds used.
    fresh: Slice,
    seconds: f64,
    cpu: f64,
    shown: bool,
    errors: u64,
    closes: u64,
    skipped: u64,
}

/// What is being done.
enum ScreenStage {
    /// Something that has so many of so many, and more to say.
    Counting {
        what: String,
        done: usize,
        of: usize,
        more: String,
    },
    Phase(usize),
    Settling(String),
    Checking,
}

impl Screen {
    pub(super) fn new(scenario: &Scenario) -> Self {
        Self {
            scenario: scenario.name.clone(),
            phases: scenario.phases.iter().map(|phase| phase.name.clone()).collect(),
            length: scenario.phases.iter().map(|phase| phase.duration.as_secs_f64()).sum(),
            at: 0.0,
            stage: counting("preparing", 0, 0, String::new()),
            fresh: Slice::default(),
            seconds: 0.0,
            cpu: 0.0,
            shown: false,
            errors: 0,
            closes: 0,
            skipped: 0,
        }
    }

    /// Takes in an update. Returns the line of an event, which stays on the screen.
    pub(super) fn on(&mut self, updates: &ViewUpdate) -> Option<String> {
        match updates {
            ViewUpdate::Preparing(progress) => {
                let left = progress.left.map(|left| format!("{} left", moment(left.as_secs_f64())));
                let more = match progress.waiting {
                    Some(wait) => format!("the service asks to wait {} s", wait.as_secs()),
                    None => left.unwrap_or_default(),
                };
                let what = format!("preparing: {}", progress.step.name());
                self.stage = counting(&what, progress.done, progress.of, more);
            }
            ViewUpdate::Run(RunEvent::Phase(place)) => {
                self.stage = ScreenStage::Phase(*place);
                return Some(format!("{} phase {}", moment(self.at), self.phase(*place)));
            }
            ViewUpdate::Run(RunEvent::Second(second)) => {
                if std::mem::take(&mut self.shown) {
                    self.fresh = Slice::default();
                    (self.seconds, self.cpu) = (0.0, 0.0);
                }
                self.at = second.at;
                self.seconds += second.seconds;
                self.cpu += second.cpu;
                self.fresh.then(&second.slice);
                self.errors += second.slice.errors.values().sum::<u64>();
                self.closes += second.slice.closes.values().sum::<u64>();
                self.skipped += counted(&second.slice, Count::Skipped);
            }
            ViewUpdate::Run(RunEvent::Mark(mark)) => {
                return Some(format!("{} {}: {}", moment(mark.at), mark.name, mark.outcome));
            }
            ViewUpdate::Run(RunEvent::Settling { unacked, away, left }) => {
                self.stage = ScreenStage::Settling(format!(
                    "{} not acknowledged, {} devices away, at most {} left",
                    count(*unacked),
                    count(*away),
                    moment(left.as_secs_f64())
                ));
            }
            ViewUpdate::Run(RunEvent::Reading { chats, of }) => {
                self.stage = counting("reading the database: chats", *chats, *of, String::new());
            }
            ViewUpdate::Run(RunEvent::Checking) => self.stage = ScreenStage::Checking,
        }
        None
    }

    /// All there is to show at a terminal. The next second begins anew.
    pub(super) fn lines(&mut self) -> String {
        let done = self.done();
        let full = (done * BAR as f64) as usize;
        let bar = "█".repeat(full) + &"░".repeat(BAR - full);
        let figures = self.figures();
        format!("{}: {}\n{bar} {:.0} %{figures}", self.scenario, self.activity(), done * 100.0)
    }

    /// How far it is, from 0 to 1.
    fn done(&self) -> f64 {
        match &self.stage {
            ScreenStage::Counting { of: 0, .. } => 0.0,
            ScreenStage::Counting { done, of, .. } => (*done as f64 / *of as f64).min(1.0),
            ScreenStage::Phase(_) => (self.at / self.length.max(1.0)).min(1.0),
            ScreenStage::Settling(_) | ScreenStage::Checking => 1.0,
        }
    }

    /// Whether a plain line would say anything.
    pub(super) fn has_figures(&self) -> bool {
        !matches!(self.stage, ScreenStage::Counting { of: 0, .. })
    }

    /// The lines below the bar, each after a line feed.
    fn figures(&mut self) -> String {
        if matches!(self.stage, ScreenStage::Counting { .. } | ScreenStage::Checking) {
            return String::new();
        }
        let mut lines = vec![self.rates()];
        for op in [Op::Delivery, Op::Ack] {
            lines.push(format!(
                "{:<9} {}",
                op.name(),
                self.latency(op).unwrap_or_else(|| "–".to_owned())
            ));
        }
        lines.push(self.troubles());
        self.shown = true;
        lines.iter().map(|line| format!("\n{line}")).collect()
    }

    /// All of it in one line. The next second begins anew.
    pub(super) fn line(&mut self) -> String {
        let doing = self.activity();
        if matches!(self.stage, ScreenStage::Counting { .. } | ScreenStage::Checking) {
            return doing;
        }
        let mut parts = vec![format!("{} {doing}", moment(self.at)), self.rates()];
        for op in [Op::Delivery, Op::Ack] {
            parts.extend(self.latency(op).map(|latency| format!("{} {latency}", op.name())));
        }
        parts.push(self.troubles());
        self.shown = true;
        parts.join("; ")
    }

    fn activity(&self) -> String {
        match &self.stage {
            ScreenStage::Counting { what, of: 0, .. } => what.clone(),
            ScreenStage::Counting { what, done, of, more } => {
                let text = format!("{what} {} of {}", count(*done as u64), count(*of as u64));
                if more.is_empty() { text } else { format!("{text}, {more}") }
            }
            ScreenStage::Phase(place) => {
                let left = (self.length - self.at).max(0.0);
                format!("{}, {} left", self.phase(*place), moment(left))
            }
            ScreenStage::Settling(text) => format!("settling: {text}"),
            ScreenStage::Checking => "checking what everybody received".to_owned(),
        }
    }

    fn phase(&self, place: usize) -> String {
        let name = self.phases.get(place).map_or("?", String::as_str);
        format!("{name} ({} of {})", place + 1, self.phases.len())
    }

    fn rates(&self) -> String {
        let rate = |count| number(counted(&self.fresh, count) as f64 / self.seconds.max(1e-3));
        format!(
            "{} connections, sent {}/s, acked {}/s, delivered {}/s",
            count(self.fresh.connections),
            rate(Count::Sent),
            rate(Count::Acked),
            rate(Count::Delivered)
        )
    }

    fn latency(&self, op: Op) -> Option<String> {
        let latency = self.fresh.latencies.get(&op).filter(|latency| !latency.0.is_empty())?;
        let sums = latency_sums(latency);
        Some(format!(
            "p50 {}, p99 {}, max {}",
            millis(sums.p50),
            millis(sums.p99),
            millis(sums.max)
        ))
    }

    fn troubles(&self) -> String {
        let lag = self.fresh.latencies.get(&Op::Lag).map(latency_sums).unwrap_or_default();
        format!(
            "{} errors, {} closes, {} skipped in all; own lag p99 {}, {} cores",
            count(self.errors),
            count(self.closes),
            count(self.skipped),
            millis(lag.p99),
            decimals(self.cpu / self.seconds.max(1e-3), 2)
        )
    }
}

fn counting(what: &str, done: usize, of: usize, more: String) -> ScreenStage {
    ScreenStage::Counting { what: what.to_owned(), done, of, more }
}

fn counted(slice: &Slice, count: Count) -> u64 {
    slice.counts.get(&count).copied().unwrap_or_default()
}
