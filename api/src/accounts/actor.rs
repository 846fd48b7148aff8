//! Who asks a service for something. How the caller proved it is for the faces to know.

use protocol::{account::Role, id::UserId};

/// A user who is signed in, with what it may do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Actor {
    /// Who it is.
    pub user_id: UserId,
    /// What it may do, as of this request.
    pub role: Role,
}
