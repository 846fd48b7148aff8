//! The dialects that connections speak. Each is one pure file, which encodes a client's message and decodes a
//! server's. The device decides what a frame leads to.

pub(crate) mod chat;
pub(crate) mod lobby;
pub(crate) mod names;
pub(crate) mod native;
pub(crate) mod numbers;
mod refusal;
#[cfg(test)]
mod samples;

use super::Stamp;
use crate::{
    history::{ReportedContent, ReportedEvent},
    scenario::ClientDialect,
};
use protocol::{
    frames::ChatEvent,
    id::{ChatId, Seq, UserId},
};
use std::{sync::Arc, time::Duration};

/// What a connection shows: its path, and whom a message in a chat is addressed to where the dialect
/// knows people instead of chats.
#[derive(Clone, Debug)]
pub(crate) enum ConnectionView {
    /// `/gateway`: all of the person's chats.
    Native,
    /// `/ws`.
    Lobby,
    /// `/ws/{chat_id}`.
    Chat(ChatId),
    /// `/ws/chat`: all private chats, by the other's username.
    Names(Arc<[PrivatePeer]>),
    /// `/messages/{user_id}`: the same, by the other's id.
    Numbers(Arc<[PrivatePeer]>),
}

/// The other one of a private chat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PrivatePeer {
    pub chat: ChatId,
    pub id: UserId,
    pub username: String,
}

/// Who speaks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Me<'a> {
    pub id: UserId,
    pub username: &'a str,
}

/// A message from a device to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClientMessage<'a> {
    Hello {
        token: &'a str,
        epoch: Option<&'a str>,
        cursors: &'a [(ChatId, Seq)],
    },
    /// To be acknowledged; the same `key` again is a repeat. The text of a `Delete` is empty.
    Command {
        kind: CommandKind,
        key: &'a str,
        chat: ChatId,
        text: &'a str,
    },
    Read {
        chat: ChatId,
        message: Seq,
    },
    Typing {
        chat: ChatId,
    },
    /// A fresh token.
    Token(&'a str),
}

/// What a command does to a message: a new one, or the one with this id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CommandKind {
    Send,
    Edit(Seq),
    Delete(Seq),
}

/// What a server's frame means. Owned, and the same for every device that is sent these bytes in this
/// dialect: devices that are sent the same bytes share it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ServerMessage {
    /// The connection is ready; each chat is live after its place.
    Ready {
        epoch: String,
        heartbeat: Duration,
        chats: Vec<(ChatId, Seq)>,
    },
    Event(Observation),
    CaughtUp {
        chat: ChatId,
        seq: Seq,
    },
    Resync {
        chat: ChatId,
        seq: Seq,
    },
    Ack {
        of: Of,
        chat: ChatId,
        message: Seq,
        seq: Seq,
    },
    Refused {
        of: Of,
        code: String,
        retry_after: Option<Duration>,
    },
    /// A chat is live after its place.
    Live {
        chat: ChatId,
        seq: Seq,
    },
    ChatRemoved(ChatId),
    Reconnect(Duration),
    /// A read mark, somebody typing, presence.
    Ephemeral,
    /// Something that a load tester need not act upon.
    Other,
    /// No frame of this dialect: counted as an error.
    Unknown,
}

/// Which command an answer belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Of {
    /// The one with this key.
    Key(String),
    /// The oldest one without an answer: the dialect answers in order and names none.
    Oldest,
    /// The oldest one in this chat without an answer: it answers in order within a chat only.
    OldestIn(ChatId),
    /// None that is known.
    Nothing,
}

/// How a dialect acknowledges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Acks {
    /// By [`ServerMessage::Ack`].
    Frame,
    /// A sender is shown its own message once it is stored.
    Echo,
    /// Not at all: what was written counts as answered.
    Never,
}

/// An event that a device received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Observation {
    pub chat: ChatId,
    pub what: Content,
    /// Whether it is a new message, whose id is its place.
    pub message: Option<Seq>,
    /// Of the text, when it is one of this run's.
    pub stamp: Option<Stamp>,
}

/// What the history checker learns of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    Numbered(Box<ChatEvent>),
    /// Of a dialect without places.
    Text(Box<str>),
}

