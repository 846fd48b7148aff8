//! One chat on this gateway: its feed and the local connections that watch it. Everything here
//! happens under the room's lock, is short, and neither blocks nor awaits.

use crate::{
    conn::{Conn, ConnId},
    dialect::Dialect,
    feed::{Feed, Update},
    frame::Frame,
    joining::{Cause, Join},
    outbox::{Pushed, Worth},
    pages::Pages,
    relayed::{About, Relayed, Told},
    signals::Typists,
};
use shared::{
    chat::ChatType,
    id::{ChatId, Seq, UserId},
    protocol::ServerFrame,
};
use std::sync::Arc;
use tokio::time::Instant;

/// The most bytes of events that go into an outbox under the room's lock when a client joins; what it
/// missed beyond that is handed out piece by piece.
const PIECE_BYTES: usize = 64 * 1024;

/// A chat with local watchers, or one that had some a moment ago.
#[derive(Debug)]
pub struct Room {
    pub chat_id: ChatId,
    pub chat_type: ChatType,
    pub feed: Feed,
    /// In the order of their ids, so that one is found without searching all.
    watchers: Vec<Watcher>,
    /// Watchers that resumed and are told once the feed has got there.
    catching_up: Vec<(ConnId, Seq)>,
    /// What those who come back from far are sent.
    pub(crate) pages: Option<Box<Pages>>,
    /// A question to the api is about to be put.
    pub ask_scheduled: bool,
    /// It is no room of the hub's any more: whoever still holds it looks for the new one.
    pub closed: bool,
    /// Something may have passed unheard: the sweeper asks, until there is an answer.
    pub suspect: bool,
    /// Since when the feed knows of events that it does not have.
    pub behind_since: Option<Instant>,
    /// Since when nobody watches.
    pub empty_since: Option<Instant>,
    /// When the last event came.
    pub active_at: Instant,
    /// Who types, where that is only counted.
    pub typists: Option<Box<Typists>>,
}

/// A connection that watches a chat.
#[derive(Debug)]
struct Watcher {
    conn: Arc<Conn>,
    /// It has been sent all events after here.
    from: Seq,
}

/// How an attempt to watch a chat ended.
#[derive(Debug)]
pub enum Attached {
    /// The connection watches; what it missed is in its outbox or comes through the feed.
    Live,
    /// The feed has not got as far as the connection: try again in a moment.
    NotYet,
    /// The client has to read first.
    NoRoom,
    /// The user lost the right to watch some chat, perhaps this one: ask the api once more.
    Doubtful,
    /// This comes first, then try again.
    Page(Vec<Arc<Relayed>>),
    /// The feed's window does not reach back to the connection's cursor: fetch what it missed.
    Behind,
}

/// What delivering changed about who may watch.
#[derive(Debug, Default)]
pub struct Delivered {
    pub joined: Vec<UserId>,
    pub parted: Vec<UserId>,
}

impl Room {
    pub fn new(chat_id: ChatId, chat_type: ChatType, feed: Feed, now: Instant) -> Self {
        Self {
            chat_id,
            chat_type,
            feed,
            watchers: Vec::new(),
            catching_up: Vec::new(),
            pages: None,
            ask_scheduled: false,
            closed: false,
            suspect: false,
            behind_since: None,
            empty_since: Some(now),
            active_at: now,
            typists: None,
        }
    }

    /// Lets a connection watch that has everything up to `join.after`, if the feed can serve it from
    /// there.
    pub fn attach(&mut self, conn: &Arc<Conn>, join: &mut Join, now: Instant) -> Attached {
        if conn.departures() != join.allowed {
            return Attached::Doubtful;
        }
        if let Ok(place) = self.position(conn.id) {
            if join.cause != Cause::Subscribed || join.from >= self.watchers[place].from {
                // What came since is in its outbox already; it waits once, however often it asks.
                join.say(conn, join.target.is_none().then_some(self.feed.last()));
                self.catching_up.retain(|(id, _)| *id != conn.id);
                return self.settle(conn, join.target);
            }
            // It wants more than it was sent.
            self.detach(conn, now);
        }
        join.say(conn, None);
        if join.after > self.feed.last() {
            self.feed.on_head(join.after);
            return Attached::NotYet;
        }
        let Some(missed) = self.feed.since(join.after) else { return Attached::Behind };
        if !conn.outbox.has_room() {
            return Attached::NoRoom;
        }
        let missed: Vec<_> = missed.cloned().collect();
        if let Some(first) = piece(&missed) {
            return Attached::Page(missed[..first].to_vec());
        }
        let Pushed { taken, full, .. } = conn.deliver(self.chat_id, missed.iter().map(Arc::as_ref));
        if full {
            join.after = missed[..taken].last().map_or(join.after, |last| last.seq);
            return Attached::NoRoom;
        }
        if let Err(place) = self.position(conn.id) {
            self.watchers.insert(place, Watcher { conn: Arc::clone(conn), from: join.from });
        }
        conn.chats().insert(self.chat_id);
        self.empty_since = None;
        self.settle(conn, join.target)
    }

    /// Tells a watcher that resumed when it has caught up: now or once the feed has got there.
    fn settle(&mut self, conn: &Conn, target: Option<Seq>) -> Attached {
        if let Some(target) = target {
            let target = target.max(self.feed.head());
            if self.feed.last() >= target {
                conn.send(&self.caught_up(), Worth::Durable);
            } else {
                self.catching_up.push((conn.id, target));
            }
        }
        Attached::Live
    }

