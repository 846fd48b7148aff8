//! Who may do what with a chat: the chat's row and the caller's place in it, read once at the start
//! of a service, under the chat's lock where the service changes it.

use super::ban_rows;
use crate::{
    accounts::Actor,
    db::{Link, Tx, fetch_optional, from_row},
    error::Result,
};
use protocol::{
    account::Role,
    calls::UserChat,
    chat::ChatType,
    code::Code,
    id::{ChatId, Seq, UserId},
};

/// By which right somebody manages a chat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// The chat's own owner.
    Owner,
    /// Could not have done it without being an administrator: goes into the audit log.
    Admin,
}

/// A member's part in a group or room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberRole {
    /// May rename and delete the chat, add and remove members, delete anybody's messages.
    Owner,
    /// Reads and posts; leaves.
    Member,
}

impl MemberRole {
    pub(crate) fn from_text(text: &str) -> Self {
        if text == "owner" { Self::Owner } else { Self::Member }
    }
}

/// The database's words for the kinds of chat.
pub(crate) fn chat_type(text: &str) -> ChatType {
    match text {
        "private" => ChatType::Private,
        "room" => ChatType::Room,
        _ => ChatType::Group,
    }
}

/// A chat that exists, as one user stands to it.
#[derive(Clone, Debug)]
pub struct Access {
    /// Names a chat that exists and is not deleted.
    pub chat_id: ChatId,
    /// Decides who may enter.
    pub chat_type: ChatType,
    /// The chat's newest event.
    pub last_seq: Seq,
    /// Members now, invited ones included.
    pub member_count: i64,
    /// Messages now, without deleted ones.
    pub message_count: i64,
    /// The user's own part; `None`: not a member.
    pub role: Option<MemberRole>,
    /// Whether a ban keeps the user out of the room.
    pub banned: bool,
}

impl Access {
    /// Reads and posts: members, and everybody in a room.
    pub fn to_enter(&self) -> Result<()> {
        match self.role {
            None if self.chat_type != ChatType::Room => Err(Code::NotAMember.into()),
            None if self.banned => Err(Code::Banned.into()),
            _ => Ok(()),
        }
    }

    /// Renames, deletes, adds and removes members: the owner, and administrators.
    pub(crate) fn to_manage(&self, actor: Actor) -> Result<Right> {
        if self.role == Some(MemberRole::Owner) {
            return Ok(Right::Owner);
        }
        if actor.role == Role::Admin {
            return Ok(Right::Admin);
        }
        self.to_enter()?;
        Err(Code::NotTheOwner.into())
    }

    /// The lobby belongs to everybody.
    pub(crate) fn not_lobby(&self) -> Result<()> {
        if self.chat_id == ChatId::LOBBY {
            return Err(Code::Lobby.into());
        }
        Ok(())
    }

    /// A private chat has its two members for ever and no name of its own.
    pub(crate) fn not_private(&self) -> Result<()> {
        if self.chat_type == ChatType::Private {
            return Err(Code::PrivateChat.into());
        }
        Ok(())
    }
}

from_row!(Access, |row| Self {
    chat_id: ChatId(row.try_get("id")?),
    chat_type: chat_type(row.try_get("chat_type")?),
    last_seq: Seq(row.try_get("last_seq")?),
    member_count: row.try_get("member_count")?,
    message_count: row.try_get("message_count")?,
    role: row.try_get::<Option<&str>, _>("role")?.map(MemberRole::from_text),
    banned: false,
});

/// How a user stands to a chat; `chat_not_found` when there is no such chat.
pub async fn find(link: &mut Link<'_>, chat: ChatId, user: UserId) -> Result<Access> {
    let access: Option<Access> = fetch_optional!(
        link,
        "SELECT c.id, c.chat_type, c.last_seq, c.member_count, c.message_count, m.role
         FROM chats c LEFT JOIN members m ON m.chat_id = c.id AND m.user_id = $2
         WHERE c.id = $1 AND c.deleted_at IS NULL",
        chat.0,
        user.0
    )?;
    let access = access.ok_or(Code::ChatNotFound)?;
    // Members are not banned: only who comes from outside costs one more look.
    let banned = access.chat_type == ChatType::Room && access.role.is_none() && {
        let pair = UserChat { user_id: user, chat_id: chat };
        ban_rows::among(link, &[pair]).await?.contains(&pair)
    };
    Ok(Access { banned, ..access })
}

/// The same, and nobody else changes the chat, its members or messages until the transaction ends.
pub async fn lock(tx: &mut Tx, chat: ChatId, user: UserId) -> Result<Access> {
    // The lock is a statement of its own, so that what is read next is what the lock protects.
    // SQLite's transaction holds its only lock already.
    let found: Option<(i64,)> = fetch_optional!(
        tx,
        postgres: "SELECT id FROM chats WHERE id = $1 FOR NO KEY UPDATE", (chat.0),
        sqlite: "SELECT id FROM chats WHERE id = $1", (chat.0),
    )?;
    if found.is_none() {
        return Err(Code::ChatNotFound.into());
    }
    find(&mut tx.link(), chat, user).await
}
