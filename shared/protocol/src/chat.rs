//! What a chat is made of, as every part of the product and the native protocol spell it: kinds,
//! members, messages and the numbered events. No behaviour: the api decides what may happen.

use crate::{
    id::{ChatId, Seq, UserId},
    time::Timestamp,
};
use serde::{Deserialize, Serialize};

/// The three kinds of chat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum ChatType {
    /// Exactly two members, at most one chat per pair.
    Private,
    /// Members only.
    Group,
    /// Public: any signed-in user may enter, read and write. Joins and leaves make no events.
    Room,
}

/// A user as others see them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UserRef {
    /// The account, or the guest of this name.
    pub id: UserId,
    /// The unique name.
    #[cfg_attr(feature = "openapi", schema(examples("ann")))]
    pub username: String,
    /// Somebody without an account, who chose the name for this visit. Left out when it is not so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub guest: bool,
}

impl UserRef {
    /// Somebody with an account.
    pub fn registered(id: UserId, username: impl Into<String>) -> Self {
        Self { id, username: username.into(), guest: false }
    }
}

/// A chat as one of its members sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ChatView {
    /// The chat.
    pub id: ChatId,
    /// For a private chat the other member's display name.
    #[cfg_attr(feature = "openapi", schema(examples("team")))]
    pub name: String,
    /// Which of the three kinds it is.
    pub chat_type: ChatType,
    /// The chat's newest event.
    pub seq: Seq,
    /// Everything up to this message has been read by this user.
    pub last_read: Seq,
    /// Messages since the user last read or wrote here. Those deleted meanwhile are in the count as long as
    /// a later one is there. Counted up to 100 in a chat that an upgrade of the server has not gone through yet.
    #[cfg_attr(feature = "openapi", schema(minimum = 0, examples(2)))]
    pub unread: i64,
    /// An invitation of this user, who is a stranger: it comes after all other chats, until the member joins
    /// the chat or writes in it. Left out when it is not so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invited_by: Option<UserRef>,
}

/// One message in its latest state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// The `seq` of its creation.
    pub id: Seq,
    /// Who wrote it.
    pub sender: UserRef,
    /// What it says.
    pub text: String,
    /// When it was committed, by the database's clock.
    pub timestamp: Timestamp,
    /// The sender's idempotency key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_message_id: Option<String>,
    /// The message that it answers, in the same chat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<Seq>,
    /// When its text last changed; left out when it never did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edited_at: Option<Timestamp>,
}

/// A numbered change of a chat. Every connected device gets each one once, in the order of `seq`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Its place among the chat's events.
    pub seq: Seq,
    /// What happened.
    #[serde(flatten)]
    pub change: Change,
}

/// What an event says. `type` names the variant, as in the native protocol.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Change {
    /// A message nobody who was up to date has seen yet. When it comes from a catch-up, the text is
    /// the latest one, and `edited_at` tells that it was edited since.
    Message(Message),
    /// A message's new text. Carries the whole message, so that a device that never saw it can show it.
    Edited(Message),
    /// A message is gone. A device that never saw it ignores this.
    Deleted {
        /// The message.
        id: Seq,
        /// Who removed it.
        by: UserId,
        /// When it was committed.
        timestamp: Timestamp,
    },
    /// Somebody joined, left or was removed.
    Member {
        /// The member.
        user: UserRef,
        /// What the member did, or what was done to it.
        change: MemberChange,
        /// Who did it: the user for `joined` by itself and `left`, another for an invitation or removal.
        by: UserId,
        /// When it was committed.
        timestamp: Timestamp,
    },
    /// The chat has another name.
    Renamed {
        /// The name from now on.
        name: String,
        /// Who renamed it.
        by: UserId,
        /// When it was committed.
        timestamp: Timestamp,
    },
    /// The chat belongs to this member: its owner left, or was removed by `by`.
    Owner {
        /// The new owner.
        user: UserRef,
        /// Who left, or who removed the former owner.
        by: UserId,
        /// When it was committed.
        timestamp: Timestamp,
    },
    /// Of a kind that a newer node knows. It keeps its place, so that what follows it is not late.
    #[serde(other)]
    Unknown,
}

/// How the members of a chat changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MemberChange {
    /// Became a member, alone or added by another.
    Joined,
    /// Ended its membership.
    Left,
    /// Was taken out by another.
    Removed,
}

/// Whether a user is connected to any gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum PresenceStatus {
    /// Connected to some gateway, or was until a moment ago.
    Online,
    /// Connected to none.
    Offline,
}
