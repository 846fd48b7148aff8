//! Who is connected here and what they watch: the registry of connections, users and rooms, and
//! the fan-out. Nothing in it blocks or awaits a client; whoever needs the api gets a question to
//! put (see [`crate::repair`]).

use crate::{
    backend::Unavailable,
    config::Config,
    conn::{Conn, ConnId, Departures},
    dialect::Window,
    feed::{Feed, Update},
    repair::Questions,
    room::{Attached, Delivered, Room},
    users::Users,
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
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};
use tokio::time::Instant;

/// Rooms are spread over this many locks, so that deliveries in different chats rarely meet.
const SHARDS: usize = 64;

/// The gateway's registry and fan-out.
pub struct Hub {
    pub node: NodeId,
    pub config: Config,
    pub users: Users,
    pub(crate) questions: Questions,
    pub(crate) bus: Bus,
    /// Set once, right after construction: its callback needs the hub.
    pub(crate) subscriber: OnceLock<Subscriber>,
    pub(crate) lifecycle: Lifecycle,
    /// What is left of the arrivals that this node may announce, and since when it counts.
    pub(crate) arrivals: Mutex<Bucket>,
    pub(crate) started: Instant,
    shards: [Mutex<HashMap<ChatId, Room>>; SHARDS],
}

impl Hub {
    pub(crate) fn new(
        node: NodeId,
        config: Config,
        bus: Bus,
        questions: Questions,
        lifecycle: Lifecycle,
    ) -> Self {
        Self {
            node,
            users: Users::new(&config),
            questions,
            bus,
            subscriber: OnceLock::new(),
            lifecycle,
            arrivals: Mutex::default(),
            started: Instant::now(),
            shards: std::array::from_fn(|_| Mutex::default()),
            config,
        }
    }

    /// Lets a connection that has a chat's events up to `after` watch it, if it can be served from
    /// there. `resumed`: tell it when it has caught up, at least with this event. `allowed`: see
    /// [`Conn::departures`].
    pub fn attach(
        self: &Arc<Self>,
        conn: &Arc<Conn>,
        chat: &ChatView,
        allowed: Departures,
        after: Seq,
        resumed: Option<Seq>,
    ) -> Attached {
        let now = Instant::now();
        let mut rooms = self.shard(chat.id);
        let room = rooms.entry(chat.id).or_insert_with(|| {
            // A client not too far back becomes where the feed starts, so that one question to the
            // api serves all who come back together.
            let reachable = (chat.seq.0 - after.0) <= self.config.feed.window_events as i64;
            let start = if reachable { after.min(chat.seq) } else { chat.seq };
            let feed = Feed::new(chat.id, start, self.config.feed);
            self.subscribe_room(chat.id);
            Room::new(chat.id, chat.chat_type, feed, now)
        });
        room.feed.on_head(chat.seq);
        let attached = room.attach(conn, allowed, after, resumed);
        if room.feed.is_behind() {
            self.schedule_ask(room);
        }
        attached
    }

    /// Stops a connection from watching a chat. Whether it did.
    pub fn detach(&self, conn: &Conn, chat: ChatId) -> bool {
        let mut rooms = self.shard(chat);
        rooms.get_mut(&chat).is_some_and(|room| room.detach(conn, Instant::now()))
    }

    /// Events from the bus or from the reply to an own batch.
    pub fn on_events(self: &Arc<Self>, run: ChatEvents) {
        self.update(run.chat_id, run.traceparent, |feed| feed.on_live(run.events));
    }

    /// A chat has got at least this far: after a moment the api is asked for what has not come.
    pub fn on_head(self: &Arc<Self>, chat: ChatId, head: Seq) {
        let mut rooms = self.shard(chat);
        let Some(room) = rooms.get_mut(&chat) else { return };
        room.feed.on_head(head);
        if !room.feed.is_behind() {
            return;
        }
        room.behind_since.get_or_insert(Instant::now());
        if !self.hears() {
            // Nothing is on its way: the sweeper's second would be lost.
            self.schedule_ask(room);
        }
    }

    /// The api's answer about what a feed missed; `None` when it gave none.
    pub(crate) fn on_range(self: &Arc<Self>, asked: Range, answer: Option<Option<RangeFound>>) {
        match answer {
            Some(Some(found)) => {
                let filled = found.events.len() as u64;
                metrics::counter!("gateway_gap_events_total").increment(filled);
                self.update(asked.chat_id, None, |feed| feed.on_range(asked.after, found));
            }
            Some(None) => self.close_room(asked.chat_id),
            None => {
                let mut rooms = self.shard(asked.chat_id);
                if let Some(room) = rooms.get_mut(&asked.chat_id) {
                    // The sweeper asks again: the lane has just tried for long.
                    let _ = room.feed.on_no_range();
                }
            }
        }
    }

    /// A user may no longer watch a chat: its connections here stop and are told.
    pub fn part(&self, user: UserId, chat_id: ChatId) {
        // First those that are about to join, under this room's lock or later.
        self.users.of_user(user).iter().for_each(|conn| conn.depart());
        self.users.parted(user, chat_id);
        let now = Instant::now();
        let mut rooms = self.shard(chat_id);
        let Some(room) = rooms.get_mut(&chat_id) else { return };
        for conn in room.of_user(user) {
            // A public room is left by those only who hold it among their chats.
            if room.chat_type == ChatType::Room && conn.window != Window::Native {
                continue;
            }
            room.detach(&conn, now);
            conn.lose(chat_id, Close::NotAMember);
        }
    }

