//! The types of the native protocol of `WS /gateway`: JSON text frames, each with a `type`. Unknown fields are ignored.
//! The gateway's session decides what a frame leads to. `docs/protocol.md` describes the protocol to the writers of
//! clients.

use crate::{
    account::Account,
    chat::{ChatSettings, ChatView, Event, PresenceStatus, UserRef},
    id::{ChatId, Seq, UserId},
    orders::Announcement,
    time::Timestamp,
};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use std::collections::HashMap;

/// The version of the protocol that this code speaks. It grows when a client has to behave differently. A new frame or
/// field does not change it.
pub const VERSION: u16 = 1;

/// The version of clients and servers that do not send one.
fn first_version() -> u16 {
    1
}

/// A client's frame.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, strum::VariantNames)]
#[serde(tag = "type", rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum ClientFrame {
    /// The first frame of every connection.
    Hello {
        /// An access token. May be left out if it came with the upgrade.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        token: Option<String>,
        /// The newest version of the protocol that the client speaks.
        #[serde(default = "first_version")]
        version: u16,
        /// Where the client stopped, if it was connected before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        resume: Option<Resume>,
    },
    /// Post a message. `id` is its idempotency key: repeat it with the same `id` until `ack`.
    Send {
        /// The idempotency key, repeated in the answer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        /// The chat to post to.
        chat_id: ChatId,
        /// The text of the message.
        text: String,
        /// The message of the same chat to which this one replies.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reply_to: Option<Seq>,
    },
    /// Replace the text of an own message.
    Edit {
        /// The edit's idempotency key, repeated in the answer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        /// The message's chat.
        chat_id: ChatId,
        /// The message to change.
        message_id: Seq,
        /// The new text.
        text: String,
    },
    /// Remove an own message; the owner of a chat and administrators may remove any.
    Delete {
        /// Repeated in the answer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        /// The message's chat.
        chat_id: ChatId,
        /// The message to remove.
        message_id: Seq,
    },
    /// The user has read the chat up to this message. No answer.
    Read {
        /// The chat that was read.
        chat_id: ChatId,
        /// The newest message that was read.
        message_id: Seq,
    },
    /// The user is typing. No answer. Clients repeat it every few seconds while the user types.
    Typing {
        /// The chat that the user writes in.
        chat_id: ChatId,
    },
    /// Watch a public room without being a member. With `after`, the missed events come first.
    Subscribe {
        /// Repeated in the answer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        /// The room.
        chat_id: ChatId,
        /// The newest event that the client has.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<Seq>,
    },
    /// Stop watching a room.
    Unsubscribe {
        /// Repeated in the answer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        /// The room.
        chat_id: ChatId,
    },
    /// A fresh access token of the same session, before the old one expires.
    Token {
        /// Repeated in the answer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        /// The token.
        token: String,
    },
    /// Ask for a `pong`: proof that the connection works in both directions.
    Ping {
        /// Repeated in the answer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
    },
}

impl ClientFrame {
    /// A `hello` of this version.
    pub fn hello(token: Option<String>, resume: Option<Resume>) -> Self {
        Self::Hello { token, version: VERSION, resume }
    }
}

/// Where a client stopped: the epoch it knew and, for each chat, the newest `seq` it has processed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resume {
    /// The `epoch` of the last `ready`.
    pub epoch: String,
    /// The newest `seq` that was processed, by chat.
    #[serde(deserialize_with = "cursors")]
    pub cursors: HashMap<ChatId, Seq>,
}

/// Reads cursors. JSON spells a map's keys as text, and serde buffers the fields of a tagged enum. After that it no
/// longer reads such a text as a number, so this does.
fn cursors<'de, D: Deserializer<'de>>(deserializer: D) -> Result<HashMap<ChatId, Seq>, D::Error> {
    HashMap::<String, Seq>::deserialize(deserializer)?
        .into_iter()
        .map(|(chat, seq)| Ok((chat.parse().map_err(D::Error::custom)?, seq)))
        .collect()
}

