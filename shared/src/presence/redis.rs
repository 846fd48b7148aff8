//! Presence in Redis. Each node has a sorted set of its users' ids under a key that expires with its
//! lease, so a dead node's users vanish by themselves and no clock but the server's matters. Scripts
//! make each change and its verdict one step: of two nodes that take in a user at the same moment,
//! exactly one brought them online, and of two that sweep a dead one each user goes to one.
//!
//! Keys: `presence:nodes`, a set of node ids, dead ones included until somebody renews;
//! `presence:node:{node}`, user ids with themselves as score, for paging (exact up to 2^53), and
//! member `lease` at 0 while it holds; `presence:connections:{node}`, a number.
//!
//! Beside them, unknown to nodes before them: `presence:told:{node}`, a hash of its users, each with
//! `sockets;chats;chats handed over`, which outlives the lease; `presence:telling`, the nodes that have
//! one; `presence:swept:{node}`, there when others have taken users off it.

use super::{Entered, Gone, Here, Lease, MAX_HANDED_OVER, PresenceConfig, PresenceError};
use crate::id::{ChatId, NodeId, UserId};
use deadpool_redis::Pool;
use redis::{AsyncCommands, FromRedisValue, Script};
use std::{
    collections::{BTreeSet, HashSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

const NODES: &str = "presence:nodes";

/// Every script begins so. `rest`: the call's own arguments. `on(users)`: for each by its place, the
/// live nodes that have it. `hand_over`: what was told of a user goes to one of these nodes.
macro_rules! script {
    ($body:literal) => {
        Script::new(concat!(
            "local nodes, mine = KEYS[1], KEYS[2]
            local node_id, lease, owed, chunk = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
            local most_handed_over = tonumber(ARGV[5])
            local rest = {unpack(ARGV, 6)}
            local told = 'presence:told:' .. node_id
            local function on(users)
                local found = {}
                if #users == 0 then return found end
                for _, node in ipairs(redis.call('SMEMBERS', nodes)) do
                    local scores = redis.call('ZMSCORE', 'presence:node:' .. node, unpack(users))
                    for i, score in ipairs(scores) do
                        if score then
                            found[i] = found[i] or {}
                            table.insert(found[i], node)
                        end
                    end
                end
                return found
            end
            local function chats(stated)
                return stated and string.match(stated, '^%d+;(.*)$') or ''
            end
            local function hand_over(user, stated, to)
                if chats(stated) == '' then return end
                local key = 'presence:told:' .. to
                local there = redis.call('HGET', key, user) or '1;;'
                local has, count = {}, 0
                for chat in string.gmatch(chats(there), '%d+') do has[chat] = true end
                local handed_over = string.match(there, '^%d+;[^;]*;(.*)$')
                for _ in string.gmatch(handed_over, '%d+') do count = count + 1 end
                for chat in string.gmatch(chats(stated), '%d+') do
                    if not has[chat] and count < most_handed_over then
                        there = there .. ',' .. chat
                        has[chat], count = true, count + 1
                    end
                end
                redis.call('HSET', key, user, there)
                redis.call('PEXPIRE', key, owed)
                redis.call('SADD', 'presence:telling', to)
            end
            local function gone(users, stated)
                local result = {}
                local found = on(users)
                for i, user in ipairs(users) do
                    if found[i] then
                        hand_over(user, stated[i], found[i][1])
                    else
                        table.insert(result, user)
                        table.insert(result, chats(stated[i]))
                    end
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
    dead: Script,
    sweep: Script,
    online: Script,
    connections: Script,
    /// A change failed since the last successful renewal: the register may lack some of it.
    doubtful: AtomicBool,
}

/// Of a user who entered: whether on no live node before, the sockets elsewhere, the chats told.
type EnteredRow = (bool, u32, String);

impl RedisPresence {
    pub(super) fn new(pool: Pool, config: PresenceConfig) -> Self {
        Self(Arc::new(Inner {
            pool,
            config,
            doubtful: AtomicBool::new(false),
            // A node without `told` for a user has one that states no sockets: it counts as one.
            enter: script!(
                "local users, stated, entries = {}, {}, {}
                for i = 1, #rest, 2 do
                    table.insert(users, rest[i])
                    table.insert(stated, rest[i + 1])
                    table.insert(entries, rest[i])
                    table.insert(entries, rest[i])
                end
                local found = on(users)
                local before = redis.call('HMGET', told, unpack(users))
                local result, kept = {}, {}
                for i, user in ipairs(users) do
                    local elsewhere, known = 0, chats(before[i])
                    for _, node in ipairs(found[i] or {}) do
                        if node ~= node_id then
                            local there = redis.call('HGET', 'presence:told:' .. node, user)
                            local sockets = there and string.match(there, '^%d+') or 1
                            elsewhere = elsewhere + sockets
                            known = known .. ';' .. chats(there)
                        end
                    end
                    local handed_over = string.match(before[i] or '', '^%d+;[^;]*;(.*)$') or ''
                    table.insert(kept, user)
                    table.insert(kept, stated[i] .. ';' .. handed_over)
                    table.insert(result, {found[i] and 0 or 1, elsewhere, known})
                end
                redis.call('HSET', told, unpack(kept))
                redis.call('PEXPIRE', told, owed)
                redis.call('SADD', 'presence:telling', node_id)
                redis.call('ZADD', mine, unpack(entries))
                redis.call('PEXPIRE', mine, lease)
                redis.call('SADD', nodes, node_id)
                return result"
            ),
            leave: script!(
                "local stated = redis.call('HMGET', told, unpack(rest))
                redis.call('HDEL', told, unpack(rest))
                redis.call('ZREM', mine, unpack(rest))
                return gone(rest, stated)"
            ),
            // This member is only set here: a set that users entered after the lease was lost lacks
            // it, so the loss is noticed all the same.
            renew: script!(
                "local held = redis.call('ZADD', mine, 0, 'lease') == 0
                redis.call('PEXPIRE', mine, lease)
                redis.call('PEXPIRE', told, owed)
                redis.call('SET', 'presence:connections:' .. node_id, rest[1], 'PX', lease)
                redis.call('SADD', nodes, node_id)
                for _, node in ipairs(redis.call('SMEMBERS', nodes)) do
                    if redis.call('EXISTS', 'presence:node:' .. node) == 0 then
                        redis.call('SREM', nodes, node)
                    end
                end
                if redis.call('DEL', 'presence:swept:' .. node_id) == 1 then return 2 end
                return held and 1 or 0"
            ),
            dead: script!(
                "local result = {}
                for _, node in ipairs(redis.call('SMEMBERS', 'presence:telling')) do
                    if redis.call('EXISTS', 'presence:node:' .. node) == 0 then
                        table.insert(result, node)
                    end
                end
                return result"
            ),
            sweep: script!(
                "if redis.call('EXISTS', mine) == 1 then return false end
                local some = redis.call('HRANDFIELD', told, chunk, 'WITHVALUES')
                if #some == 0 then
                    redis.call('SREM', 'presence:telling', node_id)
                    return false
                end
                local users, stated = {}, {}
                for i = 1, #some, 2 do
                    table.insert(users, some[i])
                    table.insert(stated, some[i + 1])
                end
                redis.call('HDEL', told, unpack(users))
                redis.call('SET', 'presence:swept:' .. node_id, 1, 'PX', owed)
                return gone(users, stated)"
            ),
            online: script!(
                "local found, result = on(rest), {}
                for i, user in ipairs(rest) do
                    if found[i] then table.insert(result, user) end
                end
                return result"
            ),
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
        users: &[Here],
    ) -> Result<Vec<Entered>, PresenceError> {
        let mut all = Vec::new();
        for chunk in users.chunks(self.0.config.chunk.max(1)) {
            let arguments = chunk.iter().flat_map(|Here { user, sockets, chats }| {
                [user.to_string(), format!("{sockets};{}", join(chats))]
            });
            let arguments: Vec<String> = arguments.collect();
            let rows = self.0.call(&self.0.enter, Some(node), &arguments).await;
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
            let rows = self.0.call(&self.0.leave, Some(node), &ids(chunk)).await;
            all.extend(gone(self.doubt(rows)?));
        }
        Ok(all)
    }

    pub(super) async fn renew(
        &self,
        node: NodeId,
        connections: u64,
    ) -> Result<Lease, PresenceError> {
        let doubtful = self.0.doubtful.swap(false, Ordering::Relaxed);
        let held = self.0.call(&self.0.renew, Some(node), &[connections.to_string()]).await;
        Ok(match self.doubt(held)? {
            2 => Lease::Swept,
            1 if !doubtful => Lease::Held,
            _ => Lease::Lost,
        })
    }

    pub(super) async fn dead(&self) -> Result<Vec<NodeId>, PresenceError> {
        let nodes: Vec<String> = self.0.call(&self.0.dead, None, &[]).await?;
        Ok(nodes.iter().filter_map(|node| node.parse().ok()).collect())
    }

    pub(super) async fn sweep(&self, dead: NodeId) -> Result<Option<Vec<Gone>>, PresenceError> {
        let rows: Option<Vec<GoneRow>> = self.0.call(&self.0.sweep, Some(dead), &[]).await?;
        Ok(rows.map(|rows| gone(rows).collect()))
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
        call.arg(millis(self.config.lease)).arg(millis(self.config.owed));
        call.arg(self.config.chunk.max(1)).arg(MAX_HANDED_OVER);
        Ok(call.arg(arguments).invoke_async(&mut connection).await?)
    }
}

/// A user who went offline, and its chats in all states.
type GoneRow = (i64, String);

fn gone(rows: Vec<GoneRow>) -> impl Iterator<Item = Gone> {
    rows.into_iter().map(|(user, chats)| {
        let chats: BTreeSet<ChatId> = split(&chats).collect();
        Gone { user: UserId(user), chats: chats.into_iter().collect() }
    })
}

fn node_key(node: NodeId) -> String {
    format!("presence:node:{node}")
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
