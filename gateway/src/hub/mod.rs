//! The registry of connections, users and chats on this node, and the fan-out. Nothing in it blocks or awaits
//! a client.
//!
//! - `conn/`: the handle to one connection; `users.rs`: all of them, by user and by session; `strangers.rs`:
//!   sockets whose clients are not known yet
//! - `local_chat/`: one chat on this node, and all work under its lock
//! - `watching.rs`: connections start and stop watching chats; `invitations.rs`: open connections get one more
//!   chat to watch
//! - `bus.rs`: the entry point of bus messages; `hearing.rs`: what the bus brings and what not;
//!   `crowds.rs`: the queues of chats with many watchers
//! - `delivery.rs`: delivers events; `shared_event.rs`: encodes each event once; `gaps.rs`: requests missing
//!   events; `fetching.rs`: fetches pages for clients that resume from far back
//! - `signals.rs`: typing, presence, arrivals; `presence.rs`: reports this node's users to the register
//! - `orders.rs`: what administrators ask of all gateways, and announce to everybody
//! - `compact.rs`: lists that take little memory
//! - `sweep.rs`: periodic work; `pace.rs`: limits how many tasks continue at once; `drain.rs`: closes all
//!   connections at the end

mod bus;
mod compact;
pub(crate) mod conn;
mod crowds;
mod delivery;
pub(crate) mod drain;
mod fetching;
mod gaps;
mod hearing;
pub(crate) mod invitations;
pub(crate) mod local_chat;
mod orders;
mod pace;
pub(crate) mod presence;
pub(crate) mod shared_event;
mod signals;
pub(crate) mod strangers;
pub(crate) mod sweep;
pub(crate) mod users;
pub(crate) mod watching;

use crate::{
    backend::{hub_lanes::HubLanes, request_result::RequestResult},
    config::Config,
    hub::{
        conn::Conn, crowds::Crowds, hearing::Hearing, local_chat::LocalChat, pace::Pace,
        users::Users,
    },
};
use parking_lot::{Mutex, MutexGuard};
use platform::{
    bus::{Bus, Subscriber},
    lifecycle::Lifecycle,
    limit::Bucket,
    presence::Presence,
};
use protocol::{
    calls::UserChat,
    chat::ChatView,
    id::{ChatId, NodeId},
    orders::Announced,
};
use std::{
    collections::HashMap,
    sync::{Arc, OnceLock, atomic::AtomicUsize},
};
use tokio::{sync::Notify, time::Instant};

/// The number of locks over the map of chats, more than a node has cores, so that look-ups seldom meet. A
/// shard's lock is held for a look-up only; each chat has a lock of its own.
const SHARDS: usize = 64;

type Chats = HashMap<ChatId, Arc<Mutex<LocalChat>>>;

/// The gateway's registry and fan-out.
pub(crate) struct Hub {
    pub node: NodeId,
    pub config: Config,
    pub users: Users,
    pub(crate) lanes: HubLanes,
    pub(crate) bus: Bus,
    /// For answers to administrators. Who is here, one task reports (`presence.rs`).
    presence: Presence,
    /// What is announced, as far as this node knows.
    announced: Mutex<Announced>,
    pub(crate) hearing: Hearing,
    /// Wakes the repair before its interval is over.
    pub(crate) poll_now: Notify,
    /// Set once, right after construction: its callback needs the hub.
    pub(crate) subscriber: OnceLock<Subscriber>,
    pub(crate) lifecycle: Lifecycle,
    /// Limits the arrivals that this node announces in the lobby; `started` is the time origin.
    pub(crate) arrivals: Mutex<Bucket>,
    pub(crate) started: Instant,
    /// Limits the writes of those who deliver events.
    direct_writes: Mutex<Bucket>,
    shards: [Mutex<Chats>; SHARDS],
    pub(crate) crowds: Crowds,
    pub(crate) pace: Pace,
    /// The bytes of all pages that are kept.
    pub(crate) page_bytes: AtomicUsize,
}

impl Hub {
    pub(crate) fn new(
        node: NodeId,
        config: Config,
        bus: Bus,
        presence: Presence,
        lanes: HubLanes,
        lifecycle: Lifecycle,
    ) -> Self {
        Self {
            node,
            users: Users::new(&config),
            lanes,
            hearing: Hearing::default(),
            poll_now: Notify::new(),
            bus,
            presence,
            announced: Mutex::default(),
            subscriber: OnceLock::new(),
            lifecycle,
            arrivals: Mutex::default(),
            started: Instant::now(),
            direct_writes: Mutex::default(),
            shards: std::array::from_fn(|_| Mutex::default()),
            crowds: Crowds::default(),
            pace: Pace::default(),
            page_bytes: AtomicUsize::new(0),
            config,
        }
    }

    /// Calls `change` with a chat under the chat's lock. `None` if this node does not have the chat.
    pub(crate) fn with_chat<T>(
        &self,
        chat_id: ChatId,
        change: impl FnOnce(&mut LocalChat) -> T,
    ) -> Option<T> {
        // The shard is unlocked again after this line: work on one chat must not delay look-ups of others.
        let chat = self.shard(chat_id).get(&chat_id).cloned()?;
        let mut chat = chat.lock();
        // A sweep may have dropped the chat after the look-up. The next join makes a new one.
        (!chat.closed).then(|| change(&mut chat))
    }

    /// Asks the api for a chat as this connection may watch it. A guest asks with the id 0, which belongs to
    /// no user and may enter rooms only.
    pub(crate) async fn view_for(&self, conn: &Conn, chat_id: ChatId) -> RequestResult<ChatView> {
        let user_id = conn.user_id().unwrap_or_default();
        self.lanes.view(UserChat { user_id, chat_id }).await
    }

    /// How many chats somebody here watches, or watched a moment ago.
    pub(crate) fn chats(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    fn shard(&self, chat_id: ChatId) -> MutexGuard<'_, Chats> {
        self.shards[chat_id.0.unsigned_abs() as usize % SHARDS].lock()
    }
}
