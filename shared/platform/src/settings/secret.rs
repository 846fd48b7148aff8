//! Secrets: values that do not print, and how they are read from files. Where they are needed is for each
//! process to say.

use clap::Command;
use std::{convert::Infallible, ffi::OsString, fmt, fs::File, io::Read, str::FromStr};

/// A value that must not appear in logs, errors or `--help`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps this value from logs.
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

/// The shortest secret that servers share: nobody guesses 16 characters over the network.
const MIN_SHARED: usize = 16;

/// The secrets of the setting `name`, by which our servers know each other, separated by commas: several
/// while one is being changed, the first is shown. Each fits a header. An error is one sentence without them.
pub fn shared_secrets(name: &str, given: &Secret) -> Result<Vec<Secret>, String> {
    let secret = |text: &str| {
        let text = text.trim();
        let fits = text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
        (text.len() >= MIN_SHARED && fits).then(|| Secret::new(text))
    };
    given.reveal().split(',').map(secret).collect::<Option<_>>().ok_or_else(|| {
        format!("{name} must have at least {MIN_SHARED} characters, all of them ASCII")
    })
}

/// The secrets that files hold, as arguments.
pub(super) fn secrets_in_files(
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
            return Err(format!("{by_file}: {shown} is larger than 64 KiB; is it the right file?"));
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

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
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

    #[test]
    fn a_shared_secret_is_long_and_fits_a_header() {
        let read = |text: &str| -> Result<Vec<String>, String> {
            let secrets = shared_secrets("TOKEN", &Secret::new(text))?;
            Ok(secrets.iter().map(|one| one.reveal().to_owned()).collect())
        };
        let (old, new) = ("0123456789abcdef", "with spaces inside");
        assert_eq!(read(old), Ok(vec![old.to_owned()]));
        let both = Ok(vec![old.to_owned(), new.to_owned()]);
        assert_eq!(read(&format!("{old}, {new}")), both);
        for bad in ["", "short", &format!("{old},"), &format!("{old}é"), &format!("{old}\n{old}")]
        {
            let why = read(bad).unwrap_err();
            assert!(why.contains("TOKEN") && !why.contains("cdef"), "{why}");
        }
    }
}
