//! The handle to one connection. The hub and the lanes hold it; the connection's own task has the socket, and lends
//! its writing half to the outbox.
//!
//! - `outbox.rs`, `outbox/queue.rs`: frames to write, chats to join, the order to close; `join.rs`: a chat to join
//! - `unanswered.rs`: counts the frames that have no answer yet; `turns.rs`: puts answers in order
//! - `account.rs`: the rate limits that an account's connections share

pub(crate) mod account;
pub(crate) mod join;
pub(crate) mod outbox;
pub(crate) mod turns;
pub(crate) mod unanswered;

use crate::{
    dialect::{Speaker, Window},
    hub::{
        compact,
        conn::{
            account::Account,
            join::{AccessVersion, Announce, Join, Subscription},
            outbox::{
                DropPolicy, Outbox,
                queue::{Pushed, Writer},
            },
            unanswered::Unanswered,
        },
        shared_event::SharedEvent,
    },
    wire::frame::Frame,
};
use parking_lot::{Mutex, MutexGuard};
use protocol::{
    chat::UserRef,
    close::Close,
    frames::ServerFrame,
    id::{ChatId, Seq, SessionId, UserId},
    time::Timestamp,
};
use std::{
    net::IpAddr,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
};

/// One of so many connections measures how long its frames wait to be written. That is enough to notice a slow
/// node, and too few to slow down a fan-out.
const TIMED: u64 = 64;

/// Names a connection within this process; later ones are greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ConnId(pub u64);

/// Hands out connection ids.
#[derive(Debug, Default)]
pub(crate) struct ConnIds(AtomicU64);

