//! Who is connected here and what they watch: the registry of connections, users and rooms, and
//! the fan-out. Nothing in it blocks or awaits a client; whoever needs the api gets a question to
//! put (see [`crate::repair`]).

mod bus;
pub(crate) mod conn;
mod crowds;
pub(crate) mod drain;
mod fetching;
pub(crate) mod invitations;
pub(crate) mod local_chat;
mod pace;
pub(crate) mod presence;
pub(crate) mod shared_event;
mod signals;
pub(crate) mod users;

use crate::{
    backend::{Unavailable, hub_lanes::HubLanes},
    config::{Config, FeedConfig},
    dialect::Window,
    hub::{
        conn::{Conn, ConnId, join::Join},
        crowds::Crowds,
        local_chat::{
            Attached, Delivered, Room,
            feed::{Feed, Update},
        },
        pace::Pace,
        users::Users,
    },
};
use shared::{
    bus::{Bus, Subscriber},
    chat::{ChatType, ChatView},
    close::Close,
    id::{ChatId, NodeId, Seq, UserId},
    internal::{Range, RangeFound, Refusal, UserChat},
    lifecycle::Lifecycle,
    limit::Bucket,
    relay::{Channel, ChatEvents},
    telemetry::trace::{Kind, Span, Traceparent},
};
use std::time::Duration;
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::{sync::Notify, time::Instant};

/// The map of rooms is spread over this many locks, each held for a look-up. A room has its own.
const SHARDS: usize = 64;

type Rooms = HashMap<ChatId, Arc<Mutex<Room>>>;

/// The most suspected rooms that are asked about in a second: five calls, so that whoever resumes
/// meanwhile is not late. 10,000 rooms take ten seconds.
const SUSPECTS_A_SWEEP: usize = 1_000;

/// The gateway's registry and fan-out.
pub struct Hub {
    pub node: NodeId,
    pub config: Config,
    pub users: Users,
    pub(crate) lanes: HubLanes,
    pub(crate) bus: Bus,
    /// Compare with the api now, not when the interval is over.
    pub(crate) poll_now: Notify,
    /// Set once, right after construction: its callback needs the hub.
    pub(crate) subscriber: OnceLock<Subscriber>,
    pub(crate) lifecycle: Lifecycle,
    /// What is left of the arrivals that this node may announce, and since when it counts.
    pub(crate) arrivals: Mutex<Bucket>,
    pub(crate) started: Instant,
    shards: [Mutex<Rooms>; SHARDS],
    pub(crate) crowds: Crowds,
    pub(crate) pace: Pace,
    /// Of pages kept for those who come back together.
    pub(crate) page_bytes: AtomicUsize,
}

/// How far a user is out of a chat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parting {
    /// No longer a member, who may watch a room all the same.
    Member,
    /// May not watch it.
    Barred,
}

impl Hub {
    pub(crate) fn new(
        node: NodeId,
        config: Config,
        bus: Bus,
        lanes: HubLanes,
        lifecycle: Lifecycle,
    ) -> Self {
        Self {
            node,
            users: Users::new(&config),
            lanes,
            poll_now: Notify::new(),
            bus,
            subscriber: OnceLock::new(),
            lifecycle,
            arrivals: Mutex::default(),
            started: Instant::now(),
            shards: std::array::from_fn(|_| Mutex::default()),
            crowds: Crowds::default(),
            pace: Pace::default(),
            page_bytes: AtomicUsize::new(0),
            config,
        }
    }

    /// Lets a connection watch a chat whose events it has up to `join.after`, if it can be served from
    /// there.
    pub fn attach(self: &Arc<Self>, conn: &Arc<Conn>, join: &mut Join) -> Attached {
        let now = Instant::now();
        loop {
            let room = self.room_for(join, now);
            let mut room = lock(&room);
            if room.closed {
                continue;
            }
            room.feed.on_head(join.head);
            let attached = room.attach(conn, join, now);
            self.look_at_crowd(&mut room);
            if room.feed.is_behind() {
                self.schedule_ask(&mut room);
            }
            return attached;
        }
    }

