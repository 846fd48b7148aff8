//! A child process: start and stop, signals, readiness. It dies with this process. The command it runs is a
//! [`Program`]; how the processes work together is in [`crate::Cluster`].

use crate::{program::Program, supervised::SupervisedProcess};
use anyhow::{Context, Result, bail};
use parking_lot::{Mutex, MutexGuard};
use std::{
    fs,
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// How often an exit or a port is looked at. Neither can be awaited: the child may be owned by one
/// test's runtime and waited for by another's.
pub(crate) const POLL: Duration = Duration::from_millis(5);
/// How long a child that was asked to end may take; longer than any drain window in tests.
const STOP: Duration = Duration::from_secs(60);
/// How long a child that was told to stand still may take, on a machine that is busy.
const STANDSTILL: Duration = Duration::from_secs(5);
/// A started [`Program`]. Dropping it ends the child and waits until it is gone.
pub struct Process {
    program: Program,
    running: Mutex<SupervisedProcess>,
}

impl Process {
    /// Starts the program and returns at once; see `wait_ready` for when it serves. An error if it cannot be executed.
    pub fn start(program: Program) -> Result<Self> {
        let running = Mutex::new(SupervisedProcess::start(&program)?);
        Ok(Self { program, running })
    }

    /// Ends the child, if it runs, and starts the same program again.
    pub fn restart(&self) -> Result<()> {
        // Locked until the new child runs, so that nobody signals or waits for a process that is gone.
        let mut running = self.running();
        running.signal("KILL");
        *running = SupervisedProcess::start(&self.program)?;
        Ok(())
    }

    /// The name that messages and the log file use.
    pub fn name(&self) -> &str {
        &self.program.name
    }

    /// The file that the child's output is appended to.
    pub fn log(&self) -> &Path {
        &self.program.log
    }

    /// The last lines of the log, for errors.
    pub fn log_tail(&self) -> String {
        self.program.log_tail()
    }

    /// The child's process id; after a restart it is another one.
    pub fn pid(&self) -> u32 {
        self.running().pid()
    }

    /// Kills the child with SIGKILL and waits until it is gone.
    pub async fn kill(&self) -> Result<()> {
        self.running().signal("KILL");
        self.wait(STOP).await.map(drop)
    }

    /// Asks the child to end (SIGTERM) and does not wait: see [`Process::wait`].
    pub fn terminate(&self) {
        self.running().signal("TERM");
    }

    /// Asks the child to end, waits for it (up to a minute), and returns its exit code.
    pub async fn stop(&self) -> Result<i32> {
        self.terminate();
        self.wait(STOP).await
    }

    /// Freezes the child (SIGSTOP): its sockets stay open and nobody answers. It stands still when this
    /// returns, where the system tells so: on Linux.
    pub fn pause(&self) {
        let mut running = self.running();
        running.signal("STOP");
        let deadline = Instant::now() + STANDSTILL;
        while Instant::now() < deadline && is_running(running.pid()) {
            std::thread::yield_now();
        }
    }

    /// Lets a frozen child go on.
    pub fn resume(&self) {
        self.running().signal("CONT");
    }

    pub(crate) fn signal(&self, name: &str) {
        self.running().signal(name);
    }

    /// The exit code when the child has ended; 128 + the signal's number when one killed it.
    pub fn exit_code(&self) -> Result<Option<i32>> {
        self.running().exit_code()
    }

    /// Waits until the child has ended and returns its exit code, as [`Process::exit_code`] does.
    pub async fn wait(&self, timeout: Duration) -> Result<i32> {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(code) = self.exit_code()? {
                return Ok(code);
            }
            if Instant::now() > deadline {
                bail!("{} did not exit within {timeout:?}: {}", self.name(), self.log_tail());
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Waits until `GET /readyz` on `admin` answers 200. The error tells the last answer and the
    /// end of the child's log.
    pub async fn wait_ready(&self, admin: SocketAddr, timeout: Duration) -> Result<()> {
        self.wait_answer(admin, "/readyz", timeout).await
    }

    /// The same for any path.
    pub(crate) async fn wait_answer(
        &self,
        admin: SocketAddr,
        path: &str,
        timeout: Duration,
    ) -> Result<()> {
        self.wait_until(timeout, || async move {
            let answer = get(admin, path).await?;
            if !answer.starts_with("HTTP/1.1 200") {
                bail!("{path} answered {:?}", answer.lines().next().unwrap_or_default());
            }
            Ok(())
        })
        .await
    }

    /// Tries `probe` until it succeeds, the child ends, or time is up.
    pub(crate) async fn wait_until<F>(&self, timeout: Duration, probe: impl Fn() -> F) -> Result<()>
    where
        F: Future<Output = Result<()>>,
    {
        let deadline = Instant::now() + timeout;
        loop {
            // A hung answer must not hide that the child has died meanwhile.
            let tried = tokio::time::timeout(Duration::from_secs(1), probe()).await;
            let Err(error) = tried.unwrap_or_else(|_| bail!("no answer within a second")) else {
                return Ok(());
            };
            if let Some(code) = self.exit_code()? {
                bail!("{} exited with code {code}: {}", self.name(), self.log_tail());
            }
            if Instant::now() > deadline {
                bail!(
                    "{} is not ready after {timeout:?}: {error:#}\n{}",
                    self.name(),
                    self.log_tail()
                );
            }
            tokio::time::sleep(POLL).await;
        }
    }

    fn running(&self) -> MutexGuard<'_, SupervisedProcess> {
        self.running.lock()
    }
}

/// Whether a process is there and not stopped; `false` where the system does not tell.
fn is_running(pid: u32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    // The name before it may have anything in it, but for the last bracket.
    stat.rsplit_once(')').is_some_and(|(_, state)| !state.trim_start().starts_with('T'))
}

/// The head of an HTTP answer to `GET path`.
async fn get(address: SocketAddr, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address).await.context("cannot connect")?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(4096).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
