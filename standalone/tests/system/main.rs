//! The whole product, tried from outside by its clients: every test here talks to real processes
//! over real sockets, and most run twice from one source, against the single process on SQLite and
//! against a cluster (two gateways, two apis, PostgreSQL, Redis, load balancer).

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[macro_use]
mod harness;

mod access;
mod accounts;
mod accounts_share;
mod administration;
mod asyncapi;
mod avatars;
mod bad_input;
mod balancers;
mod chaos;
mod chat;
mod closing;
mod commands;
mod dialects;
mod handshakes;
mod hosting;
mod idempotency;
mod lists;
mod log_level;
mod membership;
mod operation;
mod preparing;
mod presence;
mod resume;
mod revocation;
mod settings;
mod strangers;
mod tracing;
mod waiting;
mod weather;
