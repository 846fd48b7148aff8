//! Links that work once, for a while: who has one may do one thing with an account. The database keeps only their
//! hashes. What the thing is, and who gets the link, is for those who use it.

use super::sessions::refresh_hash;
use crate::{
    auth::passwords::random_secret,
    db::{DbError, Link as Connection, Tx, execute, fetch_optional, from_row},
    state::Api,
};
use platform::settings::Secret;
use protocol::id::UserId;
use std::time::Duration;

/// What a link is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkPurpose {
    /// A new password without the old one.
    Password,
    /// Shows that an e-mail address is read by who says so.
    Email,
}

impl LinkPurpose {
    fn name(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Email => "email",
        }
    }

    /// The page's place for it. The token stands behind it, in the part of an address that browsers send nobody.
    fn place(self) -> &'static str {
        match self {
            Self::Password => "/#/new-password/",
            Self::Email => "/#/verify-email/",
        }
    }
}

/// Live links of one account for one purpose; a new one makes the oldest useless. More than the mails that an
/// account gets in an hour, so that nobody can make a link useless that is still on its way.
const LIVE_LINKS: i64 = 10;

/// Makes a link for the user, good for `lifetime`; `email` is the address to be verified.
pub(crate) async fn issue(
    tx: &mut Tx,
    user: UserId,
    purpose: LinkPurpose,
    email: Option<&str>,
    lifetime: Duration,
) -> Result<Secret, DbError> {
    let token = random_secret();
    execute!(
        tx,
        "INSERT INTO account_links (token_hash, user_id, purpose, email, created_at, expires_at)
         SELECT $1, $2, $3, $4, c.now, c.now + $5 FROM clock c",
        refresh_hash(&token),
        user.0,
        purpose.name(),
        email,
        i64::try_from(lifetime.as_millis()).unwrap_or(i64::MAX)
    )?;
    execute!(
        tx,
        "DELETE FROM account_links WHERE token_hash IN (
             SELECT token_hash FROM account_links WHERE user_id = $1 AND purpose = $2
             ORDER BY created_at DESC, token_hash LIMIT 1000000 OFFSET $3)",
        user.0,
        purpose.name(),
        LIVE_LINKS
    )?;
    Ok(token)
}

/// The address of a link: whole where the deployment knows its own, else from the page's root on.
pub(crate) fn address(api: &Api, purpose: LinkPurpose, token: &Secret) -> String {
    let own = api.config.public_url.as_ref().map_or("", |origin| origin.as_str());
    format!("{own}{}{}", purpose.place(), token.reveal())
}

/// Whose link it is, and of what.
pub(crate) struct FoundLink {
    pub user: UserId,
    /// The address to be verified.
    pub email: Option<String>,
}

from_row!(FoundLink, |row| Self {
    user: UserId(row.try_get("user_id")?),
    email: row.try_get("email")?,
});

/// Whether the link is good, without using it.
pub(crate) async fn find(
    mut link: Connection<'_>,
    purpose: LinkPurpose,
    token: &Secret,
) -> Result<Option<FoundLink>, DbError> {
    fetch_optional!(
        link,
        "SELECT user_id, email FROM account_links
         WHERE token_hash = $1 AND purpose = $2 AND expires_at > (SELECT now FROM clock)",
        refresh_hash(token),
        purpose.name()
    )
}

/// Uses the link, when the transaction commits: of two who try at once one succeeds.
pub(crate) async fn redeem(
    tx: &mut Tx,
    purpose: LinkPurpose,
    token: &Secret,
) -> Result<Option<FoundLink>, DbError> {
    fetch_optional!(
        tx,
        "DELETE FROM account_links
         WHERE token_hash = $1 AND purpose = $2 AND expires_at > (SELECT now FROM clock)
         RETURNING user_id, email",
        refresh_hash(token),
        purpose.name()
    )
}

/// Makes all of a user's links for a purpose useless.
pub(crate) async fn revoke(tx: &mut Tx, user: UserId, purpose: LinkPurpose) -> Result<(), DbError> {
    execute!(
        tx,
        "DELETE FROM account_links WHERE user_id = $1 AND purpose = $2",
        user.0,
        purpose.name()
    )?;
    Ok(())
}
