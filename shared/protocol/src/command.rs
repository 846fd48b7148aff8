//! What a user does to a chat's messages, and the receipt for it. How often a command may come and who may
//! give it is the api's business.

use crate::{
    id::{ChatId, Seq, UserId},
    time::Timestamp,
};
use serde::{Deserialize, Serialize};

/// One thing a user wants done to a chat's messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// Who gives it.
    pub user_id: UserId,
    /// The chat that it changes.
    pub chat_id: ChatId,
    /// What it does.
    #[serde(flatten)]
    pub action: Action,
}

/// What a command does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Action {
    /// Post a message. The same `client_message_id` of the same sender in the same chat posts once;
    /// with another text it is refused (`client_message_id_reused`).
    Send {
        /// The idempotency key.
        client_message_id: String,
        /// What the message says.
        text: String,
        /// The message that it answers, in the same chat.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reply_to: Option<Seq>,
    },
    /// Replace an own message's text. The text it has already, or an edit of this id to this text was
    /// made before, whatever came after it: done, nothing changes.
    Edit {
        /// The message to change.
        message_id: Seq,
        /// What it says from now on.
        text: String,
        /// The idempotency key of this edit.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        client_edit_id: Option<String>,
    },
    /// Remove an own message (admins and chat owners: any). Removed already: done, nothing changes.
    Delete {
        /// The message to remove.
        message_id: Seq,
    },
}

/// A command was committed, now or by an earlier try.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The message that was posted, edited or removed.
    pub message_id: Seq,
    /// The event it made: `message_id` for a message.
    pub seq: Seq,
    /// When it was committed, by the database's clock.
    pub timestamp: Timestamp,
    /// It had been committed before: this try changed nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub repeated: bool,
}
