//! Anti-entropy: whatever the bus lost is found again. Every few seconds the api is asked what
//! changed lately, and the feeds, memberships and sessions here are compared with the answer; at
//! once when the bus is up again, and every second while it is down.

use crate::{
    backend::{Backend, Unavailable},
    dialect::{Dialect, Window},
    doubts::Doubts,
    hub::{Hub, Parting},
    join::{Announce, Cause, Join},
    lane::{Lane, LaneConfig, call},
    outbox::Worth,
    relayed::Told,
};
use bytes::Bytes;
use shared::{
    bus::BusEvent,
    chat::ChatView,
    id::{ChatId, Seq, UserId},
    internal::{
        Changed, ChangedFound, Cut, Dormant, Events, Range, RangeFound, Refusal, UserChat, View,
        Woken,
    },
    lifecycle::Lifecycle,
    protocol::ServerFrame,
    relay::{Channel, ControlPayload, UserPayload},
};
use std::{sync::Arc, time::Duration};
use tokio::{sync::Notify, time::Instant};

/// The lanes for what the hub itself asks of the api.
pub(crate) struct Questions {
    pub events: Lane<Range, Option<RangeFound>>,
    pub views: Lane<UserChat, Result<ChatView, Refusal>>,
    pub dormant: Lane<UserChat, bool>,
    /// Ask what changed now, not when the interval is over.
    pub poll_now: Notify,
    /// What an answer was too long to say.
    pub doubts: Doubts,
}

impl Questions {
    pub fn start(backend: &Arc<dyn Backend>, config: LaneConfig, lifecycle: &Lifecycle) -> Self {
        let events = {
            let backend = Arc::clone(backend);
            call(move |ranges: Vec<Range>| {
                let asked = backend.events(Events { ranges });
                async move { Ok(asked.await?.ranges) }
            })
        };
        let views = {
            let backend = Arc::clone(backend);
            call(move |chats: Vec<UserChat>| {
                let asked = backend.view(View { chats });
                async move { Ok(asked.await?.chats) }
            })
        };
        let dormant = {
            let backend = Arc::clone(backend);
            call(move |chats: Vec<UserChat>| {
                let asked = backend.dormant(Dormant { chats });
                async move { Ok(asked.await?.members) }
            })
        };
        Self {
            dormant: Lane::start("dormant", config, dormant, lifecycle),
            events: Lane::start("events", config, events, lifecycle),
            views: Lane::start("view", config, views, lifecycle),
            poll_now: Notify::new(),
            doubts: Doubts::default(),
        }
    }
}

/// Compares with the api for as long as the process lives.
pub(crate) async fn run(hub: Arc<Hub>, backend: Arc<dyn Backend>) {
    let mut since = None;
    let mut failing_since = None;
    loop {
        let up = hub.hears();
        let pause = if up { hub.config.repair_interval } else { hub.config.repair_interval_down };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = hub.questions.poll_now.notified() => {}
        }
        match backend.changed(Changed { since }).await {
            Ok(found) => {
                since = Some(found.now);
                failing_since = None;
                apply(&hub, found);
            }
            Err(error) => {
                metrics::counter!("gateway_backend_errors_total", "call" => "changed").increment(1);
                if failing_since.replace(Instant::now()).is_none() {
                    tracing::warn!(%error, "cannot ask the api what changed");
                }
            }
        }
    }
}

/// Puts due questions and lets go of idle rooms, once a second.
pub(crate) async fn sweep(hub: Arc<Hub>) {
    let mut every = tokio::time::interval(Duration::from_secs(1));
    loop {
        every.tick().await;
        hub.sweep();
    }
}

pub(crate) fn apply(hub: &Arc<Hub>, found: ChangedFound) {
    let cut = found.cut();
    for ended in &found.ended {
        hub.users.end_sessions(ended);
    }
    for (chat, head) in found.chats {
        hub.on_head(chat, head);
    }
    for chat in found.deleted {
        hub.close_room(chat);
    }
    for UserChat { user_id, chat_id } in found.parted {
        hub.part(user_id, chat_id, Parting::Member);
    }
    for UserChat { user_id, chat_id } in found.banned {
        hub.part(user_id, chat_id, Parting::Barred);
    }
    for UserChat { user_id, chat_id } in found.joined {
        hub.invite(user_id, chat_id, News::Joined, Cause::Found);
    }
    for Woken { user_id, chat_id, after } in found.woken {
        hub.invite(user_id, chat_id, News::Woke(after), Cause::Found);
    }
    if cut.chats {
        hub.suspect_all();
    }
    if cut != Cut::default() {
        hub.questions.doubts.raise(cut);
    }
}

