//! Users and their sessions as clients see them.

use crate::accounts::{profile::UserPage, sessions::SessionInfo, user::Profile};
use protocol::{
    account::Role,
    chat::PresenceStatus,
    id::{SessionId, UserId},
    time::Timestamp,
};
use serde::Serialize;
use utoipa::ToSchema;

/// A user as clients see it: the fields of every family.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = User)]
pub struct UserView {
    id: UserId,
    #[schema(examples("ann"))]
    username: String,
    /// Empty when there is none and to others than the user itself and admins.
    #[schema(examples("ann@example.com"))]
    email: String,
    /// Display name.
    #[schema(examples("Ann"))]
    name: String,
    /// A URL, or empty.
    #[schema(examples(""))]
    avatar: String,
    status: PresenceStatus,
    role: Role,
    created_at: Timestamp,
    /// Shown to the user itself and to admins.
    #[serde(skip_serializing_if = "Option::is_none")]
    blocked: Option<bool>,
}

impl From<Profile> for UserView {
    fn from(profile: Profile) -> Self {
        let Profile { id, username, email, name, avatar, status, role, created_at, blocked } =
            profile;
        Self { id, username, email, name, avatar, status, role, created_at, blocked }
    }
}

/// Some users, and where the next page begins.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UserPage)]
pub struct UserPageView {
    items: Vec<UserView>,
    /// `after` of the next page; `null` on the last one.
    #[schema(examples("ann"))]
    next: Option<String>,
}

impl From<UserPage> for UserPageView {
    fn from(page: UserPage) -> Self {
        let UserPage { items, next } = page;
        Self { items: items.into_iter().map(Into::into).collect(), next }
    }
}

/// A live session as its user sees it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SessionInfo)]
pub struct SessionInfoView {
    id: SessionId,
    /// What the device called itself.
    #[schema(examples("Mozilla/5.0 (X11; Linux x86_64)"))]
    user_agent: String,
    created_at: Timestamp,
    last_used_at: Timestamp,
    expires_at: Timestamp,
    /// Whether it is the one that asks.
    current: bool,
}

impl From<SessionInfo> for SessionInfoView {
    fn from(session: SessionInfo) -> Self {
        let SessionInfo { id, user_agent, created_at, last_used_at, expires_at, current } = session;
        Self { id, user_agent, created_at, last_used_at, expires_at, current }
    }
}
