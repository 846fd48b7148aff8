//! Arguments that several subcommands share: the scenario and its changes, the deployment and its
//! administrator.

use super::exit::Failure;
use crate::{
    client::{SocketTarget, TargetUrl},
    prepare::{AdminCredentials, LoadTarget},
    scenario::Scenario,
    scenarios::{ScenarioOverride, ScenarioSource, read},
    trust::Trust,
};
use anyhow::Context as _;
use clap::Args;
use platform::settings::Secret;
use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
};

/// Which scenario, and what is different this time.
#[derive(Args, Debug)]
pub(super) struct ScenarioArgs {
    /// A scenario file (with / or .toml in its name) or the name of a shipped scenario
    pub scenario: String,
    /// Changes a value in the scenario, such as people.accounts=200 or phases.steady.messages=50
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<ScenarioOverride>,
    /// Replaces the scenario's random seed
    #[arg(long)]
    pub seed: Option<u64>,
    /// Adds a threshold, such as 'delivery.p99<250ms'
    #[arg(long, value_name = "EXPRESSION")]
    pub threshold: Vec<String>,
}

impl ScenarioArgs {
    /// The scenario as it shall be run.
    pub(super) fn read(&self) -> Result<Scenario, Failure> {
        let source = ScenarioSource::open(&self.scenario)?;
        let mut scenario = read(&source, &self.set)?;
        if let Some(seed) = self.seed {
            scenario.seed = seed;
        }
        for expression in &self.threshold {
            let threshold: crate::threshold::Threshold = expression
                .parse()
                .with_context(|| format!("--threshold {expression:?}"))
                .map_err(Failure::usage)?;
            let phases = &scenario.phases;
            if let Some(phase) = threshold.phase
                && !phases.iter().any(|known| known.name == phase)
            {
                let why = anyhow::anyhow!("--threshold {expression:?}: there is no phase {phase}");
                return Err(Failure::usage(why));
            }
            scenario.thresholds.push(expression.clone());
        }
        Ok(scenario)
    }
}

/// Where to.
#[derive(Args, Debug)]
pub(super) struct TargetArgs {
    /// The URL of the deployment, for REST and sockets: http://host:port or https://host:port
    #[arg(long, env = "LOADTEST_URL", value_name = "URL")]
    pub url: TargetUrl,
    /// A PEM file of the authorities that may have signed the certificate of an https:// deployment,
    /// such as your own. By default, those that browsers know
    #[arg(long, env = "LOADTEST_CA_FILE", value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// The administrator whose account creates the test accounts
    #[arg(long, default_value = "admin", value_name = "NAME")]
    pub admin_username: String,
    /// The administrator's password, which lets the load tester create accounts in bulk. Without
    /// it, accounts register one by one, and the deployment's limits allow only a few hundred
    #[arg(long, env = "LOADTEST_ADMIN_PASSWORD", hide_env_values = true, value_name = "PASSWORD")]
    pub admin_password: Option<Secret>,
    /// A file that holds the administrator's password. An empty file counts as no password
    #[arg(
        long,
        env = "LOADTEST_ADMIN_PASSWORD_FILE",
        value_name = "FILE",
        conflicts_with = "admin_password"
    )]
    pub admin_password_file: Option<PathBuf>,
}

/// The largest file taken for a password.
const MAX_PASSWORD_BYTES: u64 = 4 << 10;

/// The largest file of authorities: a system's whole list has some 220 KiB.
const MAX_AUTHORITIES_BYTES: u64 = 4 << 20;

impl TargetArgs {
    /// The deployment, with a URL that can be one.
    pub(super) async fn read(&self) -> Result<LoadTarget, Failure> {
        let url = self.url.to_string();
        let trust = match &self.ca_file {
            None => Trust::default(),
            Some(path) => text_of(path, MAX_AUTHORITIES_BYTES)
                .and_then(|pem| Ok(Trust::only(&pem)?))
                .with_context(|| format!("--ca-file {}", path.display()))
                .map_err(Failure::usage)?,
        };
        let target = SocketTarget::resolve(&url, &trust).await;
        target.context("--url").map_err(Failure::usage)?;
        let mut password = self.admin_password.clone();
        if let Some(path) = &self.admin_password_file {
            let text = text_of(path, MAX_PASSWORD_BYTES)
                .with_context(|| format!("--admin-password-file {}", path.display()))
                .map_err(Failure::usage)?;
            password = Some(Secret::new(text.trim_end_matches(['\r', '\n'])));
        }
        let password = password.filter(|password| !password.reveal().is_empty());
        let username = self.admin_username.clone();
        let admin = password.map(|password| AdminCredentials { username, password });
        Ok(LoadTarget { url, trust, admin })
    }
}

/// The beginning of a file, up to so many bytes.
fn text_of(path: &Path, most: u64) -> anyhow::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(most).read_to_string(&mut text)?;
    Ok(text)
}