/// A server's frame.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ServerFrame {
    /// The answer to `hello`. Chats are live from here on, after each one's `seq`.
    Ready {
        /// The version of the protocol that the connection speaks: the older one of the client's and the
        /// server's.
        #[serde(default = "first_version")]
        version: u16,
        /// The name of the connection, for support and logs.
        connection_id: String,
        /// The account that is signed in.
        user: Account,
        /// The name of this database. If it differs from before, the client must forget all cursors.
        epoch: String,
        /// The interval of the server's pings. After silence for twice as long, the connection is dead.
        heartbeat_ms: u64,
        /// The user's live chats, the most recently active first.
        chats: Vec<ChatView>,
        /// What administrators tell everybody.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        announcement: Option<Announcement>,
    },
    /// The client has been sent all events of this chat up to `seq`.
    CaughtUp {
        /// The chat.
        chat_id: ChatId,
        /// The newest event that was sent.
        seq: Seq,
    },
    /// The missed events cannot be sent. The client must fetch the chat's recent messages; events after `seq` follow.
    Resync {
        /// The chat.
        chat_id: ChatId,
        /// Events after this one follow.
        seq: Seq,
    },
    /// A command was committed, and its effect will never be lost.
    Ack {
        /// The `id` of the command.
        id: Option<String>,
        /// The chat that changed.
        chat_id: ChatId,
        /// The message that was posted, edited or removed.
        message_id: Seq,
        /// The event that the command made.
        seq: Seq,
        /// When it was committed, by the database's clock.
        timestamp: Timestamp,
    },
    /// A user read up to a message. It may be the client's own user on another device.
    Read {
        /// The chat.
        chat_id: ChatId,
        /// The reader.
        user_id: UserId,
        /// The newest message that was read.
        message_id: Seq,
    },
    /// Somebody is typing, now.
    Typing {
        /// The chat that is written in.
        chat_id: ChatId,
        /// Who types, or how many do.
        #[serde(flatten)]
        who: Typist,
    },
    /// A user came online or went offline.
    Presence {
        /// The user.
        user_id: UserId,
        /// The new status.
        status: PresenceStatus,
    },
    /// The user has a new chat, or an old one woke. It is live after its `seq`.
    Chat {
        /// The chat as the user sees it.
        chat: ChatView,
    },
    /// The user is no longer in this chat, or it is gone.
    ChatRemoved {
        /// The chat.
        chat_id: ChatId,
    },
    /// The user has changed what is set for one of its chats, on whatever device.
    ChatSettings {
        /// The chat.
        chat_id: ChatId,
        /// All of it, as it is now.
        settings: ChatSettings,
    },
    /// The answer to `subscribe`. The chat is live after its `seq`. If `after` was given, the missed events come first.
    Subscribed {
        /// The `id` of the `subscribe`.
        id: Option<String>,
        /// The room as the user sees it.
        chat: ChatView,
    },
    /// The answer to `unsubscribe`: the connection no longer watches the room.
    Unsubscribed {
        /// The `id` of the `unsubscribe`.
        id: Option<String>,
        /// The room.
        chat_id: ChatId,
    },
    /// The answer to `token`: the connection lives until then.
    TokenAccepted {
        /// The `id` of the `token`.
        id: Option<String>,
        /// When the token expires.
        expires_at: Timestamp,
    },
    /// The answer to `ping`.
    Pong {
        /// The `id` of the `ping`.
        id: Option<String>,
    },
    /// Administrators tell everybody something, or have withdrawn it.
    Announcement {
        /// In place of the one before; `None`: there is none any more.
        announcement: Option<Announcement>,
    },
    /// This connection ends soon. The client should open another one after the delay, and resume.
    Reconnect {
        /// The delay, which differs between connections so that they do not return together.
        after_ms: u64,
    },
    /// A frame was refused.
    Error {
        /// The `id` of the refused frame, if it had one.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        /// The stable reason, see [`Code`](crate::code::Code).
        code: String,
        /// A sentence for people.
        message: String,
        /// How long to wait before the frame may succeed.
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
    /// One of few.
    One {
        /// The typist.
        user: UserRef,
    },
    /// The number of typists in a chat with many watchers, within about the last second.
    Many {
        /// The approximate number.
        count: u32,
    },
}

/// An event with the chat it belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatEvent {
    /// The chat that changed.
    pub chat_id: ChatId,
    /// Its numbered change.
    #[serde(flatten)]
    pub event: Event,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hello_with_cursors_round_trips() {
        let cursors = HashMap::from([(ChatId(5), Seq(7))]);
        let resume = Some(Resume { epoch: "e".to_owned(), cursors });
        let hello = ClientFrame::hello(None, resume);
        let json = serde_json::to_string(&hello).unwrap();
        assert_eq!(
            json,
            r#"{"type":"hello","version":1,"resume":{"epoch":"e","cursors":{"5":7}}}"#
        );
        assert_eq!(serde_json::from_str::<ClientFrame>(&json).unwrap(), hello);
    }
}