    /// Stops a connection from watching. Whether it did.
    pub fn detach(&mut self, conn: &Conn, now: Instant) -> bool {
        let Ok(place) = self.position(conn.id) else { return false };
        self.watchers.remove(place);
        self.catching_up.retain(|(id, _)| *id != conn.id);
        conn.chats().remove(&self.chat_id);
        self.note_empty(now);
        true
    }

    fn note_empty(&mut self, now: Instant) {
        if self.watchers.is_empty() {
            self.watchers = Vec::new();
            self.empty_since.get_or_insert(now);
        }
    }

    /// Hands out what became deliverable. A watcher whose outbox is full stops watching: it is caught
    /// up by a join from where it stopped, as its client reads.
    pub fn deliver(&mut self, update: &Update, now: Instant) -> Delivered {
        let mut delivered = Delivered::default();
        if update.repeats > 0 {
            metrics::counter!("gateway_repeats_dropped_total").increment(update.repeats as u64);
        }
        if !update.deliver.is_empty() {
            self.active_at = now;
            self.behind_since = None;
            metrics::histogram!("gateway_fanout_size").record(self.watchers.len() as f64);
            self.hand_out(update, now);
            for relayed in &update.deliver {
                match relayed.about {
                    About::Joined(user) => delivered.joined.push(user),
                    About::Parted(user) => delivered.parted.push(user),
                    About::Message(_) | About::Other => {}
                }
            }
        }
        if update.behind {
            self.behind_since.get_or_insert(now);
        } else {
            self.behind_since = None;
        }
        self.tell_caught_up();
        delivered
    }

    fn hand_out(&mut self, update: &Update, now: Instant) {
        let mut shown = 0;
        let (chat_id, events) = (self.chat_id, &update.deliver);
        let mut lagging = Vec::new();
        self.watchers.retain(|watcher| {
            let pushed = watcher.conn.deliver(chat_id, events.iter().map(Arc::as_ref));
            shown += pushed.shown;
            if pushed.full {
                let after = events[..pushed.taken].last().map_or(update.after, |last| last.seq);
                lagging.push((Arc::clone(&watcher.conn), watcher.from, after));
            }
            !pushed.full
        });
        metrics::counter!("gateway_deliveries_total").increment(shown as u64);
        if lagging.is_empty() {
            return;
        }
        metrics::counter!("gateway_lagging_total").increment(lagging.len() as u64);
        for (conn, from, after) in lagging {
            let waits = |(id, _): &&(ConnId, Seq)| *id == conn.id;
            let target = self.catching_up.iter().find(waits).map(|(_, target)| *target);
            self.catching_up.retain(|(id, _)| *id != conn.id);
            conn.outbox.join(Join {
                chat_id,
                chat_type: self.chat_type,
                head: self.feed.head(),
                allowed: conn.departures(),
                from,
                after,
                announce: None,
                target,
                cause: Cause::Lagged,
                waits: 0,
            });
            // Last: whoever finds that the chat is not watched comes behind this join.
            conn.chats().remove(&chat_id);
        }
        self.note_empty(now);
    }

    /// Sends a frame without a number to all watchers but those of one user.
    pub fn tell(&self, frame: &ServerFrame, worth: Worth, except: Option<UserId>) {
        let told = Told::new(frame);
        for Watcher { conn, .. } in &self.watchers {
            if except.is_some() && conn.user_id() == except {
                continue;
            }
            if let Some(frame) = told.frame(conn.window.dialect()) {
                conn.outbox.push(frame, worth);
            }
        }
    }

    /// Sends an ephemeral frame of one dialect to its watchers, but for one.
    pub fn tell_dialect(&self, dialect: Dialect, frame: &Frame, except: Option<ConnId>) {
        for conn in self.watchers().filter(|conn| conn.window.dialect() == dialect) {
            if Some(conn.id) != except {
                conn.outbox.push(frame.clone(), Worth::Ephemeral);
            }
        }
    }

    /// The watchers of one user.
    pub fn of_user(&self, user: UserId) -> Vec<Arc<Conn>> {
        self.watchers().filter(|conn| conn.user_id() == Some(user)).cloned().collect()
    }

    /// All watchers.
    pub fn watchers(&self) -> impl ExactSizeIterator<Item = &Arc<Conn>> {
        self.watchers.iter().map(|watcher| &watcher.conn)
    }

    fn tell_caught_up(&mut self) {
        if self.catching_up.is_empty() {
            return;
        }
        let (last, caught_up) = (self.feed.last(), self.caught_up());
        let mut waiting = std::mem::take(&mut self.catching_up);
        waiting.retain(|(id, target)| {
            if *target > last {
                return true;
            }
            if let Ok(place) = self.position(*id) {
                self.watchers[place].conn.send(&caught_up, Worth::Durable);
            }
            false
        });
        self.catching_up = waiting;
    }

    fn caught_up(&self) -> ServerFrame {
        ServerFrame::CaughtUp { chat_id: self.chat_id, seq: self.feed.last() }
    }

    fn position(&self, id: ConnId) -> Result<usize, usize> {
        self.watchers.binary_search_by_key(&id, |watcher| watcher.conn.id)
    }
}

/// How many of these events are one piece; `None` when all of them are.
fn piece(events: &[Arc<Relayed>]) -> Option<usize> {
    let mut bytes = 0;
    let fits = events.iter().take_while(|event| {
        bytes += event.bytes();
        bytes <= PIECE_BYTES
    });
    let count = fits.count().max(1);
    (count < events.len()).then_some(count)
}
