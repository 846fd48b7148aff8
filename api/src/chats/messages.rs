//! Reading messages in pages. Deleted ones are not in them.

use super::{
    access,
    stored::MessageRecord,
    stretches::{self, OffsetPlace},
};
use crate::{
    db::{Link, Tx, fetch_all, fetch_optional},
    error::{Error, Result},
    state::Api,
};
use protocol::{
    chat::Message,
    id::{ChatId, Seq, UserId},
};

/// Most messages in one page.
pub const MAX_MESSAGES: i64 = 100;

/// Most messages that a page by offset walks over: some milliseconds.
pub const MAX_OFFSET: i64 = 10_000;

/// Which part of a chat's messages.
#[derive(Clone, Copy, Debug, Default)]
pub struct MessagesPage {
    /// Only messages after this one; without `before` the ones that follow it.
    pub after: Option<Seq>,
    /// Only messages before this one; without `after` the ones that precede it.
    pub before: Option<Seq>,
    /// Instead of both: half of the page are the messages up to this one, half those that follow it.
    pub around: Option<Seq>,
    /// At most [`MAX_MESSAGES`].
    pub limit: i64,
}

/// A page, the oldest first: after a cursor, before one, around one, or the newest. For whoever may enter.
pub async fn list(
    api: &Api,
    user: UserId,
    chat: ChatId,
    page: MessagesPage,
) -> Result<Vec<Message>> {
    let db = api.db.of(chat);
    let mut conn = db.read().await?;
    let access = access::find(&mut conn.link(), chat, user).await?;
    access.to_enter()?;
    // Who may read is the primary's to say, and how far the chat goes.
    if let Some(proof) = db.proof(&mut conn, [(chat.0, access.last_seq.0)]).await? {
        drop(conn);
        if let Some((mut conn, replica)) = proof.ask().await
            && let Some(found) = replica.answer(whole(&mut conn.link(), chat, page)).await
        {
            return Ok(found);
        }
        conn = db.read().await?;
    }
    whole(&mut conn.link(), chat, page).await
}

/// Both sides of a cursor, or one.
async fn whole(conn: &mut Link<'_>, chat: ChatId, page: MessagesPage) -> Result<Vec<Message>> {
    let Some(around) = page.around else { return part(conn, chat, page).await };
    let limit = page.limit.clamp(1, MAX_MESSAGES);
    let before = Some(Seq(around.0.saturating_add(1)));
    let upto = MessagesPage { before, limit: limit - limit / 2, ..Default::default() };
    let mut found = part(conn, chat, upto).await?;
    if limit > 1 {
        let behind = MessagesPage { after: Some(around), limit: limit / 2, ..Default::default() };
        found.extend(part(conn, chat, behind).await?);
    }
    Ok(found)
}

/// A page on one side of its cursor, or the newest.
async fn part(conn: &mut Link<'_>, chat: ChatId, page: MessagesPage) -> Result<Vec<Message>> {
    let after = page.after.map_or(0, |seq| seq.0);
    let before = page.before.map_or(i64::MAX, |seq| seq.0);
    let limit = page.limit.clamp(1, MAX_MESSAGES);
    let mut found: Vec<MessageRecord> = match page.after {
        Some(_) => fetch_all!(
            conn,
            "SELECT m.chat_id, m.id, m.seq, m.sender_id, s.username, s.name, s.avatar, s.guest, m.client_message_id, m.text,
                m.reply_to, m.created_at, m.edited_at, m.deleted_at, m.deleted_by
             FROM messages m JOIN users s ON s.id = m.sender_id
             WHERE m.chat_id = $1 AND m.id > $2 AND m.id < $3 AND m.deleted_at IS NULL
             ORDER BY m.id LIMIT $4",
            chat.0,
            after,
            before,
            limit
        )?,
        None => fetch_all!(
            conn,
            "SELECT m.chat_id, m.id, m.seq, m.sender_id, s.username, s.name, s.avatar, s.guest, m.client_message_id, m.text,
                m.reply_to, m.created_at, m.edited_at, m.deleted_at, m.deleted_by
             FROM messages m JOIN users s ON s.id = m.sender_id
             WHERE m.chat_id = $1 AND m.id > $2 AND m.id < $3 AND m.deleted_at IS NULL
             ORDER BY m.id DESC LIMIT $4",
            chat.0,
            after,
            before,
            limit
        )?,
    };
    if page.after.is_none() {
        found.reverse();
    }
    Ok(found.into_iter().map(|stored| stored.message).collect())
}

