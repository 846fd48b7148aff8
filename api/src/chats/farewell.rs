//! A person deletes the account: leaves all groups and rooms, so that each has somebody to look after it, and is gone.
//! Private chats stay for the other person, and messages keep their author's username.

use super::membership;
use crate::{
    accounts::{Actor, deletion, password},
    db::{Db, DbError, fetch_all},
    error::Result,
    news,
    state::Api,
};
use platform::settings::Secret;
use protocol::id::{ChatId, UserId};
use std::net::IpAddr;

/// Chats that one call leaves: a second or two of work.
const MAX_CHATS: i64 = 200;

/// What a call did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Farewell {
    /// The account is gone.
    Gone,
    /// Some chats are left, and there are more: call again.
    More,
}

/// Leaves up to 200 chats; when there is none any more, deletes the account and ends its sessions. `wrong_password`,
/// `last_admin`. A call that fails in the middle is simply repeated.
pub async fn delete_account(
    api: &Api,
    actor: Actor,
    from: IpAddr,
    password: Secret,
) -> Result<Farewell> {
    let user = actor.user_id;
    password::prove(api, user, from, password).await?;
    // Tried before anything is left, and rolled back: the last administrator stays in the chats, too.
    let mut tx = api.db.home().begin().await?;
    deletion::delete(&mut tx, user).await?;
    tx.rollback().await?;
    let chats = chats(api, user).await?;
    for chat in &chats {
        membership::leave(api, actor, *chat).await?;
    }
    if chats.len() as i64 == MAX_CHATS {
        return Ok(Farewell::More);
    }
    let mut tx = api.db.home().begin().await?;
    let news = deletion::delete(&mut tx, user).await?;
    news::commit(api, tx, news).await?;
    Ok(Farewell::Gone)
}

async fn chats(api: &Api, user: UserId) -> Result<Vec<ChatId>> {
    let ask = |db: Db| async move { Ok(on_server(&db, user).await?) };
    let mut chats: Vec<ChatId> = api.db.ask_each(ask).await?.into_iter().flatten().collect();
    chats.truncate(usize::try_from(MAX_CHATS).unwrap_or_default());
    Ok(chats)
}

async fn on_server(db: &Db, user: UserId) -> Result<Vec<ChatId>, DbError> {
    let mut conn = db.read().await?;
    let rows: Vec<(i64,)> = fetch_all!(
        conn,
        "SELECT c.id FROM members m JOIN chats c ON c.id = m.chat_id
         WHERE m.user_id = $1 AND c.chat_type <> 'private' AND c.deleted_at IS NULL
         ORDER BY m.chat_id LIMIT $2",
        user.0,
        MAX_CHATS
    )?;
    Ok(rows.into_iter().map(|(id,)| ChatId(id)).collect())
}
