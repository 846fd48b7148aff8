//! Samples for the dialects' tests: a run, a speaker, a message of the run.

use super::{ClientMessage, CommandKind, Content, Me, PrivatePeer, ServerMessage};
use crate::client::{Stamp, stamp::text};
use protocol::id::{ChatId, Seq, UserId};

pub(super) const RUN: &str = "r";
pub(super) const ME: Me<'static> = Me { id: UserId(3), username: "ann" };
const STAMP: Stamp = Stamp { device: 3, n: 9, due_micros: 17 };

pub(super) fn peers() -> [PrivatePeer; 2] {
    let peer = |chat, id, username: &str| PrivatePeer {
        chat: ChatId(chat),
        id: UserId(id),
        username: username.to_owned(),
    };
    [peer(11, 5, "eve"), peer(12, 4, "bob")]
}

/// A text of the run.
pub(super) fn stamped() -> String {
    text(RUN, STAMP, 100)
}

/// It is the message 7 of that chat, with this text of [`stamped`].
#[track_caller]
pub(super) fn assert_is_message(message: ServerMessage, chat: ChatId, text: &str) {
    let ServerMessage::Event(observation) = message else { panic!("{message:?}") };
    assert_eq!(
        (observation.chat, observation.message, observation.stamp),
        (chat, Some(Seq(7)), Some(STAMP))
    );
    assert_eq!(observation.what, Content::Text(text.into()));
}

impl<'a> ClientMessage<'a> {
    /// A new message.
    pub(crate) fn send(key: &'a str, chat: ChatId, text: &'a str) -> Self {
        Self::Command { kind: CommandKind::Send, key, chat, text }
    }
}
