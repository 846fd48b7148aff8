//! Pages of the lobby's messages. The oldest message of a page comes first; deleted messages are left out.

use crate::{
    accounts::{guests::guest_key, input},
    chats::stretches,
    db::{Link, fetch_all, fetch_one, fetch_optional, from_row},
    error::Result,
    state::Api,
};
use platform::text::is_nobodys;
use protocol::{
    code::Code,
    id::{ChatId, Seq},
    time::Timestamp,
};

/// A message with the names that the lobby's clients know it by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LobbyMessage {
    /// Counts events in the lobby, so a page has gaps between numbers.
    pub id: Seq,
    /// The sender's, a guest's as chosen.
    pub username: String,
    /// The latest text, if it was edited.
    pub message: String,
    /// When it was sent, by the database's clock; an edit does not change it.
    pub timestamp: Timestamp,
    /// Whether the sender has no account.
    pub guest: bool,
}

/// Most messages in one page.
pub const MAX_MESSAGES: i64 = 100;

/// The lobby stands as a number where one sender's messages are looked for, because their index has
/// `WHERE chat_id = 1`: a database that plans for any value of a parameter cannot use it. And as a
/// parameter everywhere else, so that it does not: while it is small, it looks as good as the right one.
const _: () = assert!(ChatId::LOBBY.0 == 1);

from_row!(LobbyMessage, |row| Self {
    id: Seq(row.try_get("id")?),
    username: row.try_get("username")?,
    message: row.try_get("text")?,
    timestamp: Timestamp(row.try_get("created_at")?),
    guest: row.try_get("guest")?,
});

/// How many messages the lobby holds.
pub async fn total(link: &mut Link<'_>) -> Result<i64> {
    let (count,): (i64,) =
        fetch_one!(link, "SELECT message_count FROM chats WHERE id = $1", ChatId::LOBBY.0)?;
    Ok(count)
}

/// At most `limit` messages after the oldest `offset` ones, and how many there are in all. Takes about
/// as long whatever the offset.
pub async fn page(api: &Api, offset: i64, limit: i64) -> Result<(Vec<LobbyMessage>, i64)> {
    // All three statements must see the same moment: if a message is deleted between them, the place that
    // the second one found is off by one.
    let mut tx = api.db.of(ChatId::LOBBY).snapshot().await?;
    let total = total(&mut tx.link()).await?;
    let Some(place) = stretches::place(&mut tx, offset).await? else {
        return Ok((Vec::new(), total));
    };
    let messages = fetch_all!(
        tx,
        "SELECT m.id, u.username, u.guest, m.text, m.created_at
         FROM (SELECT chat_id, id FROM messages WHERE chat_id = $1 AND id >= $2 AND deleted_at IS NULL
               ORDER BY id LIMIT $3 OFFSET $4) p
         JOIN messages m ON m.chat_id = p.chat_id AND m.id = p.id JOIN users u ON u.id = m.sender_id
         ORDER BY m.id",
        ChatId::LOBBY.0,
        place.first,
        limit.clamp(1, MAX_MESSAGES),
        place.skip
    )?;
    Ok((messages, total))
}

/// The newest `limit` messages, and how many there are in all.
pub async fn recent(api: &Api, limit: i64) -> Result<(Vec<LobbyMessage>, i64)> {
    let mut tx = api.db.of(ChatId::LOBBY).snapshot().await?;
    let total = total(&mut tx.link()).await?;
    let messages = fetch_all!(
        tx,
        "SELECT m.id, u.username, u.guest, m.text, m.created_at
         FROM (SELECT chat_id, id FROM messages WHERE chat_id = $1 AND deleted_at IS NULL
               ORDER BY id DESC LIMIT $2) p
         JOIN messages m ON m.chat_id = p.chat_id AND m.id = p.id JOIN users u ON u.id = m.sender_id
         ORDER BY m.id",
        ChatId::LOBBY.0,
        limit.clamp(1, MAX_MESSAGES)
    )?;
    Ok((messages, total))
}

/// What one sender wrote in the lobby.
#[derive(Debug)]
pub struct SenderPage {
    /// As the sender spells it, whatever case the caller asked with.
    pub username: String,
    /// The newest ones.
    pub messages: Vec<LobbyMessage>,
    /// How many there are in all.
    pub total: i64,
}

/// The newest `limit` messages of the registered user of this name, or else of the guest. `user_not_found`
/// when nobody ever had it.
pub async fn by_sender(api: &Api, username: &str, limit: i64) -> Result<SenderPage> {
    if is_nobodys(username) {
        return Err(Code::UserNotFound.into());
    }
    let [written, prepared] = input::username_keys(username);
    let (guest_written, guest_prepared) = (guest_key(&written), guest_key(&prepared));
    let mut tx = api.db.of(ChatId::LOBBY).snapshot().await?;
    let found: Option<(i64, String, i64)> = fetch_optional!(
        tx,
        "SELECT u.id, u.username, COALESCE(n.message_count, 0)
         FROM users u LEFT JOIN senders n ON n.chat_id = $5 AND n.user_id = u.id
         WHERE u.username_key IN ($1, $2, $3, $4)
         ORDER BY u.guest, u.username_key IN ($1, $3) DESC LIMIT 1",
        &written,
        &prepared,
        &guest_written,
        &guest_prepared,
        ChatId::LOBBY.0
    )?;
    let (user, username, total) = found.ok_or(Code::UserNotFound)?;
    let limit = limit.clamp(1, MAX_MESSAGES);
    // SQLite, which has no statistics of our tables, would walk over everybody's messages instead.
    let messages = fetch_all!(
        tx,
        postgres: "SELECT m.id, u.username, u.guest, m.text, m.created_at
            FROM (SELECT chat_id, id FROM messages
                  WHERE chat_id = 1 AND sender_id = $1 AND deleted_at IS NULL
                  ORDER BY id DESC LIMIT $2) p
            JOIN messages m ON m.chat_id = p.chat_id AND m.id = p.id JOIN users u ON u.id = m.sender_id
            ORDER BY m.id",
        (user, limit),
        sqlite: "SELECT m.id, u.username, u.guest, m.text, m.created_at
            FROM (SELECT chat_id, id FROM messages INDEXED BY messages_of_sender_in_lobby
                  WHERE chat_id = 1 AND sender_id = $1 AND deleted_at IS NULL
                  ORDER BY id DESC LIMIT $2) p
            JOIN messages m ON m.chat_id = p.chat_id AND m.id = p.id JOIN users u ON u.id = m.sender_id
            ORDER BY m.id",
        (user, limit),
    )?;
    Ok(SenderPage { username, messages, total })
}