    /// The chat's room, made when there is none.
    fn room_for(self: &Arc<Self>, join: &Join, now: Instant) -> Arc<Mutex<Room>> {
        let mut rooms = self.shard(join.chat_id);
        let room = rooms.entry(join.chat_id).or_insert_with(|| {
            // A client not too far back becomes where the feed starts, so that one question to the
            // api serves all who come back together.
            let reachable = (join.head.0 - join.after.0) <= self.config.feed.window_events as i64;
            let start = if reachable { join.after.min(join.head) } else { join.head };
            let feed = Feed::new(join.chat_id, start);
            self.subscribe_room(join.chat_id);
            Arc::new(Mutex::new(Room::new(join.chat_type, feed, now)))
        });
        Arc::clone(room)
    }

    /// Does something to a chat's room, under its lock; `None` when there is no such room.
    pub(crate) fn with_room<T>(
        &self,
        chat: ChatId,
        change: impl FnOnce(&mut Room) -> T,
    ) -> Option<T> {
        let room = self.shard(chat).get(&chat).cloned()?;
        let mut room = lock(&room);
        (!room.closed).then(|| change(&mut room))
    }

    /// Stops a connection from watching a chat. Whether it did.
    pub fn detach(&self, conn: &Conn, chat: ChatId) -> bool {
        self.with_room(chat, |room| room.detach(conn, Instant::now())).unwrap_or_default()
    }

    /// Events from the bus or from the reply to an own batch.
    pub fn on_events(self: &Arc<Self>, run: ChatEvents) {
        self.update(run.chat_id, run.traceparent, |feed, config, watchers| {
            feed.on_live(run.events, config, watchers)
        });
    }

    /// A chat has got at least this far: after a moment the api is asked for what has not come.
    pub fn on_head(self: &Arc<Self>, chat: ChatId, head: Seq) {
        self.with_room(chat, |room| {
            room.feed.on_head(head);
            if !room.feed.is_behind() {
                return;
            }
            room.busy().behind_since.get_or_insert(Instant::now());
            if !self.hears() {
                // Nothing is on its way: the sweeper's second would be lost.
                self.schedule_ask(room);
            }
        });
    }

    /// The api's answer about what a feed missed; `None` when the chat is gone.
    pub(crate) fn on_range(
        self: &Arc<Self>,
        asked: Range,
        answer: Result<Option<RangeFound>, Unavailable>,
    ) {
        match answer {
            Ok(Some(found)) => {
                let filled = found.events.len() as u64;
                metrics::counter!("gateway_gap_events_total").increment(filled);
                let got_on = found.upto > asked.after;
                self.update(asked.chat_id, None, |feed, config, watchers| {
                    feed.on_range(asked.after, found, config, watchers)
                });
                if got_on {
                    // What is left of a long gap needs no patience.
                    self.with_room(asked.chat_id, |room| self.ask(room));
                }
            }
            Ok(None) => self.close_room(asked.chat_id),
            Err(Unavailable::Refused(_)) => {
                self.with_room(asked.chat_id, Room::pass_over);
            }
            Err(Unavailable::NotAnswered(_)) => {
                // The sweeper asks again: the lane has just tried for long.
                self.with_room(asked.chat_id, |room| {
                    room.feed.on_no_range();
                    room.suspect = true;
                });
            }
        }
    }

    /// A user may no longer watch a chat: its connections here stop and are told.
    pub fn part(&self, user: UserId, chat_id: ChatId, parting: Parting) {
        // First those that are about to join, under this room's lock or later.
        self.users.of_user(user).iter().for_each(|conn| conn.revoke());
        self.users.parted(user, chat_id);
        let now = Instant::now();
        self.with_room(chat_id, |room| {
            for conn in room.of_user(user) {
                // A public room is left by those only who hold it among their chats, unless they may not
                // even watch it.
                let may_stay = room.chat_type == ChatType::Room && parting == Parting::Member;
                if may_stay && conn.window != Window::Native {
                    continue;
                }
                room.detach(&conn, now);
                conn.lose(chat_id, Close::NotAMember);
            }
        });
    }

