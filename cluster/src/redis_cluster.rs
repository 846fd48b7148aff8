//! A private Redis Cluster: masters that share the slots evenly, each with replicas, all with the shipped
//! configuration.

use crate::{Redis, RedisTlsFiles, free_port};
use ::redis::{
    AsyncConnectionConfig, Client, Cmd, FromRedisValue, RedisResult, Value,
    aio::MultiplexedConnection, cmd,
};
use anyhow::{Context, Result, bail};
use futures_util::future::{join_all, try_join_all};
use std::{collections::HashMap, ops::RangeInclusive, time::Duration};
use tokio::time::{sleep, timeout};

/// The slots of a cluster.
pub const SLOTS: u16 = 16_384;

/// Gossip takes a second or two, and a replica is elected within three.
const SETTLING: Duration = Duration::from_secs(60);

/// How long a server may be silent before the others suspect it. The default is 15 s.
const NODE_TIMEOUT: &str = "1500";

/// A server writes its file of nodes after each change, on a disk that others use, too.
const ANSWER: Duration = Duration::from_secs(10);

/// Keys that move together, and the milliseconds that a server may take for them.
const KEYS_AT_ONCE: usize = 100;
const MIGRATION: usize = 5_000;

/// The servers. They end when this is dropped, or when the process that owns it dies.
pub struct RedisCluster {
    nodes: Vec<Redis>,
    by_tls: bool,
    bus_ports: Vec<u16>,
    ids: Vec<String>,
}

impl RedisCluster {
    /// Starts so many masters, each with so many replicas, and waits until all of them agree who has what. The
    /// masters are the first of the nodes; the replicas follow, in the order of their masters.
    pub async fn start(masters: usize, replicas: usize) -> Result<Self> {
        Self::start_by_tls(masters, replicas, None).await
    }

    /// Likewise, by TLS, among themselves, too.
    pub async fn start_by_tls(
        masters: usize,
        replicas: usize,
        tls: Option<&RedisTlsFiles>,
    ) -> Result<Self> {
        let count = masters * (1 + replicas);
        // A port of its own for the nodes' talk among themselves: the default is 10,000 above the other one.
        let bus_ports: Vec<u16> = (0..count).map(|_| free_port()).collect();
        let nodes = try_join_all(bus_ports.iter().map(|port| {
            let port = port.to_string();
            async move {
                let settings = [
                    "--cluster-enabled",
                    "yes",
                    "--cluster-port",
                    &port,
                    "--cluster-node-timeout",
                    NODE_TIMEOUT,
                    // What the others have goes on while one of them is away.
                    "--cluster-require-full-coverage",
                    "no",
                    "--repl-diskless-sync-delay",
                    "0",
                    "--tls-cluster",
                    if tls.is_some() { "yes" } else { "no" },
                ];
                Redis::start_by_tls(tls, &settings).await
            }
        }))
        .await?;
        let mut cluster = Self { nodes, by_tls: tls.is_some(), bus_ports, ids: Vec::new() };
        for number in 0..count {
            cluster.ids.push(cluster.ask(number, cmd("CLUSTER").arg("MYID")).await?);
        }
        for number in 0..masters {
            let first = number * usize::from(SLOTS) / masters;
            let last = (number + 1) * usize::from(SLOTS) / masters - 1;
            let mut add = cmd("CLUSTER");
            cluster.tell(number, add.arg("ADDSLOTSRANGE").arg(first).arg(last)).await?;
            let mut epoch = cmd("CLUSTER");
            cluster.tell(number, epoch.arg("SET-CONFIG-EPOCH").arg(number + 1)).await?;
        }
        for number in 1..count {
            cluster.meet(number).await?;
        }
        cluster.until(async |all| all.all_know(count).await).await?;
        for number in masters..count {
            let master = &cluster.ids[(number - masters) / replicas];
            cluster.tell(number, cmd("CLUSTER").arg("REPLICATE").arg(master)).await?;
        }
        cluster.until(async |all| all.all_are_settled(masters, replicas).await).await?;
        Ok(cluster)
    }

