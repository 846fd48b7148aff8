//! Runs a scenario: connects people, sends on schedule, injects faults, waits until everything has settled,
//! reads the database, and lets the history checker judge. It prepares no accounts, speaks no protocol
//! (`crate::client` does) and draws nothing.
//!
//! A run consists of parts, one for each agent; a run in one process is one part. [`run`] does everything. A
//! coordinator instead has its agents call `run_part`, itself calls `watch` meanwhile, and calls
//! `conclude` at the end.

mod collect;
mod conclude;
mod environment;
mod faults;
mod load;
mod options;
mod pages;
mod part;
mod plan;
mod population;
mod progress;
mod schedule;
mod scrape;
mod truth;
mod usage;

pub(crate) use conclude::conclude;
pub(crate) use load::run_part;
pub use options::{Act, Fault, RunOptions, Share, Tuning, UsageSource};
pub use part::PartSlice;
pub(crate) use part::{
    GeneratorUse, RunPart, ServerObservations, Shortfall, TokenRenewal, UsageReading,
};
pub use progress::{Observer, RunEvent};

use crate::{client::TargetError, report::Report};
use futures_util::future::join_all;
use std::{io, time::Duration};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Servers are read as often as measurements are taken.
const SCRAPE_INTERVAL: Duration = Duration::from_secs(1);

/// Why a run could not be done. What went wrong with the servers while it went on is in the report.
#[expect(missing_docs, reason = "each variant's message says what happened")]
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error(transparent)]
    Target(#[from] TargetError),
    #[error("{0}")]
    Rest(String),
    #[error("the scenario needs {needed} people, but only {there} were prepared")]
    People { needed: usize, there: usize },
    #[error("cannot start the clients' threads: {0}")]
    Threads(#[from] io::Error),
    #[error("no part of the run returned a result")]
    NoPart,
}

/// Does a whole run in this process: its only part, the watching and the conclusion.
pub async fn run(options: &RunOptions, observer: Observer) -> Result<Report, RunError> {
    let start = options.start.unwrap_or_else(Instant::now);
    let options = &RunOptions { start: Some(start), ..options.clone() };
    let done = CancellationToken::new();
    let part = async {
        let part = run_part(options, observer.clone()).await;
        done.cancel();
        part
    };
    let (part, watched) = tokio::join!(part, watch(options, start, done.clone(), observer.clone()));
    conclude(options, vec![part?], watched, observer).await
}

/// Does to the servers what the scenario and the options say, at its time since `start`, and reads
/// what the servers use, until `done`.
pub(crate) async fn watch(
    options: &RunOptions,
    start: Instant,
    done: CancellationToken,
    observer: Observer,
) -> ServerObservations {
    let commands = options.scenario.faults.iter().map(|hook| Fault {
        name: hook.name.clone(),
        at: hook.at,
        act: Act::Command(hook.run.clone()),
    });
    let all: Vec<Fault> = commands.chain(options.faults.iter().cloned()).collect();
    let faults =
        all.iter().map(|fault| faults::happen(fault, start, (&options.stop, &done), &observer));
    let scrapes = options.scrape.iter().map(async |(name, source)| {
        (name.clone(), scrape::readings(source, start, SCRAPE_INTERVAL, &done).await)
    });
    let (marks, readings) = tokio::join!(join_all(faults), join_all(scrapes));
    let mut watched = ServerObservations {
        marks: marks.into_iter().flatten().collect(),
        ..ServerObservations::default()
    };
    for (name, readings) in readings {
        watched.unread.extend(readings.failed.map(|failed| (name.clone(), failed)));
        watched.targets.insert(name, readings.taken);
    }
    watched
}
