//! The settings of a gateway, given by flags or environment variables.

use crate::{backend::http::HttpBackend, config::Config};
use clap::{Args, Parser, Subcommand, value_parser};
use platform::{
    lifecycle::MAX_STOPPING_SECONDS,
    limit::Rate,
    redis::{RedisArgs, RedisConfigs},
    serve::ServeConfig,
    settings::{
        CommaSeparated, ListenAddr, Origin, Secret, ServerUrl, TrustedNetwork, shared_secrets,
    },
    telemetry::{LogArgs, LogCommand, trace::TraceArgs},
};
use std::time::Duration;

/// Switchboard's WebSocket node. Holds clients' sockets, relays through Redis and stores nothing.
///
/// Each flag can also be set by the environment variable shown beside it. Any number of gateways
/// can run side by side behind a load balancer, which needs no sticky sessions.
#[derive(Parser, Clone, Debug)]
#[command(name = "gateway", version)]
pub struct Settings {
    /// What to do instead of serving.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The address where clients open WebSockets. The load balancer sends all upgrade requests here
    #[arg(long, env = "LISTEN", default_value = "127.0.0.1:8100")]
    pub listen: ListenAddr,
    /// The address of the operators' endpoints /livez, /readyz and /metrics. Never expose it to
    /// clients
    #[arg(long, env = "ADMIN_LISTEN", default_value = "127.0.0.1:9100", global = true)]
    pub admin_listen: ListenAddr,
    /// The internal listeners of the apis, separated by commas. If one does not respond, the
    /// gateway calls the next
    #[arg(long, env = "API_URL")]
    pub api_url: Vec<CommaSeparated<ServerUrl>>,
    /// The secret shared with the apis, at least 16 characters. If several are given, separated by
    /// commas, the gateway uses the first
    #[arg(long, env = "INTERNAL_TOKEN", hide_env_values = true)]
    pub internal_token: Option<Secret>,
    /// Where Redis is.
    #[command(flatten)]
    pub redis: RedisArgs,
    /// Allow people without an account to enter the lobby through /ws. Must match the apis' setting
    #[arg(long, env = "GUESTS", default_value_t = false, action = clap::ArgAction::Set)]
    pub guests: bool,
    /// How clients are let in and limited.
    #[command(flatten)]
    pub client: ClientArgs,
    /// What is logged.
    #[command(flatten)]
    pub log: LogArgs,
    /// Where traces go.
    #[command(flatten)]
    pub trace: TraceArgs,
}

/// What the `gateway` binary does.
#[derive(Subcommand, Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Serve sockets (the default)
    Serve,
    /// Check whether a gateway on this machine accepts clients: exit code 0 if it does, 1 if not
    Health,
    /// Show or temporarily change the log filter of a gateway on this machine
    Log(LogCommand),
}

