//! What is known before a command is decided: of its chat, of its sender, of what was sent before. And whether
//! the sender may write, which every command asks first.

use crate::chats::{access::MemberRole, ordinals::Ordinals};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use protocol::{
    account::Role,
    chat::ChatType,
    code::Code,
    id::{ChatId, Seq},
    refusal::Refusal,
    time::Timestamp,
};
use sha2::{Digest as _, Sha256};

/// A chat that exists, locked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChatFacts {
    pub chat_type: ChatType,
    pub last_seq: Seq,
    pub ordinals: Ordinals,
    /// Somebody is marked dormant in it.
    pub has_dormant: bool,
    /// Whether statistics are kept of the chat.
    pub counted: bool,
}

/// What a command's sender is, in the chat, and has sent before with the same key.
#[derive(Clone, Debug)]
pub(crate) struct Fact {
    /// `None`: no such user.
    pub user: Option<Sender>,
    pub member: Option<MemberRole>,
    pub barred: Option<Barred>,
    pub repeated: Option<Repeated>,
}

impl Fact {
    /// Members may write, and everybody in a room; guests in the lobby only; nobody who is blocked, by an
    /// administrator or by the other one of a private chat, or banned from the room.
    pub(crate) fn to_write(
        &self,
        chat_id: ChatId,
        chat_type: ChatType,
    ) -> Result<&Sender, Refusal> {
        let sender = self.user.as_ref().filter(|user| !user.blocked).ok_or(Code::Blocked)?;
        if sender.name_taken {
            return Err(Refusal::new(
                Code::UsernameTaken,
                "Somebody has registered this name. Choose another one.",
            ));
        }
        if sender.guest && chat_id != ChatId::LOBBY {
            return Err(Refusal::new(Code::NotAMember, "Guests can write only in the lobby."));
        }
        if self.member.is_none() && chat_type != ChatType::Room {
            return Err(Code::NotAMember.into());
        }
        match self.barred {
            Some(Barred::Banned) => Err(Code::Banned.into()),
            Some(Barred::Silenced) => Err(Code::BlockedByRecipient.into()),
            None => Ok(sender),
        }
    }
}

/// Why somebody may not write in a chat that others like it may write in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Barred {
    /// Banned from this room.
    Banned,
    /// By the other one of a private chat.
    Silenced,
}

#[derive(Clone, Debug)]
pub(crate) struct Sender {
    pub username: String,
    /// The display name.
    pub name: String,
    /// As the account names it.
    pub avatar: String,
    pub role: Role,
    pub blocked: bool,
    /// Has no account.
    pub guest: bool,
    /// A guest under a name that somebody has registered since.
    pub name_taken: bool,
}

/// An earlier message with the same idempotency key.
#[derive(Clone, Debug)]
pub(crate) struct Repeated {
    pub id: Seq,
    pub text: String,
    pub reply_to: Option<Seq>,
    pub timestamp: Timestamp,
    /// Edited or deleted since: its first text is not known any more.
    pub changed: bool,
}

/// What an edit with an id is known by: chat, message, and the [`fingerprint`] of id and text.
pub(crate) type EditKey = (ChatId, Seq, String);

/// When an edit was made, and the event it made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Edited {
    pub seq: Seq,
    pub timestamp: Timestamp,
}

/// What tells an edit from others of the same message: clients may count their ids anew in each
/// connection, so the text belongs to it.
pub(crate) fn fingerprint(client_edit_id: &str, text: &str) -> String {
    let hash = Sha256::new().chain_update(client_edit_id).chain_update([0]).chain_update(text);
    URL_SAFE_NO_PAD.encode(&hash.finalize()[..16])
}
