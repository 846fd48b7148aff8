//! What every Switchboard process stands on: Redis, the bus, presence, limits, the accept loop, settings, logs,
//! metrics, traces, the life of a process. What the processes say to each other is `switchboard-protocol`.
//! Something enters here only when two crates need it.

#![warn(missing_docs, unreachable_pub)]

pub mod admin;
pub mod backoff;
pub mod breaker;
pub mod bus;
pub mod credentials;
pub mod files;
pub mod forwarded;
pub mod lifecycle;
pub mod limit;
pub mod metric;
pub mod presence;
pub mod problem;
pub mod redis;
pub mod serve;
pub mod settings;
pub mod stream;
pub mod telemetry;
pub mod text;
pub mod token;