/// Why a user's connections are to watch another chat.
#[derive(Clone, Copy, Debug)]
pub(crate) enum News {
    /// The user became a member of it.
    Joined,
    /// It was dormant and has events after this place.
    Woke(Seq),
}

impl Hub {
    /// What the bus says. Runs on the bus's reading task.
    pub(crate) fn on_bus(self: &Arc<Self>, event: BusEvent) {
        match event {
            BusEvent::Message { channel, payload } => {
                if self.on_message(channel, &payload).is_err() {
                    bad_payload();
                }
            }
            // What was published in between is lost; polling finds it.
            BusEvent::Up | BusEvent::Down => self.questions.poll_now.notify_one(),
        }
    }

    /// What the bus says of a chat.
    pub(crate) fn on_chat_bytes(self: &Arc<Self>, chat: ChatId, payload: &[u8]) {
        match serde_json::from_slice(payload) {
            Ok(payload) => self.on_chat_payload(chat, payload),
            Err(_) => bad_payload(),
        }
    }

    fn on_message(self: &Arc<Self>, channel: Channel, payload: &Bytes) -> serde_json::Result<()> {
        match channel {
            Channel::Chat(chat) => {
                if !self.crowds.hand_over(chat, payload) {
                    self.on_chat_bytes(chat, payload);
                }
            }
            Channel::User(user) => match serde_json::from_slice(payload)? {
                UserPayload::Added { chat_id } => self.welcome(user, chat_id),
                UserPayload::Removed { chat_id, banned } => {
                    let how = if banned { Parting::Barred } else { Parting::Member };
                    self.part(user, chat_id, how);
                }
                UserPayload::Wake { chat_id, after } => {
                    self.invite(user, chat_id, News::Woke(after), Cause::Invited);
                }
                UserPayload::Read { chat_id, message_id } => {
                    let frame = ServerFrame::Read { chat_id, user_id: user, message_id };
                    let told = Told::new(&frame);
                    for conn in self.users.of_user(user) {
                        let dialect = conn.window.dialect();
                        // A window on one chat shows nothing of others.
                        let shows = dialect == Dialect::Native || conn.watches(chat_id);
                        if let Some(frame) = told.frame(dialect).filter(|_| shows) {
                            conn.outbox.push(frame, Worth::Ephemeral);
                        }
                    }
                }
            },
            Channel::Control => match serde_json::from_slice(payload)? {
                ControlPayload::Ended(ended) => self.users.end_sessions(&ended),
            },
            Channel::Probe(_) => {}
        }
        Ok(())
    }

    /// A user became a member of a chat: its connections here watch it from now on.
    pub(crate) fn welcome(self: &Arc<Self>, user: UserId, chat: ChatId) {
        self.invite(user, chat, News::Joined, Cause::Invited);
    }

    /// A user's connections here watch a chat from now on, if their windows take it.
    pub(crate) fn invite(self: &Arc<Self>, user: UserId, chat: ChatId, news: News, cause: Cause) {
        let mut waiting = self.users.of_user(user);
        waiting.retain(|conn| conn.window.takes_invitations() && !conn.watches(chat));
        if waiting.is_empty() {
            return;
        }
        // A connection that comes later starts from an answer that is newer than this question.
        let waiting: Vec<_> =
            waiting.into_iter().map(|conn| (conn.access_version(), conn)).collect();
        let done = Box::new(move |answer: Result<Result<ChatView, Refusal>, Unavailable>| {
            // Refused: no longer a member. No answer: the next poll finds it again.
            let Ok(Ok(mut chat)) = answer else { return };
            let head = chat.seq;
            if let News::Woke(after) = news {
                chat.seq = after.min(head);
            }
            for (allowed, conn) in waiting {
                if conn.watches(chat.id) || !conn.window.takes(&chat) {
                    continue;
                }
                // Who is told of the chat loads what it missed of it. A window that only shows
                // messages is shown a new chat's from the first on.
                let (announce, from) = match (conn.window, news) {
                    (Window::Native, _) => {
                        let frame = conn.encode(&ServerFrame::Chat { chat: chat.clone() });
                        (frame.map(Announce::Frame), chat.seq)
                    }
                    (_, News::Joined) => (None, Seq::ZERO),
                    (_, News::Woke(_)) => (None, chat.seq),
                };
                let join = Join::at_end(&chat, allowed, cause);
                conn.outbox.join(Join { head, from, after: from, announce, ..join });
            }
        });
        let asked = UserChat { user_id: user, chat_id: chat };
        // When the lane is full, the next poll finds it again.
        let _ = self.questions.views.submit(asked, done);
    }
}
/// Counts a payload of the bus that says nothing.
fn bad_payload() {
    metrics::counter!("gateway_bad_payloads_total").increment(1);
}
