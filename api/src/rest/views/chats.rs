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

/// A member's part in a group or room.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = MemberRole)]
pub enum MemberRoleView {
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

/// A chat with what lists show beside the native protocol's fields.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Chat)]
pub struct ChatDetailsView {
    #[serde(flatten)]
    view: ChatView,
    /// The user's own part; `None` for a room that the user is not a member of.
    role: Option<MemberRoleView>,
    #[schema(examples(4))]
    member_count: i64,
    #[schema(examples(25))]
    message_count: i64,
    created_by: Option<UserId>,
    created_at: Timestamp,
}

impl From<Overview> for ChatDetailsView {
    fn from(overview: Overview) -> Self {
        let Overview { view, role, member_count, message_count, created_by, created_at, .. } =
            overview;
        Self {
            view,
            role: role.map(Into::into),
            member_count,
            message_count,
            created_by,
            created_at,
        }
    }
}

/// A member as the others see it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Member)]
pub struct MemberView {
    id: UserId,
    /// The same as `id`.
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
    /// Everything up to this message has been read.
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

/// A ban that has not ended.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Ban)]
pub struct BanView {
    user: UserRef,
    /// Who banned the user.
    by: UserId,
    banned_at: Timestamp,
    /// `null`: it does not end by itself.
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

/// Somebody on the list.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BlockedPerson)]
pub struct BlockedPersonView {
    user: UserRef,
    blocked_at: Timestamp,
}

impl From<BlockedPerson> for BlockedPersonView {
    fn from(person: BlockedPerson) -> Self {
        let BlockedPerson { user, blocked_at } = person;
        Self { user, blocked_at }
    }
}

/// A message of one of the user's chats.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Line)]
pub struct LineView {
    /// Its number in the chat.
    id: Seq,
    chat_id: ChatId,
    /// The sender's username.
    #[schema(examples("bob"))]
    from: String,
    /// The recipient's username, or the group's name.
    #[schema(examples("ann"))]
    to: String,
    #[schema(examples("hi"))]
    text: String,
    /// A received one: by the user. A sent one: by every other member, of at most 100 altogether.
    is_read: bool,
    date: Timestamp,
}

impl From<Line> for LineView {
    fn from(line: Line) -> Self {
        let Line { id, chat_id, from, to, text, is_read, date } = line;
        Self { id, chat_id, from, to, text, is_read, date }
    }
}