impl ConnIds {
    pub(crate) fn next(&self) -> ConnId {
        ConnId(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

/// A connection whose client is known.
#[derive(Debug)]
pub(crate) struct Conn {
    pub id: ConnId,
    pub owner: Owner,
    pub window: Window,
    /// The account's share of this node, common to the user's connections.
    pub account: Arc<Account>,
    pub outbox: Outbox,
    pub unanswered: Unanswered,
    /// The chats that this connection watches, in the order of their ids. An entry changes only under the
    /// lock of its chat, so that both sides agree.
    chats: Mutex<Vec<ChatId>>,
    /// How often the user lost the right to watch some chat since the connection was made.
    access_version: AtomicU32,
    /// When it was made.
    pub since: Timestamp,
    /// Where it comes from; `None` where tests do not say.
    pub network: Option<IpAddr>,
    /// The user's display name as it was when the connection opened, if it is not the username.
    name: OnceLock<Box<str>>,
}

/// The owner of a connection.
#[derive(Debug)]
pub(crate) enum Owner {
    User {
        user: UserRef,
        session: SessionId,
    },
    /// A person without an account, whose frames say a name. The limits apply to the network.
    Guest {
        network: IpAddr,
    },
}

impl Conn {
    /// A connection that shares its account with no other.
    pub(crate) fn new(id: ConnId, owner: Owner, window: Window, max_outbox_bytes: usize) -> Self {
        Self {
            id,
            owner,
            window,
            account: Arc::default(),
            outbox: Outbox::new(max_outbox_bytes, id.0.is_multiple_of(TIMED)),
            unanswered: Unanswered::new(window.dialect().answers_in_order()),
            chats: Mutex::default(),
            access_version: AtomicU32::new(0),
            since: Timestamp::now(),
            network: None,
            name: OnceLock::new(),
        }
    }

    /// The same connection with this account's share.
    pub(crate) fn of(self, account: Arc<Account>) -> Self {
        Self { account, ..self }
    }

    /// The same connection from this network.
    pub(crate) fn from(self, network: Option<IpAddr>) -> Self {
        Self { network, ..self }
    }

    /// The user; `None` for guests.
    pub(crate) fn user(&self) -> Option<&UserRef> {
        match &self.owner {
            Owner::User { user, .. } => Some(user),
            Owner::Guest { .. } => None,
        }
    }

    /// Notes the user's display name, which the token does not say.
    pub(crate) fn set_name(&self, name: &str) {
        if self.user().is_some_and(|user| user.username != name) {
            // Only the opening sets it.
            let _ = self.name.set(name.into());
        }
    }

    /// The user with the display name, as others see it; `None` for guests.
    pub(crate) fn named_user(&self) -> Option<UserRef> {
        let user = self.user()?.clone();
        Some(match self.name.get() {
            Some(name) => user.named(&**name),
            None => user,
        })
    }

    /// The user's id; `None` for guests.
    pub(crate) fn user_id(&self) -> Option<UserId> {
        self.user().map(|user| user.id)
    }

    /// The speaker of the frames that come from here.
    pub(crate) fn speaker(&self) -> Speaker<'_> {
        Speaker { window: self.window, user: self.user() }
    }

    /// The version of the user's rights. Read it before asking the api what the user may watch. If it has
    /// changed by the time of the join, the api's answer may be out of date.
    pub(crate) fn access_version(&self) -> AccessVersion {
        AccessVersion(self.access_version.load(Ordering::Acquire))
    }

    /// Notes that the user lost the right to watch some chat.
    pub(crate) fn revoke(&self) {
        self.access_version.fetch_add(1, Ordering::Release);
    }

    /// The frame in this connection's dialect; `None` if the dialect has no words for it.
    pub(crate) fn encode(&self, frame: &ServerFrame) -> Option<Frame> {
        self.window.dialect().encode(frame, Timestamp::now())
    }

    /// Queues a frame, unless this connection's dialect has no words for it.
    pub(crate) fn send(&self, frame: &ServerFrame, policy: DropPolicy) {
        if let Some(frame) = self.encode(frame) {
            self.outbox.push(frame, policy);
        }
    }

    /// Queues `ready` before all that was queued while the connection opened: what another device did meanwhile is
    /// newer than the view in `ready`, and clients expect `ready` first.
    pub(crate) fn greet(&self, ready: &ServerFrame) {
        if let Some(frame) = self.encode(ready) {
            self.outbox.push_first(frame);
        }
    }

    /// Queues or writes the events of a chat that this connection is shown, as far as there is space.
    pub(crate) fn deliver<'a>(
        &self,
        chat: ChatId,
        events: impl Iterator<Item = &'a SharedEvent>,
        writer: Writer,
    ) -> Pushed {
        let (dialect, reader) = (self.window.dialect(), self.user_id());
        let reads = dialect.reads_what_it_is_shown();
        let events = events.map(|event| {
            let frame = event.frame(dialect, reader);
            let read = (reads && frame.is_some()).then_some((chat, event.seq));
            (frame, read)
        });
        self.outbox.push_events(events, self.writer(writer))
    }

    /// Leaves events to the task of a client that waits for an answer, perhaps to what caused the events. The
    /// answer comes in a moment, and one write takes both.
    fn writer(&self, writer: Writer) -> Writer {
        if self.unanswered.count() == 0 { writer } else { Writer::Task }
    }

    /// Like [`Conn::deliver`], for a run that many watchers get. `joined` is the whole run as one native frame,
    /// which costs one entry in the queue, however many events it has.
    pub(crate) fn deliver_run(
        &self,
        chat: ChatId,
        run: &[Arc<SharedEvent>],
        joined: Option<&Frame>,
        writer: Writer,
    ) -> Pushed {
        if let Some(joined) = joined.filter(|_| self.window == Window::Native) {
            let whole = [(Some(joined.clone()), None)].into_iter();
            let pushed = self.outbox.push_events(whole, self.writer(writer));
            if !pushed.full {
                // Either the whole run was queued, or nothing because the connection closes.
                let (taken, shown) = (pushed.taken * run.len(), pushed.shown * run.len());
                return Pushed { taken, shown, full: false };
            }
        }
        self.deliver(chat, run.iter().map(Arc::as_ref), writer)
    }

    /// Sends a join's announcement, once. `after` is the last event that the client has been sent, if the chat
    /// knows it better than the api.
    pub(crate) fn announce(&self, join: &mut Join, after: Option<Seq>) {
        match join.announce.take() {
            None => {}
            Some(Announce::Frame(frame)) => self.outbox.push(frame, DropPolicy::Durable),
            Some(Announce::Subscribed(granted)) => {
                let Subscription { id, mut chat, resync, reply } = *granted;
                let (chat_id, seq) = (chat.id, after.unwrap_or(chat.seq));
                chat.seq = seq;
                reply(&ServerFrame::Subscribed { id, chat });
                if resync {
                    metrics::counter!("gateway_resyncs_total").increment(1);
                    self.send(&ServerFrame::Resync { chat_id, seq }, DropPolicy::Durable);
                }
            }
        }
    }

    /// Tells the client that it lost a chat, in the way of its window. A window on this chat alone closes.
    pub(crate) fn lose(&self, chat_id: ChatId, why: Close) {
        match self.window {
            Window::Native => self.send(&ServerFrame::ChatRemoved { chat_id }, DropPolicy::Durable),
            Window::Lobby | Window::Chat(_) => self.outbox.close(why),
            Window::Names | Window::Numbers(_) => {}
        }
    }

    /// Closes the connection for the drain, after the queued frames. Tells a native client when to come back.
    pub(crate) fn close_for_restart(&self) {
        // The drain has spread the closes already, so a short delay is enough.
        let after_ms = rand::random_range(100..1_000);
        self.send(&ServerFrame::Reconnect { after_ms }, DropPolicy::Durable);
        self.outbox.close(Close::Restart);
    }

    /// Waits for something that the connection needs to open. Fails as soon as the connection must close. For
    /// the connection's task.
    pub(crate) async fn unless_closing<T>(
        &self,
        needed: impl Future<Output = T>,
    ) -> Result<T, Close> {
        tokio::select! {
            biased;
            needed = self.outbox.unless_closing(needed) => needed,
            () = self.unanswered.drain_order() => Err(Close::Restart),
        }
    }

    /// Whether this connection watches the chat.
    pub(crate) fn watches(&self, chat: ChatId) -> bool {
        self.chats().binary_search(&chat).is_ok()
    }

    /// How many chats this connection watches.
    pub(crate) fn watch_count(&self) -> usize {
        self.chats().len()
    }

    /// The chats this connection watches.
    pub(crate) fn chat_ids(&self) -> Vec<ChatId> {
        self.chats().clone()
    }

    /// Notes that a chat holds this connection. Called under the chat's lock.
    pub(crate) fn now_watches(&self, chat: ChatId) {
        let mut chats = self.chats();
        if let Err(place) = chats.binary_search(&chat) {
            compact::insert(&mut chats, place, chat);
        }
    }

    /// Notes that a chat no longer holds this connection. Called under the chat's lock.
    pub(crate) fn watches_no_more(&self, chat: ChatId) {
        let mut chats = self.chats();
        if let Ok(place) = chats.binary_search(&chat) {
            chats.remove(place);
        }
    }

    fn chats(&self) -> MutexGuard<'_, Vec<ChatId>> {
        self.chats.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        dialect::samples::{ann, message_event},
        hub::conn::outbox::OutboxBatch,
    };
    use futures_util::FutureExt;

