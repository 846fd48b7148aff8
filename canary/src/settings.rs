//! What an operator sets of the canary.

use clap::{Parser, Subcommand};
use shared::{settings::Secret, telemetry::LogArgs};
use std::net::SocketAddr;

/// Passes messages between all of Switchboard's gateways all the time, as clients do, and says how
/// it went on /metrics.
///
/// Every flag can also be set by the environment variable named beside it. One is enough.
#[derive(Parser, Clone, Debug)]
#[command(name = "canary", version)]
pub struct Settings {
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Where operators look: /livez, /readyz, /metrics
    #[arg(long, env = "ADMIN_LISTEN", default_value = "127.0.0.1:9300", global = true)]
    pub admin_listen: SocketAddr,
    /// The apis' public listener, for signing in: http://host:port
    #[arg(long, env = "API_URL", default_value = "http://127.0.0.1:8200")]
    pub api_url: String,
    /// The gateways, separated by commas: http://host:port. A name stands for all of its addresses
    /// and is looked up again each round, so gateways may come and go
    #[arg(
        long,
        env = "GATEWAY_URL",
        value_delimiter = ',',
        default_value = "http://127.0.0.1:8100"
    )]
    pub gateway_url: Vec<String>,
    /// The password of the accounts `canary_a` and `canary_b`, which are made when they are missing
    #[arg(long, env = "CANARY_PASSWORD", hide_env_values = true)]
    pub canary_password: Option<Secret>,
    /// How long a round takes: each gateway in turn sends once, the others must have it
    #[arg(long, env = "INTERVAL_SECONDS", default_value_t = 5)]
    pub interval_seconds: u64,
    /// A message that takes longer than this from one gateway to another is late
    #[arg(long, env = "LATE_MILLISECONDS", default_value_t = 500)]
    pub late_milliseconds: u64,
    #[command(flatten)]
    pub log: LogArgs,
}

#[derive(Subcommand, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Watch (the default)
    Watch,
    /// Ask a running canary on this machine whether it is well: exit code 0 or 1
    Health,
}
