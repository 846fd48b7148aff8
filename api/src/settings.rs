//! What an operator sets of an api, by flag or environment. The other numbers are in
//! [`crate::config`].

use crate::{
    auth::tokens::Tokens,
    config::Config,
    db::{ConnectError, DbConfig},
    lookalikes::ADMIN,
};
use clap::{Args, Parser, Subcommand};
use platform::{
    bus::RedisConfig,
    limit::Rate,
    settings::{List, ListenAddr, Origin, Secret, TrustedNetwork, shared_secrets},
    telemetry::{LogArgs, LogCommand, trace::TraceArgs},
};
use std::{path::PathBuf, time::Duration};

/// Switchboard's REST service: accounts, chats and messages; the only one that talks to the database.
///
/// Every flag can also be set by the environment variable named beside it. Any number of apis run
/// side by side behind a load balancer, on one database and one Redis, with the same secrets.
#[derive(Parser, Clone, Debug)]
#[command(name = "api", version)]
pub struct Settings {
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Where clients' requests arrive (a load balancer sends everything but upgrades here)
    #[arg(long, env = "LISTEN", default_value = "127.0.0.1:8200", global = true)]
    pub listen: ListenAddr,
    /// Where gateways call. Never expose it to clients
    #[arg(long, env = "INTERNAL_LISTEN", default_value = "127.0.0.1:8300", global = true)]
    pub internal_listen: ListenAddr,
    /// Where operators look: /livez, /readyz, /metrics. Never expose it to clients
    #[arg(long, env = "ADMIN_LISTEN", default_value = "127.0.0.1:9200", global = true)]
    pub admin_listen: ListenAddr,
    /// The database: postgres://user@host/name (the password in DATABASE_PASSWORD, or behind the user
    /// as user:password), or sqlite:FILE for a single api
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, global = true)]
    pub database_url: Option<Secret>,
    /// The database user's password, so that DATABASE_URL need not be a secret
    #[arg(long, env = "DATABASE_PASSWORD", hide_env_values = true, global = true)]
    pub database_password: Option<Secret>,
    /// Connections to PostgreSQL, three of eight for people's requests, the others for gateways' calls.
    /// All apis' together must fit the server's max_connections (100 by default), with room for operators
    #[arg(long, env = "DATABASE_CONNECTIONS", default_value_t = 16, global = true)]
    pub database_connections: u32,
    /// Whether serving brings the schema up to date first. Any number may try at once; turn it off
    /// where `api migrate` runs before, with rights that serving shall not have
    #[arg(long, env = "MIGRATE", default_value_t = true, action = clap::ArgAction::Set, global = true)]
    pub migrate: bool,
    /// The Redis that relays to the gateways: `redis://[:password@]host:port[/db]`
    #[arg(long, env = "REDIS_URL", hide_env_values = true, global = true)]
    pub redis_url: Option<Secret>,
    /// The secret that gateways show, at least 16 characters. While it is being changed: the old and
    /// the new one, separated by a comma
    #[arg(long, env = "INTERNAL_TOKEN", hide_env_values = true, global = true)]
    pub internal_token: Option<Secret>,
    /// Ed25519 keys as PKCS#8 PEM, as `openssl genpkey -algorithm ed25519` writes one. The first signs
    /// access tokens, all verify: to rotate, put the new key behind the old one on every api, then
    /// before it, and drop the old one 30 days later (session cookies live that long)
    #[arg(long, env = "JWT_PRIVATE_KEY", hide_env_values = true, global = true)]
    pub jwt_private_key: Option<Secret>,
    /// The password of `admin`, who is made when there is none yet; later changes of it do nothing.
    /// 8 to 128 characters. Without it nobody can block users until `api admin create`
    #[arg(long, env = "ADMIN_PASSWORD", hide_env_values = true, global = true)]
    pub admin_password: Option<Secret>,
    /// Origins of other pages that may use the session cookie and read answers, separated by commas,
    /// such as `https://chat.example.com`; the own origin always may. Browsers give the cookie to pages
    /// of the same site only (SameSite=Lax): one of another site signs in for a Bearer token
    #[arg(long, env = "ALLOWED_ORIGINS", global = true)]
    pub allowed_origins: Vec<List<Origin>>,
    /// Networks and addresses whose X-Forwarded-For and X-Forwarded-Proto are believed, separated by
    /// commas: the load balancers'
    #[arg(long, env = "TRUSTED_PROXIES", default_value = "127.0.0.0/8,::1/128", global = true)]
    pub trusted_proxies: Vec<List<TrustedNetwork>>,
    /// Whether people without an account may read and write in the lobby. Set the gateways' alike
    #[arg(long, env = "GUESTS", default_value_t = false, action = clap::ArgAction::Set, global = true)]
    pub guests: bool,
    #[command(flatten)]
    pub limits: LimitArgs,
    #[command(flatten)]
    pub retention: RetentionArgs,
    /// On stopping, how long running requests may take to finish. Longer than a request may take
    /// at all (20 s), shorter than the time after which the process is killed
    #[arg(long, env = "DRAIN_SECONDS", default_value_t = 25, global = true)]
    pub drain_seconds: u64,
    /// On stopping, how long to still accept while saying "not ready", so that load balancers notice
    #[arg(long, env = "SHUTDOWN_DELAY_SECONDS", default_value_t = 0, global = true)]
    pub shutdown_delay_seconds: u64,
    #[command(flatten)]
    pub log: LogArgs,
    #[command(flatten)]
    pub trace: TraceArgs,
}

