//! A whole gateway in its own house: clients over loopback sockets, the local bus, an api that says what
//! the test says, and a clock that moves only when a test lets time pass. What the api decides and how
//! nodes work together is proved with the whole system (`standalone/tests/system/`).

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod contract;
mod delivery;
mod doubt;
mod drain;
mod fake_api;
mod gaps;
mod harness;
mod joining;
mod opening;
mod posting;
mod revocation;
#[path = "../../src/backend/scripted.rs"]
mod scripted;
mod slow_reader;
mod subscribing;
mod windows;

/// Where [`scripted`] finds the trait in both of its homes.
use gateway::backend;
