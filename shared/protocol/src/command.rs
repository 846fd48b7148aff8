//! The commands that change a chat's messages, and their receipts. The api decides who may give which command.

use crate::{
    id::{ChatId, Seq, UserId},
    time::Timestamp,
};
use serde::{Deserialize, Serialize};

/// A user's command to change a chat's messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// Who gives it.
    pub user_id: UserId,
    /// The chat that it changes.
    pub chat_id: ChatId,
    /// The change.
    #[serde(flatten)]
    pub action: Action,
}

/// The change that a command makes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Action {
    /// Post a message. The same `client_message_id` of the same sender in the same chat posts once. With another
    /// text it is refused (`client_message_id_reused`).
    Send {
        /// The idempotency key.
        client_message_id: String,
        /// The text of the message.
        text: String,
        /// The message of the same chat to which this one replies.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reply_to: Option<Seq>,
    },
    /// Replace the text of an own message. Succeeds without a change if the message has this text already, or if
    /// an edit with this id and text was made before, even if later edits followed.
    Edit {
        /// The message to change.
        message_id: Seq,
        /// The new text.
        text: String,
        /// The idempotency key of this edit.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        client_edit_id: Option<String>,
    },
    /// Remove an own message; administrators and chat owners may remove any. Succeeds without a change if the
    /// message was removed before.
    Delete {
        /// The message to remove.
        message_id: Seq,
    },
}

/// The receipt of a command that was committed, now or by an earlier try.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The message that was posted, edited or removed.
    pub message_id: Seq,
    /// The event that the command made. It equals `message_id` for a new message.
    pub seq: Seq,
    /// When it was committed, by the database's clock.
    pub timestamp: Timestamp,
    /// Whether it was committed by an earlier try, so that this one changed nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub repeated: bool,
}
