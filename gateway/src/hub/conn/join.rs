//! A record of a chat that a connection is about to watch: how far its client has been sent the chat, and
//! what to tell the client first. `joining.rs` joins the chat.

use crate::{dialect::try_later, wire::frame::Frame};
use protocol::{
    chat::{ChatType, ChatView},
    code::Code,
    frames::ServerFrame,
    id::{ChatId, Seq},
};
use std::{fmt, time::Duration};

/// A chat to join.
pub(crate) struct Join {
    pub chat_id: ChatId,
    pub chat_type: ChatType,
    /// The newest event that the chat is known to have.
    pub head: Seq,
    /// The version of the user's rights at the time when the api allowed the join.
    pub allowed: AccessVersion,
    /// The client gets all events after this one …
    pub from: Seq,
    /// … and has been sent them up to this one.
    pub after: Seq,
    /// A frame that precedes the events.
    pub announce: Option<Announce>,
    /// The client is told `caught_up` once it has everything up to here.
    pub target: Option<Seq>,
    pub cause: Cause,
    /// How often the join had to wait because the feed was behind the client.
    pub waits: u32,
}

/// Why a chat is joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The connection opened.
    Opened,
    /// The bus said that the user became a member, or that the chat woke.
    Invited,
    /// A poll found the same. Polls find it again for a while.
    Found,
    /// The client subscribed, perhaps from an earlier place than the one it was sent events from.
    Subscribed,
    /// The client did not keep up with a chat that it watched.
    Lagged,
}

/// The announcement of a chat to a client, before its events.
pub(crate) enum Announce {
    Frame(Frame),
    /// The answer to a `subscribe`.
    Subscribed(Box<Subscription>),
}

/// A `subscribe` that the api granted.
pub(crate) struct Subscription {
    /// The `id` of its frame.
    pub id: Option<String>,
    /// The chat as the api showed it. If the connection watches it already, only the chat on this node knows
    /// how far the client has been sent it.
    pub chat: ChatView,
    /// Whether the client missed too much and must reload the chat.
    pub resync: bool,
    /// Answers the frame. If it is dropped uncalled, the frame gets no answer.
    pub reply: Box<dyn FnOnce(&ServerFrame) + Send>,
}

/// The version of what a connection's user may watch. It changes when the user loses the right to watch
/// some chat: see [`super::Conn::access_version`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct AccessVersion(pub(crate) u32);

impl Join {
    /// A join at the chat's present end.
    pub(crate) fn at_end(chat: &ChatView, allowed: AccessVersion, cause: Cause) -> Self {
        Self {
            chat_id: chat.id,
            chat_type: chat.chat_type,
            head: chat.seq,
            allowed,
            from: chat.seq,
            after: chat.seq,
            announce: None,
            target: None,
            cause,
            waits: 0,
        }
    }

    /// The same join from the place where the client stopped. The client is told when it has caught up.
    pub(crate) fn resume_at(self, from: Seq) -> Self {
        Self { from, after: from, target: Some(self.head), ..self }
    }

    /// Refuses a repeated `subscribe` while the chat is on its way. The client is told to wait.
    pub(crate) fn turn_away(self, wait: Duration) {
        if let Some(Announce::Subscribed(granted)) = self.announce {
            let Subscription { id, reply, .. } = *granted;
            let text = "This chat is on its way already.";
            reply(&try_later(id, Code::RateLimited, text, wait));
        }
    }
}

impl fmt::Debug for Join {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { chat_id, from, after, cause, .. } = self;
        write!(f, "{chat_id} from {} after {} ({cause:?})", from.0, after.0)
    }
}
