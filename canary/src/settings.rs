//! What an operator sets of the canary.

use crate::{config::Config, lookup::Target};
use clap::{Parser, Subcommand};
use hyper::Uri;
use shared::{
    settings::Secret,
    telemetry::{LogArgs, LogCommand},
};
use std::{net::SocketAddr, time::Duration};

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
    /// The password of the accounts `canary_a` and `canary_b`, which are made when they are missing.
    /// 8 to 128 characters
    #[arg(long, env = "CANARY_PASSWORD", hide_env_values = true)]
    pub canary_password: Option<Secret>,
    /// A round begins this often: one gateway after the other sends, all others must have it. 1 to 3600
    #[arg(long, env = "INTERVAL_SECONDS", default_value_t = 5)]
    pub interval_seconds: u64,
    /// A message that takes longer than this from one gateway to another is late. 1 to 10000
    #[arg(long, env = "LATE_MILLISECONDS", default_value_t = 500)]
    pub late_milliseconds: u64,
    #[command(flatten)]
    pub log: LogArgs,
}

#[derive(Subcommand, Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Watch (the default)
    Watch,
    /// Ask a canary that runs on this machine whether it watches: exit code 0 or 1
    Health,
    /// Show what a canary that runs on this machine logs, or change it for a while
    Log(LogCommand),
}

impl Settings {
    /// What watching needs; one sentence about the first thing that is missing or wrong.
    pub fn check(&self) -> Result<Config, String> {
        let Some(password) = self.canary_password.clone() else {
            return Err("CANARY_PASSWORD is missing: the password of the canary's own two \
                        accounts, 8 to 128 characters, the same at each start"
                .to_owned());
        };
        if !(8..=128).contains(&password.reveal().chars().count()) {
            return Err("CANARY_PASSWORD must have 8 to 128 characters".to_owned());
        }
        let api = base("API_URL", &self.api_url)?;
        let gateways = self.gateway_url.iter().map(|url| {
            let base = base("GATEWAY_URL", url)?;
            let authority = base.authority().map(ToString::to_string).unwrap_or_default();
            let host = base.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
            Ok(Target { host, port: base.port_u16().unwrap_or(80), authority })
        });
        let gateways = gateways.collect::<Result<Vec<_>, String>>()?;
        if gateways.is_empty() {
            return Err("GATEWAY_URL names no gateway".to_owned());
        }
        if !(1..=3600).contains(&self.interval_seconds) {
            return Err("INTERVAL_SECONDS must be 1 to 3600".to_owned());
        }
        if !(1..=10_000).contains(&self.late_milliseconds) {
            return Err("LATE_MILLISECONDS must be 1 to 10000".to_owned());
        }
        let mut config = Config::new(api, gateways, password);
        config.interval = Duration::from_secs(self.interval_seconds);
        config.rules.late = Duration::from_millis(self.late_milliseconds);
        Ok(config)
    }
}

/// A server's address and nothing else. The canary stays inside the deployment, where there is no TLS.
fn base(name: &str, url: &str) -> Result<Uri, String> {
    let wrong = || format!("{name}: {url:?} must look like http://host:port");
    let uri: Uri = url.trim().parse().map_err(|_| wrong())?;
    let bare = matches!(uri.path(), "" | "/") && uri.query().is_none();
    let user = uri.authority().is_some_and(|authority| authority.as_str().contains('@'));
    if uri.scheme_str() != Some("http") || uri.host().is_none_or(str::is_empty) || !bare || user {
        return Err(wrong());
    }
    Ok(uri)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    fn settings(arguments: &[&str]) -> Settings {
        Settings::try_parse_from(["canary"].iter().chain(arguments)).unwrap()
    }

    #[test]
    fn the_command_line_is_consistent() {
        Settings::command().debug_assert();
        assert_eq!(settings(&["health"]).command, Some(Command::Health));
        assert_eq!(settings(&[]).command, None);
    }

    #[test]
    fn good_settings_become_a_configuration() {
        let config = settings(&[
            "--canary-password=correct horse",
            "--gateway-url=http://gateway-nodes:8100/,http://[::1]:81,http://g",
            "--interval-seconds=2",
            "--late-milliseconds=50",
        ])
        .check()
        .unwrap();
        let gateways = config.gateways.iter().map(|one| (one.host.as_str(), one.port));
        let expected = [("gateway-nodes", 8100), ("::1", 81), ("g", 80)];
        assert_eq!(gateways.collect::<Vec<_>>(), expected);
        assert_eq!(config.gateways[1].authority, "[::1]:81");
        assert_eq!(config.interval, Duration::from_secs(2));
        assert_eq!(config.rules.late, Duration::from_millis(50));
    }

    #[test]
    fn bad_settings_are_named_and_the_password_not_repeated() {
        let password = "--canary-password=correct horse";
        for (arguments, name) in [
            (vec![], "CANARY_PASSWORD is missing"),
            (vec!["--canary-password=short"], "CANARY_PASSWORD must"),
            (vec![password, "--api-url=localhost:8200"], "API_URL"),
            (vec![password, "--api-url=https://a"], "API_URL"),
            (vec![password, "--gateway-url=http://a:1,ws://b:2"], "GATEWAY_URL"),
            (vec![password, "--gateway-url=http://a:1/path"], "GATEWAY_URL"),
            (vec![password, "--gateway-url=http://u:p@a:1"], "GATEWAY_URL"),
            (vec![password, "--gateway-url="], "GATEWAY_URL"),
            (vec![password, "--interval-seconds=0"], "INTERVAL_SECONDS"),
            (vec![password, "--late-milliseconds=10001"], "LATE_MILLISECONDS"),
        ] {
            let why = settings(&arguments).check().err().unwrap();
            assert!(why.contains(name), "{why}");
            assert!(!why.contains("short") && !why.contains("horse"), "{why}");
        }
    }
}
