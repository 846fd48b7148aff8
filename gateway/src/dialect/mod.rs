//! The wire formats. Each dialect is one pure file that decodes a client's text to a request and encodes the
//! server's frames. `connection::session` decides what a request leads to, and `connection/opening/` who may open
//! which window.

mod chat;
pub mod lobby;
mod names;
pub(crate) mod native;
mod numbers;
mod sound;
mod text;

use crate::wire::frame::Frame;
use protocol::{
    calls::{Peer, Shows},
    chat::{Change, ChatType, ChatView, Message, UserRef},
    code::Code,
    frames::{ChatEvent, ClientFrame, ServerFrame},
    id::{ChatId, UserId},
    time::Timestamp,
};
use serde::Serialize;
use std::time::Duration;
use strum::{IntoStaticStr, VariantArray};

/// A wire format that a connection may speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "lowercase")]
pub enum Dialect {
    /// `WS /gateway`: see [`protocol::frames`].
    Native,
    /// `WS /ws`: the lobby, with guests.
    Lobby,
    /// `WS /ws/{chat_id}`: one chat.
    Chat,
    /// `WS /ws/chat`: private messages between usernames.
    Names,
    /// `WS /messages/{user_id}`: private messages between user ids.
    Numbers,
}

/// The chats that a connection shows, by its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// The user's chats of all kinds.
    Native,
    /// The lobby, for users and guests.
    Lobby,
    /// This chat.
    Chat(ChatId),
    /// All private chats.
    Names,
    /// All private chats of this user, who must be the user of the token.
    Numbers(UserId),
}

/// The sender of a client's frames.
#[derive(Clone, Copy, Debug)]
pub struct Speaker<'a> {
    /// The window of its connection.
    pub window: Window,
    /// The user; `None` for a guest, whose frames say a name.
    pub user: Option<&'a UserRef>,
}

/// A client's request in any dialect. It is a frame of the native protocol wherever that has one for it.
#[derive(Debug, PartialEq, Eq)]
pub enum ClientRequest {
    /// A frame of the native protocol, or one that asks for the same.
    Frame(ClientFrame),
    /// A message to a person, whose private chat must be found first.
    Direct {
        /// The person, as the client names it.
        to: Peer,
        /// The message, of any length.
        text: String,
    },
    /// A guest takes a name and may write a message.
    Guest {
        /// The name as the guest wrote it.
        name: String,
        /// The message to the lobby, if there is one.
        text: Option<String>,
    },
    /// No request: older clients send frames that have no meaning here.
    Nothing,
}

/// The `error` that explains why a frame is refused. Boxed, because it is rare and much larger than a result.
pub type ErrorFrame = Box<ServerFrame>;

impl Dialect {
    /// All of them.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// Its label in metrics.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Whether a sender's own connections are not shown its messages.
    pub fn leaves_out_own(self) -> bool {
        matches!(self, Self::Names | Self::Numbers)
    }

    /// Whether answers must leave in the order of their frames, because a client can match them in no other way.
    /// Only the native protocol has an id on every frame that matters.
    pub fn answers_in_order(self) -> bool {
        self != Self::Native
    }

    /// Whether a message counts as read once it is written, because the client cannot send read marks.
    pub fn reads_what_it_is_shown(self) -> bool {
        self == Self::Names
    }

    /// Encodes a frame for one connection. `None` if the dialect has no words for it.
    pub fn encode(self, frame: &ServerFrame, now: Timestamp) -> Option<Frame> {
        match self {
            Self::Native => Some(native::encode(frame)),
            Self::Lobby => lobby::encode(frame, now),
            Self::Chat => chat::encode(frame, now),
            Self::Names => names::encode(frame),
            Self::Numbers => numbers::encode(frame, now),
        }
    }

    /// Encodes an event for all connections of this dialect that are shown it. `reader` is the user of one of
    /// them. `None` if the dialect has no words for the event.
    pub fn encode_event(self, event: &ChatEvent, reader: Option<UserId>) -> Option<Frame> {
        match self {
            Self::Native => Some(native::encode(event)),
            Self::Lobby => lobby::encode_event(event),
            Self::Chat => chat::encode_event(event),
            Self::Names => names::encode_event(event),
            Self::Numbers => numbers::encode_event(event, reader),
        }
    }
}

impl Window {
    /// The window of a path; `None` if no window has this path.
    pub fn from_path(path: &str) -> Option<Self> {
        // Digits only: `parse` alone would take a sign or leading zeros, and give one chat many paths.
        let number = |text: &str| {
            let digits = !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
            if digits { text.parse().ok() } else { None }
        };
        match path {
            "/gateway" => Some(Self::Native),
            "/ws" => Some(Self::Lobby),
            "/ws/chat" => Some(Self::Names),
            _ => match path.split_at(path.rfind('/')? + 1) {
                ("/ws/", id) => number(id).map(|id| Self::Chat(ChatId(id))),
                ("/messages/", id) => number(id).map(|id| Self::Numbers(UserId(id))),
                _ => None,
            },
        }
    }