    /// A chat is gone: its watchers are told, and the room closes.
    pub fn close_room(&self, chat_id: ChatId) {
        let mut rooms = self.shard(chat_id);
        let Some(room) = rooms.get_mut(&chat_id) else { return };
        let now = Instant::now();
        for conn in room.watchers().to_vec() {
            room.detach(&conn, now);
            conn.lose(chat_id, Close::ChatNotFound);
        }
    }

    /// Puts all feeds' questions that are due: what a gap, a poll or a lost answer left open. Lets
    /// go of rooms nobody has watched for a while, and of windows nobody resumes from.
    pub(crate) fn sweep(self: &Arc<Self>) {
        let now = Instant::now();
        let mut rooms_open = 0;
        for shard in &self.shards {
            let mut rooms = lock(shard);
            rooms.retain(|chat_id, room| {
                if room.behind_since.is_some_and(|since| now - since >= self.config.gap_patience) {
                    self.ask(room);
                }
                if now - room.active_at > self.config.window_age {
                    room.feed.forget_window();
                    room.active_at = now;
                }
                let idle = room.empty_since.map(|since| now - since);
                let keep = idle.is_none_or(|idle| idle < self.config.room_linger);
                if !keep && let Some(subscriber) = self.subscriber.get() {
                    subscriber.remove(&[Channel::Chat(*chat_id)]);
                }
                keep
            });
            rooms_open += rooms.len();
        }
        metrics::gauge!("gateway_rooms").set(rooms_open as f64);
    }

    /// Suspects all feeds: asks the api for whatever is after each.
    pub(crate) fn suspect_all(self: &Arc<Self>) {
        for shard in &self.shards {
            for room in lock(shard).values_mut() {
                self.ask_anyway(room);
            }
        }
    }

    /// What a chat missed after a place; waits in the same lane as the feeds' questions.
    pub(crate) async fn events(&self, range: Range) -> Result<Option<RangeFound>, Unavailable> {
        self.questions.events.ask(range).await
    }

    /// A chat as this connection may watch it. A guest, who is no user, may enter rooms.
    pub(crate) async fn view_for(
        &self,
        conn: &Conn,
        chat_id: ChatId,
    ) -> Result<Result<ChatView, Refusal>, Unavailable> {
        let user_id = conn.user_id().unwrap_or_default();
        self.questions.views.ask(UserChat { user_id, chat_id }).await
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
        change: impl FnOnce(&mut Feed) -> Update,
    ) {
        let (delivered, span) = {
            let mut rooms = self.shard(chat);
            let Some(room) = rooms.get_mut(&chat) else { return };
            let update = change(&mut room.feed);
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
        };
        span.end();
        let Delivered { joined, parted } = delivered;
        for user in parted {
            self.part(user, chat);
        }
        for user in joined {
            self.welcome(user, chat);
        }
    }

    /// Asks for what a gap lacks, unless it fills by itself in a moment.
    fn schedule_ask(self: &Arc<Self>, room: &mut Room) {
        room.behind_since.get_or_insert(Instant::now());
        if std::mem::replace(&mut room.ask_scheduled, true) {
            return;
        }
        let (hub, chat) = (Arc::clone(self), room.chat_id);
        self.lifecycle.spawn_background(async move {
            tokio::time::sleep(hub.config.gap_patience).await;
            let mut rooms = hub.shard(chat);
            if let Some(room) = rooms.get_mut(&chat) {
                room.ask_scheduled = false;
                hub.ask(room);
            }
        });
    }

    fn ask(self: &Arc<Self>, room: &mut Room) {
        if let Some(after) = room.feed.ask() {
            metrics::counter!("gateway_gaps_total").increment(1);
            self.put(room, after);
        }
    }

    fn ask_anyway(self: &Arc<Self>, room: &mut Room) {
        if let Some(after) = room.feed.ask_anyway() {
            self.put(room, after);
        }
    }

    fn put(self: &Arc<Self>, room: &mut Room, after: Seq) {
        let (hub, range) = (Arc::clone(self), Range { chat_id: room.chat_id, after });
        let done = Box::new(move |answer: Result<_, _>| hub.on_range(range, answer.ok()));
        if self.questions.events.submit(range, 0, done).is_err() {
            let _ = room.feed.on_no_range();
        }
    }

    /// Subscribes to a new room's channel and then asks for what passed before the subscription stood.
    fn subscribe_room(self: &Arc<Self>, chat: ChatId) {
        let Some(subscriber) = self.subscriber.get() else { return };
        let confirmed = subscriber.add(&[Channel::Chat(chat)]);
        let hub = Arc::clone(self);
        self.lifecycle.spawn_background(async move {
            confirmed.await;
            let mut rooms = hub.shard(chat);
            if let Some(room) = rooms.get_mut(&chat) {
                hub.ask_anyway(room);
            }
        });
    }

    /// Whether the bus delivers.
    pub(crate) fn hears(&self) -> bool {
        self.subscriber.get().is_some_and(Subscriber::is_up)
    }

    pub(crate) fn shard(&self, chat: ChatId) -> MutexGuard<'_, HashMap<ChatId, Room>> {
        lock(&self.shards[chat.0.unsigned_abs() as usize % SHARDS])
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Hands out connection ids.
#[derive(Debug, Default)]
pub struct ConnIds(std::sync::atomic::AtomicU64);

impl ConnIds {
    pub fn next(&self) -> ConnId {
        ConnId(self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
    }
}
