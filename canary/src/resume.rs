//! What one connection of the canary remembers across reconnects, and how it reads frames: the good
//! client of docs/protocol.md. Pure; the socket is in [`crate::connection`].

use crate::keeper::CHAT_NAME;
use protocol::{
    chat::{Change, ChatType, ChatView},
    close::{Close, Retry},
    frames::{ChatEvent, ClientFrame, Resume, ServerFrame, Typist},
    id::{ChatId, Seq, UserId},
};
use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

/// The canary's own chats whose place is remembered, the newest: the present one, the one before, and
/// those of a canary that ran before or runs beside.
const MAX_CHATS: usize = 4;

/// A client's memory: the epoch, and its place in each of the canary's chats.
#[derive(Debug, Default)]
pub struct ResumeState {
    epoch: String,
    cursors: BTreeMap<ChatId, Seq>,
}

/// What a frame means to the canary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CanaryEvent {
    /// The canary's chats that are live from here on. `resumed`: what was missed in them follows.
    Ready {
        /// How often the gateway pings.
        heartbeat: Duration,
        /// The canary's chats in the order of the frame.
        chats: Vec<ChatId>,
        /// Whether the missed events follow.
        resumed: bool,
    },
    /// One more of them.
    Chat(ChatId),
    /// A chat is gone.
    Gone(ChatId),
    /// What was missed cannot be sent.
    Missed,
    /// A message arrived.
    Message {
        /// The chat that it was sent to.
        chat: ChatId,
        /// The author, which need not be the canary.
        sender: UserId,
        /// The client's id of the message, by which its round knows it.
        id: String,
    },
    /// A typing signal arrived.
    Typing {
        /// The chat where the user types.
        chat: ChatId,
        /// The user who types.
        user: UserId,
    },
    /// The message with this id is stored.
    Ack(String),
    /// The message was not stored.
    Refused {
        /// The client's id of the message.
        id: String,
        /// The refusal's code.
        code: String,
        /// Whether the client may send it again.
        again: bool,
    },
    /// Come back after this time.
    Reconnect(Duration),
}

impl ResumeState {
    /// The first frame of a connection.
    pub fn hello(&self, token: &str) -> ClientFrame {
        let resume = (!self.epoch.is_empty()).then(|| Resume {
            epoch: self.epoch.clone(),
            cursors: self.cursors.clone().into_iter().collect::<HashMap<_, _>>(),
        });
        ClientFrame::hello(Some(token.to_owned()), resume)
    }

    /// Takes a frame into account; what there is to know of it.
    pub fn on_frame(&mut self, frame: ServerFrame) -> Option<CanaryEvent> {
        Some(match frame {
            ServerFrame::Ready { epoch, heartbeat_ms, chats, .. } => {
                let resumed = epoch == self.epoch;
                if !resumed {
                    self.cursors.clear();
                    self.epoch = epoch;
                }
                let ours = chats.iter().filter_map(|chat| self.watch(chat)).collect();
                let heartbeat = Duration::from_millis(heartbeat_ms);
                CanaryEvent::Ready { heartbeat, chats: ours, resumed }
            }
            ServerFrame::Chat { chat } => CanaryEvent::Chat(self.watch(&chat)?),
            ServerFrame::ChatRemoved { chat_id } => {
                self.cursors.remove(&chat_id)?;
                CanaryEvent::Gone(chat_id)
            }
            ServerFrame::CaughtUp { chat_id, seq } => {
                self.advance(chat_id, seq);
                return None;
            }
            ServerFrame::Resync { chat_id, seq } => {
                self.cursors.get_mut(&chat_id).map(|cursor| *cursor = seq)?;
                CanaryEvent::Missed
            }
            ServerFrame::Event(ChatEvent { chat_id, event }) => {
                self.advance(chat_id, event.seq);
                let Change::Message(message) = event.change else { return None };
                let id = message.client_message_id?;
                CanaryEvent::Message { chat: chat_id, sender: message.sender.id, id }
            }
            ServerFrame::Typing { chat_id, who: Typist::One { user } } => {
                CanaryEvent::Typing { chat: chat_id, user: user.id }
            }
            ServerFrame::Ack { id, .. } => CanaryEvent::Ack(id?),
            ServerFrame::Error { id, code, retry_after_ms, .. } => {
                // Both mean "not now". Any other refusal would only be repeated.
                let again = retry_after_ms.is_some() || code == "unavailable";
                CanaryEvent::Refused { id: id?, code, again }
            }
            ServerFrame::Reconnect { after_ms } => {
                CanaryEvent::Reconnect(Duration::from_millis(after_ms))
            }
            _ => return None,
        })
    }

    /// Keeps the place in a chat from now on, if it is one of the canary's.
    fn watch(&mut self, chat: &ChatView) -> Option<ChatId> {
        if chat.chat_type != ChatType::Group || chat.name != CHAT_NAME {
            return None;
        }
        // A cursor that exists stays: the events after it are still to come.
        self.cursors.entry(chat.id).or_insert(chat.seq);
        while self.cursors.len() > MAX_CHATS {
            // Ids grow, so the first chat is the oldest one.
            self.cursors.pop_first();
        }
        Some(chat.id)
    }

    fn advance(&mut self, chat: ChatId, seq: Seq) {
        if let Some(cursor) = self.cursors.get_mut(&chat) {
            *cursor = seq.max(*cursor);
        }
    }
}

