//! One chat on this node: its feed and the local connections that watch it. Everything here happens under
//! the chat's lock, is short, and neither blocks nor awaits.
//!
//! - `feed/`: puts the chat's events in order; `watchers.rs`: the connections that get them
//! - `pages.rs`, `typists.rs`: state that the chat keeps only while it is busy

pub(crate) mod feed;
pub(crate) mod pages;
pub(crate) mod typists;
mod watchers;

use crate::{
    dialect::Dialect,
    hub::{
        conn::{
            Conn, ConnId,
            join::{Cause, Join},
            outbox::{
                DropPolicy,
                queue::{Pushed, Writer},
            },
        },
        local_chat::{
            feed::{Feed, Update},
            pages::Pages,
            typists::Typists,
            watchers::Watchers,
        },
        shared_event::{SharedEvent, SharedFrame, concat, piece},
    },
    wire::frame::Frame,
};
use protocol::{
    chat::ChatType,
    encoded_run::About,
    frames::ServerFrame,
    id::{ChatId, Seq, UserId},
};
use std::sync::Arc;
use tokio::time::Instant;

/// A chat with local watchers, or one that had some a moment ago.
#[derive(Debug)]
pub(crate) struct LocalChat {
    pub chat_type: ChatType,
    pub feed: Feed,
    watchers: Watchers,
    /// `None` in a quiet chat, as most chats are.
    busy: Option<Box<Busy>>,
    /// A request for missing events is scheduled.
    pub request_scheduled: bool,
    /// The hub has dropped this chat. A caller that still holds it must look it up again.
    pub closed: bool,
    /// A task of its own handles the chat's bus payloads.
    pub crowded: bool,
    /// Events may have been missed. Each sweep requests them until there is an answer.
    pub suspect: bool,
    /// Since when the chat has had no watcher; `None` while it has one.
    pub empty_since: Option<Instant>,
    /// When the last event came.
    pub active_at: Instant,
}

/// The state that a chat holds only while something goes on in it.
#[derive(Debug, Default)]
pub(crate) struct Busy {
    /// When the feed first heard of events that it does not have.
    pub behind_since: Option<Instant>,
    /// It heard so from the api only, though the bus should have brought them.
    pub is_unheard: bool,
    /// Watchers that resumed, each with the place at which they are told `caught_up`.
    catching_up: Vec<(ConnId, Seq)>,
    /// Pages for clients that resume from further back than the replay reaches.
    pub pages: Pages,
    /// The typists of a chat that only counts them.
    pub typists: Typists,
}

/// The result of an attempt to watch a chat.
#[derive(Debug)]
pub(crate) enum Attached {
    /// The connection watches. The events that it missed are in its outbox or come through the feed.
    Live,
    /// The feed is behind the client. Try again in a moment.
    NotYet,
    /// The outbox is too full. Try again when the client has read.
    NoSpace,
    /// The user lost the right to watch some chat, perhaps this one. Ask the api once more.
    AccessChanged,
    /// Send these events first, then try again.
    Page(Vec<Arc<SharedEvent>>),
    /// The replay does not reach back to the client's cursor. Fetch a page first.
    Behind,
}

/// The membership changes among delivered events.
#[derive(Debug, Default)]
pub(crate) struct Delivered {
    pub joined: Vec<UserId>,
    pub parted: Vec<UserId>,
}

impl LocalChat {
    pub(crate) fn new(chat_type: ChatType, feed: Feed, now: Instant) -> Self {
        Self {
            chat_type,
            feed,
            watchers: Watchers::default(),
            busy: None,
            request_scheduled: false,
            closed: false,
            crowded: false,
            suspect: false,
            empty_since: Some(now),
            active_at: now,
        }
    }

    pub(crate) fn chat_id(&self) -> ChatId {
        self.feed.chat_id()
    }

    /// The busy state, made if there is none.
    pub(crate) fn busy(&mut self) -> &mut Busy {
        self.busy.get_or_insert_default()
    }

    /// The busy state, if there is one.
    pub(crate) fn if_busy(&mut self) -> Option<&mut Busy> {
        self.busy.as_deref_mut()
    }

    /// Drops the busy state when nothing goes on any more. Called by each sweep.
    pub(crate) fn calm_down(&mut self, now: Instant) {
        if self.busy.as_ref().is_some_and(|busy| busy.is_over(now)) {
            self.busy = None;
        }
    }

