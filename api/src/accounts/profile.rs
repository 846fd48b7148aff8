//! Reading users' profiles and changing one's own.

use super::{
    Actor, avatar,
    input::{self, Check},
    user::{self, Profile, Viewer},
};
use crate::{
    audit::{self, AuditAction, AuditEntry},
    db::execute,
    error::Result,
    state::Api,
};
use protocol::{account::Role, code::Code, id::UserId};

/// What of a profile changes; the rest stays.
#[derive(Debug, Default)]
pub struct ProfileChange {
    /// Display name.
    pub name: Option<String>,
    /// An `http` or `https` URL, or empty for none. An uploaded picture is removed.
    pub avatar: Option<String>,
}

/// One user as the actor may see it. `user_not_found` also when it is deactivated. That an administrator has read
/// somebody's email address is recorded.
pub async fn view(api: &Api, actor: Actor, id: UserId) -> Result<Profile> {
    let mut conn = api.db.home().read().await?;
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
    let mut tx = api.db.home().begin().await?;
    execute!(
        tx,
        "UPDATE users SET name = COALESCE($2, name) WHERE id = $1",
        actor.user_id.0,
        name
    )?;
    if let Some(avatar) = avatar {
        avatar::replace(&mut tx, actor.user_id, &avatar).await?;
    }
    tx.commit().await?;
    view(api, actor, actor.user_id).await
}

/// How the actor sees this user.
pub(super) fn viewer(actor: Actor, id: UserId) -> Viewer {
    if actor.user_id == id || actor.role == Role::Admin {
        Viewer::Trusted
    } else {
        Viewer::Stranger
    }
}
