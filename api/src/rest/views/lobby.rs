//! The lobby as its clients see it.

use crate::lobby::{LobbyMessage, Sender, Statistics};
use protocol::{id::Seq, time::Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

/// A message with the names that the lobby's clients know it by.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LobbyMessage)]
pub struct LobbyMessageView {
    id: Seq,
    #[schema(examples("ann"))]
    username: String,
    #[schema(examples("hi"))]
    message: String,
    timestamp: Timestamp,
    /// The sender has no account.
    guest: bool,
}

impl From<LobbyMessage> for LobbyMessageView {
    fn from(message: LobbyMessage) -> Self {
        let LobbyMessage { id, username, message, timestamp, guest } = message;
        Self { id, username, message, timestamp, guest }
    }
}

/// Of the messages that are there now; deleted ones count no more.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Statistics)]
pub struct StatisticsView {
    #[schema(minimum = 0, examples(42))]
    total_messages: i64,
    /// Senders of at least one message.
    #[schema(minimum = 0, examples(3))]
    total_users: i64,
    /// The first of them when several have as many messages; `null` when there is no message.
    most_active_user: Option<MostActiveUserView>,
    /// Messages of this day, which begins at midnight UTC.
    #[schema(minimum = 0, examples(7))]
    messages_today: i64,
    /// In characters, rounded to two decimals.
    #[schema(minimum = 0, examples(12.5))]
    average_message_length: f64,
}

impl From<Statistics> for StatisticsView {
    fn from(statistics: Statistics) -> Self {
        let Statistics {
            total_messages,
            total_users,
            most_active_user,
            messages_today,
            average_message_length,
        } = statistics;
        Self {
            total_messages,
            total_users,
            most_active_user: most_active_user.map(Into::into),
            messages_today,
            average_message_length,
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MostActiveUser)]
pub struct MostActiveUserView {
    #[schema(examples("ann"))]
    username: String,
    #[schema(minimum = 1, examples(20))]
    message_count: i64,
    /// Has no account.
    guest: bool,
}

impl From<Sender> for MostActiveUserView {
    fn from(sender: Sender) -> Self {
        let Sender { username, message_count, guest } = sender;
        Self { username, message_count, guest }
    }
}
