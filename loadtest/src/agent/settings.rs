//! What an agent is told on its command line, and whether it can work with that.

use shared::{settings::Secret, telemetry::LogArgs};
use std::{
    fs::File,
    io::Read as _,
    net::SocketAddr,
    path::{Path, PathBuf},
};

/// The settings of `loadtest agent`.
#[derive(Clone, Debug, clap::Args)]
pub struct AgentSettings {
    /// Where the agent waits for its coordinator. Other than on loopback it needs a secret: who may
    /// order may send load to anywhere.
    #[arg(long = "listen", env = "AGENT_LISTEN", default_value = "127.0.0.1:7400")]
    pub agent_listen: SocketAddr,
    /// A file with the secret that coordinators must know, at least 16 characters.
    #[arg(long = "secret-file", env = "AGENT_SECRET_FILE", value_name = "FILE")]
    pub agent_secret_file: Option<PathBuf>,
    #[command(flatten)]
    pub log: LogArgs,
}

/// Checked settings.
#[derive(Clone, Debug)]
pub struct AgentConfig {
    pub listen: SocketAddr,
    pub secret: Option<Secret>,
}

/// Nobody guesses 16 characters over the network.
const MIN_SECRET: usize = 16;

/// The largest file taken for a secret.
const MAX_SECRET_BYTES: u64 = 4 << 10;

impl AgentSettings {
    /// Reads the secret. An error is one sentence for the terminal.
    pub fn check(&self) -> Result<AgentConfig, String> {
        let secret = self.agent_secret_file.as_deref().map(read_secret).transpose()?;
        if secret.is_none() && !self.agent_listen.ip().is_loopback() {
            return Err(format!(
                "an agent on {} takes orders from the network: give it --secret-file, and its coordinator the same one",
                self.agent_listen
            ));
        }
        Ok(AgentConfig { listen: self.agent_listen, secret })
    }
}

/// The secret in a file; a line break at its end is not part of it. For agents and coordinators.
pub fn read_secret(path: &Path) -> Result<Secret, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let mut text = String::new();
    let file = File::open(path).map_err(failed)?;
    file.take(MAX_SECRET_BYTES).read_to_string(&mut text).map_err(failed)?;
    let secret = text.trim_end_matches(['\r', '\n']);
    if secret.len() < MIN_SECRET || !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!(
            "{}: the agents' secret has at least {MIN_SECRET} characters, letters, digits and signs only",
            path.display()
        ));
    }
    Ok(Secret::new(secret))
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::telemetry::LogFormat;
    use std::fs;

    fn settings(listen: &str, file: Option<PathBuf>) -> AgentSettings {
        let log = LogArgs { log: "info".to_owned(), log_format: LogFormat::Human };
        AgentSettings { agent_listen: listen.parse().unwrap(), agent_secret_file: file, log }
    }

    #[test]
    fn only_loopback_may_do_without_a_secret() {
        assert!(settings("127.0.0.1:7400", None).check().is_ok());
        assert!(settings("[::1]:7400", None).check().is_ok());
        for open in ["0.0.0.0:7400", "10.0.0.7:7400", "[::]:7400"] {
            assert!(settings(open, None).check().unwrap_err().contains("--secret-file"), "{open}");
        }
    }

    #[test]
    fn a_secret_is_read_and_a_weak_one_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        fs::write(&file, "0123456789abcdef\n").unwrap();
        let config = settings("0.0.0.0:7400", Some(file.clone())).check().unwrap();
        assert_eq!(config.secret.unwrap().reveal(), "0123456789abcdef");
        for weak in ["", "short\n", "0123456789 abcdef"] {
            fs::write(&file, weak).unwrap();
            let why = settings("0.0.0.0:7400", Some(file.clone())).check().unwrap_err();
            assert!(why.contains("at least 16") && !why.contains("abcdef"), "{why}");
        }
        assert!(settings("0.0.0.0:7400", Some(folder.path().join("none"))).check().is_err());
    }
}