#[derive(Subcommand, Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Serve requests (the default)
    Serve,
    /// Bring the database's schema up to date and exit
    Migrate,
    /// Make four users, a private chat and a group to try things out with, and exit. Their password,
    /// password123, is public: never do this where others can connect. Again: changes nothing
    Demo,
    /// Ask an api that runs on this machine whether it wants requests: exit code 0 or 1
    Health,
    /// Show what an api that runs on this machine logs, or change it for a while
    Log(LogCommand),
    /// Make the secrets of a deployment, each in a file named as its setting, in a folder. What is
    /// there already is kept, so it may be run again. Where FOLDER/NAME is a folder, the file goes into it
    Secrets {
        /// Made when missing
        folder: PathBuf,
    },
    /// After a backup was put back, before anything starts again: clients then load everything anew
    /// instead of going on from places in a history that is gone
    Restored,
    /// Administrators
    #[command(subcommand)]
    Admin(AdminCommand),
}

/// What is done with administrators on the command line, of `api` and of `switchboard`.
#[derive(Subcommand, Clone, Debug, PartialEq, Eq)]
pub enum AdminCommand {
    /// Make `admin` with ADMIN_PASSWORD, or with a random password printed once
    Create,
    /// Show who is an administrator
    List,
    /// Give an account a new random password, printed once; its sessions end within seconds
    Password {
        /// Whose
        #[arg(default_value = ADMIN)]
        username: String,
    },
    /// Make an account an administrator, from its next sign-in on
    Promote { username: String },
    /// Make an administrator an ordinary user, at once. The last one stays
    Demote { username: String },
}

/// How much one account and one address may do; also part of the one-process binary.
#[derive(Args, Clone, Debug)]
pub struct LimitArgs {
    /// What an account may ask over REST per second, of all apis together (four times as much after a
    /// quiet time), counted in cheap reads. A change counts 5, so that REST takes as many messages as
    /// FRAMES_PER_SECOND allows sockets; a page counts what it may read. Raise it for a load test
    #[arg(long, env = "REQUESTS_PER_SECOND", default_value_t = 250, global = true)]
    pub requests_per_second: u32,
    /// The same for everybody of one address together who shows no account: signing in, the lobby of
    /// guests, /status. Twice an account's, so that a school behind one router may come back at once
    #[arg(long, env = "REQUESTS_WITHOUT_ACCOUNT_PER_SECOND", default_value_t = 500, global = true)]
    pub requests_without_account_per_second: u32,
    /// Attempts to sign in from one address, per minute (five times as many after a quiet time).
    /// Enough for an office behind one router; each attempt costs 15 ms of a core
    #[arg(long, env = "LOGINS_PER_MINUTE", default_value_t = 120, global = true)]
    pub logins_per_minute: u32,
    /// New accounts from one address, per minute (five times as many after a quiet time). A class
    /// room at once, and no flood of accounts
    #[arg(long, env = "REGISTRATIONS_PER_MINUTE", default_value_t = 60, global = true)]
    pub registrations_per_minute: u32,
}