/// A page by offset from the oldest, and how many there are in all. What lies between the page and the
/// chat's nearer end is walked over: `validation_failed` when that is more than [`MAX_OFFSET`], but not in the lobby,
/// where stretches of messages are counted.
pub async fn history(
    api: &Api,
    user: UserId,
    chat: ChatId,
    offset: i64,
    limit: i64,
) -> Result<(Vec<Message>, i64)> {
    let (offset, limit) = (offset.max(0), limit.clamp(1, MAX_MESSAGES));
    // One moment for all statements, or what is counted and what is read would be another's.
    let mut tx = api.db.of(chat).snapshot().await?;
    let access = access::find(&mut tx.link(), chat, user).await?;
    access.to_enter()?;
    let total = access.message_count;
    let count = (total - offset).clamp(0, limit);
    let newer = total - offset - count;
    let found = if offset <= MAX_OFFSET {
        oldest(&mut tx, chat, OffsetPlace { first: 0, skip: offset }, limit).await?
    } else if count == 0 {
        Vec::new()
    } else if newer <= MAX_OFFSET {
        newest(&mut tx, chat, newer, count).await?
    } else if chat == ChatId::LOBBY {
        match stretches::place(&mut tx, offset).await? {
            Some(place) => oldest(&mut tx, chat, place, limit).await?,
            None => Vec::new(),
        }
    } else {
        let most = format!(
            "is more than {MAX_OFFSET} messages away from either end of the chat; to read any part of it, \
             use GET /chats/{{chat_id}}/messages?before="
        );
        return Err(Error::field("offset", most));
    };
    Ok((found.into_iter().map(|stored| stored.message).collect(), total))
}

/// The messages from a place on.
async fn oldest(
    tx: &mut Tx,
    chat: ChatId,
    place: OffsetPlace,
    limit: i64,
) -> Result<Vec<MessageRecord>> {
    Ok(fetch_all!(
        tx,
        "SELECT m.chat_id, m.id, m.seq, m.sender_id, s.username, s.name, s.avatar, s.guest, m.client_message_id, m.text,
            m.reply_to, m.created_at, m.edited_at, m.deleted_at, m.deleted_by
         FROM (SELECT chat_id, id FROM messages WHERE chat_id = $1 AND id >= $2 AND deleted_at IS NULL
               ORDER BY id LIMIT $3 OFFSET $4) p
         JOIN messages m ON m.chat_id = p.chat_id AND m.id = p.id JOIN users s ON s.id = m.sender_id
         ORDER BY m.id",
        chat.0,
        place.first,
        limit,
        place.skip
    )?)
}

/// The messages before the newest `skip` ones.
async fn newest(tx: &mut Tx, chat: ChatId, skip: i64, limit: i64) -> Result<Vec<MessageRecord>> {
    Ok(fetch_all!(
        tx,
        "SELECT m.chat_id, m.id, m.seq, m.sender_id, s.username, s.name, s.avatar, s.guest, m.client_message_id, m.text,
            m.reply_to, m.created_at, m.edited_at, m.deleted_at, m.deleted_by
         FROM (SELECT chat_id, id FROM messages WHERE chat_id = $1 AND deleted_at IS NULL
               ORDER BY id DESC LIMIT $2 OFFSET $3) p
         JOIN messages m ON m.chat_id = p.chat_id AND m.id = p.id JOIN users s ON s.id = m.sender_id
         ORDER BY m.id",
        chat.0,
        limit,
        skip
    )?)
}

/// One message; `None` when there is none or it is deleted. Checks no rights.
pub async fn get(link: &mut Link<'_>, chat: ChatId, id: Seq) -> Result<Option<Message>> {
    let found: Option<MessageRecord> = fetch_optional!(
        link,
        "SELECT m.chat_id, m.id, m.seq, m.sender_id, s.username, s.name, s.avatar, s.guest, m.client_message_id, m.text,
            m.reply_to, m.created_at, m.edited_at, m.deleted_at, m.deleted_by
         FROM messages m JOIN users s ON s.id = m.sender_id
         WHERE m.chat_id = $1 AND m.id = $2 AND m.deleted_at IS NULL",
        chat.0,
        id.0
    )?;
    Ok(found.map(|stored| stored.message))
}
