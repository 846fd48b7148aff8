//! What the code knows: every setting of every binary, every metric of every process.

use clap::{Command, CommandFactory};
use shared::metric::Metric;
use std::path::PathBuf;

/// The binaries that are deployed, by the names of their images and containers.
pub const BINARIES: [&str; 4] = ["gateway", "api", "canary", "switchboard"];

/// A binary's command line, which knows its settings.
pub fn command(binary: &str) -> Option<Command> {
    Some(match binary {
        "gateway" => gateway::settings::Settings::command(),
        "api" => api::settings::Settings::command(),
        "canary" => canary::settings::Settings::command(),
        "switchboard" => standalone::settings::Settings::command(),
        _ => return None,
    })
}

/// A binary's metrics.
pub fn metrics(binary: &str) -> Vec<Metric> {
    let tables = match binary {
        "gateway" => gateway::METRICS,
        "api" => api::METRICS,
        "canary" => canary::METRICS,
        "switchboard" => standalone::server::METRICS,
        _ => &[],
    };
    tables.iter().copied().flatten().copied().collect()
}

/// The root of the checkout.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}
