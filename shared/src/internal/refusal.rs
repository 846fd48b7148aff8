//! Why an api does not do what it is asked: one item's refusal, beside which the others stand.

use serde::{Deserialize, Serialize};

/// A command was not carried out and will not be. The code is stable, the text is for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    pub code: RefusalCode,
    pub message: String,
}

/// Stable reasons for a refusal. Their snake_case spelling is the `code` clients see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalCode {
    /// No such chat.
    ChatNotFound,
    /// The chat exists and the user may not use it.
    NotAMember,
    Blocked,
    /// Kept out of this room.
    Banned,
    /// The other one of a private chat does not want to hear from the user.
    BlockedByRecipient,
    MessageNotFound,
    /// Somebody else's message.
    NotYours,
    /// Empty, too long, or with characters a text may not have.
    InvalidText,
    /// Empty, too long, or with control characters.
    InvalidClientMessageId,
    /// The same client message id came before with another text.
    ClientMessageIdReused,
    /// `reply_to` names no message of this chat.
    InvalidReplyTo,
    /// No active account has this id or username.
    RecipientNotFound,
    /// The recipient is blocked and could not read it.
    RecipientBlocked,
    /// A private chat has two members.
    RecipientIsYourself,
    /// There are as many chats, or new ones so fast, as there may be.
    TooManyChats,
    /// Guests have no access here.
    GuestsOff,
    /// Not a name a guest may have.
    InvalidUsername,
    /// A registered user's name.
    UsernameTaken,
    /// Somebody else holds the chat: ask again. Only to a caller that says it is impatient, and never
    /// shown to a client.
    Busy,
    /// A reason that a newer api knows. Its `message` tells people what it is.
    #[serde(other)]
    Unknown,
}

impl RefusalCode {
    /// The spelling clients see.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ChatNotFound => "chat_not_found",
            Self::NotAMember => "not_a_member",
            Self::Blocked => "blocked",
            Self::Banned => "banned",
            Self::BlockedByRecipient => "blocked_by_recipient",
            Self::MessageNotFound => "message_not_found",
            Self::NotYours => "not_yours",
            Self::InvalidText => "invalid_text",
            Self::InvalidClientMessageId => "invalid_client_message_id",
            Self::ClientMessageIdReused => "client_message_id_reused",
            Self::InvalidReplyTo => "invalid_reply_to",
            Self::RecipientNotFound => "recipient_not_found",
            Self::RecipientBlocked => "recipient_blocked",
            Self::RecipientIsYourself => "recipient_is_yourself",
            Self::TooManyChats => "too_many_chats",
            Self::GuestsOff => "guests_off",
            Self::InvalidUsername => "invalid_username",
            Self::UsernameTaken => "username_taken",
            Self::Busy => "busy",
            Self::Unknown => "refused",
        }
    }
}
