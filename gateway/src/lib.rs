//! The gateway: a stateless WebSocket node. It holds clients' sockets, puts what they send into
//! batches for the api, and hands out the chats' events in order. It stores nothing.
//!
//! Two paths go through it:
//!
//! - A command: [`upgrade`] → `connection` (a frame is read by its [`dialect`], its session decides what
//!   it leads to) → a lane of [`backend`] → api → the answer in the connection's outbox.
//! - An event: bus → `hub` (the chat's feed puts it in order, the chat hands it to its watchers' outboxes)
//!   → `connection` → [`wire`].
//!
//! What the bus loses, `repair` finds; `state` is the running gateway. Imports point down this list:
//! [`upgrade`], `connection`, `state`, `repair`, `hub`, [`settings`], [`backend`], [`metric`],
//! [`dialect`], [`wire`], [`config`].

#![warn(missing_docs, unreachable_pub)]

pub mod backend;
pub mod config;
mod connection;
pub mod dialect;
mod hub;
pub mod metric;
mod repair;
pub mod settings;
#[cfg(test)]
mod simulation;
mod state;
#[cfg(test)]
mod testing;
pub mod upgrade;
pub mod wire;

pub use state::{Deps, Gateway};

use platform::{bus, limit, metric::Metric, serve, telemetry, token};

/// The metrics of the `gateway` binary.
pub const METRICS: &[&[Metric]] = &[
    telemetry::METRICS,
    serve::METRICS,
    bus::METRICS,
    limit::METRICS,
    token::METRICS,
    metric::METRICS,
];
