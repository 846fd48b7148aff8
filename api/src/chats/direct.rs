//! The private chat of two users, found by who they are: for clients that name people and know no
//! chats. Making one is [`super::create`].

use super::stored::MessageRecord;
use crate::{
    accounts::Actor,
    audit::{self, AuditAction, AuditEntry},
    db::{Conn, DbError, List, fetch_all},
    error::Result,
    state::Api,
};
use protocol::{
    account::Role,
    chat::Message,
    code::Code,
    id::{ChatId, Seq, UserId},
};
use std::collections::HashMap;

/// Most messages in one page of [`conversation`]: what its clients, who do not page, get at most.
pub const MAX_MESSAGES: i64 = 1_000;

/// What names the private chat of two users, whoever of them asks.
pub(crate) fn pair_key(one: UserId, other: UserId) -> String {
    format!("{}:{}", one.min(other), one.max(other))
}

/// The private chat of two users, if they have one.
pub(crate) async fn find(
    conn: &mut Conn,
    one: UserId,
    other: UserId,
) -> Result<Option<ChatId>, DbError> {
    Ok(find_all(conn, &[(one, other)]).await?.pop().flatten())
}

/// Each pair's private chat, if they have one, in the order asked.
pub(crate) async fn find_all(
    conn: &mut Conn,
    pairs: &[(UserId, UserId)],
) -> Result<Vec<Option<ChatId>>, DbError> {
    if pairs.is_empty() {
        return Ok(Vec::new());
    }
    let keys: Vec<String> = pairs.iter().map(|(one, other)| pair_key(*one, *other)).collect();
    let rows: Vec<(String, i64)> = fetch_all!(
        conn,
        "SELECT pair_key, id FROM chats
         WHERE pair_key IN (SELECT value FROM json_each($1)) AND deleted_at IS NULL",
        List(keys.clone())
    )?;
    let chats: HashMap<String, i64> = rows.into_iter().collect();
    Ok(keys.iter().map(|key| chats.get(key).copied().map(ChatId)).collect())
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
) -> Result<Vec<Message>> {
    let is_own = actor.user_id == one || actor.user_id == other;
    if !is_own && actor.role != Role::Admin {
        return Err(Code::OtherUser.into());
    }
    let mut conn = api.db.read().await?;
    let Some(chat) = find(&mut conn, one, other).await? else { return Ok(Vec::new()) };
    if !is_own {
        // Given back first: a request that holds one connection and waits for another could wait
        // for itself.
        drop(conn);
        let entry =
            AuditEntry::of(actor.user_id, AuditAction::ReadConversation).on_user(one).in_chat(chat);
        audit::record_reading(api, entry).await?;
        conn = api.db.read().await?;
    }
    let mut found: Vec<MessageRecord> = fetch_all!(
        conn,
        "SELECT m.chat_id, m.id, m.seq, m.sender_id, s.username, s.name, s.avatar, s.guest, m.client_message_id, m.text,
            m.reply_to, m.created_at, m.edited_at, m.deleted_at, m.deleted_by
         FROM messages m JOIN users s ON s.id = m.sender_id
         WHERE m.chat_id = $1 AND m.id < $2 AND m.deleted_at IS NULL
         ORDER BY m.id DESC LIMIT $3",
        chat.0,
        before.map_or(i64::MAX, |seq| seq.0),
        limit.clamp(1, MAX_MESSAGES)
    )?;
    found.reverse();
    Ok(found.into_iter().map(|stored| stored.message).collect())
}
