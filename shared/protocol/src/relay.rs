//! The channels and payloads of the bus. A payload must never be the only copy of a fact: the gateways repair the
//! loss of any payload from the api (`Changed`, `Events`).

use crate::{
    chat::{ChatSettings, Event, PresenceStatus, UserRef},
    id::{ChatId, NodeId, Seq, SessionId, UserId},
    partition::Partition,
    time::Timestamp,
    traceparent::Traceparent,
};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// The maximum number of a chat's watchers on a node that get signals by name: typing, presence and read marks. Read
/// marks of chats with more members are not published at all. Every watcher makes signals, and each signal costs a
/// frame for every watcher, so the cost grows with the square of the watchers.
pub const MAX_WATCHERS: usize = 100;

/// A channel of the bus. Its text is the Redis channel's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Channel {
    /// `chat:{id}`: [`ChatPayload`], to every gateway with a local member of that chat.
    Chat(ChatId),
    /// `user:{id}`: [`UserPayload`], to every gateway with a connection of that user.
    User(UserId),
    /// `control`: [`ControlPayload`], to every node.
    Control,
    /// `orders`: [`crate::orders::OrderPayload`], to every gateway. Gateways from before it was there do not hear it.
    Orders,
    /// `probe:{node}:{partition}`: a node's proof to itself that the partition's server delivers.
    Probe(NodeId, Partition),
}

impl Channel {
    /// The partition that the channel belongs to.
    pub fn partition(self) -> Partition {
        match self {
            Self::Chat(id) => Partition::of(1, id.0.cast_unsigned()),
            Self::User(id) => Partition::of(2, id.0.cast_unsigned()),
            Self::Control => Partition::of(3, 0),
            Self::Orders => Partition::of(4, 0),
            Self::Probe(_, partition) => partition,
        }
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Chat(id) => write!(f, "chat:{id}"),
            Self::User(id) => write!(f, "user:{id}"),
            Self::Control => f.write_str("control"),
            Self::Orders => f.write_str("orders"),
            Self::Probe(node, partition) => write!(f, "probe:{node}:{partition}"),
        }
    }
}

/// The text does not name a channel.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not a channel of Switchboard")]
pub struct UnknownChannel;

impl FromStr for Channel {
    type Err = UnknownChannel;

    fn from_str(text: &str) -> Result<Self, UnknownChannel> {
        match text {
            "control" => return Ok(Self::Control),
            "orders" => return Ok(Self::Orders),
            _ => {}
        }
        let (kind, id) = text.split_once(':').ok_or(UnknownChannel)?;
        match kind {
            "chat" => id.parse().map(Self::Chat).map_err(|_| UnknownChannel),
            "user" => id.parse().map(Self::User).map_err(|_| UnknownChannel),
            "probe" => {
                let (node, number) = id.split_once(':').ok_or(UnknownChannel)?;
                let partition = number.parse().ok().and_then(Partition::new);
                let node = node.parse().map_err(|_| UnknownChannel)?;
                Ok(Self::Probe(node, partition.ok_or(UnknownChannel)?))
            }
            _ => Err(UnknownChannel),
        }
    }
}

/// On `chat:{id}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ChatPayload {
    /// Committed events in the order of `seq`. Published by the api, once a chat and batch.
    Events(ChatEvents),
    /// Somebody is typing. Published by the typist's gateway, which delivers it to its own clients itself.
    Typing {
        /// The gateway that published.
        origin: NodeId,
        /// The typist.
        user: UserRef,
    },
    /// Somebody read up to a message. Published by the api.
    Read {
        /// The reader.
        user_id: UserId,
        /// The newest message that was read.
        message_id: Seq,
    },
    /// Somebody came online or went offline. Published by a gateway, which delivers it to its own clients itself.
    Presence {
        /// The gateway that published.
        origin: NodeId,
        /// The user.
        user_id: UserId,
        /// The new status.
        status: PresenceStatus,
    },
    /// Somebody came into the lobby by a dialect that announces newcomers. Published by the newcomer's gateway,
    /// which delivers it to its own clients itself.
    Arrived {
        /// The gateway that published.
        origin: NodeId,
        /// The name of the newcomer.
        username: String,
        /// When it came.
        at: Timestamp,
    },
    /// The chat was deleted. Published by the api.
    ChatDeleted,
}

