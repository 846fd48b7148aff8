//! Reading users' profiles and changing one's own.

use super::{
    Actor,
    input::{self, Check},
    user::{self, Profile, User, Viewer},
};
use crate::{
    audit::{self, AuditAction, AuditEntry},
    db::{execute, fetch_all},
    error::Result,
    state::Api,
};
use protocol::{account::Role, chat::PresenceStatus, code::Code, id::UserId};

/// Most users in one answer.
pub const MAX_PAGE: i64 = 100;
/// How many when the client does not say.
pub(crate) const DEFAULT_PAGE: i64 = 20;

/// What of a profile changes; the rest stays.
#[derive(Debug, Default)]
pub struct ProfileChange {
    /// Display name.
    pub name: Option<String>,
    /// An `http` or `https` URL, or empty for none.
    pub avatar: Option<String>,
}

/// Some users, and where the next page begins.
#[derive(Debug)]
pub struct UserPage {
    /// In the order of their usernames.
    pub items: Vec<Profile>,
    /// `after` of the next page; `null` on the last one.
    pub next: Option<String>,
}

/// One user as the actor may see it. `user_not_found` also when it is deactivated. That an administrator has read
/// somebody's email address is recorded.
pub async fn view(api: &Api, actor: Actor, id: UserId) -> Result<Profile> {
    let mut conn = api.db.read().await?;
    let user = user::by_id(conn.link(), id).await?;
    drop(conn);
    let user = user.filter(|user| !user.deactivated).ok_or(Code::UserNotFound)?;
    let status = user::status(api, user.id).await;
    let view = user.view(status, viewer(actor, id));
    if actor.user_id != id && !view.email.is_empty() {
        let entry = AuditEntry::of(actor.user_id, AuditAction::ReadEmail).on_user(id);
        audit::record_reading(api, entry).await?;
    }
    Ok(view)
}

/// Changes the actor's own profile.
pub async fn change(api: &Api, actor: Actor, change: ProfileChange) -> Result<Profile> {
    let ProfileChange { name, avatar } = change;
    Check::default()
        .field("name", name.as_deref().map_or(Ok(()), input::name))
        .field("avatar", avatar.as_deref().map_or(Ok(()), input::avatar))
        .finish()?;
    let mut tx = api.db.begin().await?;
    execute!(
        tx,
        "UPDATE users SET name = COALESCE($2, name), avatar = COALESCE($3, avatar) WHERE id = $1",
        actor.user_id.0,
        name,
        avatar
    )?;
    tx.commit().await?;
    view(api, actor, actor.user_id).await
}

/// Active users whose username begins with `prefix`, in the order of their usernames, after the
/// username `after`; of others nobody reads the email address here.
pub async fn search(
    api: &Api,
    actor: Actor,
    prefix: &str,
    after: Option<&str>,
    limit: i64,
) -> Result<UserPage> {
    let prefix = input::key(prefix);
    // Code points up to the last one that a text may hold: everything that begins alike.
    let end = format!("{prefix}{}", char::MAX);
    let after = after.map(input::key).unwrap_or_default();
    let mut conn = api.db.read().await?;
    let mut users: Vec<User> = fetch_all!(
        conn,
        "SELECT u.id, u.username, u.email, u.name, u.avatar, u.role, u.created_at, u.blocked_at,
            u.deactivated_at
         FROM users u WHERE u.username_key >= $1 AND u.username_key < $2
         AND u.username_key > $3 AND u.deactivated_at IS NULL AND NOT u.guest
         ORDER BY u.username_key LIMIT $4",
        &prefix,
        &end,
        &after,
        limit + 1
    )?;
    drop(conn);
    let full = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = users.len() > full;
    users.truncate(full);
    let next = users.last().filter(|_| more).map(|user| input::key(&user.username));
    let ids: Vec<UserId> = users.iter().map(|user| user.id).collect();
    let online = api.presence.online(&ids).await.unwrap_or_default();
    let items = users.into_iter().map(|user| {
        let status = match online.contains(&user.id) {
            true => PresenceStatus::Online,
            false => PresenceStatus::Offline,
        };
        let (viewer, is_own) = (viewer(actor, user.id), user.id == actor.user_id);
        let view = user.view(status, viewer);
        match is_own {
            true => view,
            false => Profile { email: String::new(), ..view },
        }
    });
    Ok(UserPage { items: items.collect(), next })
}

fn viewer(actor: Actor, id: UserId) -> Viewer {
    if actor.user_id == id || actor.role == Role::Admin {
        Viewer::Trusted
    } else {
        Viewer::Stranger
    }
}
