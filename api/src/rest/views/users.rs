//! Users and their sessions as clients see them.

use crate::accounts::{search::UserPage, sessions::SessionInfo, user::Profile};
use protocol::{
    account::Role,
    chat::PresenceStatus,
    id::{SessionId, UserId},
    time::Timestamp,
};
use serde::Serialize;
use utoipa::ToSchema;

/// A user, with the fields that the clients of every dialect use.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = User)]
pub(crate) struct UserView {
    id: UserId,
    #[schema(examples("ann"))]
    username: String,
    /// Visible only to the user and to administrators; empty for others, and if there is none.
    #[schema(examples("ann@example.com"))]
    email: String,
    /// The display name.
    #[schema(examples("Ann"))]
    name: String,
    /// The avatar's URL, or empty. Of a picture that was uploaded here, the path on this server.
    #[schema(examples(""))]
    avatar: String,
    status: PresenceStatus,
    role: Role,
    created_at: Timestamp,
    /// Visible only to the user and to administrators.
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

/// A page of users.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UserPage)]
pub(crate) struct UserPageView {
    items: Vec<UserView>,
    /// The `after` value of the next page; `null` on the last page.
    #[schema(examples("ann"))]
    next: Option<String>,
}

impl From<UserPage> for UserPageView {
    fn from(page: UserPage) -> Self {
        let UserPage { items, next } = page;
        Self { items: items.into_iter().map(Into::into).collect(), next }
    }
}

/// An active session of the user.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SessionInfo)]
pub(crate) struct SessionInfoView {
    id: SessionId,
    /// The user agent that the device sent.
    #[schema(examples("Mozilla/5.0 (X11; Linux x86_64)"))]
    user_agent: String,
    created_at: Timestamp,
    last_used_at: Timestamp,
    expires_at: Timestamp,
    /// True for the session that sends this request.
    current: bool,
}

impl From<SessionInfo> for SessionInfoView {
    fn from(session: SessionInfo) -> Self {
        let SessionInfo { id, user_agent, created_at, last_used_at, expires_at, current } = session;
        Self { id, user_agent, created_at, last_used_at, expires_at, current }
    }
}
