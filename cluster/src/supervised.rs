//! A running child process behind a small supervising shell, so that it cannot outlive us: when this process
//! ends, even by SIGKILL, our end of the pipe closes and the shell ends the child. It knows neither which
//! program runs nor what readiness means.

use crate::program::Program;
use anyhow::{Context, Result, bail};
use std::{
    fs::OpenOptions,
    io::{BufRead, BufReader, Write},
    os::unix::process::CommandExt,
    process::{Child, ChildStdin, Command, Stdio},
};

const SUPERVISOR: &str = include_str!("supervisor.sh");

/// A started program. Dropping it ends the program and waits until it is gone.
pub(crate) struct SupervisedProcess {
    shell: Child,
    /// Signals to send, a line each; closing it ends the program.
    signals: Option<ChildStdin>,
    pid: u32,
    exit: Option<i32>,
}

impl SupervisedProcess {
    /// Starts `program`; its output is appended to its log. A program that cannot be executed is
    /// one that exits with 126 or 127 and says so in the log.
    pub(crate) fn start(program: &Program) -> Result<Self> {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&program.log)
            .with_context(|| format!("cannot open the log {}", program.log.display()))?;
        let mut command = Command::new("sh");
        command
            .args(["-c", SUPERVISOR, "supervisor", program.last_signal])
            .arg(&program.path)
            .args(&program.args)
            .envs(program.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            // Its own group: Ctrl-C in a terminal reaches only the owner, who stops all in order.
            .process_group(0);
        if let Some(user) = program.user {
            // Ours may be a folder that the other user cannot enter.
            command.uid(user.uid).gid(user.gid).current_dir("/");
        }
        let mut shell = command.spawn().with_context(|| format!("cannot start {program}"))?;
        let signals = shell.stdin.take();
        let mut line = String::new();
        if let Some(stdout) = shell.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let Ok(pid) = line.trim().parse() else {
            drop(signals);
            let _ = shell.wait();
            bail!("cannot start {program}: {}", program.log_tail());
        };
        Ok(Self { shell, signals, pid, exit: None })
    }

    /// The program's own process id, not the supervisor's.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Sends a signal by its name without `SIG`; nothing happens when the program has ended.
    pub(crate) fn signal(&mut self, name: &str) {
        if let Some(signals) = &mut self.signals {
            // A broken pipe means that the supervisor, and so the program, is gone already.
            let _ = writeln!(signals, "{name}");
        }
    }

    /// The exit code when the program has ended; 128 + the signal's number when one killed it.
    pub(crate) fn exit_code(&mut self) -> Result<Option<i32>> {
        if self.exit.is_none() {
            // Without a code the supervisor itself was killed: 128 + SIGKILL.
            self.exit = self.shell.try_wait()?.map(|status| status.code().unwrap_or(137));
        }
        Ok(self.exit)
    }
}

impl Drop for SupervisedProcess {
    fn drop(&mut self) {
        drop(self.signals.take());
        // Bounded: the supervisor kills what has not ended after 5 seconds.
        let _ = self.shell.wait();
    }
}
