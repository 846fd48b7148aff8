//! Signals to a chat's watchers beside its events: typing, presence, arrivals, read marks, new names. A
//! signal has no number, and a lost signal stays lost. Only a chat with few watchers sees each person by
//! name, so one signal costs a node at most [`MAX_WATCHERS`] frames, regardless of the number of watchers.

use crate::{
    dialect::{Dialect, lobby},
    hub::{
        Hub,
        conn::{Conn, ConnId, outbox::DropPolicy},
        local_chat::LocalChat,
        shared_event::SharedFrame,
    },
    wire::frame::Frame,
};
use protocol::{
    chat::{PresenceStatus, UserRef},
    frames::{ServerFrame, Typist},
    id::{ChatId, Seq, UserId},
    relay::{Channel, ChatPayload, MAX_WATCHERS},
    time::Timestamp,
};
use tokio::time::Instant;

/// Whether other nodes must hear that somebody types here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Relay {
    Yes,
    No,
}

impl Hub {
    /// Tells the chat's other watchers, here and on other nodes, that a local user is typing.
    pub(crate) fn on_typing(&self, conn: &Conn, chat_id: ChatId) {
        let Some(user) = conn.named_user() else { return };
        if self.show_typing(chat_id, user.clone()) == Relay::Yes {
            self.publish(chat_id, &ChatPayload::Typing { origin: self.node, user });
        }
    }

    /// Tells the watchers of these chats, here and on other nodes, that a user came online or went offline.
    pub(crate) fn announce(&self, user_id: UserId, status: PresenceStatus, chats: &[ChatId]) {
        for chat_id in chats {
            self.tell_few(*chat_id, &ServerFrame::Presence { user_id, status }, user_id);
            self.publish(*chat_id, &ChatPayload::Presence { origin: self.node, user_id, status });
        }
    }

    /// Announces a newcomer in the lobby's own window to the others in the lobby, here and on other nodes.
    /// Announces nobody while too many arrive at once.
    pub(crate) fn announce_arrival(&self, conn: &Conn, username: &str) {
        let rate = &self.config.arrivals;
        if self.arrivals.lock().try_take(rate, self.started.elapsed(), 1).is_err() {
            metrics::counter!("gateway_dropped_frames_total", "reason" => "many_arrivals")
                .increment(1);
            return;
        }
        let at = Timestamp::now();
        self.tell_lobby(&lobby::user_joined(username, at), Some(conn.id));
        let arrived = ChatPayload::Arrived { origin: self.node, username: username.to_owned(), at };
        self.publish(ChatId::LOBBY, &arrived);
    }

    /// Sends a frame to the windows on the lobby here, except one.
    pub(crate) fn tell_lobby(&self, frame: &Frame, except: Option<ConnId>) {
        self.with_chat(ChatId::LOBBY, |chat| chat.tell_dialect(Dialect::Lobby, frame, except));
    }

    /// Tells the local watchers who types, or how many people type. [`Relay::Yes`] also if the chat is not on
    /// this node, since other nodes may have watchers.
    pub(crate) fn show_typing(&self, chat_id: ChatId, user: UserRef) -> Relay {
        self.with_chat(chat_id, |chat| self.show_typing_in(chat, user)).unwrap_or(Relay::Yes)
    }

    fn show_typing_in(&self, chat: &mut LocalChat, user: UserRef) -> Relay {
        let (chat_id, user_id) = (chat.chat_id(), user.id);
        if chat.watchers().len() <= MAX_WATCHERS {
            let frame = ServerFrame::Typing { chat_id, who: Typist::One { user } };
            chat.tell(&frame, DropPolicy::Ephemeral, Some(user_id));
            return Relay::Yes;
        }
        let typists = &mut chat.busy().typists;
        let relays = typists.try_relay(self.started.elapsed());
        if let Some(count) = typists.on_typing(user_id, Instant::now()) {
            let frame = ServerFrame::Typing { chat_id, who: Typist::Many { count } };
            // A count of one would tell the typist of itself.
            chat.tell(&frame, DropPolicy::Ephemeral, (count == 1).then_some(user_id));
        }
        if relays {
            return Relay::Yes;
        }
        count_left_out();
        Relay::No
    }

    /// Sends a signal about one user to a chat's other watchers, unless there are too many of them.
    pub(crate) fn tell_few(&self, chat_id: ChatId, frame: &ServerFrame, about: UserId) {
        self.with_chat(chat_id, |chat| {
            if chat.watchers().len() <= MAX_WATCHERS {
                chat.tell(frame, DropPolicy::Ephemeral, Some(about));
            } else {
                count_left_out();
            }
        });
    }

    /// Tells a user's devices that the user has read a chat up to this message on one of them.
    pub(crate) fn tell_own_read(&self, user_id: UserId, chat_id: ChatId, message_id: Seq) {
        let frame = ServerFrame::Read { chat_id, user_id, message_id };
        let shared_frame = SharedFrame::new(&frame);
        for conn in self.users.of_user(user_id) {
            let dialect = conn.window.dialect();
            // A window of an older dialect shows read marks of its own chats only.
            let shows = dialect == Dialect::Native || conn.watches(chat_id);
            if let Some(frame) = shared_frame.frame(dialect).filter(|_| shows) {
                conn.outbox.push(frame, DropPolicy::Ephemeral);
            }
        }
    }

    fn publish(&self, chat_id: ChatId, payload: &ChatPayload) {
        if let Ok(bytes) = serde_json::to_vec(payload) {
            self.bus.publish(Channel::Chat(chat_id), bytes.into());
        }
    }
}

/// Counts a signal that is not sent because the chat has too many watchers.
fn count_left_out() {
    metrics::counter!("gateway_dropped_frames_total", "reason" => "many_watchers").increment(1);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        backend::scripted::Scripted,
        config::Config,
        dialect::Window,
        testing::{chat, connect, gateway, watch},
    };
    use platform::bus::BusEvent;
    use protocol::chat::ChatType;
    use std::sync::Arc;
    use tokio::sync::mpsc;

    #[tokio::test(start_paused = true)]
    async fn other_nodes_hear_who_types_here() {
        let gateway = gateway(&Arc::new(Scripted::default()), Config::default());
        let group = chat(ChatId(1), ChatType::Group, Seq::ZERO);
        let (heard, mut payloads) = mpsc::channel(10);
        let other_node = gateway.hub.bus.subscriber(move |event| {
            if let BusEvent::Message { payload, .. } = event {
                heard.try_send(payload).unwrap();
            }
        });
        other_node.add(&[Channel::Chat(group.id)]).await;
        let ann = connect(&gateway, UserId(1), Window::Native);
        watch(&gateway, &ann.conn, &group);
        gateway.hub.on_typing(&ann.conn, group.id);
        let waited = tokio::time::timeout(std::time::Duration::from_secs(1), payloads.recv());
        let payload = waited.await.unwrap().unwrap();
        let ChatPayload::Typing { origin, user } = serde_json::from_slice(&payload).unwrap() else {
            panic!("{payload:?}")
        };
        assert_eq!((origin, user.id), (gateway.hub.node, UserId(1)));
    }
}
