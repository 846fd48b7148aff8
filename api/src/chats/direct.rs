//! The private chat of two users, found by who they are: for clients that name people and know no
//! chats. Making one is [`super::create`].

use super::stored::MessageRecord;
use crate::{
    accounts::Actor,
    audit::{self, AuditAction, AuditEntry},
    db::{Databases, Db, DbError, List, fetch_all},
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
pub(crate) async fn find(db: &Databases, one: UserId, other: UserId) -> Result<Option<ChatId>> {
    Ok(find_all(db, &[(one, other)]).await?.pop().flatten())
}

/// Each pair's private chat, if they have one, in the order asked.
///
/// Each is looked for where such chats are made. Those from before ids had buckets may be on any server, so what is not
/// found there is looked for on all others.
pub(crate) async fn find_all(
    db: &Databases,
    pairs: &[(UserId, UserId)],
) -> Result<Vec<Option<ChatId>>> {
    let mut found: HashMap<(UserId, UserId), ChatId> = HashMap::new();
    for (place, server) in db.each().iter().enumerate() {
        let made_here = |(one, other): &&(UserId, UserId)| db.place_of_pair(*one, *other) == place;
        let pairs: Vec<_> = pairs.iter().filter(made_here).copied().collect();
        found.extend(find_on(server, &pairs).await?);
    }
    for (place, server) in db.each().iter().enumerate() {
        let may_be_here = |pair: &&(UserId, UserId)| {
            db.place_of_pair(pair.0, pair.1) != place && !found.contains_key(*pair)
        };
        let pairs: Vec<_> = pairs.iter().filter(may_be_here).copied().collect();
        found.extend(find_on(server, &pairs).await?);
    }
    Ok(pairs.iter().map(|pair| found.get(pair).copied()).collect())
}

/// Those of these pairs whose chats are on a server.
async fn find_on(
    db: &Db,
    pairs: &[(UserId, UserId)],
) -> Result<Vec<((UserId, UserId), ChatId)>, DbError> {
    if pairs.is_empty() {
        return Ok(Vec::new());
    }
    let mut conn = db.read().await?;
    let keys: Vec<String> = pairs.iter().map(|(one, other)| pair_key(*one, *other)).collect();
    let rows: Vec<(String, i64)> = fetch_all!(
        conn,
        "SELECT pair_key, id FROM chats
         WHERE pair_key IN (SELECT value FROM json_each($1)) AND deleted_at IS NULL",
        List(keys.clone())
    )?;
    let chats: HashMap<String, i64> = rows.into_iter().collect();
    let found = pairs.iter().zip(&keys);
    Ok(found.filter_map(|(pair, key)| Some((*pair, ChatId(*chats.get(key)?)))).collect())
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
    let Some(chat) = find(&api.db, one, other).await? else { return Ok(Vec::new()) };
    if !is_own {
        let entry =
            AuditEntry::of(actor.user_id, AuditAction::ReadConversation).on_user(one).in_chat(chat);
        audit::record_reading(api, entry).await?;
    }
    let mut conn = api.db.of(chat).read().await?;
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
