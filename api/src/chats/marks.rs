//! Read marks of whole chats at once. The marks move by [`super::read::mark_read`], so the user's other
//! devices and the senders hear of it as of any other.

use super::direct;
use crate::{Api, db::fetch_all, error::Result};
use shared::{
    id::{ChatId, Seq, UserId},
    internal::{MAX_BATCH, MarkRead, ReadMark},
};
use std::ops::RangeInclusive;

/// Marks everything in all of a user's chats as read. Returns how many chats' marks moved.
pub async fn mark_all(api: &Api, user: UserId) -> Result<usize> {
    let mut marked = 0;
    let mut first = 0;
    loop {
        let chats = mark(api, user, first..=i64::MAX).await?;
        marked += chats.len();
        match chats.last() {
            Some(last) if chats.len() == MAX_BATCH => first = last.0 + 1,
            _ => return Ok(marked),
        }
    }
}

/// Marks everything in the user's private chat with another user as read: 1 when the mark moved,
/// 0 when nothing was unread or they have no chat.
pub async fn mark_from(api: &Api, user: UserId, sender: UserId) -> Result<usize> {
    let mut conn = api.db.read().await?;
    let chat = direct::find(&mut conn, user, sender).await?;
    drop(conn);
    let Some(ChatId(chat)) = chat else { return Ok(0) };
    Ok(mark(api, user, chat..=chat).await?.len())
}

/// Marks the user's chats of this range whose marks are behind, the first [`MAX_BATCH`] of them, and
/// returns those.
async fn mark(api: &Api, user_id: UserId, range: RangeInclusive<i64>) -> Result<Vec<ChatId>> {
    let mut conn = api.db.read().await?;
    let behind: Vec<(i64, i64)> = fetch_all!(
        conn,
        "SELECT m.chat_id, c.last_seq FROM members m
         JOIN chats c ON c.id = m.chat_id AND c.deleted_at IS NULL
         WHERE m.user_id = $1 AND m.chat_id >= $2 AND m.chat_id <= $3 AND m.last_read < c.last_seq
         ORDER BY m.chat_id LIMIT $4",
        user_id.0,
        range.start(),
        range.end(),
        MAX_BATCH as i64
    )?;
    drop(conn);
    let mark = |&(chat, end)| ReadMark { user_id, chat_id: ChatId(chat), message_id: Seq(end) };
    let marks = behind.iter().map(mark).collect();
    super::read::mark_read(api, MarkRead { marks }).await?;
    Ok(behind.into_iter().map(|(chat, _)| ChatId(chat)).collect())
}