    /// The dialect of the window.
    pub fn dialect(self) -> Dialect {
        match self {
            Self::Native => Dialect::Native,
            Self::Lobby => Dialect::Lobby,
            Self::Chat(_) => Dialect::Chat,
            Self::Names => Dialect::Names,
            Self::Numbers(_) => Dialect::Numbers,
        }
    }

    /// The selection of the user's chats with which the window starts.
    pub fn shows(self) -> Shows {
        match self {
            Self::Native => Shows::All,
            Self::Lobby => Shows::One(ChatId::LOBBY),
            Self::Chat(id) => Shows::One(id),
            Self::Names | Self::Numbers(_) => Shows::Private,
        }
    }

    /// Whether the window may get further chats while it is open.
    pub fn takes_invitations(self) -> bool {
        match self {
            Self::Native | Self::Names | Self::Numbers(_) => true,
            // These show one chat, which they have from the start.
            Self::Lobby | Self::Chat(_) => false,
        }
    }

    /// Whether a chat of the user belongs in this window.
    pub fn takes(self, chat: &ChatView) -> bool {
        match self {
            Self::Native => true,
            Self::Lobby => chat.id == ChatId::LOBBY,
            Self::Chat(id) => chat.id == id,
            Self::Names | Self::Numbers(_) => chat.chat_type == ChatType::Private,
        }
    }
}

impl Speaker<'_> {
    /// Decodes a client's frame. The error is the `error` frame to answer with.
    pub fn decode(&self, text: &str) -> Result<ClientRequest, ErrorFrame> {
        match self.window {
            Window::Native => native::decode(text).map(ClientRequest::Frame),
            Window::Lobby => lobby::decode(text, self.user),
            Window::Chat(chat) => chat::decode(text, chat, self.user),
            Window::Names => names::decode(text),
            Window::Numbers(user) => numbers::decode(text, user),
        }
    }
}

/// An `error` frame.
pub fn refusal(id: Option<String>, code: Code, message: &str) -> ServerFrame {
    ServerFrame::Error {
        id,
        code: code.as_str().to_owned(),
        message: message.to_owned(),
        retry_after_ms: None,
    }
}

/// An `error` frame that says when to try again.
pub fn try_later(id: Option<String>, code: Code, message: &str, wait: Duration) -> ServerFrame {
    ServerFrame::Error {
        id,
        code: code.as_str().to_owned(),
        message: message.to_owned(),
        retry_after_ms: Some(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1)),
    }
}

/// The `error` for a frame that came too fast.
pub fn too_fast(id: Option<String>, wait: Duration) -> ServerFrame {
    try_later(id, Code::RateLimited, "Too many frames. Wait and send it again.", wait)
}

/// The `error` for a frame that names another user than the token.
fn identity_mismatch(field: &str) -> ErrorFrame {
    let message = format!("The frame's {field} is not the signed-in user's.");
    Box::new(refusal(None, Code::IdentityMismatch, &message))
}

/// The new message of an event. Clients of the older dialects know no other events.
fn new_message(event: &ChatEvent) -> Option<&Message> {
    match &event.event.change {
        Change::Message(message) => Some(message),
        _ => None,
    }
}

/// The `error` of the dialects whose frames have a `type`.
#[derive(Serialize)]
struct TypedError<'a> {
    r#type: &'static str,
    code: &'a str,
    message: &'a str,
    timestamp: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_message_id: Option<&'a str>,
}

/// An `error` frame as [`TypedError`]; `None` for other frames.
fn encode_error(frame: &ServerFrame, now: Timestamp) -> Option<Frame> {
    let ServerFrame::Error { id, code, message, retry_after_ms } = frame else { return None };
    Some(native::encode(&TypedError {
        r#type: "error",
        code,
        message,
        timestamp: now,
        retry_after_ms: *retry_after_ms,
        client_message_id: id.as_deref(),
    }))
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
pub(crate) mod samples;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_to_windows() {
        for (path, window) in [
            ("/gateway", Some(Window::Native)),
            ("/ws", Some(Window::Lobby)),
            ("/ws/chat", Some(Window::Names)),
            ("/ws/12", Some(Window::Chat(ChatId(12)))),
            ("/messages/7", Some(Window::Numbers(UserId(7)))),
            ("/messages/9223372036854775807", Some(Window::Numbers(UserId(i64::MAX)))),
        ] {
            assert_eq!(Window::from_path(path), window, "{path}");
        }
        for path in [
            "",
            "/",
            "ws",
            "/ws/",
            "/ws/abc",
            "/ws/-1",
            "/ws/+1",
            "/ws/0",
            "/ws/01",
            "/ws/1/",
            "/ws/1/2",
            "/ws/9223372036854775808",
            "/messages/",
            "/messages/1/2",
            "/messages",
            "/gateway/",
            "/wss/1",
            "/ws/%31",
            "/ws/١",
        ] {
            assert_eq!(Window::from_path(path), None, "{path}");
        }
    }
}