/// Settings that concern clients. The one-process binary has them too.
#[derive(Args, Clone, Debug)]
pub struct ClientArgs {
    /// Other origins whose pages may use the session cookie and connect as guests, separated by
    /// commas, such as `https://chat.example.com`. The gateway's own origin is always allowed.
    /// Browsers send the cookie only for pages of the same site (SameSite=Lax), so a page on
    /// another site must sign in for a Bearer token
    #[arg(long, env = "ALLOWED_ORIGINS")]
    pub allowed_origins: Vec<CommaSeparated<Origin>>,
    /// The load balancers' networks and addresses, separated by commas. The gateway trusts
    /// X-Forwarded-For only if it comes from one of them
    #[arg(long, env = "TRUSTED_PROXIES", default_value = "127.0.0.0/8,::1/128")]
    pub trusted_proxies: Vec<CommaSeparated<TrustedNetwork>>,
    /// The maximum number of open sockets. A further request is answered with 503. The limit is
    /// lower if the hard limit on open files is not at least 200 above it; the log says so at
    /// startup
    #[arg(long, env = "MAX_CONNECTIONS", default_value_t = 15_000)]
    pub max_connections: usize,
    /// The maximum number of open sockets per client address (per /64 network for IPv6). Trusted
    /// proxies are exempt. Lower it where clients connect directly or where TRUSTED_PROXIES is set
    /// correctly
    #[arg(long, env = "MAX_CONNECTIONS_PER_ADDRESS", default_value_t = 15_000)]
    pub max_connections_per_address: usize,
    /// The maximum number of open sockets per account on one gateway. A further socket closes the
    /// account's oldest one. Across all gateways, an account may hold this many sockets plus one
    /// per gateway
    #[arg(long, env = "MAX_CONNECTIONS_PER_ACCOUNT", default_value_t = 20)]
    pub max_connections_per_account: u32,
    /// The maximum number of open sockets per client network whose account is not known: sockets
    /// before hello, and guests. A further request is answered with 503. The default lets a whole
    /// office reconnect at once, yet takes no more than a fifteenth of a gateway. The trusted
    /// proxies' own addresses are exempt
    #[arg(long, env = "MAX_STRANGERS_PER_NETWORK", default_value_t = 1_000)]
    pub max_strangers_per_network: usize,
    /// Frames per second that an account may send through all its connections to one gateway; after
    /// a quiet period, a burst of four times as many. People type far more slowly. A program that
    /// exceeds the limit is told to wait
    #[arg(long, env = "FRAMES_PER_SECOND", default_value_t = 50)]
    pub frames_per_second: u32,
    /// Messages per minute that the guests behind one address may send; after a quiet period, all
    /// of them at once. Enough for a classroom behind one address, not for a flood
    #[arg(long, env = "GUEST_MESSAGES_PER_MINUTE", default_value_t = 120)]
    pub guest_messages_per_minute: u32,
    /// The time over which a stopping gateway closes its sockets one after another, so that clients
    /// do not all reconnect at once. Must be shorter than the time after which the process is
    /// killed
    #[arg(long, env = "DRAIN_SECONDS", default_value_t = 10,
        value_parser = value_parser!(u64).range(..=MAX_STOPPING_SECONDS))]
    pub drain_seconds: u64,
    /// How long a stopping gateway reports "not ready" and still accepts connections, so that load
    /// balancers notice
    #[arg(long, env = "SHUTDOWN_DELAY_SECONDS", default_value_t = 0,
        value_parser = value_parser!(u64).range(..=MAX_STOPPING_SECONDS))]
    pub shutdown_delay_seconds: u64,
}

/// The checked values that a gateway needs to serve, beyond the settings themselves.
pub struct Checked {
    /// The gateway's numbers, with what the operator set.
    pub config: Config,
    /// The apis, which are not called yet.
    pub backend: HttpBackend,
    /// Where Redis is. Nothing has connected yet.
    pub redis: RedisConfigs,
}

impl Settings {
    /// Checks the settings. An error is one sentence about the first setting that is missing or
    /// cannot work.
    pub fn check(&self) -> Result<Checked, String> {
        let internal_token = self.internal_token.as_ref();
        let internal_token = internal_token
            .ok_or("INTERNAL_TOKEN is missing. Set it to the secret shared with the apis")?;
        let shown = &shared_secrets("INTERNAL_TOKEN", internal_token)?[0];
        let backend = HttpBackend::new(self.api_url.iter().flatten(), shown)?;
        let redis = self.redis.check()?;
        let mut config = self.client.check()?;
        config.guests.enabled = self.guests;
        self.trace.check()?;
        Ok(Checked { config, backend, redis })
    }
}

impl ClientArgs {
    /// Builds the gateway's configuration. An error is one sentence about the first value that
    /// cannot work.
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
        let most = self.max_connections_per_account;
        let mut config = Config::default();
        config.account.connections = usize::try_from(most).unwrap_or(usize::MAX);
        config.account.openings.burst = most.saturating_mul(2);
        config.account.frames = frames;
        config.guests.messages = guest_messages;
        Ok(config)
    }

    /// The configuration of the clients' listener.
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
