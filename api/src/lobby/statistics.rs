//! The lobby's statistics. They are read from two rows of counters, however many messages there are.

use crate::{
    db::{fetch_one, fetch_optional, row},
    error::Result,
    state::Api,
};
use protocol::id::ChatId;

/// Of the messages that are there now; deleted ones count no more.
#[derive(Debug, Clone, PartialEq)]
pub struct Statistics {
    /// Without deleted ones.
    pub total_messages: i64,
    /// Accounts and guests with at least one message left.
    pub total_users: i64,
    /// The lowest id when several have equally many messages; `None` when there is no message.
    pub most_active_user: Option<LobbySender>,
    /// Messages of this day, which begins at midnight UTC.
    pub messages_today: i64,
    /// In characters, rounded to two decimals.
    pub average_message_length: f64,
}

/// Somebody who has written in the lobby.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LobbySender {
    /// Unique among accounts; a guest's is the name as chosen.
    pub username: String,
    /// At least 1; without deleted messages.
    pub message_count: i64,
    /// Whether the sender has no account.
    pub guest: bool,
}

row! {
    struct CounterRow {
        message_count: i64,
        sender_count: i64,
        text_chars: i64,
        today: i64,
    }
}

/// The numbers of one moment.
pub async fn statistics(api: &Api) -> Result<Statistics> {
    let mut tx = api.db.of(ChatId::LOBBY).snapshot().await?;
    let CounterRow { message_count, sender_count, text_chars, today } = fetch_one!(
        tx,
        "SELECT c.message_count, n.sender_count, n.text_chars,
             CASE WHEN n.day = k.now / 86400000 THEN n.day_count ELSE 0 END AS today
         FROM clock k CROSS JOIN chats c JOIN statistics n ON n.chat_id = c.id WHERE c.id = $1",
        ChatId::LOBBY.0
    )?;
    let most_active: Option<(String, i64, bool)> = fetch_optional!(
        tx,
        "SELECT u.username, n.message_count, u.guest
         FROM senders n JOIN users u ON u.id = n.user_id
         WHERE n.chat_id = $1 AND n.message_count > 0
         ORDER BY n.message_count DESC, n.user_id LIMIT 1",
        ChatId::LOBBY.0
    )?;
    Ok(Statistics {
        total_messages: message_count,
        total_users: sender_count,
        most_active_user: most_active.map(|(username, message_count, guest)| LobbySender {
            username,
            message_count,
            guest,
        }),
        messages_today: today,
        average_message_length: average(text_chars, message_count),
    })
}

fn average(chars: i64, messages: i64) -> f64 {
    if messages <= 0 { 0.0 } else { (100.0 * chars as f64 / messages as f64).round() / 100.0 }
}

#[cfg(test)]
mod tests {
    use super::average;

    #[test]
    fn averages_have_two_decimals() {
        for (chars, messages, expected) in [(0, 0, 0.0), (7, 2, 3.5), (10, 3, 3.33), (2, 3, 0.67)] {
            assert_eq!(average(chars, messages), expected);
        }
    }
}