/// A run of committed events of one chat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatEvents {
    /// The chat.
    pub chat_id: ChatId,
    /// In the order of `seq`. Live runs have no holes; ranges may (see [`crate::calls::Range`]).
    pub events: Vec<Event>,
    /// The time of publication by the api's clock, in milliseconds since 1970. For the relay lag metric only.
    pub published_ms: i64,
    /// The span of the publication, if it is recorded. The spans of the deliveries follow it.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "Traceparent::lenient"
    )]
    pub traceparent: Option<Traceparent>,
}

/// On `user:{id}`. Published by the api.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum UserPayload {
    /// The user became a member of this chat.
    Added {
        /// The chat.
        chat_id: ChatId,
    },
    /// The user is no longer a member of this chat. A user who is banned from a room may not watch it either.
    Removed {
        /// The chat.
        chat_id: ChatId,
        /// Whether the user is banned from it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        banned: bool,
    },
    /// The user has read up to here, on whatever device.
    Read {
        /// The chat.
        chat_id: ChatId,
        /// The newest message that was read.
        message_id: Seq,
    },
    /// The user has changed what is set for the chat. An older gateway has no word for it.
    Settings {
        /// The chat.
        chat_id: ChatId,
        /// All of it, as it is now.
        settings: ChatSettings,
    },
    /// A chat that the user's connections may not hold live has new events after `after`.
    Wake {
        /// The chat.
        chat_id: ChatId,
        /// All new events come after this one.
        after: Seq,
    },
}

/// On `control`. Published by the api.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ControlPayload {
    /// These sessions have ended. Their sockets close, and their access tokens are refused.
    Ended(EndedSessions),
}

/// Sessions that ended, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedSessions {
    /// The sessions.
    pub sessions: Vec<SessionId>,
    /// The common reason.
    pub reason: EndReason,
}

/// Why a session ended before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// An administrator blocked the user.
    Blocked,
    /// A refresh token was used a second time, so somebody has a copy of it.
    TokenReuse,
    /// The password changed.
    PasswordChanged,
    /// The user signed out, on this or another device. Also the reading of a reason that only a newer api knows.
    #[serde(other)]
    SignedOut,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channel_names_round_trip() {
        for channel in [
            Channel::Chat(ChatId(7)),
            Channel::User(UserId(8)),
            Channel::Control,
            Channel::Orders,
            Channel::Probe(NodeId::random(), Partition::new(1_023).unwrap()),
        ] {
            assert_eq!(channel.to_string().parse(), Ok(channel));
        }
        for text in ["", "chat", "chat:", "chat:x", "room:1", "probe:1", "probe:1:1"] {
            assert_eq!(text.parse::<Channel>(), Err(UnknownChannel), "{text}");
        }
    }

    #[test]
    fn a_trace_goes_along_only_where_there_is_one_and_breaks_nothing() {
        let read = |json: &str| serde_json::from_str::<ChatPayload>(json).unwrap();
        let plain = r#"{"kind":"events","chat_id":7,"events":[],"published_ms":5}"#;
        let ChatPayload::Events(mut run) = read(plain) else { panic!("not events") };
        assert_eq!(run.traceparent, None, "as nodes without traces publish it");
        assert_eq!(serde_json::to_string(&ChatPayload::Events(run.clone())).unwrap(), plain);
        run.traceparent = Traceparent::new(1, 2, true);
        let traced = serde_json::to_string(&ChatPayload::Events(run.clone())).unwrap();
        assert_eq!(read(&traced), ChatPayload::Events(run.clone()));
        run.traceparent = None;
        let broken = traced.replace("-01\"", "-??\"");
        assert_eq!(read(&broken), ChatPayload::Events(run), "{broken}");
    }
}
