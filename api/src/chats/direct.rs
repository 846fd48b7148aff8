//! The private chat of two users, found by who they are: for clients that name people and know no
//! chats. Making one is [`super::create`].

use super::{
    access::Actor,
    create::pair_key,
    stored::{MessageRow, Stored, message_columns},
};
use crate::{
    Api,
    audit::{self, Action, Entry},
    db::{Conn, fetch_all, fetch_optional},
};
use axum::http::StatusCode;
use shared::{
    chat::Message,
    id::{ChatId, Seq, UserId},
    internal::Role,
    problem::Problem,
};

/// Most messages in one page of [`conversation`]: what its clients, who do not page, get at most.
pub const MAX_MESSAGES: i64 = 1_000;

/// The private chat of two users, if they have one.
pub(crate) async fn find(
    conn: &mut Conn,
    one: UserId,
    other: UserId,
) -> Result<Option<ChatId>, Problem> {
    let row: Option<(i64,)> = fetch_optional!(
        conn,
        "SELECT id FROM chats WHERE pair_key = $1 AND deleted_at IS NULL",
        pair_key(one, other)
    )?;
    Ok(row.map(|(id,)| ChatId(id)))
}

/// The newest messages of two users before the message `before`, the oldest first; at most
/// [`MAX_MESSAGES`]. For the two, and for administrators, whose reading is recorded; nothing when
/// the two have no chat.
pub async fn conversation(
    api: &Api,
    actor: Actor,
    (one, other): (UserId, UserId),
    before: Option<Seq>,
    limit: i64,
) -> Result<Vec<Message>, Problem> {
    let is_own = actor.user_id == one || actor.user_id == other;
    if !is_own && actor.role != Role::Admin {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "other_user",
            "A conversation is for its two users and for administrators.",
        ));
    }
    let mut conn = api.db.read().await?;
    let Some(chat) = find(&mut conn, one, other).await? else { return Ok(Vec::new()) };
    if !is_own {
        // Given back first: a request that holds one connection and waits for another could wait
        // for itself.
        drop(conn);
        let entry = Entry::of(actor.user_id, Action::ReadConversation).on_user(one).in_chat(chat);
        audit::record_reading(api, entry).await?;
        conn = api.db.read().await?;
    }
    let mut rows: Vec<MessageRow> = fetch_all!(
        conn,
        concat!(
            "SELECT ",
            message_columns!(),
            " FROM messages m JOIN users s ON s.id = m.sender_id
              WHERE m.chat_id = $1 AND m.id < $2 AND m.deleted_at IS NULL
              ORDER BY m.id DESC LIMIT $3"
        ),
        chat.0,
        before.map_or(i64::MAX, |seq| seq.0),
        limit.clamp(1, MAX_MESSAGES)
    )?;
    rows.reverse();
    Ok(rows.into_iter().map(|row| Stored::from(row).message).collect())
}
