//! A Redis primary with a replica, and three sentinels that watch them.

use crate::{
    Process, Program, Redis, RedisTlsFiles, installed, installed::shipped, port::free_port,
    scratch::Scratch,
};
use ::redis::{Client, FromRedisValue, RedisResult, cmd};
use anyhow::{Context, Result, ensure};
use std::{collections::HashMap, fs, time::Duration};
use tokio::time::{sleep, timeout};

/// Sentinels find each other by messages that they send every two seconds.
const START: Duration = Duration::from_secs(30);

/// A failover takes some seconds, and an old primary is made a replica eight seconds later.
const SETTLING: Duration = Duration::from_secs(60);

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
    /// For clients.
    named_port: u16,
    _scratch: Scratch,
}

impl RedisSentinels {
    /// What the primary is called.
    pub const NAME: &'static str = "main";

    /// Starts all of them, and waits until the sentinels could fail over.
    pub async fn start() -> Result<Self> {
        Self::start_by_tls(None).await
    }

    /// Likewise, by TLS, among themselves, too.
    pub async fn start_by_tls(tls: Option<&RedisTlsFiles>) -> Result<Self> {
        let primary = Redis::start_by_tls(tls, &[]).await?;
        let port = primary.named_port().to_string();
        // The replica is wanted at once, and not after others that may come.
        primary.told("CONFIG SET repl-diskless-sync-delay 0", &["+OK"]).await?;
        let replica = Redis::start_by_tls(tls, &["--replicaof", "127.0.0.1", &port]).await?;
        replica.told("INFO replication", &["master_link_status:up"]).await?;
        let mut sentinels = Vec::new();
        for _ in 0..3 {
            sentinels.push(RedisSentinel::start(primary.named_port(), tls)?);
        }
        for sentinel in &sentinels {
            sentinel.told("SENTINEL CKQUORUM main", &["+OK 3 usable"]).await?;
        }
        let all = Self { servers: [primary, replica], sentinels };
        all.replicated(1).await?;
        Ok(all)
    }

    /// The URL for clients that ask the sentinels.
    pub fn url(&self) -> String {
        let hosts: Vec<String> =
            self.sentinels.iter().map(|one| format!("127.0.0.1:{}", one.named_port)).collect();
        let by_tls = self.sentinels.iter().any(|one| one.named_port != one.port);
        let scheme = if by_tls { "rediss" } else { "redis" };
        format!("{scheme}+sentinel://{}/{}", hosts.join(","), Self::NAME)
    }

    /// The server that began as the primary, and the one that began as its replica.
    pub fn servers(&self) -> &[Redis; 2] {
        &self.servers
    }

    /// Lets the replica take over from a primary that runs. Returns when the failover has begun.
    pub async fn fail_over(&self) -> Result<()> {
        Ok(self.sentinels[0].ask(&["SENTINEL", "FAILOVER", Self::NAME]).await?)
    }

    /// The server that most sentinels name.
    pub async fn primary(&self) -> Result<usize> {
        let mut votes = [0; 2];
        for sentinel in &self.sentinels {
            let question = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", Self::NAME];
            let (_, port): (String, String) = sentinel.ask(&question).await?;
            let named = self.servers.iter().position(|one| one.named_port().to_string() == port);
            votes[named.context("an unknown server is named")?] += 1;
        }
        Ok(usize::from(votes[1] > votes[0]))
    }

    /// Waits until most sentinels name this server.
    pub async fn named(&self, server: usize) -> Result<()> {
        let named = self.until(async || self.primary().await.is_ok_and(|one| one == server)).await;
        named.context("the sentinels do not name it")
    }

    /// Lets the sentinels demote a primary that they replaced within a second or two, and not after eight.
    pub async fn hurry(&self) -> Result<()> {
        for sentinel in &self.sentinels {
            // They look at it so often, and wait for four times the other.
            let () = sentinel
                .ask(&["SENTINEL", "DEBUG", "INFO-PERIOD", "500", "PUBLISH-PERIOD", "250"])
                .await?;
        }
        Ok(())
    }

    /// Waits until every sentinel could let this server, which is the replica, take over.
    pub async fn replicated(&self, replica: usize) -> Result<()> {
        let port = self.servers[replica].named_port().to_string();
        self.until(async || {
            for sentinel in &self.sentinels {
                let known: RedisResult<Vec<HashMap<String, String>>> =
                    sentinel.ask(&["SENTINEL", "REPLICAS", Self::NAME]).await;
                let is_ready = |one: &HashMap<String, String>| {
                    one["port"] == port
                        && one["flags"] == "slave"
                        && one["master-link-status"] == "ok"
                };
                if !known.is_ok_and(|known| known.len() == 1 && known.iter().all(is_ready)) {
                    return false;
                }
            }
            true
        })
        .await
        .context("the sentinels have no good replica")
    }

    async fn until(&self, holds: impl AsyncFn() -> bool) -> Result<()> {
        let settled = async {
            while !holds().await {
                sleep(Duration::from_millis(10)).await;
            }
        };
        Ok(timeout(SETTLING, settled).await?)
    }

    /// The sentinels.
    pub fn sentinels(&self) -> &[RedisSentinel] {
        &self.sentinels
    }
}

impl RedisSentinel {
    fn start(primary: u16, tls: Option<&RedisTlsFiles>) -> Result<Self> {
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
        let named_port = if tls.is_some() { free_port() } else { port };
        for (name, value) in tls.iter().flat_map(|tls| tls.settings(named_port)) {
            text.push_str(&format!("{name} {value}\n"));
        }
        let file = scratch.path().join("sentinel.conf");
        fs::write(&file, text)?;
        let program = Program::new("sentinel", installed::find("redis-sentinel")?, scratch.path())
            .args([file]);
        Ok(Self { process: Process::start(program)?, port, named_port, _scratch: scratch })
    }

    /// Where it listens on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// For signals, and the log.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Asks it, for tests.
    pub async fn ask<T: FromRedisValue>(&self, command: &[&str]) -> RedisResult<T> {
        let client = Client::open(("127.0.0.1", self.port))?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        cmd(command[0]).arg(&command[1..]).query_async(&mut connection).await
    }

    async fn told(&self, command: &str, expected: &[&str]) -> Result<()> {
        crate::redis::told(&self.process, self.port, START, command, expected).await
    }
}
