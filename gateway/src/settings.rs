//! What an operator sets of a gateway, by flag or environment.

use crate::{backend::http::HttpBackend, config::Config};
use clap::{Args, Parser, Subcommand};
use platform::{
    bus::RedisConfig,
    limit::Rate,
    serve::ServeConfig,
    settings::{List, ListenAddr, Origin, Secret, ServerUrl, TrustedNetwork, shared_secrets},
    telemetry::{LogArgs, LogCommand, trace::TraceArgs},
};
use std::time::Duration;

/// A WebSocket node of Switchboard: holds clients' sockets, relays through Redis, stores nothing.
///
/// Every flag can also be set by the environment variable named beside it. Any number of gateways
/// run side by side behind a load balancer, without stickiness.
#[derive(Parser, Clone, Debug)]
#[command(name = "gateway", version)]
pub struct Settings {
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Where clients connect (WebSockets; a load balancer sends all upgrades here)
    #[arg(long, env = "LISTEN", default_value = "127.0.0.1:8100")]
    pub listen: ListenAddr,
    /// Where operators look: /livez, /readyz, /metrics. Never expose it to clients
    #[arg(long, env = "ADMIN_LISTEN", default_value = "127.0.0.1:9100", global = true)]
    pub admin_listen: ListenAddr,
    /// The apis' internal listeners, separated by commas; the next one is asked when one is away
    #[arg(long, env = "API_URL")]
    pub api_url: Vec<List<ServerUrl>>,
    /// The secret shared with the apis, at least 16 characters. Of several, separated by commas, the
    /// first is shown
    #[arg(long, env = "INTERNAL_TOKEN", hide_env_values = true)]
    pub internal_token: Option<Secret>,
    /// The Redis that relays between nodes: such as
    /// `redis://:password@host:6379/0`
    #[arg(long, env = "REDIS_URL", hide_env_values = true)]
    pub redis_url: Option<Secret>,
    /// Whether people without an account may come into the lobby by /ws. Set the apis' alike
    #[arg(long, env = "GUESTS", default_value_t = false, action = clap::ArgAction::Set)]
    pub guests: bool,
    #[command(flatten)]
    pub client: ClientArgs,
    #[command(flatten)]
    pub log: LogArgs,
    #[command(flatten)]
    pub trace: TraceArgs,
}

#[derive(Subcommand, Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Serve sockets (the default)
    Serve,
    /// Ask a gateway that runs on this machine whether it wants clients: exit code 0 or 1
    Health,
    /// Show what a gateway that runs on this machine logs, or change it for a while
    Log(LogCommand),
}

/// What concerns clients; also part of the one-process binary.
#[derive(Args, Clone, Debug)]
pub struct ClientArgs {
    /// Origins of other pages that may use the session cookie and come as guests, separated by
    /// commas, such as `https://chat.example.com`; the own origin always may. Browsers give the cookie
    /// to pages of the same site only (SameSite=Lax): one of another site signs in for a Bearer token
    #[arg(long, env = "ALLOWED_ORIGINS")]
    pub allowed_origins: Vec<List<Origin>>,
    /// Networks and addresses whose X-Forwarded-For is believed, separated by commas: the load
    /// balancers'
    #[arg(long, env = "TRUSTED_PROXIES", default_value = "127.0.0.0/8,::1/128")]
    pub trusted_proxies: Vec<List<TrustedNetwork>>,
    /// The most sockets at once; one more is answered 503. Fewer where the hard limit of open files is
    /// not 200 above it; the log says so at the start
    #[arg(long, env = "MAX_CONNECTIONS", default_value_t = 15_000)]
    pub max_connections: usize,
    /// The most sockets at once of one client address (of IPv6, one /64); trusted proxies do not
    /// count. Lower it where clients connect directly or TRUSTED_PROXIES is right
    #[arg(long, env = "MAX_CONNECTIONS_PER_ADDRESS", default_value_t = 15_000)]
    pub max_connections_per_address: usize,
    /// The most sockets at once of one account on one gateway; one more closes its oldest. Over all
    /// gateways as many, and one more on each
    #[arg(long, env = "MAX_CONNECTIONS_PER_ACCOUNT", default_value_t = 20)]
    pub max_connections_per_account: u32,
    /// The most sockets at once of one client network whose account is not known: before hello, and
    /// guests; one more is answered 503. An office that comes back together, and no more than a
    /// fifteenth of a gateway. Trusted proxies' own addresses do not count
    #[arg(long, env = "MAX_STRANGERS_PER_NETWORK", default_value_t = 1_000)]
    pub max_strangers_per_network: usize,
    /// Frames an account may send per second (four times as many after a quiet time), all its
    /// connections to a gateway together. People type far slower; a program that sends faster is told
    /// to wait
    #[arg(long, env = "FRAMES_PER_SECOND", default_value_t = 50)]
    pub frames_per_second: u32,
    /// Messages that the guests of one address may send per minute (as many at once after a quiet
    /// time). A class trying it out together, and no flood
    #[arg(long, env = "GUEST_MESSAGES_PER_MINUTE", default_value_t = 120)]
    pub guest_messages_per_minute: u32,
    /// On stopping, the sockets are closed one after the other over this time, so that clients
    /// come back spread. Must be shorter than the time after which the process is killed
    #[arg(long, env = "DRAIN_SECONDS", default_value_t = 10)]
    pub drain_seconds: u64,
    /// On stopping, how long to still accept while saying "not ready", so that load balancers notice
    #[arg(long, env = "SHUTDOWN_DELAY_SECONDS", default_value_t = 0)]
    pub shutdown_delay_seconds: u64,
}

