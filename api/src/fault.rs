//! Faults of ours that are not the database's: the cause goes to the log, once, the client gets 500.

use shared::problem::Problem;
use std::fmt::Display;

/// What a service returns: its refusals and faults are all [`Problem`]s, because every caller shows
/// them to a client.
pub type Result<T, E = Problem> = std::result::Result<T, E>;

/// Logs the cause and makes the answer: `.map_err(fault)?`.
pub fn fault(cause: impl Display) -> Problem {
    tracing::error!(error = format!("{cause:#}"), "a request failed");
    Problem::internal()
}
