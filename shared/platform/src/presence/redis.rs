//! Presence in Redis. Each node has a sorted set of its users' ids under a key that expires with its
//! lease, so a dead node's users vanish by themselves and no clock but the server's matters. Each change
//! is a script ([`super::scripts`]).
//!
//! Keys: `presence:nodes`, a set of node ids, dead ones included until somebody renews;
//! `presence:node:{node}`, user ids with themselves as score, for paging (exact up to 2^53), and
//! member `lease` at 0 while it holds; `presence:connections:{node}`, a number.
//!
//! Beside them, unknown to nodes before them: `presence:told:{node}`, a hash of its users, each with
//! `sockets;chats;chats handed over`, which outlives the lease; `presence:telling`, the nodes that have
//! one; `presence:swept:{node}`, there when others have taken users off it.
//!
//! In a cluster [`State::key`] gives all of them one slot. Scripts read its prefix off their first key.

mod nodes;

use super::{
    Entered, Gone, Here, Lease, MAX_HANDED_OVER, PresenceConfig, PresenceError, scripts::Scripts,
};
use crate::{breaker::Breaker, redis::State};
use protocol::id::{ChatId, NodeId, UserId};
use redis::{AsyncCommands, FromRedisValue, Script};
use std::{
    collections::{BTreeSet, HashSet},
    fmt::Display,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::time::timeout;

const NODES: &str = "presence:nodes";

/// The register in Redis; clones share it.
#[derive(Clone)]
pub struct RedisPresence(Arc<RedisRegister>);

struct RedisRegister {
    state: State,
    config: PresenceConfig,
    /// For look-ups. Changes are repeated by one task a node, which goes on trying.
    breaker: Breaker,
    scripts: Scripts,
    /// A change failed since the last successful renewal: the register may lack some of it.
    doubtful: AtomicBool,
}

/// Of a user who entered: whether on no live node before, the sockets elsewhere, the chats told.
type EnteredRow = (bool, u32, String);

impl RedisPresence {
    pub(super) fn new(state: State, config: PresenceConfig) -> Self {
        Self(Arc::new(RedisRegister {
            state,
            config,
            breaker: Breaker::new(
                "Redis",
                "nobody can see who is online until it does",
                config.look_up_timeout,
                config.look_up_pause,
            ),
            scripts: Scripts::default(),
            doubtful: AtomicBool::new(false),
        }))
    }

    pub(super) async fn enter(
        &self,
        node: NodeId,
        users: &[Here],
    ) -> Result<Vec<Entered>, PresenceError> {
        let mut all = Vec::new();
        for chunk in users.chunks(self.0.config.chunk.max(1)) {
            let arguments = chunk.iter().flat_map(|Here { user, sockets, chats }| {
                [user.to_string(), format!("{sockets};{}", join(chats))]
            });
            let arguments: Vec<String> = arguments.collect();
            let rows = self.0.call(&self.0.scripts.enter, Some(node), &arguments).await;
            let rows: Vec<EnteredRow> = self.doubt(rows)?;
            all.extend(chunk.iter().zip(rows).map(|(here, (came, elsewhere, told))| {
                let told: HashSet<ChatId> = split(&told).collect();
                let untold = here.chats.iter().filter(|chat| !told.contains(chat)).copied();
                Entered { user: here.user, came, untold: untold.collect(), elsewhere }
            }));
        }
        Ok(all)
    }

    pub(super) async fn leave(
        &self,
        node: NodeId,
        users: &[UserId],
    ) -> Result<Vec<Gone>, PresenceError> {
        let mut all = Vec::new();
        for chunk in users.chunks(self.0.config.chunk.max(1)) {
            let rows = self.0.call(&self.0.scripts.leave, Some(node), &ids(chunk)).await;
            all.extend(gone_users(self.doubt(rows)?));
        }
        Ok(all)
    }

    pub(super) async fn renew(
        &self,
        node: NodeId,
        connections: u64,
    ) -> Result<Lease, PresenceError> {
        let doubtful = self.0.doubtful.swap(false, Ordering::Relaxed);
        let held = self.0.call(&self.0.scripts.renew, Some(node), &[connections.to_string()]).await;
        Ok(match self.doubt(held)? {
            2 => Lease::Swept,
            1 if !doubtful => Lease::Held,
            _ => Lease::Lost,
        })
    }

    pub(super) async fn dead(&self) -> Result<Vec<NodeId>, PresenceError> {
        let nodes: Vec<String> = self.0.call(&self.0.scripts.dead, None, &[]).await?;
        Ok(nodes.iter().filter_map(|node| node.parse().ok()).collect())
    }

    pub(super) async fn sweep(&self, dead: NodeId) -> Result<Option<Vec<Gone>>, PresenceError> {
        let rows: Option<Vec<GoneRow>> =
            self.0.call(&self.0.scripts.sweep, Some(dead), &[]).await?;
        Ok(rows.map(|rows| gone_users(rows).collect()))
    }

    pub(super) async fn retire(&self, node: NodeId) -> Result<(), PresenceError> {
        self.0
            .in_time(async {
                let mut connection = self.0.state.connection().await?;
                redis::pipe()
                    .atomic()
                    .del(self.0.key("node:", node))
                    .del(self.0.key("connections:", node))
                    .srem(self.0.state.key(NODES), node.to_string())
                    .exec_async(&mut connection)
                    .await?;
                Ok(())
            })
            .await
    }

    pub(super) async fn online(&self, users: &[UserId]) -> Result<HashSet<UserId>, PresenceError> {
        self.0
            .look_up(async {
                let mut online = HashSet::new();
                for chunk in users.chunks(self.0.config.chunk.max(1)) {
                    let found: Vec<i64> =
                        self.0.call(&self.0.scripts.online, None, &ids(chunk)).await?;
                    online.extend(found.into_iter().map(UserId));
                }
                Ok(online)
            })
            .await
    }

    pub(super) async fn online_page(
        &self,
        after: UserId,
        limit: usize,
    ) -> Result<Vec<UserId>, PresenceError> {
        self.0
            .look_up(async {
                let mut connection = self.0.state.connection().await?;
                let nodes: Vec<String> = connection.smembers(self.0.state.key(NODES)).await?;
                if nodes.is_empty() || limit == 0 {
                    return Ok(Vec::new());
                }
                let mut pipeline = redis::pipe();
                // Above 0 in any case: member `lease`, at 0, is no user.
                let above = format!("({}", after.0.max(0));
                for node in nodes {
                    let key = self.0.key("node:", node);
                    pipeline.zrangebyscore_limit(key, &above, "+inf", 0, limit.cast_signed());
                }
                let pages: Vec<Vec<i64>> = pipeline.query_async(&mut connection).await?;
                let users: BTreeSet<i64> = pages.into_iter().flatten().collect();
                Ok(users.into_iter().take(limit).map(UserId).collect())
            })
            .await
    }

    pub(super) async fn connections(&self) -> Result<u64, PresenceError> {
        self.0.look_up(self.0.call(&self.0.scripts.connections, None, &[])).await
    }

    fn doubt<T>(&self, result: Result<T, PresenceError>) -> Result<T, PresenceError> {
        if result.is_err() {
            self.0.doubtful.store(true, Ordering::Relaxed);
        }
        result
    }
}

impl RedisRegister {
    fn key(&self, kind: &str, node: impl Display) -> String {
        self.state.key(&format!("presence:{kind}{node}"))
    }

    /// Asks on behalf of somebody who waits.
    async fn look_up<T>(
        &self,
        question: impl Future<Output = Result<T, PresenceError>>,
    ) -> Result<T, PresenceError> {
        self.breaker.ask(question).await.ok_or(PresenceError::Silent)
    }

    async fn in_time<T>(
        &self,
        work: impl Future<Output = Result<T, PresenceError>>,
    ) -> Result<T, PresenceError> {
        timeout(self.config.timeout, work).await.unwrap_or(Err(PresenceError::Silent))
    }

    async fn call<T: FromRedisValue>(
        &self,
        script: &Script,
        node: Option<NodeId>,
        arguments: &[String],
    ) -> Result<T, PresenceError> {
        let mut call = script.key(self.state.key(NODES));
        match node {
            Some(node) => call.key(self.key("node:", node)).arg(node.to_string()),
            None => call.arg(""),
        };
        call.arg(millis(self.config.lease)).arg(millis(self.config.owed));
        call.arg(self.config.chunk.max(1)).arg(MAX_HANDED_OVER);
        call.arg(arguments);
        self.in_time(async {
            let mut connection = self.state.connection().await?;
            Ok(call.invoke_async(&mut connection).await?)
        })
        .await
    }
}

/// A user who went offline, and its chats in all states.
type GoneRow = (i64, String);

fn gone_users(rows: Vec<GoneRow>) -> impl Iterator<Item = Gone> {
    rows.into_iter().map(|(user, chats)| {
        let chats: BTreeSet<ChatId> = split(&chats).collect();
        Gone { user: UserId(user), chats: chats.into_iter().collect() }
    })
}

fn ids(users: &[UserId]) -> Vec<String> {
    users.iter().map(ToString::to_string).collect()
}

fn join(chats: &[ChatId]) -> String {
    let texts: Vec<String> = chats.iter().map(ToString::to_string).collect();
    texts.join(",")
}

fn split(chats: &str) -> impl Iterator<Item = ChatId> {
    chats.split([',', ';']).filter_map(|chat| chat.parse().ok())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
