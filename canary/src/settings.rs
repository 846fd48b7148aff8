//! The settings of the canary.

use crate::config::CanaryConfig;
use clap::{Parser, Subcommand};
use platform::{
    settings::{CommaSeparated, ListenAddr, Secret, ServerUrl},
    telemetry::{LogArgs, LogCommand},
    text,
};
use std::time::Duration;

/// Passes messages between all of Switchboard's gateways continuously, as clients do, and reports
/// the results on /metrics.
///
/// Each flag can also be set by the environment variable shown beside it. One canary per deployment
/// is enough.
#[derive(Parser, Clone, Debug)]
#[command(name = "canary", version)]
pub struct CanarySettings {
    #[expect(missing_docs, reason = "clap would show it in --help")]
    #[command(subcommand)]
    pub command: Option<CanaryCommand>,
    /// The address of the operators' endpoints /livez, /readyz and /metrics
    #[arg(long, env = "ADMIN_LISTEN", default_value = "127.0.0.1:9300", global = true)]
    pub admin_listen: ListenAddr,
    /// The apis' public listener, where the canary signs in: http://host:port
    #[arg(long, env = "API_URL", default_value = "http://127.0.0.1:8200")]
    pub api_url: ServerUrl,
    /// The gateways, separated by commas: http://host:port. A name stands for all of its addresses.
    /// The canary looks it up again in each round, so gateways may come and go
    #[arg(long, env = "GATEWAY_URL", default_value = "http://127.0.0.1:8100")]
    pub gateway_url: Vec<CommaSeparated<ServerUrl>>,
    /// The password of the accounts `canary_a` and `canary_b`, 8 to 128 characters. The canary
    /// creates the accounts if they do not exist
    #[arg(long, env = "CANARY_PASSWORD", hide_env_values = true)]
    pub canary_password: Option<Secret>,
    /// Seconds from the start of one round to the start of the next, 1 to 3600. In a round, each
    /// gateway in turn sends a message that all others must receive
    #[arg(long, env = "INTERVAL_SECONDS", default_value_t = 5)]
    pub interval_seconds: u64,
    /// Milliseconds after which a message from one gateway to another counts as late, 1 to 10000
    #[arg(long, env = "LATE_MILLISECONDS", default_value_t = 500)]
    pub late_milliseconds: u64,
    #[expect(missing_docs, reason = "clap would show it in --help")]
    #[command(flatten)]
    pub log: LogArgs,
}

#[expect(missing_docs, reason = "clap would show it in --help")]
#[derive(Subcommand, Clone, Debug, PartialEq, Eq)]
pub enum CanaryCommand {
    /// Watch the gateways (the default)
    Watch,
    /// Check whether a canary on this machine is watching: exit code 0 if it is, 1 if not
    Health,
    /// Show or temporarily change the log filter of a canary on this machine
    Log(LogCommand),
}

impl CanarySettings {
    /// Checks the settings. An error is one sentence about the first setting that is missing or
    /// wrong.
    pub fn check(&self) -> Result<CanaryConfig, String> {
        let Some(password) = self.canary_password.clone() else {
            return Err(
                "CANARY_PASSWORD is missing. Set it to the password of the canary's own two \
                        accounts, 8 to 128 characters, the same at each start"
                    .to_owned(),
            );
        };
        text::password(password.reveal()).map_err(|why| format!("CANARY_PASSWORD {why}"))?;
        let gateways: Vec<ServerUrl> = self.gateway_url.iter().flatten().cloned().collect();
        if gateways.is_empty() {
            return Err("GATEWAY_URL must name at least one gateway".to_owned());
        }
        if !(1..=3600).contains(&self.interval_seconds) {
            return Err("INTERVAL_SECONDS must be from 1 to 3600".to_owned());
        }
        if !(1..=10_000).contains(&self.late_milliseconds) {
            return Err("LATE_MILLISECONDS must be from 1 to 10000".to_owned());
        }
        let mut config = CanaryConfig::new(self.api_url.clone(), gateways, password);
        config.interval = Duration::from_secs(self.interval_seconds);
        config.rules.late = Duration::from_millis(self.late_milliseconds);
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    fn settings(arguments: &[&str]) -> Result<CanarySettings, String> {
        let line = ["canary"].iter().chain(arguments);
        CanarySettings::try_parse_from(line).map_err(|error| error.to_string())
    }

    #[test]
    fn the_command_line_is_consistent() {
        CanarySettings::command().debug_assert();
        assert_eq!(settings(&["health"]).unwrap().command, Some(CanaryCommand::Health));
        assert_eq!(settings(&[]).unwrap().command, None);
    }

    #[test]
    fn good_settings_become_a_configuration() {
        let config = settings(&[
            "--canary-password=correct horse",
            "--gateway-url=http://gateway-nodes:8100/, http://[::1]:81,http://g",
            "--interval-seconds=2",
            "--late-milliseconds=50",
        ])
        .and_then(|settings| settings.check())
        .unwrap();
        let gateways = config.gateways.iter().map(|one| (one.host(), one.port()));
        let expected = [("gateway-nodes", 8100), ("::1", 81), ("g", 80)];
        assert_eq!(gateways.collect::<Vec<_>>(), expected);
        assert_eq!(config.gateways[1].authority(), "[::1]:81");
        assert_eq!(config.interval, Duration::from_secs(2));
        assert_eq!(config.rules.late, Duration::from_millis(50));
    }

    #[test]
    fn bad_settings_are_named_and_the_password_not_repeated() {
        let password = "--canary-password=correct horse";
        for (arguments, name) in [
            (vec![], "CANARY_PASSWORD is missing"),
            (vec!["--canary-password=short"], "CANARY_PASSWORD must"),
            (vec![password, "--api-url=localhost:8200"], "--api-url"),
            (vec![password, "--api-url=https://a"], "--api-url"),
            (vec![password, "--gateway-url=http://a:1,ws://b:2"], "\"ws://b:2\""),
            (vec![password, "--gateway-url=http://a:1/path"], "--gateway-url"),
            (vec![password, "--gateway-url=http://u:p@a:1"], "--gateway-url"),
            (vec![password, "--gateway-url="], "GATEWAY_URL"),
            (vec![password, "--interval-seconds=0"], "INTERVAL_SECONDS"),
            (vec![password, "--late-milliseconds=10001"], "LATE_MILLISECONDS"),
        ] {
            let why = settings(&arguments).and_then(|settings| settings.check()).unwrap_err();
            assert!(why.contains(name), "{why}");
            assert!(!why.contains("short") && !why.contains("horse"), "{why}");
        }
    }
}