    /// A chat is gone: its watchers are told, and the room closes.
    pub fn close_room(&self, chat_id: ChatId) {
        let now = Instant::now();
        self.with_room(chat_id, |room| {
            let watchers: Vec<Arc<Conn>> = room.watchers().cloned().collect();
            for conn in watchers {
                room.detach(&conn, now);
                conn.lose(chat_id, Close::ChatNotFound);
            }
        });
    }

    /// Puts all feeds' questions that are due: what a gap, a poll or a lost answer left open. Lets
    /// go of rooms nobody has watched for a while, and of windows nobody resumes from.
    pub(crate) fn sweep(self: &Arc<Self>) {
        let now = Instant::now();
        let (mut rooms_open, mut suspects) = (0, 0);
        for shard in &self.shards {
            let mut rooms = lock(shard);
            rooms.retain(|chat_id, room| {
                let mut room = lock(room);
                let behind_since = room.if_busy().and_then(|busy| busy.behind_since);
                if behind_since.is_some_and(|since| now - since >= self.config.gap_patience) {
                    self.ask(&mut room);
                }
                if room.suspect && suspects < SUSPECTS_A_SWEEP {
                    suspects += 1;
                    self.ask_anyway(&mut room);
                }
                if now - room.active_at > self.config.window_age {
                    room.feed.forget_window();
                }
                self.forget_pages(&mut room, now);
                room.calm_down(now);
                self.look_at_crowd(&mut room);
                let idle = room.empty_since.map(|since| now - since);
                let lingers = idle.is_none_or(|idle| idle < self.config.room_linger);
                let keep = lingers || room.if_busy().is_some_and(|busy| !busy.pages.is_empty());
                if !keep {
                    room.closed = true;
                    if let Some(subscriber) = self.subscriber.get() {
                        subscriber.remove(&[Channel::Chat(*chat_id)]);
                    }
                }
                keep
            });
            rooms_open += rooms.len();
        }
        metrics::gauge!("gateway_rooms").set(rooms_open as f64);
    }

    /// Suspects all feeds: the sweeper asks the api for whatever is after each, at its pace.
    pub(crate) fn suspect_all(&self) {
        for shard in &self.shards {
            lock(shard).values().for_each(|room| lock(room).suspect = true);
        }
    }

    /// Who watches which chat of members here, a part of all chats at a time.
    pub(crate) fn memberships(&self) -> impl Iterator<Item = Vec<UserChat>> {
        self.shards.iter().map(|shard| {
            let rooms: Vec<_> = lock(shard).values().cloned().collect();
            let mut pairs = Vec::new();
            for room in rooms {
                let room = lock(&room);
                // Rooms are everybody's to watch.
                if room.chat_type != ChatType::Room {
                    let pair = |conn: &Arc<Conn>| {
                        Some(UserChat { user_id: conn.user_id()?, chat_id: room.chat_id() })
                    };
                    pairs.extend(room.watchers().filter_map(pair));
                }
            }
            pairs.sort_unstable_by_key(|pair| (pair.chat_id, pair.user_id));
            pairs.dedup();
            pairs
        })
    }

    /// A chat as this connection may watch it. A guest, who is no user, may enter rooms.
    pub(crate) async fn view_for(
        &self,
        conn: &Conn,
        chat_id: ChatId,
    ) -> Result<Result<ChatView, Refusal>, Unavailable> {
        let user_id = conn.user_id().unwrap_or_default();
        self.lanes.view(UserChat { user_id, chat_id }).await
    }

    /// The connection is gone: no room holds it any more.
    pub(crate) fn forget(&self, conn: &Conn) {
        for chat in conn.chat_ids() {
            self.detach(conn, chat);
        }
    }

