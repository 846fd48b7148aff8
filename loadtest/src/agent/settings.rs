//! The settings of `loadtest agent`, and the check whether the agent can work with them.

use platform::{
    settings::{ListenAddr, Secret},
    telemetry::LogArgs,
};
use std::{fs::File, io::Read as _, path::Path, path::PathBuf};

/// The settings of `loadtest agent`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct AgentSettings {
    /// The address where the agent waits for its coordinator and serves /readyz and /metrics. An
    /// address other than loopback requires a secret, because a coordinator can make the agent send
    /// load anywhere
    #[arg(long, env = "LISTEN", default_value = "127.0.0.1:7400")]
    pub listen: ListenAddr,
    #[command(flatten)]
    pub secret: SecretArgs,
    #[command(flatten)]
    pub log: LogArgs,
}

/// The secret that agents and their coordinator share, given directly or in a file.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct SecretArgs {
    /// The secret that agents and their coordinator share, at least 16 characters
    #[arg(long, env = "AGENT_SECRET", hide_env_values = true)]
    pub agent_secret: Option<Secret>,
    /// A file that holds the agents' secret
    #[arg(
        long,
        alias = "secret-file",
        env = "AGENT_SECRET_FILE",
        value_name = "FILE",
        conflicts_with = "agent_secret"
    )]
    pub agent_secret_file: Option<PathBuf>,
}

/// Nobody guesses 16 characters over the network.
const MIN_SECRET: usize = 16;

/// The largest file taken for a secret.
const MAX_SECRET_BYTES: u64 = 4 << 10;

impl AgentSettings {
    /// The secret. An error is one sentence for the terminal.
    pub(crate) fn check(&self) -> Result<Option<Secret>, String> {
        let secret = self.secret.read()?;
        if secret.is_none() && !self.listen.0.ip().is_loopback() {
            return Err(format!(
                "an agent on {} accepts orders from the network. Give the agent and its coordinator the \
                 same --agent-secret-file",
                self.listen
            ));
        }
        Ok(secret)
    }
}

impl SecretArgs {
    /// Reads the file, if it is one. An error is one sentence, without the secret.
    pub(crate) fn read(&self) -> Result<Option<Secret>, String> {
        let secret = match (&self.agent_secret, &self.agent_secret_file) {
            (Some(secret), _) => secret.clone(),
            (None, Some(path)) => Secret::new(first_line(path)?),
            (None, None) => return Ok(None),
        };
        // What a header can hold.
        let text = secret.reveal();
        if text.len() < MIN_SECRET || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!(
                "AGENT_SECRET must have at least {MIN_SECRET} characters and no spaces or accents"
            ));
        }
        Ok(Some(secret))
    }
}

/// A file's text without the line break that editors put at its end.
fn first_line(path: &Path) -> Result<String, String> {
    let failed = |error: std::io::Error| format!("AGENT_SECRET_FILE: {}: {error}", path.display());
    let mut text = String::new();
    let file = File::open(path).map_err(failed)?;
    file.take(MAX_SECRET_BYTES).read_to_string(&mut text).map_err(failed)?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use std::fs;

    #[derive(Parser)]
    struct AgentArgs {
        #[command(flatten)]
        agent: AgentSettings,
    }

    fn check(flags: &[&str]) -> Result<Option<Secret>, String> {
        let line = ["agent"].iter().chain(flags);
        AgentArgs::try_parse_from(line).map_err(|error| error.to_string())?.agent.check()
    }

    #[test]
    fn only_loopback_may_do_without_a_secret() {
        assert_eq!(check(&[]), Ok(None));
        assert_eq!(check(&["--listen=[::1]:7400"]), Ok(None));
        assert_eq!(check(&["--listen=7400"]), Ok(None));
        for open in ["0.0.0.0:7400", ":7400", "10.0.0.7:7400", "[::]:7400"] {
            let why = check(&["--listen", open]).unwrap_err();
            assert!(why.contains("--agent-secret-file"), "{why}");
        }
    }

    #[test]
    fn a_secret_is_read_and_a_weak_one_refused_without_telling_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        let flag = format!("--agent-secret-file={}", file.display());
        fs::write(&file, "0123456789abcdef\n").unwrap();
        let secret = Some(Secret::new("0123456789abcdef"));
        assert_eq!(check(&["--listen=0.0.0.0:7400", &flag]), Ok(secret.clone()));
        assert_eq!(check(&["--agent-secret=0123456789abcdef"]), Ok(secret));
        assert!(check(&["--agent-secret=0123456789abcdef", &flag]).is_err(), "which one?");
        for weak in ["", "short\n", "0123456789 abcdef"] {
            fs::write(&file, weak).unwrap();
            let why = check(&[&flag]).unwrap_err();
            assert!(why.contains("16 characters") && !why.contains("abcdef"), "{why}");
        }
        let nowhere = format!("{flag}.none");
        assert!(check(&[&nowhere]).unwrap_err().contains("secret.none"));
    }
}
