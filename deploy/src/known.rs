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
        "canary" => canary::settings::CanarySettings::command(),
        "loadtest" => loadtest::cli::Cli::command(),
        "switchboard" => standalone::settings::StandaloneSettings::command(),
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
        ("Gateway", "Metrics of sockets and their traffic.", gateway::metric::METRICS),
        ("Api", "Metrics of requests, accounts and the database.", api::metric::METRICS),
        ("Canary", "Measurements of clients that pass messages between all gateways.", canary::OWN),
        (
            "Load tester",
            "Metrics of agents and of runs with `--metrics-listen`, updated each second.",
            loadtest::metric::OWN,
        ),
        (
            "Bus",
            "Metrics of each process that relays. `bus_up` and `bus_reconnects_total` exist only with Redis.",
            platform::bus::METRICS,
        ),
        (
            "Limits",
            "Metrics of each process that limits by address or user.",
            platform::limit::METRICS,
        ),
        ("Access tokens", "Metrics of each process that checks them.", platform::token::METRICS),
        ("Listeners", "Metrics of each process.", platform::serve::METRICS),
        ("Process", "Metrics of each process. The runtime is Tokio.", platform::telemetry::METRICS),
    ]
}

/// The root of the checkout.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}