    /// Lets a connection watch, if the feed can serve it from `join.after`, the last event that its client has.
    pub(crate) fn attach(&mut self, conn: &Arc<Conn>, join: &mut Join, now: Instant) -> Attached {
        // Before everything else: nobody may watch by a right that may be lost.
        if conn.access_version() != join.allowed {
            return Attached::AccessChanged;
        }
        if let Some(watcher) = self.watchers.get(conn.id) {
            if join.cause != Cause::Subscribed || join.from >= watcher.from {
                // It watches already, and newer events are in its outbox. An earlier request may wait for
                // `caught_up`: this one replaces it.
                conn.announce(join, join.target.is_none().then_some(self.feed.last()));
                self.stop_waiting(conn.id);
                return self.settle(conn, join.target);
            }
            // The client asks for events from before the place where it began to watch.
            self.detach(conn, now);
        }
        conn.announce(join, None);
        if join.after > self.feed.last() {
            self.feed.on_head(join.after);
            return Attached::NotYet;
        }
        let Some(missed) = self.feed.since(join.after) else { return Attached::Behind };
        if !conn.outbox.has_space() {
            return Attached::NoSpace;
        }
        let missed: Vec<_> = missed.cloned().collect();
        if let Some(first) = piece(&missed) {
            return Attached::Page(missed[..first].to_vec());
        }
        let events = missed.iter().map(Arc::as_ref);
        let Pushed { taken, full, .. } = conn.deliver(self.chat_id(), events, Writer::Task);
        if full {
            // The next attempt goes on after the events that found space.
            join.after = missed[..taken].last().map_or(join.after, |last| last.seq);
            return Attached::NoSpace;
        }
        self.watchers.add(conn, join.from);
        conn.now_watches(self.chat_id());
        self.empty_since = None;
        self.settle(conn, join.target)
    }

    /// Tells a watcher that resumed that it has caught up: now, or once the feed reaches `target`.
    fn settle(&mut self, conn: &Conn, target: Option<Seq>) -> Attached {
        if let Some(target) = target {
            let target = target.max(self.feed.head());
            if self.feed.last() >= target {
                conn.send(&self.caught_up_frame(), DropPolicy::Durable);
            } else {
                self.busy().catching_up.push((conn.id, target));
            }
        }
        Attached::Live
    }

    /// Cancels a connection's wait for `caught_up`. Returns the place at which it would have been told.
    fn stop_waiting(&mut self, id: ConnId) -> Option<Seq> {
        let waiting = &mut self.if_busy()?.catching_up;
        let place = waiting.iter().position(|(waits, _)| *waits == id)?;
        Some(waiting.swap_remove(place).1)
    }

    /// Stops a connection from watching. `true` if it watched.
    pub(crate) fn detach(&mut self, conn: &Conn, now: Instant) -> bool {
        if !self.watchers.remove(conn.id) {
            return false;
        }
        self.stop_waiting(conn.id);
        conn.watches_no_more(self.chat_id());
        self.note_empty(now);
        true
    }

    fn note_empty(&mut self, now: Instant) {
        if self.watchers.is_empty() {
            self.empty_since.get_or_insert(now);
        }
    }

    /// Hands out the events that became deliverable. A watcher whose outbox is full stops watching. It joins the
    /// chat again from where it stopped, at the pace at which its client reads.
    pub(crate) fn deliver(&mut self, update: &Update, now: Instant, writer: Writer) -> Delivered {
        let mut delivered = Delivered::default();
        if update.repeats > 0 {
            metrics::counter!("gateway_repeats_dropped_total").increment(update.repeats as u64);
        }
        if !update.deliver.is_empty() {
            self.active_at = now;
            self.on_progress();
            metrics::histogram!("gateway_fanout_size").record(self.watchers.len() as f64);
            self.hand_out(update, now, writer);
            for event in &update.deliver {
                match event.about {
                    About::Joined(user) => delivered.joined.push(user),
                    About::Parted(user) => delivered.parted.push(user),
                    About::Message(_) | About::Other => {}
                }
            }
        }
        if update.behind {
            self.busy().behind_since.get_or_insert(now);
        } else {
            self.on_progress();
        }
        self.tell_caught_up();
        delivered
    }

    /// Gives up the events that the feed misses, because the api refused the request: for instance, the answer
    /// of a newer api may be unreadable. The watchers reload the chat and go on at its end.
    pub(crate) fn pass_over(&mut self) {
        if !self.feed.is_behind() {
            return self.feed.on_no_range();
        }
        metrics::counter!("gateway_resyncs_total").increment(self.watchers.len() as u64);
        let (chat_id, seq) = (self.chat_id(), self.feed.head());
        self.tell(&ServerFrame::Resync { chat_id, seq }, DropPolicy::Durable, None);
        self.feed.on_refused();
        self.on_progress();
        self.tell_caught_up();
    }

