//! A private Redis server with the shipped configuration: a restart clears its data.

use crate::{Process, Program, installed, installed::shipped, port::free_port, scratch::Scratch};
use anyhow::{Result, bail};
use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};
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
    tls_port: Option<u16>,
    _scratch: Scratch,
}

/// What a server shows, and whom it lets in by TLS: files of PEM.
pub struct RedisTlsFiles {
    /// The server's certificate.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The authority of the servers and of all clients.
    pub authority: PathBuf,
}

impl RedisTlsFiles {
    /// Each setting and its value. Servers ask each other by TLS, too, and clients for a certificate.
    pub(crate) fn settings(&self, port: u16) -> Vec<(&'static str, String)> {
        let path = |path: &Path| path.display().to_string();
        vec![
            ("tls-port", port.to_string()),
            ("tls-cert-file", path(&self.certificate)),
            ("tls-key-file", path(&self.key)),
            ("tls-ca-cert-file", path(&self.authority)),
            ("tls-auth-clients", "yes".to_owned()),
            ("tls-replication", "yes".to_owned()),
        ]
    }
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

    /// Likewise, by TLS at another port, too.
    pub async fn start_by_tls(tls: Option<&RedisTlsFiles>, settings: &[&str]) -> Result<Self> {
        let Some(tls) = tls else { return Self::start_with(settings).await };
        let port = free_port();
        let mut all: Vec<String> = settings.iter().map(|word| (*word).to_owned()).collect();
        all.extend(
            tls.settings(port).into_iter().flat_map(|(name, value)| [format!("--{name}"), value]),
        );
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        Ok(Self { tls_port: Some(port), ..Self::start_with(&all).await? })
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
        let process = Process::start(program)?;
        let redis = Self { process, port, tls_port: None, _scratch: scratch };
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

    /// The port for clients of [`Redis::start_by_tls`], and the only one for those of [`Redis::start`].
    pub fn named_port(&self) -> u16 {
        self.tls_port.unwrap_or(self.port)
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
