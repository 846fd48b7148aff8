//! Who is connected to any gateway: for each node the set of its users, under a lease that dies with
//! the node. It holds nothing that may not be lost, and tells nobody about changes: whoever makes
//! one hears whether it was a transition.

mod local;
mod redis;

use self::{local::LocalPresence, redis::RedisPresence};
use crate::id::{NodeId, UserId};
use deadpool_redis::Pool;
use std::{collections::HashSet, time::Duration};

/// A handle to the register; clones share it.
#[derive(Clone)]
pub enum Presence {
    /// Within this process.
    Local(LocalPresence),
    /// In Redis, shared by every process on the same server.
    Redis(RedisPresence),
}

/// Numbers of presence in Redis.
#[derive(Clone, Copy, Debug)]
pub struct PresenceConfig {
    /// How long a node's users stay after its last [`Presence::renew`].
    pub lease: Duration,
    /// Users in one call to Redis.
    pub chunk: usize,
}

impl Default for PresenceConfig {
    fn default() -> Self {
        Self {
            // Two renewals, 10 s apart, may fail without anybody seeming to go offline.
            lease: Duration::from_secs(30),
            // Against 50 nodes these are 25,000 look-ups, a few milliseconds in which Redis serves
            // nobody else.
            chunk: 500,
        }
    }
}

/// Redis did not answer in time or refused. Whether a change was made is unknown; all calls may be
/// repeated.
#[derive(Debug, thiserror::Error)]
pub enum PresenceError {
    #[error("no connection to Redis for presence: {0}")]
    Pool(#[from] deadpool_redis::PoolError),
    #[error("Redis on presence: {0}")]
    Redis(#[from] ::redis::RedisError),
}

/// The most users one [`Presence::online_page`] returns.
pub const MAX_ONLINE_PAGE: usize = 1000;

impl Presence {
    /// A register within this process.
    pub fn local() -> Self {
        Self::Local(LocalPresence::default())
    }

    /// The register in Redis. Nothing is asked of it before the first call.
    pub fn redis(pool: Pool, config: PresenceConfig) -> Self {
        Self::Redis(RedisPresence::new(pool, config))
    }

    /// These users have a connection to this node. Returns those who were on no live node before,
    /// this one included: they came online. After an error repeat the call.
    pub async fn enter(
        &self,
        node: NodeId,
        users: &[UserId],
    ) -> Result<Vec<UserId>, PresenceError> {
        match self {
            Self::Local(presence) => Ok(presence.enter(node, users)),
            Self::Redis(presence) => presence.enter(node, users).await,
        }
    }

    /// These users have no connection to this node any more. Returns those who are now on no live
    /// node: they went offline. After an error repeat the call, or they stay until the node ends.
    pub async fn leave(
        &self,
        node: NodeId,
        users: &[UserId],
    ) -> Result<Vec<UserId>, PresenceError> {
        match self {
            Self::Local(presence) => Ok(presence.leave(node, users)),
            Self::Redis(presence) => presence.leave(node, users).await,
        }
    }

    /// Extends the node's lease and states its number of connections. `false` when the register may
    /// not hold all of the node's users: at the node's first call, after a lost lease (it came too
    /// late, or Redis restarted) and after a call that failed; then `enter` everyone again.
    pub async fn renew(&self, node: NodeId, connections: u64) -> Result<bool, PresenceError> {
        match self {
            Self::Local(presence) => Ok(presence.renew(node, connections)),
            Self::Redis(presence) => presence.renew(node, connections).await,
        }
    }

    /// Forgets the node at once, when it ends in good order.
    pub async fn retire(&self, node: NodeId) -> Result<(), PresenceError> {
        match self {
            Self::Local(presence) => {
                presence.retire(node);
                Ok(())
            }
            Self::Redis(presence) => presence.retire(node).await,
        }
    }

    /// Which of these users are on any live node.
    pub async fn online(&self, users: &[UserId]) -> Result<HashSet<UserId>, PresenceError> {
        match self {
            Self::Local(presence) => Ok(presence.online(users)),
            Self::Redis(presence) => presence.online(users).await,
        }
    }

    /// The users on any live node with an id above `after`, ascending, at most `limit` and
    /// [`MAX_ONLINE_PAGE`] of them.
    pub async fn online_page(
        &self,
        after: UserId,
        limit: usize,
    ) -> Result<Vec<UserId>, PresenceError> {
        let limit = limit.min(MAX_ONLINE_PAGE);
        match self {
            Self::Local(presence) => Ok(presence.online_page(after, limit)),
            Self::Redis(presence) => presence.online_page(after, limit).await,
        }
    }

    /// Connections to all live nodes, as they last stated them.
    pub async fn connections(&self) -> Result<u64, PresenceError> {
        match self {
            Self::Local(presence) => Ok(presence.connections()),
            Self::Redis(presence) => presence.connections().await,
        }
    }
}