    fn on_progress(&mut self) {
        if let Some(busy) = self.if_busy() {
            busy.behind_since = None;
            busy.is_unheard = false;
        }
    }

    fn hand_out(&mut self, update: &Update, now: Instant, writer: Writer) {
        let mut shown = 0;
        let (chat_id, events) = (self.chat_id(), &update.deliver);
        let joined = concat(events);
        let mut lagging = Vec::new();
        self.watchers.retain(|watcher| {
            let pushed = watcher.conn.deliver_run(chat_id, events, joined.as_ref(), writer);
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
            let target = self.stop_waiting(conn.id);
            conn.outbox.join(Join {
                chat_id,
                chat_type: self.chat_type,
                head: self.feed.head(),
                allowed: conn.access_version(),
                from,
                after,
                announce: None,
                target,
                cause: Cause::Lagged,
                waits: 0,
            });
            // Last, so that any later join finds this one ahead of it in the outbox.
            conn.watches_no_more(chat_id);
        }
        self.note_empty(now);
    }

    /// Sends a frame that is no event to all watchers except those of one user.
    pub(crate) fn tell(&self, frame: &ServerFrame, policy: DropPolicy, except: Option<UserId>) {
        let shared_frame = SharedFrame::new(frame);
        for conn in self.watchers() {
            if except.is_some() && conn.user_id() == except {
                continue;
            }
            if let Some(frame) = shared_frame.frame(conn.window.dialect()) {
                conn.outbox.push(frame, policy);
            }
        }
    }

    /// Sends an ephemeral frame to the watchers of one dialect, except one.
    pub(crate) fn tell_dialect(&self, dialect: Dialect, frame: &Frame, except: Option<ConnId>) {
        for conn in self.watchers().filter(|conn| conn.window.dialect() == dialect) {
            if Some(conn.id) != except {
                conn.outbox.push(frame.clone(), DropPolicy::Ephemeral);
            }
        }
    }

    /// The watchers of one user.
    pub(crate) fn of_user(&self, user: UserId) -> Vec<Arc<Conn>> {
        self.watchers().filter(|conn| conn.user_id() == Some(user)).cloned().collect()
    }

    /// All watchers.
    pub(crate) fn watchers(&self) -> impl ExactSizeIterator<Item = &Arc<Conn>> {
        self.watchers.iter().map(|watcher| &watcher.conn)
    }

    fn tell_caught_up(&mut self) {
        let (last, caught_up) = (self.feed.last(), self.caught_up_frame());
        let Some(busy) = &mut self.busy else { return };
        let told = busy.catching_up.extract_if(.., |(_, target)| *target <= last);
        for watcher in told.filter_map(|(id, _)| self.watchers.get(id)) {
            watcher.conn.send(&caught_up, DropPolicy::Durable);
        }
    }

    fn caught_up_frame(&self) -> ServerFrame {
        ServerFrame::CaughtUp { chat_id: self.chat_id(), seq: self.feed.last() }
    }
}

impl Busy {
    fn is_over(&self, now: Instant) -> bool {
        self.behind_since.is_none()
            && self.catching_up.is_empty()
            && self.pages.is_empty()
            && self.typists.is_over(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::Mutex;

    #[test]
    fn what_goes_on_in_a_chat_is_let_go_when_it_is_over() {
        let now = Instant::now();
        let mut chat = LocalChat::new(ChatType::Group, Feed::new(ChatId(1), Seq::ZERO), now);
        chat.busy().behind_since = Some(now);
        chat.calm_down(now);
        assert!(chat.if_busy().is_some(), "it is behind");
        chat.busy().behind_since = None;
        chat.calm_down(now);
        assert!(chat.if_busy().is_none());
    }

    #[test]
    fn a_quiet_chat_takes_what_is_planned() {
        // With the counts of an `Arc`, a place in the map of chats, one in the subscription's set, and
        // of one watcher its place here and the chat's in its connection: at most 300 bytes, each of
        // the last four reckoned with what its collection keeps free.
        let chat = size_of::<Mutex<LocalChat>>() + 2 * size_of::<usize>();
        assert!(chat <= 160, "{chat}");
    }
}
