//! The settings of the one-process Switchboard.

use api::{
    config::{AvatarStore, Config as ApiConfig},
    settings::{AdminCommand, AvatarArgs, LimitArgs, MailArgs, RetentionArgs},
};
use clap::{Parser, Subcommand};
use gateway::{config::Config as GatewayConfig, settings::ClientArgs};
use platform::{
    settings::{COMMON_NEEDS, CommandNeeds, ListenAddr, Secret},
    telemetry::{LogArgs, LogCommand, trace::TraceArgs},
};
use std::path::PathBuf;

/// Switchboard in one process: chat for your team or your tests, with nothing to install.
///
/// Switchboard keeps everything in the data folder: the SQLite database, the key that signs tokens,
/// and people's pictures. `switchboard backup FILE` copies the database while Switchboard runs. For more than one
/// machine, run the `api` and `gateway` binaries with PostgreSQL and Redis instead.
///
/// Each flag can also be set by the environment variable shown beside it.
#[derive(Parser, Clone, Debug)]
#[command(name = "switchboard", version)]
pub struct StandaloneSettings {
    #[command(subcommand)]
    pub command: Option<StandaloneCommand>,
    /// The address of the page, REST and WebSockets. To let other machines connect, use
    /// 0.0.0.0:8000, or :8000 for short, and put a TLS proxy in front
    #[arg(long, env = "LISTEN", default_value = "127.0.0.1:8000")]
    pub listen: ListenAddr,
    /// The address of the operators' endpoints /livez, /readyz and /metrics. Never expose it to
    /// clients
    #[arg(long, env = "ADMIN_LISTEN", default_value = "127.0.0.1:9000", global = true)]
    pub admin_listen: ListenAddr,
    /// The folder for the database and the signing key; created if it does not exist
    #[arg(long, env = "DATA", default_value = "./data", global = true)]
    pub data: PathBuf,
    /// The first administrator's password, used only at the first start [default: a random one,
    /// printed once]
    #[arg(long, env = "ADMIN_PASSWORD", hide_env_values = true, global = true)]
    pub admin_password: Option<Secret>,
    /// Create four users, a private chat and a group to try things out. Their password,
    /// password123, is public: never do this where others can connect. Running it again changes
    /// nothing
    #[arg(long, env = "DEMO")]
    pub demo: bool,
    /// Allow people without an account to read and write in the lobby
    #[arg(long, env = "GUESTS", default_value_t = true, action = clap::ArgAction::Set)]
    pub guests: bool,
    #[command(flatten)]
    pub client: ClientArgs,
    #[command(flatten)]
    pub mail: MailArgs,
    #[command(flatten)]
    pub avatars: AvatarArgs,
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
pub enum StandaloneCommand {
    /// Serve everything (the default)
    Serve,
    /// Check whether a switchboard on this machine accepts clients: exit code 0 if it does, 1 if
    /// not
    Health,
    /// Show or temporarily change the log filter of a switchboard on this machine
    Log(LogCommand),
    /// Manage accounts and administrators, even while a switchboard uses the data folder
    #[command(subcommand)]
    Admin(AdminCommand),
    /// Copy the database, even while a switchboard uses it, and check the copy. Keep jwt.pem and the
    /// folder avatars with the copy: without them, everybody must sign in again, and pictures are lost
    Backup {
        /// The copy, which must not exist yet. To restore it, replace switchboard.db with it
        file: PathBuf,
    },
    /// Run this after restoring a backup. All clients then reload everything instead of resuming
    /// from positions in a history that no longer exists
    Restored,
}

/// What the subcommands that do not serve need.
pub const COMMAND_NEEDS: &[CommandNeeds] = &[
    COMMON_NEEDS[0],
    COMMON_NEEDS[1],
    ("admin", &["data", "admin_password"]),
    ("backup", &["data"]),
    ("restored", &["data"]),
];

/// The checked configuration of both parts.
pub struct CheckedSettings {
    pub api: ApiConfig,
    pub gateway: GatewayConfig,
}

impl StandaloneSettings {
    /// Checks the settings. An error is one sentence about the first value that cannot work.
    pub fn check(&self) -> Result<CheckedSettings, String> {
        let mut gateway = self.client.check()?;
        gateway.guests.enabled = self.guests;
        let mut api = ApiConfig {
            guests: self.guests,
            allowed_origins: self.client.allowed_origins.iter().flatten().cloned().collect(),
            ..ApiConfig::default()
        };
        self.mail.apply(&mut api)?;
        api.avatars.store = Some(AvatarStore::Folder(self.data.join("avatars")));
        self.avatars.apply(&mut api)?;
        self.limits.apply(&mut api)?;
        self.retention.apply(&mut api)?;
        self.trace.check()?;
        Ok(CheckedSettings { api, gateway })
    }
}