impl LimitArgs {
    /// Into the configuration; one sentence when it cannot be.
    pub fn apply(&self, config: &mut Config) -> Result<(), String> {
        let second = Duration::from_secs(1);
        let minute = Duration::from_secs(60);
        config.requests = rate("REQUESTS_PER_SECOND", self.requests_per_second, second, 4)?;
        config.requests_without_account = rate(
            "REQUESTS_WITHOUT_ACCOUNT_PER_SECOND",
            self.requests_without_account_per_second,
            second,
            4,
        )?;
        config.login_per_address = rate("LOGINS_PER_MINUTE", self.logins_per_minute, minute, 5)?;
        config.register_per_address =
            rate("REGISTRATIONS_PER_MINUTE", self.registrations_per_minute, minute, 5)?;
        Ok(())
    }
}

/// How long stays what is over; also part of the one-process binary.
#[derive(Args, Clone, Debug)]
pub struct RetentionArgs {
    /// Days after which a deleted chat's messages go for good, from 1; its members go after an hour. Until
    /// then nobody is shown them, but who may read the database can look into abuse. 0: never
    #[arg(long, env = "DELETED_CHAT_RETENTION_DAYS", default_value_t = 30, global = true)]
    pub deleted_chat_retention_days: u32,
    /// Days after which guests who never wrote anything go, from 2, counted from when they last came.
    /// Only their number is gone: whoever comes by that name is a new guest. 0: never
    #[arg(long, env = "GUEST_RETENTION_DAYS", default_value_t = 30, global = true)]
    pub guest_retention_days: u32,
}

impl RetentionArgs {
    /// Into the configuration; one sentence when it cannot be.
    pub fn apply(&self, config: &mut Config) -> Result<(), String> {
        let days = |days: u32| match days {
            0 => None,
            days => Some(Duration::from_secs(u64::from(days) * 24 * 60 * 60)),
        };
        if self.guest_retention_days == 1 {
            return Err("GUEST_RETENTION_DAYS must be at least 2, or 0 to keep them".to_owned());
        }
        config.retention.deleted_chats = days(self.deleted_chat_retention_days);
        config.retention.guests = days(self.guest_retention_days);
        Ok(())
    }
}

/// What serving needs beside the settings, checked.
pub struct Checked {
    pub config: Config,
    pub redis: RedisConfig,
    pub tokens: Tokens,
}

impl Settings {
    /// All that serving needs; one sentence about the first thing that is missing or wrong.
    pub fn check(&self) -> Result<Checked, String> {
        if self.database_url.is_none() {
            return Err(ConnectError::Missing.to_string());
        }
        let redis_url = self.redis_url.as_ref();
        let redis_url = redis_url.ok_or_else(|| {
            missing("REDIS_URL", "the Redis that relays to the gateways, redis://host:port")
        })?;
        let redis = RedisConfig::new(redis_url).map_err(|error| format!("REDIS_URL: {error}"))?;
        let internal_token = self.internal_token.as_ref().ok_or_else(|| {
            missing("INTERNAL_TOKEN", "the secret that gateways show, at least 16 characters")
        })?;
        let internal_tokens = shared_secrets("INTERNAL_TOKEN", internal_token)?;
        let key = self.jwt_private_key.as_ref().ok_or_else(|| {
            missing("JWT_PRIVATE_KEY", "the output of `openssl genpkey -algorithm ed25519`")
        })?;
        let tokens = Tokens::from_pem(key.reveal())
            .map_err(|error| format!("JWT_PRIVATE_KEY: {error:#}"))?;
        if self.database_connections < 2 {
            return Err("DATABASE_CONNECTIONS must be at least 2".to_owned());
        }
        let allowed_origins = self.allowed_origins.iter().flatten().cloned().collect();
        let mut config =
            Config { allowed_origins, internal_tokens, guests: self.guests, ..Config::default() };
        self.limits.apply(&mut config)?;
        self.retention.apply(&mut config)?;
        self.trace.check()?;
        Ok(Checked { config, redis, tokens })
    }

