//! What each process says of itself every few seconds, for the people who run them, and what gateways answer to a
//! question that was asked over the bus. Nothing else depends on either, and both may be lost.

use super::{Presence, PresenceError};
use crate::{lifecycle::Lifecycle, telemetry::usage};
use bytes::Bytes;
use protocol::{id::NodeId, time::Timestamp};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

/// How often a process reports. The report stays for as long as a lease of [`super::PresenceConfig`].
const EVERY: Duration = Duration::from_secs(10);

/// The most processes that are listed: far more than one Redis server relays for.
pub const MAX_NODES: usize = 500;

/// How long answers wait for whoever asked: longer than it waits for them.
pub(super) const ANSWERS_STAY: Duration = Duration::from_secs(10);

/// What a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum NodeKind {
    /// Serves REST and the page.
    Api,
    /// Holds the sockets.
    Gateway,
}

/// A process as it last described itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeReport {
    /// Names the run of the process. In one process, api and gateway share it.
    pub node: NodeId,
    /// What it does.
    pub kind: NodeKind,
    /// The program's version.
    pub version: String,
    /// When it started, by its own clock.
    pub started_at: Timestamp,
    /// When it described itself, by its own clock.
    pub reported_at: Timestamp,
    /// It was told to stop, and lets its clients go.
    pub draining: bool,
    /// Cores that it kept busy since its last report; `None`: the system does not tell.
    pub cores: Option<f64>,
    /// Resident memory; likewise.
    pub memory_bytes: Option<u64>,
    /// A gateway's part.
    pub gateway: Option<GatewayReport>,
}

/// What only gateways have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayReport {
    /// Open connections.
    pub connections: u64,
    /// How many it takes.
    pub max_connections: u64,
    /// Chats that somebody here watches.
    pub chats: u64,
}

impl Presence {
    /// States what a process says of itself. To be repeated within the lease.
    pub async fn report(&self, report: &NodeReport) -> Result<(), PresenceError> {
        match self {
            Self::Local(presence) => {
                presence.report(report);
                Ok(())
            }
            Self::Redis(presence) => presence.report(report).await,
        }
    }

    /// The processes that reported within the lease, apis first; at most [`MAX_NODES`].
    pub async fn nodes(&self) -> Result<Vec<NodeReport>, PresenceError> {
        let mut nodes = match self {
            Self::Local(presence) => presence.nodes(),
            Self::Redis(presence) => presence.nodes().await?,
        };
        nodes.sort_by_key(|report| (report.kind, report.started_at, report.node));
        Ok(nodes)
    }

    /// Answers a question that came over the bus. Answers that nobody fetches are forgotten.
    pub async fn answer(&self, question: Uuid, answer: Bytes) -> Result<(), PresenceError> {
        match self {
            Self::Local(presence) => {
                presence.answer(question, answer);
                Ok(())
            }
            Self::Redis(presence) => presence.answer(question, answer).await,
        }
    }

    /// The answers to a question so far; at most [`MAX_NODES`].
    pub async fn answers(&self, question: Uuid) -> Result<Vec<Bytes>, PresenceError> {
        match self {
            Self::Local(presence) => Ok(presence.answers(question)),
            Self::Redis(presence) => presence.answers(question).await,
        }
    }
}

/// The start of a report: what does not change.
#[derive(Clone, Copy, Debug)]
pub struct Reporting {
    /// The process.
    pub node: NodeId,
    /// What it does.
    pub kind: NodeKind,
}

impl Reporting {
    /// Reports now, every few seconds and when the process begins to stop; ends with the process's background work.
    /// `gateway` measures what only gateways have.
    pub async fn keep(
        self,
        presence: Presence,
        lifecycle: Lifecycle,
        gateway: impl Fn() -> Option<GatewayReport> + Send,
    ) {
        let started_at = Timestamp::now();
        let mut before = usage().map(|usage| (Instant::now(), usage.processor));
        let mut every = tokio::time::interval(EVERY);
        loop {
            tokio::select! {
                biased;
                _ = every.tick() => {}
                () = lifecycle.soft_stop().cancelled(), if !lifecycle.soft_stop().is_cancelled() => {}
            }
            let usage = usage();
            let now = usage.as_ref().map(|usage| (Instant::now(), usage.processor));
            let report = NodeReport {
                node: self.node,
                kind: self.kind,
                version: env!("CARGO_PKG_VERSION").to_owned(),
                started_at,
                reported_at: Timestamp::now(),
                draining: lifecycle.is_stopping(),
                cores: before.zip(now).and_then(cores),
                memory_bytes: usage.map(|usage| usage.memory_bytes),
                gateway: gateway(),
            };
            before = now;
            if let Err(error) = presence.report(&report).await {
                tracing::debug!(%error, "cannot report this node");
            }
        }
    }
}

/// Busy cores between two looks at the processor time.
fn cores(((from, before), (to, after)): ((Instant, Duration), (Instant, Duration))) -> Option<f64> {
    let time = (to - from).as_secs_f64();
    // The first report comes at once, and says nothing of its own time.
    (time > 0.5).then(|| after.saturating_sub(before).as_secs_f64() / time)
}
