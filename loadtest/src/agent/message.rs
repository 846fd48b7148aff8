//! The messages between coordinator and agent, as JSON. Types and their bounds only.

use crate::{
    cast::Cast,
    engine::{PartSlice, RunOptions, Share, Tuning},
    scenario::Scenario,
    trust::Trust,
};
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time::Duration};

/// An agent that hears nothing of its coordinator for so long ends the run. Ten polls; a coordinator
/// that is only slow comes within two.
pub(super) const LEASE: Duration = Duration::from_secs(10);

/// The same before the start, while its coordinator still waits for other agents to take in their
/// orders: twice what that may take.
pub(super) const LEASE_PREPARED: Duration = Duration::from_secs(60);

/// The largest order taken. A person has about 700 bytes of tokens, a chat 100: 80,000 people.
pub(super) const MAX_REQUEST_BYTES: usize = 64 << 20;

/// The largest result, packed. A record has some bytes for each message and each device's chat; 256 MiB
/// are some ten millions.
pub(super) const MAX_RESULT_BYTES: usize = 256 << 20;

/// … and unpacked: JSON of numbers packs about ten to one.
pub(super) const MAX_RESULT_UNPACKED: u64 = 4 << 30;

/// A result is fetched in pieces of this size, so that each is one short request.
pub(super) const PIECE_BYTES: usize = 3 << 20;

/// Progress updates that an agent keeps for its coordinator: no live view shows what is older than two minutes.
pub(super) const UPDATES_KEPT: usize = 120;

/// Progress updates in one answer: a second has up to 60 KiB with every histogram full.
pub(super) const UPDATES_AT_ONCE: usize = 60;

pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// `POST /runs`: asks an agent to take part in a run.
#[derive(Serialize, Deserialize)]
pub(super) struct RunRequest {
    /// The load tester's: both sides must read a scenario and a result alike.
    pub version: String,
    pub run: String,
    pub scenario: Scenario,
    pub url: String,
    pub trust: Trust,
    pub index: usize,
    pub of: usize,
    /// Everybody and every chat, so that places mean the same everywhere; tokens only of the people of
    /// this share.
    pub cast: Cast,
    #[serde(with = "crate::duration")]
    pub settle: Duration,
    #[serde(with = "crate::duration")]
    pub quiet_apart: Duration,
}

impl RunRequest {
    /// The request to one agent of `of`.
    pub(super) fn new(options: &RunOptions, index: usize, of: usize) -> Self {
        let share = Share { index, of };
        let mut cast = Cast::clone(&options.cast);
        for (place, person) in cast.people.iter_mut().enumerate() {
            if !share.has(place) {
                person.token.clear();
                person.refresh.clear();
            }
        }
        Self {
            version: VERSION.to_owned(),
            run: options.run.clone(),
            scenario: Scenario::clone(&options.scenario),
            url: options.url.clone(),
            trust: options.trust.clone(),
            index,
            of,
            cast,
            settle: options.tuning.settle,
            quiet_apart: options.tuning.quiet_apart,
        }
    }

    /// The engine's options; when to start and the clock's offset are not known yet.
    pub(super) fn options(self) -> RunOptions {
        let tuning =
            Tuning { settle: self.settle, quiet_apart: self.quiet_apart, ..Tuning::default() };
        let share = Share { index: self.index, of: self.of };
        RunOptions {
            share,
            tuning,
            trust: self.trust,
            ..RunOptions::new(self.scenario, self.cast, self.url, self.run)
        }
    }
}

/// `GET /runs/{run}/clock`: the agent's clock while it answered.
#[derive(Serialize, Deserialize)]
pub(super) struct ClockReading {
    pub unix_micros: i64,
}

/// `POST /runs/{run}/start`: when, by the coordinator's clock, and what to add to the agent's own to
/// have that.
#[derive(Serialize, Deserialize)]
pub(super) struct Start {
    pub unix_micros: i64,
    pub add_micros: i64,
}

/// `GET /runs/{run}/progress?since=N`: the state of the run, and its updates from number N on.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct RunProgress {
    pub state: RunStage,
    /// What to ask for next.
    pub next: u64,
    pub updates: Vec<ProgressUpdate>,
}

/// How far an agent's run is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RunStage {
    /// Waits for the start.
    Prepared,
    Running,
    /// Its result can be fetched.
    Ended,
    /// Could not be done, and why.
    Failed(String),
}

/// What an agent reports of the engine's progress.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ProgressUpdate {
    Phase(usize),
    Second(Arc<PartSlice>),
    Settling { unacked: u64, away: u64, left_ms: u64 },
}

/// `GET /runs/{run}/result?from=N`: bytes of the [`crate::engine::RunPart`], as JSON, packed by gzip.
#[derive(Serialize, Deserialize)]
pub(super) struct Piece {
    /// Of all pieces together.
    pub total: usize,
    /// In base64.
    pub bytes: String,
}
