//! Chats, their members and their messages as clients see them.

use crate::chats::{
    access::MemberRole, bans::Ban, blocklist::BlockedPerson, conversations::Line, members::Member,
    overview::Overview,
};
use protocol::{
    chat::{ChatView, PresenceStatus, UserRef},
    id::{ChatId, Seq, UserId},
    time::Timestamp,
};
use serde::Serialize;
use utoipa::ToSchema;

/// A member's role in a group or room.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = MemberRole)]
pub(super) enum MemberRoleView {
    /// May rename and delete the chat, add and remove members, delete anybody's messages.
    Owner,
    Member,
}

impl From<MemberRole> for MemberRoleView {
    fn from(role: MemberRole) -> Self {
        match role {
            MemberRole::Owner => Self::Owner,
            MemberRole::Member => Self::Member,
        }
    }
}

/// A chat, with fields for lists beside the native protocol's fields.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Chat)]
pub(crate) struct ChatDetailsView {
    #[serde(flatten)]
    view: ChatView,
    /// The user's own role; `None` for a room that the user has not joined.
    role: Option<MemberRoleView>,
    #[schema(examples(25))]
    message_count: i64,
    created_by: Option<UserId>,
    created_at: Timestamp,
}

impl From<Overview> for ChatDetailsView {
    fn from(overview: Overview) -> Self {
        let Overview { view, role, message_count, created_by, created_at, .. } = overview;
        Self { view, role: role.map(Into::into), message_count, created_by, created_at }
    }
}

/// A member as other members see it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Member)]
pub(crate) struct MemberView {
    id: UserId,
    /// Same as `id`.
    user_id: UserId,
    #[schema(examples("ann"))]
    username: String,
    #[schema(examples("Ann"))]
    name: String,
    #[schema(examples(""))]
    avatar: String,
    role: MemberRoleView,
    status: PresenceStatus,
    joined_at: Timestamp,
    /// The member has read all messages up to and including this one.
    last_read: Seq,
}

impl From<Member> for MemberView {
    fn from(member: Member) -> Self {
        let Member { user_id, username, name, avatar, role, status, joined_at, last_read } = member;
        Self {
            id: user_id,
            user_id,
            username,
            name,
            avatar,
            role: role.into(),
            status,
            joined_at,
            last_read,
        }
    }
}

/// A ban in force.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Ban)]
pub(crate) struct BanView {
    user: UserRef,
    /// The user who set the ban.
    by: UserId,
    banned_at: Timestamp,
    /// `null` if the ban does not expire.
    ends_at: Option<Timestamp>,
    #[schema(examples("spam"))]
    reason: String,
}

impl From<Ban> for BanView {
    fn from(ban: Ban) -> Self {
        let Ban { user, by, banned_at, ends_at, reason } = ban;
        Self { user, by, banned_at, ends_at, reason }
    }
}

/// A person on the block list.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BlockedPerson)]
pub(crate) struct BlockedPersonView {
    user: UserRef,
    blocked_at: Timestamp,
}

impl From<BlockedPerson> for BlockedPersonView {
    fn from(person: BlockedPerson) -> Self {
        let BlockedPerson { user, blocked_at } = person;
        Self { user, blocked_at }
    }
}

/// A message in one of the user's chats.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Line)]
pub(crate) struct LineView {
    /// The message's number in the chat.
    id: Seq,
    chat_id: ChatId,
    /// The sender's username.
    #[schema(examples("bob"))]
    from: String,
    /// The recipient's username or the group's name.
    #[schema(examples("ann"))]
    to: String,
    #[schema(examples("hi"))]
    text: String,
    /// For a received message: the user has read it. For a sent message: every other member has
    /// read it (among at most 100 members).
    is_read: bool,
    date: Timestamp,
}

impl From<Line> for LineView {
    fn from(line: Line) -> Self {
        let Line { id, chat_id, from, to, text, is_read, date } = line;
        Self { id, chat_id, from, to, text, is_read, date }
    }
}
