//! What an operator sets of the one-process Switchboard.

use api::{
    config::Config as ApiConfig,
    settings::{AdminCommand, LimitArgs, RetentionArgs},
};
use clap::{Parser, Subcommand};
use gateway::{config::Config as GatewayConfig, settings::ClientArgs};
use platform::{
    settings::{ListenAddr, Secret},
    telemetry::{LogArgs, LogCommand, trace::TraceArgs},
};
use std::path::PathBuf;

/// Switchboard in one process: chat for your team or your test, nothing to install.
///
/// Everything it keeps is in the data folder: the SQLite database and the key that signs tokens.
/// `switchboard backup FILE` copies the database while it runs. For more than one machine run the
/// `api` and `gateway` binaries with PostgreSQL and Redis instead.
///
/// Every flag can also be set by the environment variable named beside it.
#[derive(Parser, Clone, Debug)]
#[command(name = "switchboard", version)]
pub struct Settings {
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Where people and programs connect: the page, REST and WebSockets. 0.0.0.0:8000, or :8000 for
    /// short, lets others in; put a TLS proxy in front of it then
    #[arg(long, env = "LISTEN", default_value = "127.0.0.1:8000")]
    pub listen: ListenAddr,
    /// Where operators look: /livez, /readyz, /metrics. Never expose it to clients
    #[arg(long, env = "ADMIN_LISTEN", default_value = "127.0.0.1:9000", global = true)]
    pub admin_listen: ListenAddr,
    /// The folder for the database and the signing key; made when missing
    #[arg(long, env = "DATA", default_value = "./data", global = true)]
    pub data: PathBuf,
    /// The first administrator's password, used on the first start only [default: a random one,
    /// printed once]
    #[arg(long, env = "ADMIN_PASSWORD", hide_env_values = true, global = true)]
    pub admin_password: Option<Secret>,
    /// Make four users, a private chat and a group to try things out with. Their password,
    /// password123, is public: never do this where others can connect. Again: changes nothing
    #[arg(long, env = "DEMO")]
    pub demo: bool,
    /// Whether people without an account may read and write in the lobby
    #[arg(long, env = "GUESTS", default_value_t = true, action = clap::ArgAction::Set)]
    pub guests: bool,
    #[command(flatten)]
    pub client: ClientArgs,
    #[command(flatten)]
    pub limits: LimitArgs,
    #[command(flatten)]
    pub retention: RetentionArgs,
    #[command(flatten)]
    pub log: LogArgs,
    #[command(flatten)]
    pub trace: TraceArgs,
}

#[derive(Subcommand, Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Serve everything (the default)
    Serve,
    /// Ask a switchboard that runs on this machine whether it wants clients: exit code 0 or 1
    Health,
    /// Show what a switchboard that runs on this machine logs, or change it for a while
    Log(LogCommand),
    /// Administrators, also while a switchboard runs on the data folder
    #[command(subcommand)]
    Admin(AdminCommand),
    /// Copy the database, also while a switchboard runs on it, and check the copy. Keep jwt.pem beside it:
    /// without it everybody signs in again
    Backup {
        /// The copy, which must not be there yet; put it in the place of switchboard.db to restore it
        file: PathBuf,
    },
    /// After a backup was put back: have all clients load everything anew, instead of going on from places
    /// in a history that is gone
    Restored,
}

/// The settings' consequences, checked.
pub struct Checked {
    pub api: ApiConfig,
    pub gateway: GatewayConfig,
}

impl Settings {
    /// What the parts are told; one sentence about the first thing that cannot be.
    pub fn check(&self) -> Result<Checked, String> {
        let gateway = GatewayConfig { guests: self.guests, ..self.client.check()? };
        let mut api = ApiConfig {
            guests: self.guests,
            allowed_origins: self.client.allowed_origins.iter().flatten().cloned().collect(),
            ..ApiConfig::default()
        };
        self.limits.apply(&mut api)?;
        self.retention.apply(&mut api)?;
        self.trace.check()?;
        Ok(Checked { api, gateway })
    }
}
