//! A public page on how the service is doing. What load balancers ask is on the admin listener
//! ([`crate::ready`]).

use crate::{lobby, state::Api};
use protocol::{id::ChatId, time::Timestamp};
use serde::Serialize;
use std::{sync::Arc, time::Duration};
use sysinfo::{MemoryRefreshKind, RefreshKind, System};
use tokio::{
    sync::Mutex,
    time::{Instant, error::Elapsed, timeout},
};
use utoipa::ToSchema;

/// How long the database, or Redis, may take to answer before it counts as away.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long an answer is given to everybody who asks: nobody looks more often, and it asks the database,
/// Redis and the machine.
const KEPT: Duration = Duration::from_secs(1);

/// What was found last, and when. Clones share it.
#[derive(Clone)]
pub(crate) struct LastStatus {
    /// When this process began to serve.
    started: Instant,
    found: Arc<Mutex<Option<(Instant, Status)>>>,
}

/// The health of this process.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Health {
    /// `healthy`, or `degraded` while the database does not answer or rejects writes.
    #[schema(examples("healthy"))]
    pub status: &'static str,
    #[schema(examples("Switchboard"))]
    pub app: &'static str,
    /// The time by this process's clock.
    pub timestamp: Timestamp,
    #[schema(examples("0.1.0"))]
    pub version: &'static str,
}

/// The health of this process and of the parts around it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Status {
    #[serde(flatten)]
    pub health: Health,
    pub database: Database,
    pub websocket: WebSocket,
    pub system: Machine,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Database {
    /// The number of messages in the lobby; `null` while the database does not answer or rejects
    /// writes.
    #[schema(minimum = 0, examples(42))]
    pub message_count: Option<i64>,
    /// `connected` or `disconnected`.
    #[schema(examples("connected"))]
    pub status: &'static str,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct WebSocket {
    /// Connections to all gateways, as the gateways reported them within the last seconds; `null`
    /// while Redis, which holds the numbers, does not answer.
    #[schema(minimum = 0, examples(3))]
    pub active_connections: Option<u64>,
    /// `active`, or `unknown` while Redis does not answer.
    #[schema(examples("active"))]
    pub status: &'static str,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Machine {
    /// The uptime of this process, such as `2 hours`.
    #[schema(examples("2 hours"))]
    pub uptime: String,
    /// The memory usage of the machine, such as `45%`.
    #[schema(examples("45%"))]
    pub memory_usage: String,
}

/// Asks nobody.
pub(crate) fn health() -> Health {
    Health {
        status: "healthy",
        app: "Switchboard",
        timestamp: Timestamp::now(),
        version: env!("CARGO_PKG_VERSION"),
    }
}

impl LastStatus {
    /// Of a process that begins to serve now.
    pub(crate) fn new() -> Self {
        Self { started: Instant::now(), found: Arc::default() }
    }

    /// As it was within the last second. Who comes while it is found out waits for that.
    pub(crate) async fn status(&self, api: &Api) -> Status {
        let mut last = self.found.lock().await;
        match &*last {
            Some((at, status)) if at.elapsed() < KEPT => status.clone(),
            _ => {
                let status = look(api, self.started).await;
                *last = Some((Instant::now(), status.clone()));
                status
            }
        }
    }
}

/// Asks all, at most a second long. Sockets and sending work without Redis, so only the database
/// can make it `degraded`.
async fn look(api: &Api, started: Instant) -> Status {
    let message_count = timeout(PATIENCE, async {
        api.db.home().ping().await?;
        let mut conn = api.db.of(ChatId::LOBBY).read().await?;
        lobby::total(&mut conn.link()).await
    });
    let connections = timeout(PATIENCE, async {
        let connections = api.presence.connections().await;
        connections.inspect_err(|error| tracing::debug!(%error, "presence does not answer"))
    });
    let (message_count, connections) = tokio::join!(message_count, connections);
    let active_connections = answer(connections);
    let message_count = answer(message_count);
    let (database, status) = match message_count {
        Some(_) => ("connected", "healthy"),
        None => ("disconnected", "degraded"),
    };
    Status {
        health: Health { status, ..health() },
        database: Database { message_count, status: database },
        websocket: WebSocket {
            active_connections,
            status: if active_connections.is_some() { "active" } else { "unknown" },
        },
        system: Machine {
            uptime: words(started.elapsed()),
            memory_usage: format!("{}%", memory_percent()),
        },
    }
}

/// The cause is in the log already, or nothing came.
fn answer<T, E>(result: Result<Result<T, E>, Elapsed>) -> Option<T> {
    result.ok()?.ok()
}

/// In the largest unit that fits.
fn words(time: Duration) -> String {
    let seconds = time.as_secs();
    let (count, unit) = match seconds {
        0..60 => (seconds, "second"),
        60..3_600 => (seconds / 60, "minute"),
        3_600..86_400 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

fn memory_percent() -> u64 {
    let ram = MemoryRefreshKind::nothing().with_ram();
    let system = System::new_with_specifics(RefreshKind::nothing().with_memory(ram));
    let (total, free) = (system.total_memory(), system.available_memory());
    (total.saturating_sub(free) * 100).checked_div(total).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_in_words() {
        for (seconds, expected) in [
            (0, "0 seconds"),
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "1 minute"),
            (3_599, "59 minutes"),
            (7_300, "2 hours"),
            (86_400, "1 day"),
            (900_000, "10 days"),
        ] {
            assert_eq!(words(Duration::from_secs(seconds)), expected);
        }
    }

    #[test]
    fn some_memory_is_always_used() {
        assert!((1..=100).contains(&memory_percent()));
    }
}
