//! Removes accounts that [`super::bulk`] made, and the chats that they made, a bounded part in each call. No
//! other account is touched. What the removed accounts wrote in other people's chats stays.

use super::{
    avatar,
    bulk::{self, MAX_ACCOUNTS, end_sessions},
    input,
};
use crate::{
    audit::{self, AuditAction, AuditEntry},
    auth::passwords::NO_PASSWORD,
    db::{Db, DbError, List, execute, fetch_all},
    error::Result,
    news::{self, News},
    state::Api,
};
use protocol::{
    id::{ChatId, UserId},
    relay::{ChatPayload, EndReason},
};

/// Chats deleted in one call: each is announced to the gateways.
const MAX_CHATS: i64 = 1_000;

/// What one call removed.
#[derive(Debug, PartialEq, Eq)]
pub struct Removed {
    /// Accounts that were deactivated.
    pub users: usize,
    /// Chats that were deleted with them.
    pub chats: usize,
    /// There is more to remove: call again.
    pub more: bool,
}

/// Removes up to 1,000 accounts whose names begin with `prefix`, after all chats that they made. Their
/// sessions end, their names stay theirs: making them again gives the same accounts.
pub async fn remove(api: &Api, admin: UserId, prefix: &str) -> Result<Removed> {
    let prefix = &bulk::prefix(prefix)?;
    let users = find(api, prefix).await?;
    if users.is_empty() {
        return Ok(Removed { users: 0, chats: 0, more: false });
    }
    let chats = delete_chats(api, admin, prefix, &users).await?;
    if chats as i64 >= MAX_CHATS {
        return Ok(Removed { users: 0, chats, more: true });
    }
    // A transaction of its own: posting locks a chat and then reads users, so what locks users must
    // not go on to chats.
    let mut tx = api.db.home().begin().await?;
    execute!(
        tx,
        "UPDATE users SET deactivated_at = (SELECT now FROM clock)
         WHERE id IN (SELECT value FROM json_each($1))",
        List(users.clone())
    )?;
    avatar::forget(&mut tx, &users).await?;
    let reason = EndReason::SignedOut;
    let ended = end_sessions(&mut tx, &users, reason).await?;
    let told = format!("{prefix}: {} accounts", users.len());
    let entry = AuditEntry::of(admin, AuditAction::RemoveUsers).because(&told);
    audit::record(&mut tx, &[entry]).await?;
    let mut news = News::default();
    news.ended(ended, reason);
    news::commit(api, tx, news).await?;
    Ok(Removed { users: users.len(), chats, more: users.len() == MAX_ACCOUNTS })
}

async fn find(api: &Api, prefix: &str) -> Result<Vec<i64>, DbError> {
    let prefix = input::key(prefix);
    // Code points up to the last one that a text may hold: everything that begins alike.
    let end = format!("{prefix}{}", char::MAX);
    let mut conn = api.db.home().read().await?;
    let rows: Vec<(i64,)> = fetch_all!(
        conn,
        "SELECT id FROM users WHERE username_key >= $1 AND username_key < $2
         AND password_hash = $3 AND deactivated_at IS NULL ORDER BY username_key LIMIT $4",
        &prefix,
        &end,
        NO_PASSWORD,
        MAX_ACCOUNTS as i64
    )?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// Deletes chats that these users made, of one server after the other; how many.
async fn delete_chats(api: &Api, admin: UserId, prefix: &str, users: &[i64]) -> Result<usize> {
    let mut deleted = 0;
    for db in api.db.each() {
        deleted += delete_on(api, db, admin, prefix, users).await?;
        if deleted as i64 >= MAX_CHATS {
            break;
        }
    }
    Ok(deleted)
}

async fn delete_on(
    api: &Api,
    db: &Db,
    admin: UserId,
    prefix: &str,
    users: &[i64],
) -> Result<usize> {
    let mut tx = db.begin().await?;
    // It begins with the users' memberships, which have an index. It locks by id, as everybody does, so
    // that no two transactions wait for each other.
    let chats: Vec<(i64,)> = fetch_all!(
        tx,
        postgres: "SELECT c.id FROM chats c WHERE c.id IN (
                SELECT m.chat_id FROM members m JOIN chats made ON made.id = m.chat_id
                WHERE m.user_id IN (SELECT value FROM json_each($1))
                AND made.created_by = m.user_id AND made.deleted_at IS NULL AND made.id <> $2
                ORDER BY m.chat_id LIMIT $3)
            ORDER BY c.id FOR NO KEY UPDATE",
        (List(users.to_vec()), ChatId::LOBBY.0, MAX_CHATS),
        sqlite: "SELECT m.chat_id FROM members m JOIN chats made ON made.id = m.chat_id
            WHERE m.user_id IN (SELECT value FROM json_each($1))
            AND made.created_by = m.user_id AND made.deleted_at IS NULL AND made.id <> $2
            ORDER BY m.chat_id LIMIT $3",
        (List(users.to_vec()), ChatId::LOBBY.0, MAX_CHATS),
    )?;
    if chats.is_empty() {
        return Ok(0);
    }
    let ids: List<i64> = chats.iter().map(|(id,)| *id).collect();
    execute!(
        tx,
        "UPDATE chats SET deleted_at = (SELECT now FROM clock), changed_at = (SELECT now FROM clock),
             pair_key = NULL WHERE id IN (SELECT value FROM json_each($1)) AND deleted_at IS NULL",
        ids
    )?;
    let told = format!("{prefix}: {} chats", chats.len());
    let entry = AuditEntry::of(admin, AuditAction::RemoveUsers).because(&told);
    audit::record(&mut tx, &[entry]).await?;
    let mut news = News::default();
    for (chat,) in &chats {
        news.for_chat(ChatId(*chat), ChatPayload::ChatDeleted);
    }
    news::commit(api, tx, news).await?;
    Ok(chats.len())
}
