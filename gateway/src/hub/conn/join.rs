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
    /// The chat's newest event as far as known.
    pub head: Seq,
    /// The version of the user's rights when the api allowed it.
    pub allowed: AccessVersion,
    /// From where on the client is sent the chat's events …
    pub from: Seq,
    /// … and how far it has been sent them.
    pub after: Seq,
    /// To be sent first.
    pub announce: Option<Announce>,
    /// Tell the client when it has everything up to here.
    pub target: Option<Seq>,
    pub cause: Cause,
    /// How often the feed was not as far as the client.
    pub waits: u32,
}

/// Why a chat is joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    Opened,
    /// The user became a member, or the chat woke, as the bus says.
    Invited,
    /// The same, as a poll found; polls find it again for a while.
    Found,
    /// The client asked for it, from `from` on if it says so: what it was sent before does not count.
    Subscribed,
    /// It was watched, and the client did not keep up.
    Lagged,
}

/// What a client is told of a chat before its events.
pub(crate) enum Announce {
    Frame(Frame),
    /// The answer to a `subscribe`.
    Subscribed(Box<Subscription>),
}

/// What a `subscribe` was granted.
pub(crate) struct Subscription {
    /// Its frame's.
    pub id: Option<String>,
    /// If it is watched already, it goes on after what has been sent, which only the chat knows.
    pub chat: ChatView,
    /// What the client missed of it is too much to be sent.
    pub resync: bool,
    /// Answers the frame. Dropped uncalled, it answers with nothing.
    pub reply: Box<dyn FnOnce(&ServerFrame) + Send>,
}

/// The version of what a connection's user may watch. It changes when the user loses the right to watch
/// some chat: see [`super::Conn::access_version`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct AccessVersion(pub(crate) u32);

impl Join {
    /// A chat to be watched after its present end.
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

    /// The same from this place on, where the client stopped; it is told when it has caught up.
    pub(crate) fn resume_at(self, from: Seq) -> Self {
        Self { from, after: from, target: Some(self.head), ..self }
    }

    /// The client asks for this chat again and again: it is told to wait.
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
