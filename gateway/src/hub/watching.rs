//! Attaches connections to chats and detaches them: a connection joins a chat, leaves it, or loses the right to
//! watch it. It does not check that right; the api was asked before.

use crate::{
    dialect::Window,
    hub::{
        Hub,
        conn::{Conn, join::Join},
        local_chat::{Attached, LocalChat, feed::Feed},
    },
};
use parking_lot::Mutex;
use protocol::{
    chat::ChatType,
    close::Close,
    id::{ChatId, UserId},
    relay::Channel,
};
use std::sync::Arc;
use tokio::time::Instant;

/// What a user lost who parted from a chat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parting {
    /// The membership. Anybody may still watch a room.
    Member,
    /// The right to watch it.
    Barred,
}

impl Hub {
    /// Lets a connection watch a chat, if the chat can serve it from `join.after`, the last event that its
    /// client has.
    pub(crate) fn attach(self: &Arc<Self>, conn: &Arc<Conn>, join: &mut Join) -> Attached {
        let now = Instant::now();
        loop {
            let chat = self.chat_for(join, now);
            let mut chat = chat.lock();
            // A sweep dropped the chat after the look-up: look again, which makes a new one.
            if chat.closed {
                continue;
            }
            chat.feed.on_head(join.head);
            let attached = chat.attach(conn, join, now);
            self.look_at_crowd(&mut chat);
            if chat.feed.is_behind() {
                self.schedule_request(&mut chat);
            }
            return attached;
        }
    }

    /// The chat on this node. Makes it if there is none.
    fn chat_for(self: &Arc<Self>, join: &Join, now: Instant) -> Arc<Mutex<LocalChat>> {
        let mut chats = self.shard(join.chat_id);
        let chat = chats.entry(join.chat_id).or_insert_with(|| {
            // The feed starts where this client stopped, unless that is too far back. One request to the
            // api then serves all clients that come back together.
            let reachable = (join.head.0 - join.after.0) <= self.config.feed.replay_events as i64;
            let start = if reachable { join.after.min(join.head) } else { join.head };
            let feed = Feed::new(join.chat_id, start);
            self.subscribe_chat(join.chat_id);
            Arc::new(Mutex::new(LocalChat::new(join.chat_type, feed, now)))
        });
        Arc::clone(chat)
    }

    /// Stops a connection from watching a chat. `true` if it watched it.
    pub(crate) fn detach(&self, conn: &Conn, chat_id: ChatId) -> bool {
        self.with_chat(chat_id, |chat| chat.detach(conn, Instant::now())).unwrap_or_default()
    }

    /// Takes a chat from a user who parted from it: the user's connections here stop watching it and are told.
    pub(crate) fn part(&self, user: UserId, chat_id: ChatId, parting: Parting) {
        // Before the chat is locked: a join that locks it later sees the new version and asks the api again.
        self.users.of_user(user).iter().for_each(|conn| conn.revoke());
        self.users.stop_telling(user, chat_id);
        let now = Instant::now();
        self.with_chat(chat_id, |chat| {
            for conn in chat.of_user(user) {
                // A former member may watch a room like anybody else. Only native clients list the room
                // among their own chats, so only they lose it.
                let may_stay = chat.chat_type == ChatType::Room && parting == Parting::Member;
                if may_stay && conn.window != Window::Native {
                    continue;
                }
                chat.detach(&conn, now);
                conn.lose(chat_id, Close::NotAMember);
            }
        });
    }

    /// Detaches all watchers of a deleted chat and tells them.
    pub(crate) fn close_chat(&self, chat_id: ChatId) {
        let now = Instant::now();
        self.with_chat(chat_id, |chat| {
            let watchers: Vec<Arc<Conn>> = chat.watchers().cloned().collect();
            for conn in watchers {
                chat.detach(&conn, now);
                conn.lose(chat_id, Close::ChatNotFound);
            }
        });
    }

    /// Detaches a connection that ended from all its chats.
    pub(crate) fn forget(&self, conn: &Conn) {
        for chat_id in conn.chat_ids() {
            self.detach(conn, chat_id);
        }
    }

    /// Subscribes to a new chat's channel, then requests the events that came before the subscription stood.
    fn subscribe_chat(self: &Arc<Self>, chat_id: ChatId) {
        let Some(subscriber) = self.subscriber.get() else { return };
        let confirmed = subscriber.add(&[Channel::Chat(chat_id)]);
        let hub = Arc::clone(self);
        self.lifecycle.spawn_background(async move {
            confirmed.await;
            hub.with_chat(chat_id, |chat| hub.request_unconditionally(chat));
        });
    }
}
