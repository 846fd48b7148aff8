//! Connects connections and chats: a connection joins a chat, leaves it, or loses the right to watch it. It
//! does not check that right: the api was asked before.

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

/// How far a user is out of a chat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parting {
    /// No longer a member, who may watch a room all the same.
    Member,
    /// May not watch it.
    Barred,
}

impl Hub {
    /// Lets a connection watch a chat whose events it has up to `join.after`, if it can be served from
    /// there.
    pub(crate) fn attach(self: &Arc<Self>, conn: &Arc<Conn>, join: &mut Join) -> Attached {
        let now = Instant::now();
        loop {
            let chat = self.chat_for(join, now);
            let mut chat = chat.lock();
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

    /// The chat on this node, made when there is none.
    fn chat_for(self: &Arc<Self>, join: &Join, now: Instant) -> Arc<Mutex<LocalChat>> {
        let mut chats = self.shard(join.chat_id);
        let chat = chats.entry(join.chat_id).or_insert_with(|| {
            // A client not too far back becomes where the feed starts, so that one request to the
            // api serves all who come back together.
            let reachable = (join.head.0 - join.after.0) <= self.config.feed.replay_events as i64;
            let start = if reachable { join.after.min(join.head) } else { join.head };
            let feed = Feed::new(join.chat_id, start);
            self.subscribe_chat(join.chat_id);
            Arc::new(Mutex::new(LocalChat::new(join.chat_type, feed, now)))
        });
        Arc::clone(chat)
    }

    /// Stops a connection from watching a chat. Whether it did.
    pub(crate) fn detach(&self, conn: &Conn, chat_id: ChatId) -> bool {
        self.with_chat(chat_id, |chat| chat.detach(conn, Instant::now())).unwrap_or_default()
    }

    /// A user may no longer watch a chat: its connections here stop and are told.
    pub(crate) fn part(&self, user: UserId, chat_id: ChatId, parting: Parting) {
        // First those that are about to join, under this chat's lock or later.
        self.users.of_user(user).iter().for_each(|conn| conn.revoke());
        self.users.stop_telling(user, chat_id);
        let now = Instant::now();
        self.with_chat(chat_id, |chat| {
            for conn in chat.of_user(user) {
                // A public room may be watched by anybody who is not barred from it. Only native clients
                // hold it among their chats, and so leave it.
                let may_stay = chat.chat_type == ChatType::Room && parting == Parting::Member;
                if may_stay && conn.window != Window::Native {
                    continue;
                }
                chat.detach(&conn, now);
                conn.lose(chat_id, Close::NotAMember);
            }
        });
    }

    /// A chat is gone: its watchers are told and stop watching.
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

    /// The connection is gone: no chat holds it any more.
    pub(crate) fn forget(&self, conn: &Conn) {
        for chat_id in conn.chat_ids() {
            self.detach(conn, chat_id);
        }
    }

    /// Subscribes to a new chat's channel, then requests what passed before the subscription stood.
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
