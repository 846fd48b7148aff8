//! The lobby's messages and statistics as clients see them.

use crate::lobby::{LobbyMessage, LobbySender, Statistics};
use protocol::{id::Seq, time::Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

/// A message, with the field names that the lobby's clients use.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LobbyMessage)]
pub(crate) struct LobbyMessageView {
    id: Seq,
    #[schema(examples("ann"))]
    username: String,
    #[schema(examples("hi"))]
    message: String,
    timestamp: Timestamp,
    /// True if the sender has no account.
    guest: bool,
}

impl From<LobbyMessage> for LobbyMessageView {
    fn from(message: LobbyMessage) -> Self {
        let LobbyMessage { id, username, message, timestamp, guest } = message;
        Self { id, username, message, timestamp, guest }
    }
}

/// Statistics of the current messages. Deleted messages are not counted.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Statistics)]
pub(crate) struct StatisticsView {
    #[schema(minimum = 0, examples(42))]
    total_messages: i64,
    /// The number of users who sent at least one message.
    #[schema(minimum = 0, examples(3))]
    total_users: i64,
    /// The user with the most messages; the first of them if several have equally many, `null` if
    /// there are no messages.
    most_active_user: Option<MostActiveUserView>,
    /// The number of messages today. The day begins at midnight UTC.
    #[schema(minimum = 0, examples(7))]
    messages_today: i64,
    /// The average length in characters, rounded to two decimals.
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
pub(super) struct MostActiveUserView {
    #[schema(examples("ann"))]
    username: String,
    #[schema(minimum = 1, examples(20))]
    message_count: i64,
    /// True if the user has no account.
    guest: bool,
}

impl From<LobbySender> for MostActiveUserView {
    fn from(sender: LobbySender) -> Self {
        let LobbySender { username, message_count, guest } = sender;
        Self { username, message_count, guest }
    }
}
