//! Lists who is connected right now, to any gateway. Guests are left out, because they have no account.

use crate::{
    db::{List, fetch_all},
    error::{Error, Result},
    state::Api,
};
use platform::presence::MAX_ONLINE_PAGE;
use protocol::id::UserId;

/// Most users in one page.
pub const MAX_PAGE: i64 = MAX_ONLINE_PAGE as i64;

/// Some of those who are connected, by id.
#[derive(Debug)]
pub struct ActivePage {
    /// Accounts' usernames, in the order of their ids. Guests have none.
    pub usernames: Vec<String>,
    /// `after` of the next page, unless this is the last one.
    pub next: Option<UserId>,
}

/// Those connected with an id above `after`; at most `limit` of them and [`MAX_PAGE`]. `unavailable` while
/// presence cannot be asked: nobody is guessed to be away.
pub async fn list(api: &Api, after: UserId, limit: i64) -> Result<ActivePage> {
    let limit = usize::try_from(limit.clamp(1, MAX_PAGE)).unwrap_or(MAX_ONLINE_PAGE);
    let online = api.presence.online_page(after, limit).await.map_err(|error| {
        tracing::debug!(%error, "presence does not answer");
        Error {
            detail:
                "The service cannot tell right now who is connected: presence does not answer. \
                     Try again in a moment."
                    .into(),
            ..Error::unavailable()
        }
    })?;
    let next = online.last().copied().filter(|_| online.len() == limit);
    let mut conn = api.db.home().read().await?;
    let rows: Vec<(String,)> = fetch_all!(
        conn,
        "SELECT username FROM users
         WHERE id IN (SELECT value FROM json_each($1)) AND NOT guest ORDER BY id",
        online.iter().map(|user| user.0).collect::<List<i64>>()
    )?;
    Ok(ActivePage { usernames: rows.into_iter().map(|row| row.0).collect(), next })
}