impl Observation {
    /// Of a dialect with places.
    pub(crate) fn numbered(run: &str, event: ChatEvent) -> Self {
        let (message, text) = match ReportedEvent::from(&event).what {
            ReportedContent::Message { id, text, .. } => (Some(id), Some(text)),
            ReportedContent::Edited { text, .. } => (None, Some(text)),
            ReportedContent::Deleted { .. } | ReportedContent::Other => (None, None),
        };
        let stamp = text.and_then(|text| Stamp::of(run, text));
        Self { chat: event.chat_id, message, stamp, what: Content::Numbered(Box::new(event)) }
    }

    /// A message of a dialect without places; `message` is its id.
    pub(crate) fn text(run: &str, chat: ChatId, message: Seq, text: &str) -> Self {
        let stamp = Stamp::of(run, text);
        Self { chat, message: Some(message), stamp, what: Content::Text(text.into()) }
    }
}

impl ConnectionView {
    pub(crate) fn dialect(&self) -> ClientDialect {
        match self {
            Self::Native => ClientDialect::Native,
            Self::Lobby => ClientDialect::Lobby,
            Self::Chat(_) => ClientDialect::Chat,
            Self::Names(_) => ClientDialect::Names,
            Self::Numbers(_) => ClientDialect::Numbers,
        }
    }

    /// The path of its socket.
    pub(crate) fn path(&self, me: Me<'_>) -> String {
        match self {
            Self::Native => "/gateway".to_owned(),
            Self::Lobby => "/ws".to_owned(),
            Self::Chat(chat) => format!("/ws/{chat}"),
            Self::Names(_) => "/ws/chat".to_owned(),
            Self::Numbers(_) => format!("/messages/{}", me.id),
        }
    }

    /// The chats it shows from its first moment on, where no frame says so: those of the older dialects.
    pub(crate) fn chats(&self) -> Vec<ChatId> {
        match self {
            Self::Native => Vec::new(),
            Self::Lobby => vec![ChatId::LOBBY],
            Self::Chat(chat) => vec![*chat],
            Self::Names(peers) | Self::Numbers(peers) => {
                peers.iter().map(|peer| peer.chat).collect()
            }
        }
    }

    /// The text of a frame; `None` when the dialect has no words for it.
    pub(crate) fn encode(&self, me: Me<'_>, outgoing: ClientMessage<'_>) -> Option<String> {
        match self {
            Self::Native => native::encode(outgoing),
            Self::Lobby => lobby::encode(me, outgoing),
            Self::Chat(chat) => chat::encode(*chat, outgoing),
            Self::Names(peers) => names::encode(peers, outgoing),
            Self::Numbers(peers) => numbers::encode(me, peers, outgoing),
        }
    }
}

/// Whether a connection says hello and resumes. The others show the token with the upgrade, are ready
/// with its answer, and resume nothing.
pub(crate) fn greets(dialect: ClientDialect) -> bool {
    dialect == ClientDialect::Native
}

/// How it acknowledges.
pub(crate) fn acks(dialect: ClientDialect) -> Acks {
    match dialect {
        ClientDialect::Native | ClientDialect::Names => Acks::Frame,
        ClientDialect::Lobby | ClientDialect::Chat => Acks::Echo,
        ClientDialect::Numbers => Acks::Never,
    }
}

/// Whether a sender's idempotency key reaches the server, which then knows a repeat.
pub(crate) fn shows_key(dialect: ClientDialect) -> bool {
    matches!(dialect, ClientDialect::Native | ClientDialect::Chat)
}

/// Whether a sender's own connections are shown its messages.
pub(crate) fn shows_own(dialect: ClientDialect) -> bool {
    !matches!(dialect, ClientDialect::Names | ClientDialect::Numbers)
}

/// What a server's text means; `run` is the run's name, by which its own messages are known.
pub(crate) fn decode(dialect: ClientDialect, run: &str, text: &str) -> ServerMessage {
    match dialect {
        ClientDialect::Native => native::decode(run, text),
        ClientDialect::Lobby => lobby::decode(run, text),
        ClientDialect::Chat => chat::decode(run, text),
        ClientDialect::Names => names::decode(run, text),
        ClientDialect::Numbers => numbers::decode(run, text),
    }
}