    /// The numbers of the database's connections.
    pub fn database(&self) -> DbConfig {
        let all = self.database_connections;
        let max_connections_apart = (all * 3 / 8).max(1);
        DbConfig {
            password: self.database_password.clone(),
            max_connections: all.saturating_sub(max_connections_apart).max(1),
            max_connections_apart,
            ..DbConfig::default()
        }
    }
}

/// So many in each `time`, and `times` as many after a quiet time.
fn rate(name: &str, count: u32, time: Duration, times: u32) -> Result<Rate, String> {
    if count == 0 {
        return Err(format!("{name} must be at least 1"));
    }
    Ok(Rate { per: time / count, burst: count.saturating_mul(times) })
}

fn missing(name: &str, what: &str) -> String {
    format!("{name} is missing: {what}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::tokens::generate_pem;
    use clap::CommandFactory as _;

    fn try_settings(arguments: &[&str]) -> Result<Settings, String> {
        let key = format!("--jwt-private-key={}", generate_pem().unwrap().reveal());
        let mut all = vec!["api", "--database-url=sqlite:x", "--redis-url=redis://127.0.0.1:1"];
        all.extend(["--internal-token=0123456789abcdef", &key]);
        all.extend(arguments);
        Settings::try_parse_from(all).map_err(|error| error.to_string())
    }

    fn settings(arguments: &[&str]) -> Settings {
        try_settings(arguments).unwrap()
    }

    #[test]
    fn the_command_line_is_consistent() {
        Settings::command().debug_assert();
        assert_eq!(settings(&[]).command, None);
        assert_eq!(settings(&["serve", "--listen", "127.0.0.1:1"]).listen.0.port(), 1);
        assert_eq!(
            settings(&["admin", "create"]).command,
            Some(Command::Admin(AdminCommand::Create))
        );
    }

    #[test]
    fn good_settings_become_a_configuration() {
        let checked = settings(&[
            "--allowed-origins=https://A.example.com:443/, http://localhost:3000",
            "--logins-per-minute=60",
            "--deleted-chat-retention-days=1",
            "--guest-retention-days=0",
        ])
        .check()
        .map_err(|why| panic!("{why}"));
        let config = checked.map(|checked| checked.config).unwrap();
        let origins = config.allowed_origins.iter().map(Origin::as_str);
        assert_eq!(origins.collect::<Vec<_>>(), ["https://a.example.com", "http://localhost:3000"]);
        assert_eq!(config.login_per_address.per, Duration::from_secs(1));
        let day = Duration::from_secs(86_400);
        assert_eq!((config.retention.deleted_chats, config.retention.guests), (Some(day), None));
    }

    #[test]
    fn bad_settings_are_named_and_secrets_not_repeated() {
        for (argument, name) in [
            ("--database-connections=1", "DATABASE_CONNECTIONS"),
            ("--allowed-origins=example.com", "ALLOWED_ORIGINS"),
            ("--allowed-origins=https://a.b, https://a.b/c", "\"https://a.b/c\""),
            ("--trusted-proxies=10.0.0.5,proxy", "TRUSTED_PROXIES"),
            ("--registrations-per-minute=0", "REGISTRATIONS_PER_MINUTE"),
            ("--requests-per-second=0", "REQUESTS_PER_SECOND"),
            ("--guest-retention-days=1", "GUEST_RETENTION_DAYS"),
        ] {
            let settings = try_settings(&[argument]);
            let why = settings.and_then(|settings| settings.check().map(drop)).unwrap_err();
            assert!(why.contains(name) && !why.contains("cdef"), "{why}");
        }
        let nothing = Settings::try_parse_from(["api"]).unwrap();
        assert!(nothing.check().err().unwrap().contains("is missing"));
    }

    #[test]
    fn the_defaults_of_both_places_agree() {
        let mut config = Config::default();
        let limits = |config: &Config| {
            [
                config.requests,
                config.requests_without_account,
                config.login_per_address,
                config.register_per_address,
            ]
        };
        let before = limits(&config);
        settings(&[]).limits.apply(&mut config).unwrap();
        assert_eq!(limits(&config), before);
        let before = (config.retention.deleted_chats, config.retention.guests);
        settings(&[]).retention.apply(&mut config).unwrap();
        assert_eq!((config.retention.deleted_chats, config.retention.guests), before);
    }
}
