//! A Redis primary with a replica, and three sentinels that watch them.

use crate::{
    Process, Program, Redis, installed, installed::shipped, port::free_port, scratch::Scratch,
};
use anyhow::{Result, ensure};
use std::{fs, time::Duration};

/// Sentinels find each other by messages that they send every two seconds.
const START: Duration = Duration::from_secs(30);

/// How long a primary is silent before the sentinels believe that it is down.
const DOWN_AFTER_MILLISECONDS: u64 = 1000;

/// The servers. They end when this is dropped.
pub struct RedisSentinels {
    servers: [Redis; 2],
    sentinels: Vec<RedisSentinel>,
}

/// One sentinel.
pub struct RedisSentinel {
    process: Process,
    port: u16,
    _scratch: Scratch,
}

impl RedisSentinels {
    /// What the primary is called.
    pub const NAME: &'static str = "main";

    /// Starts all of them, and waits until the sentinels could fail over.
    pub async fn start() -> Result<Self> {
        let primary = Redis::start().await?;
        let port = primary.port().to_string();
        // The replica is wanted at once, and not after others that may come.
        primary.told("CONFIG SET repl-diskless-sync-delay 0", &["+OK"]).await?;
        let replica = Redis::start_with(&["--replicaof", "127.0.0.1", &port]).await?;
        replica.told("INFO replication", &["master_link_status:up"]).await?;
        let mut sentinels = Vec::new();
        for _ in 0..3 {
            sentinels.push(RedisSentinel::start(primary.port())?);
        }
        for sentinel in &sentinels {
            sentinel.told("SENTINEL CKQUORUM main", &["+OK 3 usable"]).await?;
            sentinel.told("SENTINEL REPLICAS main", &["master-link-status\r\n$2\r\nok"]).await?;
        }
        Ok(Self { servers: [primary, replica], sentinels })
    }

    /// The URL for clients that ask the sentinels.
    pub fn url(&self) -> String {
        let hosts: Vec<String> =
            self.sentinels.iter().map(|one| format!("127.0.0.1:{}", one.port)).collect();
        format!("redis+sentinel://{}/{}", hosts.join(","), Self::NAME)
    }

    /// The server that began as the primary, and the one that began as its replica.
    pub fn servers(&self) -> &[Redis; 2] {
        &self.servers
    }

    /// The sentinels.
    pub fn sentinels(&self) -> &[RedisSentinel] {
        &self.sentinels
    }
}

impl RedisSentinel {
    fn start(primary: u16) -> Result<Self> {
        let (port, scratch) = (free_port(), Scratch::new("sentinel")?);
        // The shipped configuration, at these addresses and less patient. A sentinel writes what it learns into it.
        let mut text = fs::read_to_string(shipped("redis/sentinel.conf"))?;
        for (shipped, ours) in [
            ("port 26379", format!("bind 127.0.0.1\nport {port}")),
            ("dir /data", format!("dir {}", scratch.path().display())),
            ("monitor main redis 6379", format!("monitor main 127.0.0.1 {primary}")),
            ("milliseconds main 5000", format!("milliseconds main {DOWN_AFTER_MILLISECONDS}")),
        ] {
            ensure!(text.contains(shipped), "sentinel.conf has no {shipped}");
            text = text.replace(shipped, &ours);
        }
        let file = scratch.path().join("sentinel.conf");
        fs::write(&file, text)?;
        let program = Program::new("sentinel", installed::find("redis-sentinel")?, scratch.path())
            .args([file]);
        Ok(Self { process: Process::start(program)?, port, _scratch: scratch })
    }

    /// Where it listens on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// For signals, and the log.
    pub fn process(&self) -> &Process {
        &self.process
    }

    async fn told(&self, command: &str, expected: &[&str]) -> Result<()> {
        crate::redis::told(&self.process, self.port, START, command, expected).await
    }
}
