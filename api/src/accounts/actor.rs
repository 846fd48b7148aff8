//! Who asks a service for something. The service's caller has checked it already.

use protocol::{account::Role, id::UserId};

/// A user who is signed in, with what it may do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Actor {
    /// Who it is.
    pub user_id: UserId,
    /// What it may do, as of this request.
    pub role: Role,
}
