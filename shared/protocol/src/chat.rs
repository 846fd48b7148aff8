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
    /// The display name: as it is now in what is read back, as it was then in a live event. Left out when it is the
    /// username.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(examples("Ann")))]
    pub name: Option<String>,
    /// Where the uploaded picture is on this server, at the time of the name. Left out when there is none, and where
    /// only names are told (`typing`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(max_length = 41, examples("/avatars/7-mEo0Vx2bQ1aZ")))]
    pub avatar: Option<String>,
    /// Somebody without an account, who chose the name for this visit. Left out when it is not so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub guest: bool,
}

impl UserRef {
    /// Somebody with an account, whose display name is the username.
    pub fn registered(id: UserId, username: impl Into<String>) -> Self {
        Self { id, username: username.into(), name: None, avatar: None, guest: false }
    }

    /// The same with this display name. An empty one is none.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        let name = name.into();
        self.name = (!name.is_empty() && name != self.username).then_some(name);
        self
    }

    /// The same with the picture that the account names. One on another server is none: others' pages do not ask
    /// strangers' servers.
    #[must_use]
    pub fn pictured(mut self, avatar: impl Into<String>) -> Self {
        self.avatar = uploaded(avatar);
        self
    }
}

/// Where uploaded pictures are: the path, in front of a picture's name.
pub const AVATARS: &str = "/avatars/";

/// What an account names as its picture, if it was uploaded to this server.
pub fn uploaded(avatar: impl Into<String>) -> Option<String> {
    Some(avatar.into()).filter(|avatar| avatar.starts_with(AVATARS))
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
    /// The newest message, also if it is deleted. Left out when there is none, and for a room that only lists tell of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_message: Option<Box<LastMessage>>,
    /// The other member of a private chat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<Box<ChatPeer>>,
    /// Members now, invited ones included. Joins and leaves of rooms make no events: there it is as of this answer.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required, examples(4)))]
    pub member_count: i64,
    /// What the user has set for the chat. Left out when it is nothing.
    #[serde(default, skip_serializing_if = "ChatSettings::are_default")]
    pub settings: ChatSettings,
}

/// The newest message of a chat, for lists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LastMessage {
    /// The message.
    pub id: Seq,
    /// Who wrote it.
    pub sender: UserRef,
    /// The beginning of its latest text on one line, at most [`MAX_PREVIEW_CHARS`] characters; if it is cut, the last
    /// one is `…`. Empty if the message is deleted.
    #[cfg_attr(feature = "openapi", schema(max_length = 100, examples("hi")))]
    pub text: String,
    /// When the message was sent.
    pub timestamp: Timestamp,
    /// It is gone. Left out when it is not so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
}

/// Longest text of a [`LastMessage`], in characters: more than one line of a list shows.
pub const MAX_PREVIEW_CHARS: usize = 100;

/// The other member of a private chat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ChatPeer {
    /// The user.
    pub id: UserId,
    /// The unique name.
    #[cfg_attr(feature = "openapi", schema(examples("ann")))]
    pub username: String,
    /// The display name.
    #[cfg_attr(feature = "openapi", schema(examples("Ann")))]
    pub name: String,
    /// See [`UserRef::avatar`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(max_length = 41, examples("/avatars/7-mEo0Vx2bQ1aZ")))]
    pub avatar: Option<String>,
    /// Whether the user is connected. Left out when it was not looked up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<PresenceStatus>,
}

/// What a user has set for one of its chats. Nobody else sees it. What is left out is false.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct ChatSettings {
    /// Its messages call for no attention.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub muted: bool,
    /// It stands before the chats that are not pinned.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub pinned: bool,
    /// It is put aside. A new message brings it back, unless it is muted.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub archived: bool,
    /// The user wants to see it as unread. A read mark or a message of the user's own ends that.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub marked_unread: bool,
}

impl ChatSettings {
    fn are_default(&self) -> bool {
        *self == Self::default()
    }
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
