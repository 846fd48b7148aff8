//! One agent as its coordinator sees it: each of its requests as a call. The coordinator decides when to call
//! which.

use super::{
    clocks::{Offset, Sample},
    message::{
        ClockReading, MAX_RESULT_BYTES, MAX_RESULT_UNPACKED, Piece, RunProgress, RunRequest, Start,
    },
};
use crate::{
    client::Clock,
    engine::RunPart,
    rest::{Rest, RestError},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use flate2::read::GzDecoder;
use platform::settings::Secret;
use std::{
    io::{BufReader, Read as _},
    time::Duration,
};
use tokio::time::{Instant, timeout};

/// Questions for the time. The shortest of 16 ways is close to the shortest there is.
const CLOCK_QUESTIONS: usize = 16;

/// For a question that an agent answers from memory. Three fit into its lease.
const SOON: Duration = Duration::from_secs(3);

/// What an agent did not do. Never holds the secret.
#[expect(missing_docs, reason = "each variant's message says what happened")]
#[derive(Debug, thiserror::Error)]
pub enum AgentFault {
    #[error(transparent)]
    Rest(#[from] RestError),
    #[error("the agent could not run its share: {0}")]
    Failed(String),
    #[error("no answer for {} s: {why}", after.as_secs())]
    Silent { after: Duration, why: String },
    #[error("the agent's clock could not be compared with this machine's")]
    Clock,
    #[error("the agent's result cannot be read: {0}")]
    Result(String),
}

/// An agent.
#[derive(Clone)]
pub(super) struct Remote {
    /// Its URL, as it was given.
    pub name: String,
    rest: Rest,
    secret: Option<Secret>,
}

impl Remote {
    pub(super) fn new(url: &str, secret: Option<Secret>) -> Result<Self, RestError> {
        Ok(Self { name: url.to_owned(), rest: Rest::new(url)?, secret })
    }

    fn secret(&self) -> Option<&str> {
        self.secret.as_ref().map(Secret::reveal)
    }

    pub(super) async fn prepare(&self, request: &RunRequest) -> Result<(), AgentFault> {
        Ok(self.rest.post("/runs", self.secret(), request).await?)
    }

    /// How far its clock is from `ours`.
    pub(super) async fn offset(&self, run: &str, ours: &Clock) -> Result<Offset, AgentFault> {
        let path = format!("/runs/{run}/clock");
        let mut samples = Vec::with_capacity(CLOCK_QUESTIONS);
        for _ in 0..CLOCK_QUESTIONS {
            let sent = ours.micros(Instant::now());
            let reading: ClockReading = with_timeout(self.rest.get(&path, self.secret())).await?;
            let received = ours.micros(Instant::now());
            samples.push(Sample { sent, theirs: reading.unix_micros, received });
        }
        Offset::of(&samples).ok_or(AgentFault::Clock)
    }

    pub(super) async fn start(&self, run: &str, start: &Start) -> Result<(), AgentFault> {
        with_timeout(self.rest.post(&format!("/runs/{run}/start"), self.secret(), start)).await
    }

    pub(super) async fn progress(&self, run: &str, since: u64) -> Result<RunProgress, AgentFault> {
        let path = format!("/runs/{run}/progress?since={since}");
        with_timeout(self.rest.get(&path, self.secret())).await
    }

    pub(super) async fn stop(&self, run: &str) -> Result<(), AgentFault> {
        with_timeout(self.rest.post(&format!("/runs/{run}/stop"), self.secret(), &())).await
    }

    /// What it found, piece by piece.
    pub(super) async fn result(&self, run: &str) -> Result<RunPart, AgentFault> {
        let wrong = |why: &str| AgentFault::Result(why.to_owned());
        let mut packed = Vec::new();
        loop {
            let path = format!("/runs/{run}/result?from={}", packed.len());
            let piece: Piece = self.rest.get(&path, self.secret()).await?;
            let bytes = STANDARD.decode(piece.bytes).map_err(|error| wrong(&error.to_string()))?;
            packed.extend_from_slice(&bytes);
            if packed.len() >= piece.total {
                break;
            }
            if bytes.is_empty() || piece.total > MAX_RESULT_BYTES {
                return Err(wrong("it has no end"));
            }
        }
        let unpacking = tokio::task::spawn_blocking(move || {
            let unpacked = GzDecoder::new(packed.as_slice()).take(MAX_RESULT_UNPACKED);
            serde_json::from_reader(BufReader::new(unpacked))
        });
        let part = unpacking.await.map_err(|error| wrong(&error.to_string()))?;
        part.map_err(|error| wrong(&error.to_string()))
    }

    /// Frees the agent. That it is free already, or unreachable and will find out, is no matter.
    pub(super) async fn release(&self, run: &str) {
        let path = format!("/runs/{run}");
        let _: Result<(), _> = with_timeout(self.rest.delete(&path, self.secret())).await;
    }
}

async fn with_timeout<A>(
    call: impl Future<Output = Result<A, RestError>>,
) -> Result<A, AgentFault> {
    let silent = || AgentFault::Silent { after: SOON, why: "no answer".to_owned() };
    Ok(timeout(SOON, call).await.map_err(|_| silent())??)
}
