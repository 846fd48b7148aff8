//! One chat on this gateway: its feed and the local connections that watch it. Everything here
//! happens under the room's lock, is short, and neither blocks nor awaits.

use crate::{
    conn::{Conn, ConnId, Departures},
    dialect::Dialect,
    feed::{Feed, Update},
    frame::Frame,
    outbox::Worth,
    relayed::Told,
    signals::Typists,
};
use shared::{
    chat::{Change, ChatType, MemberChange},
    id::{ChatId, Seq, UserId},
    protocol::ServerFrame,
};
use std::sync::Arc;
use tokio::time::Instant;

/// A chat with local watchers, or one that had some a moment ago.
#[derive(Debug)]
pub struct Room {
    pub chat_id: ChatId,
    pub chat_type: ChatType,
    pub feed: Feed,
    /// In the order of their ids, so that one is found without searching all.
    watchers: Vec<Arc<Conn>>,
    /// Watchers that resumed and are told once the feed has got there.
    catching_up: Vec<(ConnId, Seq)>,
    /// A question to the api is about to be put.
    pub ask_scheduled: bool,
    /// Since when the feed knows of events that it does not have.
    pub behind_since: Option<Instant>,
    /// Since when nobody watches.
    pub empty_since: Option<Instant>,
    /// When the last event came.
    pub active_at: Instant,
    /// Who types, where that is only counted.
    pub typists: Option<Box<Typists>>,
}

/// How an attempt to watch a chat ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attached {
    /// The connection watches; what it missed is in its outbox or comes through the feed.
    Live,
    /// The feed has not got as far as the connection: try again in a moment.
    NotYet,
    /// The user lost the right to watch some chat, perhaps this one: ask the api once more.
    Doubtful,
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
            ask_scheduled: false,
            behind_since: None,
            empty_since: Some(now),
            active_at: now,
            typists: None,
        }
    }

    /// Lets a connection that has everything up to `after` watch, if the feed can serve it from
    /// there. `resumed`: it wants to be told when it has caught up with `head`.
    /// `allowed` is the state of departures in which the api allowed it.
    pub fn attach(
        &mut self,
        conn: &Arc<Conn>,
        allowed: Departures,
        after: Seq,
        resumed: Option<Seq>,
    ) -> Attached {
        if conn.departures() != allowed {
            return Attached::Doubtful;
        }
        let watching = self.position(conn.id);
        if watching.is_ok() {
            // What came since is in its outbox already; it waits once, however often it asks.
            self.catching_up.retain(|(id, _)| *id != conn.id);
            return self.settle(conn, resumed);
        }
        if after > self.feed.last() {
            self.feed.on_head(after);
            return Attached::NotYet;
        }
        let Some(missed) = self.feed.since(after) else { return Attached::Behind };
        if !conn.outbox.has_room() {
            return Attached::NotYet;
        }
        conn.deliver(missed.map(Arc::as_ref));
        if let Err(place) = watching {
            self.watchers.insert(place, Arc::clone(conn));
        }
        conn.chats().insert(self.chat_id);
        self.empty_since = None;
        self.settle(conn, resumed)
    }

    /// Tells a watcher that resumed when it has caught up: now or once the feed has got there.
    fn settle(&mut self, conn: &Conn, resumed: Option<Seq>) -> Attached {
        if let Some(head) = resumed {
            let target = head.max(self.feed.head());
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
        if self.watchers.is_empty() {
            self.watchers.shrink_to_fit();
            self.empty_since = Some(now);
        }
        true
    }

    /// Hands out what became deliverable.
    pub fn deliver(&mut self, update: &Update, now: Instant) -> Delivered {
        let mut delivered = Delivered::default();
        if update.repeats > 0 {
            metrics::counter!("gateway_repeats_dropped_total").increment(update.repeats as u64);
        }
        if !update.deliver.is_empty() {
            self.active_at = now;
            self.behind_since = None;
            let deliver = |conn: &Arc<Conn>| conn.deliver(update.deliver.iter().map(Arc::as_ref));
            let shown: usize = self.watchers.iter().map(deliver).sum();
            metrics::counter!("gateway_deliveries_total").increment(shown as u64);
            metrics::histogram!("gateway_fanout_size").record(self.watchers.len() as f64);
            for relayed in &update.deliver {
                if let Change::Member { user, change, .. } = &relayed.event.event.change {
                    match change {
                        MemberChange::Joined => delivered.joined.push(user.id),
                        MemberChange::Left | MemberChange::Removed => {
                            delivered.parted.push(user.id);
                        }
                    }
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

    /// Sends a frame without a number to all watchers but those of one user.
    pub fn tell(&self, frame: &ServerFrame, worth: Worth, except: Option<UserId>) {
        let told = Told::new(frame);
        for conn in &self.watchers {
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
        for conn in self.watchers.iter().filter(|conn| conn.window.dialect() == dialect) {
            if Some(conn.id) != except {
                conn.outbox.push(frame.clone(), Worth::Ephemeral);
            }
        }
    }

    /// The watchers of one user.
    pub fn of_user(&self, user: UserId) -> Vec<Arc<Conn>> {
        self.watchers.iter().filter(|conn| conn.user_id() == Some(user)).cloned().collect()
    }

    /// All watchers.
    pub fn watchers(&self) -> &[Arc<Conn>] {
        &self.watchers
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
                self.watchers[place].send(&caught_up, Worth::Durable);
            }
            false
        });
        self.catching_up = waiting;
    }

    fn caught_up(&self) -> ServerFrame {
        ServerFrame::CaughtUp { chat_id: self.chat_id, seq: self.feed.last() }
    }

    fn position(&self, id: ConnId) -> Result<usize, usize> {
        self.watchers.binary_search_by_key(&id, |conn| conn.id)
    }
}