/// What serving needs beside the settings, checked.
pub struct Checked {
    pub config: Config,
    pub backend: HttpBackend,
    pub redis: RedisConfig,
}

impl Settings {
    /// All that serving needs; one sentence about the first thing that is missing, or parses and
    /// still cannot work.
    pub fn check(&self) -> Result<Checked, String> {
        let internal_token = self.internal_token.as_ref();
        let internal_token =
            internal_token.ok_or("INTERNAL_TOKEN is missing: the secret shared with the apis")?;
        let shown = &shared_secrets("INTERNAL_TOKEN", internal_token)?[0];
        let backend = HttpBackend::new(self.api_url.iter().flatten(), shown)?;
        let redis_url = self.redis_url.as_ref().ok_or(
            "REDIS_URL is missing: the Redis that relays between nodes, redis://host:port",
        )?;
        let redis = RedisConfig::new(redis_url).map_err(|error| format!("REDIS_URL: {error}"))?;
        let config = Config { guests: self.guests, ..self.client.check()? };
        self.trace.check()?;
        Ok(Checked { config, backend, redis })
    }
}

impl ClientArgs {
    /// The gateway's numbers; one sentence about the first thing that cannot work.
    pub fn check(&self) -> Result<Config, String> {
        if self.frames_per_second == 0 {
            return Err("FRAMES_PER_SECOND must be at least 1".to_owned());
        }
        if self.max_connections == 0 {
            return Err("MAX_CONNECTIONS must be at least 1".to_owned());
        }
        if self.max_connections_per_address == 0 {
            return Err("MAX_CONNECTIONS_PER_ADDRESS must be at least 1".to_owned());
        }
        if self.max_connections_per_account == 0 {
            return Err("MAX_CONNECTIONS_PER_ACCOUNT must be at least 1".to_owned());
        }
        if self.max_strangers_per_network == 0 {
            return Err("MAX_STRANGERS_PER_NETWORK must be at least 1".to_owned());
        }
        if self.guest_messages_per_minute == 0 {
            return Err("GUEST_MESSAGES_PER_MINUTE must be at least 1".to_owned());
        }
        let frames = Rate {
            per: Duration::from_secs(1) / self.frames_per_second,
            burst: self.frames_per_second.saturating_mul(4),
        };
        let guest_messages = Rate {
            per: Duration::from_secs(60) / self.guest_messages_per_minute,
            burst: self.guest_messages_per_minute,
        };
        let config = Config::default();
        let account_connections = self.max_connections_per_account;
        let burst = account_connections.saturating_mul(2);
        Ok(Config {
            frames,
            guest_messages,
            account_connections: usize::try_from(account_connections).unwrap_or(usize::MAX),
            openings: Rate { burst, ..config.openings },
            ..config
        })
    }

    /// How the clients' listener behaves.
    pub fn listener(&self) -> ServeConfig {
        ServeConfig {
            max_connections: self.max_connections,
            max_per_address: self.max_connections_per_address,
            trusted_proxies: self.trusted_proxies.iter().flatten().copied().collect(),
            ..ServeConfig::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    fn check(arguments: &[&str]) -> Result<ServeConfig, String> {
        let needed =
            ["gateway", "--internal-token=0123456789abcdef", "--redis-url=redis://127.0.0.1:1"];
        let line = needed.iter().chain(arguments);
        let settings = Settings::try_parse_from(line).map_err(|error| error.to_string())?;
        settings.check().map(|_| settings.client.listener())
    }

    #[test]
    fn the_command_line_is_consistent() {
        Settings::command().debug_assert();
    }

    #[test]
    fn lists_are_taken_as_people_write_them() {
        let listener = check(&[
            "--api-url=http://a:8300, http://b:8300/,",
            "--allowed-origins=https://a.example.com, https://b.example.com",
            "--trusted-proxies=10.0.0.5, 127.0.0.0/8",
            "--trusted-proxies=::1",
        ]);
        let trusted = listener.unwrap().trusted_proxies;
        let expected = ["10.0.0.5", "127.0.0.0/8", "::1"].map(|one| one.parse().unwrap());
        assert_eq!(*trusted, expected);
    }

    #[test]
    fn bad_settings_are_named_and_secrets_not_repeated() {
        let api = "--api-url=http://a:8300";
        for (arguments, words) in [
            (&[][..], "API_URL is missing"),
            (&["--api-url="], "API_URL is missing"),
            (&["--api-url=a:8300"], "http://host:port"),
            (&[api, "--allowed-origins=example.com"], "https://chat.example.com"),
            (&[api, "--trusted-proxies=proxy"], "10.0.0.0/8"),
            (&[api, "--max-connections=0"], "MAX_CONNECTIONS"),
        ] {
            let why = check(arguments).unwrap_err();
            assert!(why.contains(words) && !why.contains("cdef"), "{why}");
        }
    }
}
