//! The account that an administrator's act is about: named by its id over REST, by its username on the command
//! line. Deactivated accounts are nobody any more.

use super::user::{self, User};
use crate::{db::Link, error::Result};
use protocol::{code::Code, id::UserId};

/// How an account or a guest is named.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Whom<'a> {
    Id(UserId),
    /// In any case and spelling; of `@name` the guest of that name.
    Username(&'a str),
}

impl Whom<'_> {
    /// The account; `user_not_found` when there is none, or only a guest.
    pub(crate) async fn account(self, link: Link<'_>) -> Result<User> {
        let user = match self {
            Self::Id(id) => user::by_id(link, id).await?,
            Self::Username(username) => user::account(link, username).await?,
        };
        there(user)
    }

    /// The account or guest; `user_not_found` when there is none.
    pub(crate) async fn anybody(self, link: Link<'_>) -> Result<User> {
        let user = match self {
            Self::Id(id) => user::anybody(link, id).await?,
            Self::Username(username) => user::by_username(link, username).await?,
        };
        there(user)
    }
}

fn there(user: Option<User>) -> Result<User> {
    Ok(user.filter(|user| !user.deactivated).ok_or(Code::UserNotFound)?)
}
