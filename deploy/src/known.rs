//! What the code knows: every setting of every binary, every metric of every process.

use clap::{Arg, Command, CommandFactory};
use platform::metric::Metric;
use std::path::PathBuf;

/// The binaries that are deployed, by the names of their images and containers.
pub const BINARIES: [&str; 5] = ["gateway", "api", "canary", "loadtest", "switchboard"];

/// A binary's command line, which knows its settings.
pub fn command(binary: &str) -> Option<Command> {
    Some(match binary {
        "gateway" => gateway::settings::Settings::command(),
        "api" => api::settings::Settings::command(),
        "canary" => canary::settings::Settings::command(),
        "loadtest" => loadtest::cli::Cli::command(),
        "switchboard" => standalone::settings::Settings::command(),
        _ => return None,
    })
}

/// What the environment may set of a binary, its subcommands included; each once.
pub fn settings(command: &Command) -> Vec<&Arg> {
    let mut found: Vec<&Arg> = Vec::new();
    let below = command.get_subcommands().flat_map(settings);
    for setting in command.get_arguments().filter(|one| one.get_env().is_some()).chain(below) {
        if !found.iter().any(|one| one.get_env() == setting.get_env()) {
            found.push(setting);
        }
    }
    found
}

/// A binary's metrics.
pub fn metrics(binary: &str) -> Vec<Metric> {
    let tables = match binary {
        "gateway" => gateway::METRICS,
        "api" => api::METRICS,
        "canary" => canary::METRICS,
        "loadtest" => loadtest::metric::METRICS,
        "switchboard" => standalone::server::METRICS,
        _ => &[],
    };
    tables.iter().copied().flatten().copied().collect()
}

/// Every table of metrics once: whose they are, what to know of them, the rows.
pub fn metric_tables() -> Vec<(&'static str, &'static str, &'static [Metric])> {
    vec![
        ("Gateway", "Of the sockets and what goes through them.", gateway::metric::METRICS),
        ("Api", "Of requests, accounts and the database.", api::metric::METRICS),
        ("Canary", "What clients see who pass messages between all gateways.", canary::OWN),
        (
            "Load tester",
            "Of agents, and of runs with `--metrics-listen`: the last second's.",
            loadtest::metric::OWN,
        ),
        (
            "Bus",
            "Of every process that relays; `bus_up` and `bus_reconnects_total` only with Redis.",
            platform::bus::METRICS,
        ),
        ("Limits", "Of every process that limits by address or user.", platform::limit::METRICS),
        ("Listeners", "Of every process.", platform::serve::METRICS),
        ("Process", "Of every process; the runtime is Tokio's.", platform::telemetry::METRICS),
    ]
}

/// The root of the checkout.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}
