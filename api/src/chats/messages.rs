//! Reading messages in pages. Deleted ones are not in them.

use super::{
    access,
    stored::{MessageRow, Stored, message_columns},
};
use crate::{
    Api,
    db::{Link, fetch_all, fetch_optional},
};
use shared::{
    chat::Message,
    id::{ChatId, Seq, UserId},
    problem::Problem,
};

/// Most messages in one page.
pub const MAX_MESSAGES: i64 = 100;

/// Which part of a chat's messages.
#[derive(Clone, Copy, Debug, Default)]
pub struct Page {
    /// Only messages after this one; without `before` the ones that follow it.
    pub after: Option<Seq>,
    /// Only messages before this one; without `after` the ones that precede it.
    pub before: Option<Seq>,
    /// At most [`MAX_MESSAGES`].
    pub limit: i64,
}

/// A page, the oldest first: after a cursor, before one, or the newest. For whoever may enter.
pub async fn list(
    api: &Api,
    user: UserId,
    chat: ChatId,
    page: Page,
) -> Result<Vec<Message>, Problem> {
    let mut conn = api.db.read().await?;
    access::find(&mut conn.link(), chat, user).await?.to_enter()?;
    let after = page.after.map_or(0, |seq| seq.0);
    let before = page.before.map_or(i64::MAX, |seq| seq.0);
    let limit = page.limit.clamp(1, MAX_MESSAGES);
    macro_rules! select {
        ($order:literal) => {
            concat!(
                "SELECT ",
                message_columns!(),
                " FROM messages m JOIN users s ON s.id = m.sender_id
                  WHERE m.chat_id = $1 AND m.id > $2 AND m.id < $3 AND m.deleted_at IS NULL
                  ORDER BY m.id ",
                $order,
                " LIMIT $4"
            )
        };
    }
    let mut rows: Vec<MessageRow> = match page.after {
        Some(_) => fetch_all!(conn, select!("ASC"), chat.0, after, before, limit)?,
        None => fetch_all!(conn, select!("DESC"), chat.0, after, before, limit)?,
    };
    if page.after.is_none() {
        rows.reverse();
    }
    Ok(rows.into_iter().map(|row| Stored::from(row).message).collect())
}

/// A page by offset from the oldest, and how many there are in all.
pub async fn history(
    api: &Api,
    user: UserId,
    chat: ChatId,
    offset: i64,
    limit: i64,
) -> Result<(Vec<Message>, i64), Problem> {
    let mut conn = api.db.read().await?;
    let access = access::find(&mut conn.link(), chat, user).await?;
    access.to_enter()?;
    let rows: Vec<MessageRow> = fetch_all!(
        conn,
        concat!(
            "SELECT ",
            message_columns!(),
            " FROM messages m JOIN users s ON s.id = m.sender_id
              WHERE m.chat_id = $1 AND m.deleted_at IS NULL ORDER BY m.id LIMIT $2 OFFSET $3"
        ),
        chat.0,
        limit.clamp(1, MAX_MESSAGES),
        offset.max(0)
    )?;
    let messages = rows.into_iter().map(|row| Stored::from(row).message).collect();
    Ok((messages, access.message_count))
}

/// One message; `None` when there is none or it is deleted. Checks no rights.
pub async fn get(link: &mut Link<'_>, chat: ChatId, id: Seq) -> Result<Option<Message>, Problem> {
    let row: Option<MessageRow> = fetch_optional!(
        link,
        concat!(
            "SELECT ",
            message_columns!(),
            " FROM messages m JOIN users s ON s.id = m.sender_id
              WHERE m.chat_id = $1 AND m.id = $2 AND m.deleted_at IS NULL"
        ),
        chat.0,
        id.0
    )?;
    Ok(row.map(|row| Stored::from(row).message))
}