    fn update(
        self: &Arc<Self>,
        chat: ChatId,
        cause: Option<Traceparent>,
        change: impl FnOnce(&mut Feed, &FeedConfig, usize) -> Update,
    ) {
        let delivered = self.with_room(chat, |room| {
            let watchers = room.watchers().len();
            let update = change(&mut room.feed, &self.config.feed, watchers);
            // What came before by another way was delivered then.
            let cause = cause.filter(|_| !update.deliver.is_empty());
            let mut span = Span::caused("deliver", Kind::Consumer, cause);
            let delivered = room.deliver(&update, Instant::now());
            span.number("chat.id", chat.0);
            span.number("events", update.deliver.len() as i64);
            span.number("fanout", room.watchers().len() as i64);
            if update.behind {
                self.schedule_ask(room);
            }
            (delivered, span)
        });
        let Some((Delivered { joined, parted }, span)) = delivered else { return };
        span.end();
        for user in parted {
            self.part(user, chat, Parting::Member);
        }
        for user in joined {
            self.welcome(user, chat);
        }
    }

    /// Asks for what a gap lacks, unless it fills by itself in a moment.
    fn schedule_ask(self: &Arc<Self>, room: &mut Room) {
        room.busy().behind_since.get_or_insert(Instant::now());
        if std::mem::replace(&mut room.ask_scheduled, true) {
            return;
        }
        let (hub, chat) = (Arc::clone(self), room.chat_id());
        self.lifecycle.spawn_background(async move {
            tokio::time::sleep(hub.config.gap_patience).await;
            hub.with_room(chat, |room| {
                room.ask_scheduled = false;
                hub.ask(room);
            });
        });
    }

    fn ask(self: &Arc<Self>, room: &mut Room) {
        if let Some(after) = room.feed.ask() {
            metrics::counter!("gateway_gaps_total").increment(1);
            self.put(room, after);
        }
    }

    fn ask_anyway(self: &Arc<Self>, room: &mut Room) {
        match room.feed.ask_anyway() {
            Some(after) => self.put(room, after),
            // The answer on its way may be older than the suspicion.
            None => room.suspect = true,
        }
    }

    fn put(self: &Arc<Self>, room: &mut Room, after: Seq) {
        let (hub, range) = (Arc::clone(self), Range { chat_id: room.chat_id(), after });
        let done = Box::new(move |answer: Result<_, _>| hub.on_range(range, answer));
        room.suspect = false;
        if self.lanes.request_range(range, done).is_err() {
            room.feed.on_no_range();
            room.suspect = true;
        }
    }

    /// Subscribes to a new room's channel and then asks for what passed before the subscription stood.
    fn subscribe_room(self: &Arc<Self>, chat: ChatId) {
        let Some(subscriber) = self.subscriber.get() else { return };
        let confirmed = subscriber.add(&[Channel::Chat(chat)]);
        let hub = Arc::clone(self);
        self.lifecycle.spawn_background(async move {
            confirmed.await;
            hub.with_room(chat, |room| hub.ask_anyway(room));
        });
    }

    /// Whether the bus delivers.
    pub(crate) fn hears(&self) -> bool {
        self.subscriber.get().is_some_and(Subscriber::is_up)
    }

    fn shard(&self, chat: ChatId) -> MutexGuard<'_, Rooms> {
        lock(&self.shards[chat.0.unsigned_abs() as usize % SHARDS])
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sweeps once a second, for as long as the process lives: see [`Hub::sweep`].
pub(crate) async fn sweep(hub: Arc<Hub>) {
    let mut every = tokio::time::interval(Duration::from_secs(1));
    loop {
        every.tick().await;
        hub.sweep();
    }
}

/// Hands out connection ids.
#[derive(Debug, Default)]
pub struct ConnIds(std::sync::atomic::AtomicU64);

impl ConnIds {
    pub fn next(&self) -> ConnId {
        ConnId(self.0.fetch_add(1, Ordering::Relaxed))
    }
}
