//! Who is kept out of a room, for a time or for good: not a member, and neither reads, writes nor enters
//! it. A room's owner and administrators decide. Whoever is removed from a room is banned from it, since
//! anybody might come back at once; adding the user again lifts the ban.

use super::{
    access::{self, Access, Right},
    ban_rows::{self, Banning},
    membership,
};
use crate::{
    accounts::Actor,
    audit::{self, AuditAction, AuditEntry},
    db::{Link, fetch_all, fetch_optional, from_row, people_copy},
    error::{Error, Result},
    news::{self, News},
    state::Api,
};
use protocol::{
    chat::{ChatType, UserRef},
    code::Code,
    id::{ChatId, UserId},
    relay::UserPayload,
    time::Timestamp,
};
use std::time::Duration;

/// Most bans in one page.
pub const MAX_BANS: i64 = 500;

/// A ban that has not ended.
#[derive(Clone, Debug)]
pub struct Ban {
    /// The user who cannot enter or write.
    pub user: UserRef,
    /// The owner or administrator who did it.
    pub by: UserId,
    /// When the ban began, by the database's clock.
    pub banned_at: Timestamp,
    /// `None`: it lasts until somebody lifts it.
    pub ends_at: Option<Timestamp>,
    /// As it was given; empty for none.
    pub reason: String,
}

/// Bans a user from a room, in place of an earlier ban. Owner and administrators; only an administrator
/// bans the owner, whose room passes on as if it were left.
pub async fn ban(
    api: &Api,
    actor: Actor,
    chat: ChatId,
    user: UserId,
    length: Option<Duration>,
    reason: &str,
) -> Result<Ban> {
    audit::check_reason(reason)?;
    people_copy::await_people(&api.db, api.db.of(chat), &[user.0]).await?;
    let mut tx = api.db.of(chat).begin().await?;
    // Locked before anything is read of the room: nobody enters it while the ban is being written.
    let access = access::lock(&mut tx, chat, actor.user_id).await?;
    let right = to_ban(&access, actor)?;
    if user == actor.user_id {
        return Err(Code::CannotBanYourself.into());
    }
    let known: Option<(i64,)> = fetch_optional!(tx, "SELECT id FROM users WHERE id = $1", user.0)?;
    if known.is_none() {
        return Err(Code::UserNotFound.into());
    }
    let role = membership::role(&mut tx, chat, user).await?;
    ban_rows::insert(
        &mut tx,
        chat,
        Banning { user, by: actor.user_id, length, reason },
        api.config.chats.bans,
    )
    .await?;
    // An owner rules its own room; only what administrators do in others' rooms is logged.
    if right == Right::Admin {
        let entry = AuditEntry::of(actor.user_id, AuditAction::BanUser).in_chat(chat).on_user(user);
        audit::record(&mut tx, &[entry.because(reason)]).await?;
    }
    let ban = read(&mut tx.link(), chat, user.0 - 1, 1).await?.pop().ok_or_else(Error::internal)?;
    match role {
        Some(role) => membership::expel(api, tx, access, actor.user_id, user, role).await?,
        // Not a member, but perhaps watching the room, which the ban ends, too.
        None => {
            let mut news = News::default();
            news.for_user(user, UserPayload::Removed { chat_id: chat, banned: true });
            news::commit(api, tx, news).await?;
        }
    }
    Ok(ban)
}

/// Lifts a ban; the user may enter again. None there: nothing changes. Owner and administrators.
pub async fn lift(api: &Api, actor: Actor, chat: ChatId, user: UserId) -> Result<()> {
    let mut tx = api.db.of(chat).begin().await?;
    let access = access::lock(&mut tx, chat, actor.user_id).await?;
    let right = to_ban(&access, actor)?;
    if ban_rows::remove(&mut tx, chat, &[user.0]).await? > 0 && right == Right::Admin {
        let entry = AuditEntry::of(actor.user_id, AuditAction::LiftBan).in_chat(chat).on_user(user);
        audit::record(&mut tx, &[entry]).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// A room's bans, those of the users after `after`, by id; at most [`MAX_BANS`]. Owner and administrators.
pub async fn list(
    api: &Api,
    actor: Actor,
    chat: ChatId,
    after: UserId,
    limit: i64,
) -> Result<Vec<Ban>> {
    let mut conn = api.db.of(chat).read().await?;
    to_ban(&access::find(&mut conn.link(), chat, actor.user_id).await?, actor)?;
    read(&mut conn.link(), chat, after.0, limit.clamp(1, MAX_BANS)).await
}

fn to_ban(access: &Access, actor: Actor) -> Result<Right> {
    let right = access.to_manage(actor)?;
    if access.chat_type != ChatType::Room {
        return Err(Code::NotARoom.into());
    }
    Ok(right)
}

async fn read(link: &mut Link<'_>, chat: ChatId, after: i64, limit: i64) -> Result<Vec<Ban>> {
    Ok(fetch_all!(
        link,
        "SELECT u.id, u.username, u.name, u.avatar, u.guest, b.banned_by, b.banned_at, b.ends_at, b.reason
         FROM bans b JOIN users u ON u.id = b.user_id
         WHERE b.chat_id = $1 AND b.user_id > $2
             AND (b.ends_at IS NULL OR b.ends_at > (SELECT now FROM clock))
         ORDER BY b.user_id LIMIT $3",
        chat.0,
        after,
        limit
    )?)
}

from_row!(Ban, |row| Self {
    user: UserRef {
        guest: row.try_get("guest")?,
        ..UserRef::registered(UserId(row.try_get("id")?), row.try_get::<String, _>("username")?)
            .named(row.try_get::<String, _>("name")?)
            .pictured(row.try_get::<String, _>("avatar")?)
    },
    by: UserId(row.try_get("banned_by")?),
    banned_at: Timestamp(row.try_get("banned_at")?),
    ends_at: row.try_get::<Option<i64>, _>("ends_at")?.map(Timestamp),
    reason: row.try_get("reason")?,
});
