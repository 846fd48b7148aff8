//! The register of users who are connected to any gateway. For each node it has the set of its users, under a lease
//! that ends with the node. For each user of a node it has the number of sockets there, and the chats that were told
//! that the user is online. All of it may be lost. The register announces nothing: the caller of a change learns
//! whether the user came or went, and which chats it must tell. Other nodes sweep a dead node's users.

mod local;
mod nodes;
mod redis;
mod scripts;

pub use self::nodes::{GatewayReport, MAX_NODES, NodeKind, NodeReport, Reporting};

use self::{local::LocalPresence, redis::RedisPresence};
use crate::redis::State;
use protocol::id::{ChatId, NodeId, UserId};
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
    /// How long what a node's users owe outlives its lease: until then a survivor has swept it.
    pub owed: Duration,
    /// How long one call to Redis may take, waiting for a connection included.
    pub timeout: Duration,
    /// How long a look-up may take. People wait for it.
    pub look_up_timeout: Duration,
    /// How long nobody is looked up after that: who is online is not known at once.
    pub look_up_pause: Duration,
}

impl Default for PresenceConfig {
    fn default() -> Self {
        Self {
            // Two renewals, 10 s apart, may fail without anybody seeming to go offline.
            lease: Duration::from_secs(30),
            // Against 10 nodes entering takes 1.5 ms, 3 ms when half of them are elsewhere as well, in
            // which Redis serves nobody else.
            chunk: 100,
            // Survivors sweep within seconds. This is for a cluster that was away as a whole.
            owed: Duration::from_secs(600),
            // What one answer may take. Without it each idle connection of the pool would be waited for
            // in turn, longer than the lease.
            timeout: Duration::from_secs(2),
            // A healthy answer takes a millisecond, and requests are answered without it.
            look_up_timeout: Duration::from_millis(500),
            // During an outage one request in three seconds pays the timeout.
            look_up_pause: Duration::from_secs(3),
        }
    }
}

/// Redis did not answer in time or refused. Whether a change was made is unknown; all calls may be
/// repeated.
#[derive(Debug, thiserror::Error)]
pub enum PresenceError {
    /// Also what a look-up is told without asking, for some seconds after one that was not answered.
    #[error("Redis did not answer a presence request")]
    Silent,
    /// No connection to Redis could be had.
    #[error("no connection to Redis for presence: {0}")]
    Pool(#[from] deadpool_redis::PoolError),
    /// Redis answered with an error, or not at all.
    #[error("Redis refused a presence request: {0}")]
    Redis(#[from] ::redis::RedisError),
}

/// The most users one [`Presence::online_page`] returns.
pub const MAX_ONLINE_PAGE: usize = 1000;

/// The most chats that are kept for one user of a node beside those the node names itself: what other
/// nodes handed over. Four nodes' worth; a person's windows are seldom on more.
pub const MAX_HANDED_OVER: usize = 200;

/// A user of a node, as the node states it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Here {
    /// The user.
    pub user: UserId,
    /// Its sockets on this node.
    pub sockets: u32,
    /// The chats that hear from this node when the user comes or goes.
    pub chats: Vec<ChatId>,
}

/// The answer to the statement of one user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entered {
    /// The user.
    pub user: UserId,
    /// Whether the user was on no live node before, not even this one.
    pub came: bool,
    /// Its chats that no node has told yet that the user is online.
    pub untold: Vec<ChatId>,
    /// Its sockets on other live nodes, as they last stated them.
    pub elsewhere: u32,
}

/// A user who went offline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gone {
    /// The user.
    pub user: UserId,
    /// The chats that were told that it was online, by whatever node.
    pub chats: Vec<ChatId>,
}

/// The state in which a renewal found the node's lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lease {
    /// The lease was renewed in time. The register holds all users that the node stated.
    Held,
    /// The register may lack users of the node: at the node's first call, after a lost lease (the renewal was late, or
    /// Redis restarted) and after a failed call. The node must `enter` all users again. No chat was told anything.
    Lost,
    /// Like `Lost`, and other nodes have told the users' chats that they went offline.
    Swept,
}

impl Presence {
    /// A register within this process.
    pub fn local() -> Self {
        Self::Local(LocalPresence::default())
    }

    /// The register in Redis. Nothing is asked of it before the first call.
    pub fn redis(state: State, config: PresenceConfig) -> Self {
        Self::Redis(RedisPresence::new(state, config))
    }

    /// These users have a connection to this node; to be repeated when what it says changes. One answer
    /// for each, in the order of the users. After an error repeat the call.
    pub async fn enter(&self, node: NodeId, users: &[Here]) -> Result<Vec<Entered>, PresenceError> {
        match self {
            Self::Local(presence) => Ok(presence.enter(node, users)),
            Self::Redis(presence) => presence.enter(node, users).await,
        }
    }

    /// These users have no connection to this node any more. Returns those who are now on no live
    /// node: they went offline. What was told of the others is handed over to a node where they still
    /// are. After an error repeat the call, or they stay until the node ends.
    pub async fn leave(&self, node: NodeId, users: &[UserId]) -> Result<Vec<Gone>, PresenceError> {
        match self {
            Self::Local(presence) => Ok(presence.leave(node, users)),
            Self::Redis(presence) => presence.leave(node, users).await,
        }
    }

    /// Extends the node's lease and states its number of connections.
    pub async fn renew(&self, node: NodeId, connections: u64) -> Result<Lease, PresenceError> {
        match self {
            Self::Local(presence) => Ok(presence.renew(node, connections)),
            Self::Redis(presence) => presence.renew(node, connections).await,
        }
    }

    /// Nodes without a lease whose users' chats may still have to be told.
    pub async fn dead(&self) -> Result<Vec<NodeId>, PresenceError> {
        match self {
            Self::Local(presence) => Ok(presence.dead()),
            Self::Redis(presence) => presence.dead().await,
        }
    }

    /// Takes some users off a dead node, each for one caller only: returns those who are on no live
    /// node, and hands over what was told of the others. `None` when nothing is left, or the node lives.
    pub async fn sweep(&self, dead: NodeId) -> Result<Option<Vec<Gone>>, PresenceError> {
        match self {
            Self::Local(presence) => Ok(presence.sweep(dead)),
            Self::Redis(presence) => presence.sweep(dead).await,
        }
    }

    /// Ends the node's lease at once, when it ends in good order. What its users' chats were told stays
    /// for the others to sweep. The node must not call again.
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