/// Whether to come back after a close with this code and reason.
pub fn retry(code: u16, reason: &str) -> Retry {
    let known = Close::ALL.iter().find(|close| (close.code(), close.reason()) == (code, reason));
    known.map_or(Retry::Backoff, |close| close.retry())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn hear(resume: &mut ResumeState, frame: Value) -> Option<CanaryEvent> {
        resume.on_frame(serde_json::from_value(frame).unwrap())
    }

    fn chat(id: i64, name: &str, seq: i64) -> Value {
        json!({"id": id, "name": name, "chat_type": "group", "seq": seq, "last_read": 0, "unread": 0})
    }

    fn ready(epoch: &str, chats: &[Value]) -> Value {
        json!({"type": "ready", "connection_id": "c", "epoch": epoch, "heartbeat_ms": 25_000,
               "user": {"id": 7, "username": "canary_b", "name": "x", "role": "user"}, "chats": chats})
    }

    fn message(chat: i64, seq: i64) -> Value {
        json!({"type": "message", "chat_id": chat, "seq": seq, "id": seq, "text": "x",
               "sender": {"id": 6, "username": "canary_a"}, "client_message_id": format!("m{seq}"),
               "timestamp": "2026-11-21T10:00:00.000Z"})
    }

    fn hello(resume: &ResumeState) -> Value {
        serde_json::to_value(resume.hello("t")).unwrap()
    }

    #[test]
    fn it_resumes_from_what_it_has_seen() {
        let mut resume = ResumeState::default();
        assert_eq!(hello(&resume), json!({"type": "hello", "token": "t", "version": 1}));
        let chats = [chat(5, "canary", 10), chat(6, "team", 3)];
        let heartbeat = Duration::from_secs(25);
        let expected = CanaryEvent::Ready { heartbeat, chats: vec![ChatId(5)], resumed: false };
        assert_eq!(hear(&mut resume, ready("e", &chats)), Some(expected));
        let id = "m11".to_owned();
        let expected = CanaryEvent::Message { chat: ChatId(5), sender: UserId(6), id };
        assert_eq!(hear(&mut resume, message(5, 11)), Some(expected));
        assert!(hear(&mut resume, message(6, 4)).is_some());
        assert!(hear(&mut resume, message(5, 9)).is_some(), "told, so that a repeat is noticed");
        let expected = json!({"epoch": "e", "cursors": {"5": 11}});
        assert_eq!(hello(&resume)["resume"], expected);
        let again = hear(&mut resume, ready("e", &[chat(5, "canary", 20)]));
        assert!(matches!(again, Some(CanaryEvent::Ready { resumed: true, .. })), "{again:?}");
        assert_eq!(hello(&resume)["resume"], expected, "what was missed is still to come");
        hear(&mut resume, json!({"type": "caught_up", "chat_id": 5, "seq": 20}));
        assert_eq!(hello(&resume)["resume"]["cursors"], json!({"5": 20}));
    }

    #[test]
    fn another_epoch_forgets_all_places() {
        let mut resume = ResumeState::default();
        hear(&mut resume, ready("e", &[chat(5, "canary", 10)]));
        let event = hear(&mut resume, ready("f", &[chat(7, "canary", 1)]));
        assert!(matches!(event, Some(CanaryEvent::Ready { resumed: false, .. })), "{event:?}");
        assert_eq!(hello(&resume)["resume"], json!({"epoch": "f", "cursors": {"7": 1}}));
    }

    #[test]
    fn chats_come_and_go_within_bounds() {
        let mut resume = ResumeState::default();
        hear(&mut resume, ready("e", &[]));
        for id in 1..10 {
            let event = hear(&mut resume, json!({"type": "chat", "chat": chat(id, "canary", 0)}));
            assert_eq!(event, Some(CanaryEvent::Chat(ChatId(id))));
        }
        let event = hear(&mut resume, json!({"type": "chat", "chat": chat(20, "team", 0)}));
        assert_eq!(event, None);
        let event = hear(&mut resume, json!({"type": "chat_removed", "chat_id": 8}));
        assert_eq!(event, Some(CanaryEvent::Gone(ChatId(8))));
        assert_eq!(hear(&mut resume, json!({"type": "chat_removed", "chat_id": 20})), None);
        assert_eq!(hello(&resume)["resume"]["cursors"], json!({"6": 0, "7": 0, "9": 0}));
    }

    #[test]
    fn errors_say_whether_to_send_again() {
        let mut resume = ResumeState::default();
        for (code, wait, again) in [
            ("unavailable", None, true),
            ("rate_limited", Some(100), true),
            ("not_a_member", None, false),
        ] {
            let mut frame = json!({"type": "error", "id": "m", "code": code, "message": "x"});
            if let Some(wait) = wait {
                frame["retry_after_ms"] = json!(wait);
            }
            let (id, code) = ("m".to_owned(), code.to_owned());
            assert_eq!(hear(&mut resume, frame), Some(CanaryEvent::Refused { id, code, again }));
        }
        assert_eq!(retry(1012, "restart"), Retry::Now);
        assert_eq!(retry(1008, "session_ended"), Retry::Never);
        assert_eq!(retry(1006, ""), Retry::Backoff);
    }
}