    const WINDOWS: [Window; 5] = [
        Window::Native,
        Window::Lobby,
        Window::Chat(ChatId(12)),
        Window::Names,
        Window::Numbers(UserId(4)),
    ];

    fn conn(window: Window) -> Conn {
        let user = UserRef::registered(UserId(4), "bob");
        let session = SessionId(uuid::Uuid::nil());
        Conn::new(ConnId(1), Owner::User { user, session }, window, 10_000)
    }

    fn taken(conn: &Conn) -> OutboxBatch {
        conn.outbox.take().now_or_never().unwrap_or_default()
    }

    #[test]
    fn every_window_is_shown_others_messages_and_one_reads_them_so() {
        let event = SharedEvent::new(&message_event());
        for window in WINDOWS {
            let conn = conn(window);
            assert_eq!(conn.deliver(ChatId(12), [&event].into_iter(), Writer::Task).shown, 1);
            let OutboxBatch { frames, reads, .. } = taken(&conn);
            assert_eq!(frames.len(), 1, "{window:?}");
            let read = if window == Window::Names { vec![(ChatId(12), Seq(7))] } else { vec![] };
            assert_eq!(reads, read, "{window:?}");
        }
        let own = Owner::User { user: ann(), session: SessionId(uuid::Uuid::nil()) };
        let own = Conn::new(ConnId(2), own, Window::Names, 10_000);
        assert_eq!(own.deliver(ChatId(12), [&event].into_iter(), Writer::Task).shown, 0);
        assert!(taken(&own).reads.is_empty(), "what was not shown was not read");
    }

    #[test]
    fn events_go_with_the_answer_that_a_client_waits_for() {
        let (conn, now) = (conn(Window::Native), tokio::time::Instant::now());
        let is_deliverer = || matches!(conn.writer(Writer::Deliverer(now)), Writer::Deliverer(_));
        assert!(is_deliverer());
        let _ = conn.unanswered.begin();
        assert!(!is_deliverer());
        conn.unanswered.end();
        assert!(is_deliverer());
    }

    #[test]
    fn a_lost_chat_closes_the_windows_on_it_alone() {
        for (window, told, close) in [
            (Window::Native, 1, None),
            (Window::Lobby, 0, Some(Close::NotAMember)),
            (Window::Chat(ChatId(12)), 0, Some(Close::NotAMember)),
            (Window::Names, 0, None),
            (Window::Numbers(UserId(4)), 0, None),
        ] {
            let conn = conn(window);
            conn.lose(ChatId(12), Close::NotAMember);
            let OutboxBatch { frames, closing, .. } = taken(&conn);
            assert_eq!((frames.len(), closing), (told, close), "{window:?}");
        }
    }
}
