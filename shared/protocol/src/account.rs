//! Who an account is, as its own clients and its tokens say. Other people's view of it is
//! [`UserRef`](crate::chat::UserRef).

use crate::id::UserId;
use serde::{Deserialize, Serialize};

/// A user as shown to itself on a socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The id, which never changes.
    pub id: UserId,
    /// The unique name by which others find the account.
    pub username: String,
    /// Display name.
    pub name: String,
    /// See [`UserRef::avatar`](crate::chat::UserRef::avatar).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avatar: Option<String>,
    /// The account's rights.
    pub role: Role,
}

/// What an account may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Takes part in chats.
    User,
    /// Also governs accounts and all chats, by the administration routes.
    Admin,
}
