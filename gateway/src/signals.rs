//! What a chat's watchers are told beside its events: typing, presence, arrivals, read marks, new
//! names. Nothing here has a number, and whatever of it is lost stays lost.

use crate::{
    conn::{Conn, ConnId},
    dialect::{Dialect, lobby},
    frame::Frame,
    hub::{Hub, lock},
    outbox::Worth,
};
use shared::{
    chat::{ChatType, PresenceStatus},
    id::{ChatId, UserId},
    protocol::ServerFrame,
    relay::{Channel, ChatPayload},
    time::Timestamp,
};
use std::sync::Arc;

impl Hub {
    /// A payload of `chat:{id}`.
    pub fn on_chat_payload(self: &Arc<Self>, chat_id: ChatId, payload: ChatPayload) {
        match payload {
            ChatPayload::Events(run) => {
                let lag = Timestamp::now().0.saturating_sub(run.published_ms);
                metrics::histogram!("gateway_relay_lag_seconds").record(lag.max(0) as f64 / 1e3);
                self.on_events(run);
            }
            ChatPayload::Typing { origin, user } if origin != self.node => {
                let except = Some(user.id);
                self.tell(chat_id, &ServerFrame::Typing { chat_id, user }, except);
            }
            ChatPayload::Presence { origin, user_id, status } if origin != self.node => {
                self.tell(chat_id, &ServerFrame::Presence { user_id, status }, Some(user_id));
            }
            ChatPayload::Arrived { origin, username, at } if origin != self.node => {
                self.tell_lobby(&lobby::user_joined(&username, at), None);
            }
            ChatPayload::Typing { .. }
            | ChatPayload::Presence { .. }
            | ChatPayload::Arrived { .. } => {}
            ChatPayload::Read { user_id, message_id } => {
                // The reader's own devices hear it through `user:{id}`.
                let frame = ServerFrame::Read { chat_id, user_id, message_id };
                self.tell(chat_id, &frame, Some(user_id));
            }
            ChatPayload::Renamed { name } => {
                self.tell(chat_id, &ServerFrame::Renamed { chat_id, name }, None);
            }
            ChatPayload::ChatDeleted => self.close_room(chat_id),
        }
    }

    /// A local user is typing: tells the others here and on other nodes.
    pub fn typing(&self, conn: &Conn, chat_id: ChatId) {
        let Some(user) = conn.user().cloned() else { return };
        self.tell(chat_id, &ServerFrame::Typing { chat_id, user: user.clone() }, Some(user.id));
        self.publish(chat_id, &ChatPayload::Typing { origin: self.node, user });
    }

    /// A local user came online or went offline: tells those who share these chats.
    pub(crate) fn announce(&self, user_id: UserId, status: PresenceStatus, chats: &[ChatId]) {
        for chat_id in chats.iter().take(self.config.presence_chats) {
            if self.chat_type(*chat_id) == Some(ChatType::Room) {
                // A public room's members do not all want to know about each other.
                continue;
            }
            self.tell(*chat_id, &ServerFrame::Presence { user_id, status }, Some(user_id));
            self.publish(*chat_id, &ChatPayload::Presence { origin: self.node, user_id, status });
        }
    }

    /// Somebody came into the lobby by its own window: tells the others in it, here and on other
    /// nodes, unless too many come at once.
    pub(crate) fn arrived(&self, conn: &Conn, username: &str) {
        let rate = &self.config.arrivals;
        if lock(&self.arrivals).try_take(rate, self.started.elapsed(), 1).is_err() {
            metrics::counter!("gateway_dropped_frames_total", "reason" => "many_arrivals")
                .increment(1);
            return;
        }
        let at = Timestamp::now();
        self.tell_lobby(&lobby::user_joined(username, at), Some(conn.id));
        let arrived = ChatPayload::Arrived { origin: self.node, username: username.to_owned(), at };
        self.publish(ChatId::LOBBY, &arrived);
    }

    fn tell_lobby(&self, frame: &Frame, except: Option<ConnId>) {
        self.with_room(ChatId::LOBBY, |room| room.tell_dialect(Dialect::Lobby, frame, except));
    }

    fn chat_type(&self, chat: ChatId) -> Option<ChatType> {
        self.with_room(chat, |room| room.chat_type)
    }

    fn tell(&self, chat: ChatId, frame: &ServerFrame, except: Option<UserId>) {
        self.with_room(chat, |room| room.tell(frame, Worth::Ephemeral, except));
    }

    fn publish(&self, chat: ChatId, payload: &ChatPayload) {
        if let Ok(bytes) = serde_json::to_vec(payload) {
            self.bus.publish(Channel::Chat(chat), bytes.into());
        }
    }
}
