//! The command of a child process: its arguments, environment, user and log. It starts nothing.

use std::{
    ffi::OsString,
    fmt, fs,
    path::{Path, PathBuf},
};

/// How many lines of the log an error shows.
const TAIL_LINES: usize = 30;

/// The command. The child inherits this process's environment; `env` overrides it.
#[derive(Clone, Debug)]
pub struct Program {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    pub(crate) args: Vec<OsString>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) log: PathBuf,
    pub(crate) user: Option<ChildUser>,
    pub(crate) last_signal: &'static str,
}

impl Program {
    /// `name` is for people; output goes to `{name}.log` in the folder `logs`.
    pub fn new(name: impl Into<String>, path: impl Into<PathBuf>, logs: &Path) -> Self {
        let name = name.into();
        let log = logs.join(format!("{name}.log"));
        Self {
            name,
            path: path.into(),
            args: Vec::new(),
            env: Vec::new(),
            log,
            user: None,
            last_signal: "KILL",
        }
    }

    /// Appends command-line arguments.
    #[must_use]
    pub fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Runs it on this CPU only, by `taskset`; `None` changes nothing.
    #[must_use]
    pub(crate) fn on_cpu(mut self, cpu: Option<usize>) -> Self {
        if let Some(cpu) = cpu {
            let program = std::mem::replace(&mut self.path, "taskset".into()).into_os_string();
            self.args.splice(0..0, ["-c".into(), cpu.to_string().into(), program]);
        }
        self
    }

    /// Sets an environment variable of the child, over an inherited one.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl ToString) -> Self {
        self.env.push((name.into(), value.to_string()));
        self
    }

    /// The same for a setting that there may be.
    pub(crate) fn env_if(mut self, setting: Option<(&str, String)>) -> Self {
        self.env.extend(setting.map(|(name, value)| (name.to_owned(), value)));
        self
    }

    /// The signal that ends the child when its owner is dropped or dies, for programs that leave
    /// something behind when they are killed. Default `KILL`.
    #[must_use]
    pub(crate) fn ends_by(mut self, signal: &'static str) -> Self {
        self.last_signal = signal;
        self
    }

    /// The last lines of the log, for errors.
    pub fn log_tail(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        let tail = &lines[lines.len().saturating_sub(TAIL_LINES)..];
        format!("{}\n--- end of {} ---", tail.join("\n"), self.log.display())
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// The user that a child runs as.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChildUser {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}
