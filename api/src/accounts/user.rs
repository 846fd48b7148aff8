//! A user's row, and the queries that find it. They leave out deactivated users unless the caller says
//! otherwise.

use super::input;
use crate::{
    db::{Db, DbError, Link, fetch_optional, from_row},
    state::Api,
};
use protocol::{account::Role, chat::PresenceStatus, id::UserId, time::Timestamp};

/// An account as the database has it, without its password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Never another account's, also after this one is gone.
    pub id: UserId,
    /// As first written; compared by its key.
    pub username: String,
    /// `None` for accounts that were registered by a username alone.
    pub email: Option<String>,
    /// Display name.
    pub name: String,
    /// A URL, or empty. Of a picture that was uploaded here its path, see [`protocol::chat::AVATARS`].
    pub avatar: String,
    /// What it may do.
    pub role: Role,
    /// When it was registered.
    pub created_at: Timestamp,
    /// An administrator has shut it out.
    pub blocked: bool,
    /// It was removed: it signs in no more, and its name stays taken.
    pub deactivated: bool,
}

/// A user as somebody may see it.
#[derive(Debug, Clone)]
pub struct Profile {
    /// Never another account's.
    pub id: UserId,
    /// As first written.
    pub username: String,
    /// Empty when there is none and to others than the user itself and admins.
    pub email: String,
    /// Display name.
    pub name: String,
    /// A URL, or empty.
    pub avatar: String,
    /// Whether it is connected now.
    pub status: PresenceStatus,
    /// What it may do.
    pub role: Role,
    /// When it was registered.
    pub created_at: Timestamp,
    /// Shown to the user itself and to admins.
    pub blocked: Option<bool>,
}

/// Who looks at a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Viewer {
    /// The user itself, or an admin: sees everything.
    Trusted,
    /// Anybody else: sees neither the email address nor whether the user is blocked.
    Stranger,
}

impl User {
    /// As this viewer sees it.
    pub fn view(self, status: PresenceStatus, viewer: Viewer) -> Profile {
        let trusted = viewer == Viewer::Trusted;
        Profile {
            id: self.id,
            username: self.username,
            email: if trusted { self.email.unwrap_or_default() } else { String::new() },
            name: self.name,
            avatar: self.avatar,
            status,
            role: self.role,
            created_at: self.created_at,
            blocked: trusted.then_some(self.blocked),
        }
    }
}

from_row!(User, |row| Self {
    id: UserId(row.try_get("id")?),
    username: row.try_get("username")?,
    email: row.try_get("email")?,
    name: row.try_get("name")?,
    avatar: row.try_get("avatar")?,
    role: role_of(row.try_get("role")?),
    created_at: Timestamp(row.try_get("created_at")?),
    blocked: row.try_get::<Option<i64>, _>("blocked_at")?.is_some(),
    deactivated: row.try_get::<Option<i64>, _>("deactivated_at")?.is_some(),
});

/// The column `role`, whose check constraint knows these two.
pub(crate) fn role_of(text: &str) -> Role {
    if text == "admin" { Role::Admin } else { Role::User }
}

/// What a user may do now. A blocked one may nothing that needs more than being signed in.
pub(crate) async fn role(db: &Db, id: UserId) -> Result<Role, DbError> {
    let mut conn = db.read().await?;
    let row: Option<(String,)> = fetch_optional!(
        conn,
        "SELECT role FROM users WHERE id = $1 AND blocked_at IS NULL AND deactivated_at IS NULL",
        id.0
    )?;
    Ok(row.map_or(Role::User, |(role,)| role_of(&role)))
}

/// The account of an id, deactivated ones too.
pub(crate) async fn by_id(mut link: Link<'_>, id: UserId) -> Result<Option<User>, DbError> {
    fetch_optional!(
        link,
        "SELECT u.id, u.username, u.email, u.name, u.avatar, u.role, u.created_at, u.blocked_at,
            u.deactivated_at
         FROM users u WHERE u.id = $1 AND NOT u.guest",
        id.0
    )
}

/// The account of an id, or the guest, deactivated ones too.
pub(crate) async fn anybody(mut link: Link<'_>, id: UserId) -> Result<Option<User>, DbError> {
    fetch_optional!(
        link,
        "SELECT u.id, u.username, u.email, u.name, u.avatar, u.role, u.created_at, u.blocked_at,
            u.deactivated_at
         FROM users u WHERE u.id = $1",
        id.0
    )
}

/// The user of a username, in whatever case and spelling, deactivated ones too; of `@name` the guest of
/// that name.
pub(crate) async fn by_username(
    mut link: Link<'_>,
    username: &str,
) -> Result<Option<User>, DbError> {
    let [written, prepared] = input::username_keys(username);
    fetch_optional!(
        link,
        "SELECT u.id, u.username, u.email, u.name, u.avatar, u.role, u.created_at, u.blocked_at,
            u.deactivated_at
         FROM users u WHERE u.username_key IN ($1, $2)
         ORDER BY u.username_key = $1 DESC LIMIT 1",
        &written,
        &prepared
    )
}

/// The account of a username, in whatever case and spelling; guests have none.
pub(crate) async fn account(link: Link<'_>, username: &str) -> Result<Option<User>, DbError> {
    if username.starts_with('@') { Ok(None) } else { by_username(link, username).await }
}

/// Whether the user is connected to any gateway. When presence cannot be asked: offline.
pub async fn status(api: &Api, id: UserId) -> PresenceStatus {
    match api.presence.online(&[id]).await {
        Ok(online) if online.contains(&id) => PresenceStatus::Online,
        Ok(_) => PresenceStatus::Offline,
        // A profile without the green dot is better than no profile.
        Err(error) => {
            tracing::debug!(%error, "presence does not answer");
            PresenceStatus::Offline
        }
    }
}
