//! The list of a chat's members.

use super::access::{self, MemberRole};
use crate::{
    audit::{self, AuditAction, AuditEntry},
    db::{Conn, DbError, List, fetch_all, row},
    error::Result,
    state::Api,
};
use protocol::{
    chat::{ChatType, PresenceStatus},
    id::{ChatId, Seq, UserId},
    time::Timestamp,
};

/// Most members in one page.
pub const MAX_MEMBERS: i64 = 500;

/// A member as the others see it.
#[derive(Clone, Debug)]
pub struct Member {
    /// The member's account.
    pub user_id: UserId,
    /// Unique regardless of case.
    pub username: String,
    /// Its display name, as chosen; not unique.
    pub name: String,
    /// A URL, or empty.
    pub avatar: String,
    /// What it may do in the chat.
    pub role: MemberRole,
    /// Whether it is connected now.
    pub status: PresenceStatus,
    /// When it joined, or joined again.
    pub joined_at: Timestamp,
    /// Everything up to this message has been read.
    pub last_read: Seq,
}

row! {
    struct MemberRow {
        id: i64,
        username: String,
        name: String,
        avatar: String,
        role: String,
        joined_at: i64,
        last_read: i64,
    }
}

/// The members after the user `after`, by id; at most [`MAX_MEMBERS`]. For whoever may enter.
pub async fn list(
    api: &Api,
    user: UserId,
    chat: ChatId,
    after: UserId,
    limit: i64,
) -> Result<Vec<Member>> {
    let mut conn = api.db.of(chat).read().await?;
    access::find(&mut conn.link(), chat, user).await?.to_enter()?;
    let rows = page(&mut conn, chat, after, limit).await?;
    drop(conn);
    views(api, rows).await
}

/// The same of any chat, for an administrator: of a private chat or group of others recorded before the answer.
pub async fn list_of_any(
    api: &Api,
    admin: UserId,
    chat: ChatId,
    after: UserId,
    limit: i64,
) -> Result<Vec<Member>> {
    let mut conn = api.db.of(chat).read().await?;
    let access = access::find(&mut conn.link(), chat, admin).await?;
    drop(conn);
    if access.to_enter().is_err() && access.chat_type != ChatType::Room {
        let entry = AuditEntry::of(admin, AuditAction::ReadMembers).in_chat(chat);
        audit::record_reading(api, entry).await?;
    }
    let mut conn = api.db.of(chat).read().await?;
    let rows = page(&mut conn, chat, after, limit).await?;
    drop(conn);
    views(api, rows).await
}

async fn page(
    conn: &mut Conn,
    chat: ChatId,
    after: UserId,
    limit: i64,
) -> Result<Vec<MemberRow>, DbError> {
    fetch_all!(
        conn,
        "SELECT u.id, u.username, u.name, u.avatar, m.role, m.joined_at, m.last_read
         FROM members m JOIN users u ON u.id = m.user_id
         WHERE m.chat_id = $1 AND m.user_id > $2 ORDER BY m.user_id LIMIT $3",
        chat.0,
        after.0,
        limit.clamp(1, MAX_MEMBERS)
    )
}

/// These members of a chat, as far as they are members.
pub async fn some(api: &Api, chat: ChatId, users: &[UserId]) -> Result<Vec<Member>> {
    let mut conn = api.db.of(chat).read().await?;
    let rows: Vec<MemberRow> = fetch_all!(
        conn,
        "SELECT u.id, u.username, u.name, u.avatar, m.role, m.joined_at, m.last_read
         FROM members m JOIN users u ON u.id = m.user_id
         WHERE m.chat_id = $1 AND m.user_id IN (SELECT value FROM json_each($2)) ORDER BY m.user_id",
        chat.0,
        users.iter().map(|user| user.0).collect::<List<i64>>()
    )?;
    drop(conn);
    views(api, rows).await
}

async fn views(api: &Api, rows: Vec<MemberRow>) -> Result<Vec<Member>> {
    let users: Vec<UserId> = rows.iter().map(|row| UserId(row.id)).collect();
    // Without the presence service everybody is shown as offline, which is what can be known.
    let online = api.presence.online(&users).await.unwrap_or_else(|error| {
        tracing::debug!(%error, "cannot read who is online");
        Default::default()
    });
    let view = |row: MemberRow| {
        let user_id = UserId(row.id);
        Member {
            user_id,
            username: row.username,
            name: row.name,
            avatar: row.avatar,
            role: MemberRole::from_text(&row.role),
            status: match online.contains(&user_id) {
                true => PresenceStatus::Online,
                false => PresenceStatus::Offline,
            },
            joined_at: Timestamp(row.joined_at),
            last_read: Seq(row.last_read),
        }
    };
    Ok(rows.into_iter().map(view).collect())
}
