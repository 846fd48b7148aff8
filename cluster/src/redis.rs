//! A private Redis server with the shipped configuration: a restart clears its data.

use crate::{Process, Program, installed, installed::shipped, port::free_port, scratch::Scratch};
use anyhow::{Result, bail};
use std::{fs, path::Path, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Tens of milliseconds in practice; long for a machine that compiles beside it.
const START: Duration = Duration::from_secs(20);

/// The server. It ends when this is dropped, or when the process that owns it dies.
pub struct Redis {
    process: Process,
    port: u16,
    _scratch: Scratch,
}

impl Redis {
    /// Starts a server on a free port of 127.0.0.1 and waits until it answers.
    pub async fn start() -> Result<Self> {
        Self::start_with(&[]).await
    }

    /// With further settings, each as `--name` and its values: certificates, users, a primary.
    pub async fn start_with(settings: &[&str]) -> Result<Self> {
        Self::start_in(None, None, settings).await
    }

    pub(crate) async fn start_in(
        logs: Option<&Path>,
        cpu: Option<usize>,
        settings: &[&str],
    ) -> Result<Self> {
        let port = free_port();
        let scratch = Scratch::new("redis")?;
        let logs = logs.unwrap_or(scratch.path());
        // A copy, because sentinels make servers write into their configuration.
        let configuration = scratch.path().join("redis.conf");
        fs::copy(shipped("redis/redis.conf"), &configuration)?;
        let program = Program::new("redis", installed::find("redis-server")?, logs)
            .args([configuration.as_os_str()])
            .args(["--dir".as_ref(), scratch.path().as_os_str()])
            .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
            .args(settings)
            .on_cpu(cpu);
        let redis = Self { process: Process::start(program)?, port, _scratch: scratch };
        redis.answers().await?;
        Ok(redis)
    }

    /// The URL for clients, without a password.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The TCP port on 127.0.0.1; it stays the same over restarts.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// For signals (pause, resume), the process id and the log.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Kills the server with SIGKILL and waits until it is gone.
    pub async fn kill(&self) -> Result<()> {
        self.process.kill().await
    }

    /// Stops the server: it closes its connections and ends.
    pub async fn stop(&self) -> Result<()> {
        self.process.stop().await.map(drop)
    }

    /// Starts it again, empty, on the same port, and waits until it answers. A server that still
    /// runs is killed first.
    pub async fn restart(&self) -> Result<()> {
        self.process.restart()?;
        self.answers().await
    }

    async fn answers(&self) -> Result<()> {
        // A server that accepts connections may still be loading; only PONG means ready. One that wants a
        // password first is.
        self.told("PING", &["+PONG", "-NOAUTH"]).await
    }

    pub(crate) async fn told(&self, command: &str, expected: &[&str]) -> Result<()> {
        told(&self.process, self.port, START, command, expected).await
    }
}

/// Repeats a command until the answer contains one of what is expected.
pub(crate) async fn told(
    process: &Process,
    port: u16,
    bound: Duration,
    command: &str,
    expected: &[&str],
) -> Result<()> {
    let ask = || async move {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.write_all(format!("{command}\r\n").as_bytes()).await?;
        // It answers and then closes, too. Sentinels know no QUIT.
        stream.shutdown().await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        if !expected.iter().any(|expected| answer.contains(expected)) {
            bail!("{command}: {answer}");
        }
        Ok(())
    };
    process.wait_until(bound, ask).await
}
