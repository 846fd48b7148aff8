//! Reading settings: flags or environment by clap, secrets also from files, one clear line and exit
//! code 64 when they are wrong, secrets that do not print. Each process has its own list of settings.

use clap::{Command, Parser, error::ErrorKind};
use std::{
    convert::Infallible, env, ffi::OsString, fmt, fs::File, io::Read, process::ExitCode,
    str::FromStr,
};

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

/// The largest file taken for a secret: several signing keys fit many times.
const MAX_SECRET_BYTES: u64 = 64 << 10;

/// Parses the command line and the environment. Where a setting is a secret `NAME` (its value is
/// hidden in `--help`), the variable `NAME_FILE` may name a file that holds it instead, as container
/// platforms mount secrets. `Err` is what the process should exit with: the
/// help was printed (0), or one line on stderr said what is wrong (64).
#[expect(clippy::print_stderr, reason = "before logging starts, stderr is where errors go")]
pub fn parse<A: Parser>() -> Result<A, ExitCode> {
    #[expect(
        clippy::disallowed_methods,
        reason = "what clap cannot do: a file in place of a value"
    )]
    let variable = |name: &str| env::var_os(name);
    let secrets = secrets_in_files(&A::command(), variable).map_err(refuse)?;
    let mut arguments = env::args_os();
    // Among our own arguments, which no other process sees, before whatever else was given.
    let arguments = arguments.next().into_iter().chain(secrets).chain(arguments);
    A::try_parse_from(arguments).map_err(|error| match error.kind() {
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

/// The secrets that files hold, as arguments.
fn secrets_in_files(
    command: &Command,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<Vec<OsString>, String> {
    let mut found = Vec::new();
    for setting in command.get_arguments().filter(|setting| setting.is_hide_env_values_set()) {
        let (Some(name), Some(flag)) = (setting.get_env(), setting.get_long()) else { continue };
        let name = name.to_string_lossy();
        let by_file = format!("{name}_FILE");
        let Some(path) = variable(&by_file) else { continue };
        if variable(&name).is_some() {
            return Err(format!("{name} and {by_file} are both set: leave one out"));
        }
        let shown = path.to_string_lossy();
        let file = File::open(&path).map_err(|error| format!("{by_file}: {shown}: {error}"))?;
        let mut text = String::new();
        let read = file.take(MAX_SECRET_BYTES + 1).read_to_string(&mut text);
        read.map_err(|error| format!("{by_file}: {shown}: {error}"))?;
        if text.len() as u64 > MAX_SECRET_BYTES {
            return Err(format!("{by_file}: {shown} is larger than 64 KiB: is it the right file?"));
        }
        // Editors and `echo` end a file with a line break that belongs to no secret.
        let text = text.trim_end_matches(['\r', '\n']);
        if text.is_empty() {
            return Err(format!("{by_file}: {shown} is empty"));
        }
        found.push(format!("--{flag}={text}").into());
    }
    Ok(found)
}

/// One line on stderr about settings that parse and still cannot work.
#[expect(clippy::print_stderr, reason = "before logging starts, stderr is where errors go")]
pub fn refuse(message: impl fmt::Display) -> ExitCode {
    eprintln!("error: {message}");
    ExitCode::from(EXIT_USAGE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, path::Path};

    #[derive(Parser)]
    struct Settings {
        #[arg(long, env = "PASSWORD", hide_env_values = true)]
        password: Option<Secret>,
        #[arg(long, env = "LISTEN")]
        listen: Option<String>,
    }

    fn read(variables: &[(&str, &Path)]) -> Result<Option<String>, String> {
        use clap::CommandFactory as _;
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, path)| path.as_os_str().to_owned())
        };
        let secrets = secrets_in_files(&Settings::command(), variable)?;
        let arguments = [OsString::from("test")].into_iter().chain(secrets);
        let settings = Settings::try_parse_from(arguments).map_err(|error| error.to_string())?;
        assert!(settings.listen.is_none(), "no secret, so no file");
        Ok(settings.password.map(|password| password.reveal().to_owned()))
    }

    #[test]
    fn a_secret_may_be_in_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        fs::write(&file, "two\nlines\n").unwrap();
        assert_eq!(read(&[("PASSWORD_FILE", &file)]), Ok(Some("two\nlines".to_owned())));
        assert_eq!(read(&[("LISTEN_FILE", &file)]), Ok(None));
        let both = read(&[("PASSWORD_FILE", &file), ("PASSWORD", &file)]).unwrap_err();
        assert!(both.contains("leave one out"), "{both}");
    }

    #[test]
    fn a_bad_file_is_named_and_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        let why = read(&[("PASSWORD_FILE", &file)]).unwrap_err();
        assert!(why.contains("PASSWORD_FILE") && why.contains("secret"), "{why}");
        fs::write(&file, "\n").unwrap();
        assert!(read(&[("PASSWORD_FILE", &file)]).unwrap_err().contains("empty"));
        fs::write(&file, "x".repeat(70_000)).unwrap();
        let why = read(&[("PASSWORD_FILE", &file)]).unwrap_err();
        assert!(why.contains("64 KiB") && !why.contains("xxx"), "{why}");
    }
}
