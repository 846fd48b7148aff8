//! Presence in Redis. Each node has a sorted set of its users' ids under a key that expires with its
//! lease, so a dead node's users vanish by themselves and no clock but the server's matters. Scripts
//! make each change and its verdict one step: of two nodes that take in a user at the same moment,
//! exactly one brought them online.
//!
//! Keys: `presence:nodes`, a set of node ids, dead ones included until somebody renews;
//! `presence:node:{node}`, user ids with themselves as score, for paging (exact up to 2^53), and
//! member `lease` at 0 while it holds; `presence:connections:{node}`, a number.

use super::{PresenceConfig, PresenceError};
use crate::id::{NodeId, UserId};
use deadpool_redis::Pool;
use redis::{AsyncCommands, FromRedisValue, Script};
use std::{
    collections::{BTreeSet, HashSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

const NODES: &str = "presence:nodes";

/// Every script begins so. `present(users)`: which of these are on any live node, as a set.
macro_rules! script {
    ($body:literal) => {
        Script::new(concat!(
            "local nodes, mine = KEYS[1], KEYS[2]
            local node_id, lease = ARGV[1], ARGV[2]
            local users = {unpack(ARGV, 3)}
            local function present(users)
                local found = {}
                for _, node in ipairs(redis.call('SMEMBERS', nodes)) do
                    local scores = redis.call('ZMSCORE', 'presence:node:' .. node, unpack(users))
                    for i, score in ipairs(scores) do
                        if score then found[users[i]] = true end
                    end
                end
                return found
            end
            local function filter(found, wanted)
                local result = {}
                for _, user in ipairs(users) do
                    if (found[user] or false) == wanted then result[#result + 1] = user end
                end
                return result
            end\n",
            $body
        ))
    };
}

/// The register in Redis; clones share it.
#[derive(Clone)]
pub struct RedisPresence(Arc<Inner>);

struct Inner {
    pool: Pool,
    config: PresenceConfig,
    enter: Script,
    leave: Script,
    renew: Script,
    online: Script,
    connections: Script,
    /// A change failed since the last successful renewal: the register may lack some of it.
    doubtful: AtomicBool,
}

impl RedisPresence {
    pub(super) fn new(pool: Pool, config: PresenceConfig) -> Self {
        Self(Arc::new(Inner {
            pool,
            config,
            doubtful: AtomicBool::new(false),
            enter: script!(
                "local before = present(users)
                local entries = {}
                for _, user in ipairs(users) do
                    entries[#entries + 1] = user
                    entries[#entries + 1] = user
                end
                redis.call('ZADD', mine, unpack(entries))
                redis.call('PEXPIRE', mine, lease)
                redis.call('SADD', nodes, node_id)
                return filter(before, false)"
            ),
            leave: script!(
                "redis.call('ZREM', mine, unpack(users))
                return filter(present(users), false)"
            ),
            // This member is only set here: a set that users entered after the lease was lost lacks
            // it, so the loss is noticed all the same.
            renew: script!(
                "local held = redis.call('ZADD', mine, 0, 'lease') == 0
                redis.call('PEXPIRE', mine, lease)
                redis.call('SET', 'presence:connections:' .. node_id, users[1], 'PX', lease)
                redis.call('SADD', nodes, node_id)
                for _, node in ipairs(redis.call('SMEMBERS', nodes)) do
                    if redis.call('EXISTS', 'presence:node:' .. node) == 0 then
                        redis.call('SREM', nodes, node)
                    end
                end
                return held"
            ),
            online: script!("return filter(present(users), true)"),
            connections: script!(
                "local sum = 0
                for _, node in ipairs(redis.call('SMEMBERS', nodes)) do
                    sum = sum + (redis.call('GET', 'presence:connections:' .. node) or 0)
                end
                return sum"
            ),
        }))
    }

    pub(super) async fn enter(
        &self,
        node: NodeId,
        users: &[UserId],
    ) -> Result<Vec<UserId>, PresenceError> {
        self.doubt(self.0.each_chunk(&self.0.enter, node, users).await)
    }

    pub(super) async fn leave(
        &self,
        node: NodeId,
        users: &[UserId],
    ) -> Result<Vec<UserId>, PresenceError> {
        self.doubt(self.0.each_chunk(&self.0.leave, node, users).await)
    }

    pub(super) async fn renew(
        &self,
        node: NodeId,
        connections: u64,
    ) -> Result<bool, PresenceError> {
        let doubtful = self.0.doubtful.swap(false, Ordering::Relaxed);
        let held = self.0.call(&self.0.renew, Some(node), &[connections.to_string()]).await;
        let held: Option<i64> = self.doubt(held)?;
        Ok(held.is_some() && !doubtful)
    }

    pub(super) async fn retire(&self, node: NodeId) -> Result<(), PresenceError> {
        let mut connection = self.0.pool.get().await?;
        redis::pipe()
            .atomic()
            .del(node_key(node))
            .del(format!("presence:connections:{node}"))
            .srem(NODES, node.to_string())
            .exec_async(&mut connection)
            .await?;
        Ok(())
    }

    pub(super) async fn online(&self, users: &[UserId]) -> Result<HashSet<UserId>, PresenceError> {
        let mut online = HashSet::new();
        for chunk in users.chunks(self.0.config.chunk.max(1)) {
            let found: Vec<i64> = self.0.call(&self.0.online, None, &ids(chunk)).await?;
            online.extend(found.into_iter().map(UserId));
        }
        Ok(online)
    }

    pub(super) async fn online_page(
        &self,
        after: UserId,
        limit: usize,
    ) -> Result<Vec<UserId>, PresenceError> {
        let mut connection = self.0.pool.get().await?;
        let nodes: Vec<String> = connection.smembers(NODES).await?;
        if nodes.is_empty() || limit == 0 {
            return Ok(Vec::new());
        }
        let mut pipeline = redis::pipe();
        // Above 0 in any case: member `lease`, at 0, is no user.
        let above = format!("({}", after.0.max(0));
        for node in nodes {
            let key = format!("presence:node:{node}");
            pipeline.zrangebyscore_limit(key, &above, "+inf", 0, limit.cast_signed());
        }
        let pages: Vec<Vec<i64>> = pipeline.query_async(&mut connection).await?;
        let users: BTreeSet<i64> = pages.into_iter().flatten().collect();
        Ok(users.into_iter().take(limit).map(UserId).collect())
    }

    pub(super) async fn connections(&self) -> Result<u64, PresenceError> {
        self.0.call(&self.0.connections, None, &[]).await
    }

    fn doubt<T>(&self, result: Result<T, PresenceError>) -> Result<T, PresenceError> {
        if result.is_err() {
            self.0.doubtful.store(true, Ordering::Relaxed);
        }
        result
    }
}

impl Inner {
    async fn each_chunk(
        &self,
        script: &Script,
        node: NodeId,
        users: &[UserId],
    ) -> Result<Vec<UserId>, PresenceError> {
        let mut verdicts = Vec::new();
        for chunk in users.chunks(self.config.chunk.max(1)) {
            let found: Vec<i64> = self.call(script, Some(node), &ids(chunk)).await?;
            verdicts.extend(found.into_iter().map(UserId));
        }
        Ok(verdicts)
    }

    async fn call<T: FromRedisValue>(
        &self,
        script: &Script,
        node: Option<NodeId>,
        arguments: &[String],
    ) -> Result<T, PresenceError> {
        let mut connection = self.pool.get().await?;
        let mut call = script.key(NODES);
        match node {
            Some(node) => call.key(node_key(node)).arg(node.to_string()),
            None => call.arg(""),
        };
        let lease = u64::try_from(self.config.lease.as_millis()).unwrap_or(u64::MAX);
        Ok(call.arg(lease).arg(arguments).invoke_async(&mut connection).await?)
    }
}

fn node_key(node: NodeId) -> String {
    format!("presence:node:{node}")
}

fn ids(users: &[UserId]) -> Vec<String> {
    users.iter().map(ToString::to_string).collect()
}
