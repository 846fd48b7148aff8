//! Reading settings: flags or environment by clap, one clear line and exit code 64 when they are
//! wrong, secrets that do not print. Each process has its own list of settings.

use clap::{Parser, error::ErrorKind};
use std::{convert::Infallible, fmt, process::ExitCode, str::FromStr};

/// The exit code for wrong settings (`EX_USAGE` of BSD's sysexits).
pub const EXIT_USAGE: u8 = 64;

/// A value that must not appear in logs, errors or `--help`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself, for the one call that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl FromStr for Secret {
    type Err = Infallible;
    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("****")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("****")
    }
}

/// Parses the command line and the environment. `Err` is what the process should exit with: the
/// help was printed (0), or one line on stderr said what is wrong (64).
#[expect(clippy::print_stderr, reason = "before logging starts, stderr is where errors go")]
pub fn parse<A: Parser>() -> Result<A, ExitCode> {
    A::try_parse().map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            let _ = error.print();
            ExitCode::SUCCESS
        }
        _ => {
            // The first line says it all; usage and tips would bury it.
            let text = error.to_string();
            let line = text.lines().map(str::trim).filter(|line| !line.is_empty());
            let line: Vec<&str> = line.take_while(|line| !line.starts_with("Usage:")).collect();
            eprintln!("{} (see --help)", line.join(" "));
            ExitCode::from(EXIT_USAGE)
        }
    })
}

/// One line on stderr about settings that parse and still cannot work.
#[expect(clippy::print_stderr, reason = "before logging starts, stderr is where errors go")]
pub fn refuse(message: impl fmt::Display) -> ExitCode {
    eprintln!("error: {message}");
    ExitCode::from(EXIT_USAGE)
}