    /// The URL for clients; it names all servers.
    pub fn url(&self) -> String {
        let hosts: Vec<String> =
            self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.named_port())).collect();
        let scheme = if self.by_tls { "rediss" } else { "redis" };
        format!("{scheme}+cluster://{}", hosts.join(","))
    }

    /// The servers.
    pub fn nodes(&self) -> &[Redis] {
        &self.nodes
    }

    /// The server that has a slot, as one of those that run sees it.
    pub async fn owner(&self, slot: u16) -> Result<usize> {
        let owners = self.owners(&[]).await?;
        let owner = owners.iter().find(|(slots, _)| slots.contains(&slot));
        Ok(owner.context("nobody has the slot")?.1)
    }

    /// Moves a slot from whoever has it, like [`RedisCluster::move_slots`].
    pub async fn move_slot(&self, slot: u16, to: usize) -> Result<()> {
        let from = self.owner(slot).await?;
        self.move_slots([slot], from, to).await
    }

    /// Moves slots with their keys, one after the other, as `redis-cli --cluster reshard` does.
    pub async fn move_slots(
        &self,
        slots: impl IntoIterator<Item = u16>,
        from: usize,
        to: usize,
    ) -> Result<()> {
        let set = |slot: u16, state: &str, node: usize| {
            let mut set = cmd("CLUSTER");
            set.arg("SETSLOT").arg(slot).arg(state).arg(&self.ids[node]);
            set
        };
        let mut old = self.connection(from).await?;
        let mut new = self.connection(to).await?;
        for slot in slots {
            set(slot, "IMPORTING", from).exec_async(&mut new).await?;
            set(slot, "MIGRATING", to).exec_async(&mut old).await?;
            loop {
                let mut some = cmd("CLUSTER");
                some.arg("GETKEYSINSLOT").arg(slot).arg(KEYS_AT_ONCE);
                let keys: Vec<String> = some.query_async(&mut old).await?;
                if keys.is_empty() {
                    break;
                }
                let mut migrate = cmd("MIGRATE");
                let port = self.nodes[to].port();
                migrate.arg("127.0.0.1").arg(port).arg("").arg(0).arg(MIGRATION).arg("KEYS");
                migrate.arg(keys).exec_async(&mut old).await?;
            }
            for connection in [&mut new, &mut old] {
                set(slot, "NODE", to).exec_async(connection).await?;
            }
        }
        Ok(())
    }

    /// Lets a replica take over from its master, which takes part.
    pub async fn fail_over(&self, replica: usize) -> Result<()> {
        self.tell(replica, cmd("CLUSTER").arg("FAILOVER")).await?;
        self.until(async |_| Ok(self.role(replica).await? == "master")).await
    }

    /// Waits until every slot has an owner other than this server, whom all others know.
    pub async fn replaced(&self, lost: usize) -> Result<()> {
        self.until(async |all| {
            for number in (0..all.nodes.len()).filter(|number| *number != lost) {
                let owners = all.owners_by(number).await?;
                let slots: usize = owners
                    .iter()
                    .filter(|(_, owner)| *owner != lost)
                    .map(|(slots, _)| slots.len())
                    .sum();
                if slots != usize::from(SLOTS) {
                    return Ok(false);
                }
            }
            Ok(true)
        })
        .await
    }

    /// `master` or `slave`.
    pub async fn role(&self, number: usize) -> Result<String> {
        let role: Vec<Value> = self.ask(number, &cmd("ROLE")).await?;
        let name = role.into_iter().next().context("no role")?;
        Ok(String::from_redis_value(name)?)
    }

    /// A connection for commands to one server.
    pub async fn connection(&self, number: usize) -> RedisResult<MultiplexedConnection> {
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(ANSWER));
        let client = Client::open(self.nodes[number].url())?;
        client.get_multiplexed_async_connection_with_config(&config).await
    }

    async fn meet(&self, number: usize) -> Result<()> {
        let (port, bus) = (self.nodes[number].port(), self.bus_ports[number]);
        let mut meet = cmd("CLUSTER");
        self.tell(0, meet.arg("MEET").arg("127.0.0.1").arg(port).arg(bus)).await
    }

    async fn all_know(&self, count: usize) -> Result<bool> {
        let known = join_all((0..count).map(|number| self.owners_and_names(number))).await;
        Ok(known.into_iter().all(|known| {
            known.is_ok_and(|(owners, names)| {
                names == count
                    && owners.iter().map(|(slots, _)| slots.len()).sum::<usize>()
                        == usize::from(SLOTS)
            })
        }))
    }

    async fn all_are_settled(&self, masters: usize, replicas: usize) -> Result<bool> {
        for number in 0..self.nodes.len() {
            let info: String = self.ask(number, cmd("CLUSTER").arg("INFO")).await?;
            if !info.contains("cluster_state:ok") {
                return Ok(false);
            }
            let info: String = self.ask(number, cmd("INFO").arg("replication")).await?;
            let expected = if number < masters {
                format!("connected_slaves:{replicas}\r")
            } else {
                "master_link_status:up".to_owned()
            };
            if !info.contains(&expected) || info.contains("state=wait_bgsave") {
                return Ok(false);
            }
            // What clients are told has replicas only once gossip has brought them.
            let slots: Vec<Vec<Value>> = self.ask(number, cmd("CLUSTER").arg("SLOTS")).await?;
            if slots.iter().any(|range| range.len() != 3 + replicas) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn owners(&self, but: &[usize]) -> Result<Vec<(RangeInclusive<u16>, usize)>> {
        for number in (0..self.nodes.len()).filter(|number| !but.contains(number)) {
            if let Ok(owners) = self.owners_by(number).await {
                return Ok(owners);
            }
        }
        bail!("no server answers")
    }

    async fn owners_by(&self, number: usize) -> Result<Vec<(RangeInclusive<u16>, usize)>> {
        Ok(self.owners_and_names(number).await?.0)
    }

    /// Who has which slots, and how many servers are known, as one of them sees it.
    async fn owners_and_names(
        &self,
        number: usize,
    ) -> Result<(Vec<(RangeInclusive<u16>, usize)>, usize)> {
        let places: HashMap<&str, usize> =
            self.ids.iter().enumerate().map(|(number, id)| (id.as_str(), number)).collect();
        let text: String = self.ask(number, cmd("CLUSTER").arg("NODES")).await?;
        let (mut owners, mut names) = (Vec::new(), 0);
        for line in text.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let Some(place) = places.get(words[0]) else { continue };
            names += 1;
            // The eighth and later words are slots; those in brackets are on their way.
            for slots in words.iter().skip(8).filter(|slots| !slots.starts_with('[')) {
                let (first, last) = slots.split_once('-').unwrap_or((slots, slots));
                owners.push((first.parse()?..=last.parse()?, *place));
            }
        }
        Ok((owners, names))
    }

    async fn ask<T: FromRedisValue>(&self, number: usize, command: &Cmd) -> Result<T> {
        let mut connection = self.connection(number).await?;
        Ok(command.query_async(&mut connection).await?)
    }

    async fn tell(&self, number: usize, command: &Cmd) -> Result<()> {
        self.ask::<Value>(number, command).await.map(drop)
    }

    async fn until(&self, holds: impl AsyncFn(&Self) -> Result<bool>) -> Result<()> {
        let settled = async {
            while !holds(self).await.unwrap_or(false) {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(SETTLING, settled).await.context("the Redis cluster does not settle")
    }
}
