//! The native protocol of `WS /gateway`: JSON text frames, each with a `type`. Types only; the
//! session decides what a frame means. Unknown fields are ignored. `docs/protocol.md` tells it to
//! the writers of clients.

use crate::{
    chat::{ChatView, Event, PresenceStatus, UserRef},
    id::{ChatId, Seq, UserId},
    internal::Account,
    time::Timestamp,
};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use std::collections::HashMap;

/// What a client sends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ClientFrame {
    /// First frame of every connection.
    Hello {
        /// An access token, unless it came with the upgrade.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        token: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        resume: Option<Resume>,
    },
    /// Post a message. `id` is its idempotency key: repeat it with the same `id` until `ack`.
    Send {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        chat_id: ChatId,
        text: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reply_to: Option<Seq>,
    },
    Edit {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        chat_id: ChatId,
        message_id: Seq,
        text: String,
    },
    Delete {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        chat_id: ChatId,
        message_id: Seq,
    },
    /// Everything up to this message has been read. No answer.
    Read { chat_id: ChatId, message_id: Seq },
    /// The user is typing. No answer. Send it again every few seconds while it lasts.
    Typing { chat_id: ChatId },
    /// Watch a public room without being a member. With `after`: what was missed first.
    Subscribe {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        chat_id: ChatId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<Seq>,
    },
    Unsubscribe {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        chat_id: ChatId,
    },
    /// A fresh access token of the same session, before the old one expires.
    Token {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        token: String,
    },
    Ping {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
    },
}

/// Where a client stopped: the epoch it knew and, for each chat, the newest `seq` it has processed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resume {
    pub epoch: String,
    #[serde(deserialize_with = "cursors")]
    pub cursors: HashMap<ChatId, Seq>,
}

/// JSON spells a map's keys as text, and serde, which buffers a tagged enum's fields, no longer
/// knows then that such a text may be read as a number.
fn cursors<'de, D: Deserializer<'de>>(deserializer: D) -> Result<HashMap<ChatId, Seq>, D::Error> {
    HashMap::<String, Seq>::deserialize(deserializer)?
        .into_iter()
        .map(|(chat, seq)| Ok((chat.parse().map_err(D::Error::custom)?, seq)))
        .collect()
}

/// What the server sends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ServerFrame {
    /// The answer to `hello`. Chats are live from here on, after each one's `seq`.
    Ready {
        connection_id: String,
        user: Account,
        /// Names this database. Another epoch than before: forget all cursors.
        epoch: String,
        /// The server pings this often; hearing nothing for twice as long means the connection is dead.
        heartbeat_ms: u64,
        chats: Vec<ChatView>,
    },
    /// Everything that was missed in this chat has been sent: all events up to `seq`.
    CaughtUp {
        chat_id: ChatId,
        seq: Seq,
    },
    /// What was missed cannot be sent. Fetch the chat's recent messages; events after `seq` follow.
    Resync {
        chat_id: ChatId,
        seq: Seq,
    },
    /// Committed: the command's effect will never be lost. `seq` is the event it made.
    Ack {
        id: Option<String>,
        chat_id: ChatId,
        message_id: Seq,
        seq: Seq,
        timestamp: Timestamp,
    },
    /// A user read up to a message. Also the own user's, from another device.
    Read {
        chat_id: ChatId,
        user_id: UserId,
        message_id: Seq,
    },
    Typing {
        chat_id: ChatId,
        #[serde(flatten)]
        who: Typist,
    },
    Presence {
        user_id: UserId,
        status: PresenceStatus,
    },
    /// The user has a new chat, or an old one woke; it is live after its `seq`.
    Chat {
        chat: ChatView,
    },
    /// The user is no longer in this chat, or it is gone.
    ChatRemoved {
        chat_id: ChatId,
    },
    /// The answer to `subscribe`; live after its `seq`, or caught up first when `after` was given.
    Subscribed {
        id: Option<String>,
        chat: ChatView,
    },
    Unsubscribed {
        id: Option<String>,
        chat_id: ChatId,
    },
    /// The answer to `token`: the connection lives until then.
    TokenAccepted {
        id: Option<String>,
        expires_at: Timestamp,
    },
    Pong {
        id: Option<String>,
    },
    /// This connection ends soon: open another one after the delay, resuming.
    Reconnect {
        after_ms: u64,
    },
    /// A frame was refused; `id` is that frame's.
    Error {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        code: String,
        message: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<u64>,
    },
    /// An event of a chat: `message`, `edited`, `deleted`, `member`, `renamed`, `owner`.
    #[serde(untagged)]
    Event(ChatEvent),
}

/// Who is typing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Typist {
    One {
        user: UserRef,
    },
    /// In a chat that many watch: how many have been within the last second, about.
    Many {
        count: u32,
    },
}

/// An event with the chat it belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatEvent {
    pub chat_id: ChatId,
    #[serde(flatten)]
    pub event: Event,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hello_with_cursors_round_trips() {
        let cursors = HashMap::from([(ChatId(5), Seq(7))]);
        let hello = ClientFrame::Hello {
            token: None,
            resume: Some(Resume { epoch: "e".to_owned(), cursors }),
        };
        let json = serde_json::to_string(&hello).unwrap();
        assert_eq!(json, r#"{"type":"hello","resume":{"epoch":"e","cursors":{"5":7}}}"#);
        assert_eq!(serde_json::from_str::<ClientFrame>(&json).unwrap(), hello);
    }
}
