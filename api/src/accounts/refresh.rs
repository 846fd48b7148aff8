//! Renewing a session. Each refresh token works once and is replaced by its successor. If one comes back
//! later, somebody has copied it, and nobody can tell which of the two is the thief; so the session ends
//! (RFC 9700, 4.14.2). Only the direct predecessor has a short grace period, in which the same request gets
//! the same answer: two tabs that renew at once, or a retry after a lost answer, are no theft. The successor
//! is derived from the predecessor, so the database stores only hashes.

use super::{
    sessions::{self, SignedIn, TokenSet, WhichSessions, lifetime_ms, refresh_hash},
    user,
};
use crate::{
    auth::{ended::reason_text, tokens::Subject},
    db::{DbError, Tx, fetch_optional, row},
    error::{Error, Result},
    news::{self, News},
    state::Api,
};
use platform::settings::Secret;
use protocol::{
    code::Code,
    id::{SessionId, UserId},
    relay::EndReason,
};
use std::iter;

/// New tokens for a refresh token. A token is good once, and for a while afterwards for the same
/// successor: an answer may be lost, two tabs may ask at once. One that comes back later, or after its
/// successor was used, was copied: its session ends. `invalid_refresh_token` for what
/// is not good.
pub async fn refresh(api: &Api, token: Secret) -> Result<SignedIn> {
    let session = sessions::named_session(&token).ok_or(Code::InvalidRefreshToken)?;
    let hash = refresh_hash(&token);
    let mut successors = sessions::successors(api, session, &hash);
    let successor = successors.next().ok_or_else(Error::internal)?;
    let mut tx = api.db.home().begin().await?;
    let row: Option<(i64,)> = fetch_optional!(
        tx,
        "UPDATE sessions SET previous_refresh_hash = refresh_hash, refresh_hash = $3,
             last_used_at = (SELECT now FROM clock), expires_at = (SELECT now FROM clock) + $4
         WHERE id = $1 AND refresh_hash = $2
             AND ended_at IS NULL AND expires_at > (SELECT now FROM clock)
         RETURNING user_id",
        session.to_string(),
        &hash,
        refresh_hash(&successor),
        lifetime_ms(api)
    )?;
    let (id, successor) = match row {
        Some((id,)) => (id, successor),
        None => match find(api, &mut tx, session, &hash).await? {
            FoundToken::Successor { user, hash } => {
                let mut all = iter::once(successor).chain(successors);
                // Of a key that is not held any more there is none: sign in again.
                (user, all.find(|one| refresh_hash(one) == hash).ok_or(Code::InvalidRefreshToken)?)
            }
            FoundToken::Copied { user } => return Err(end(api, tx, UserId(user), session).await?),
            FoundToken::Nothing => return Err(Code::InvalidRefreshToken.into()),
        },
    };
    let user = user::by_id(tx.link(), UserId(id)).await?;
    let user =
        user.filter(|user| !user.deactivated && !user.blocked).ok_or(Code::InvalidRefreshToken)?;
    tx.commit().await?;
    let subject = Subject {
        user_id: user.id,
        session_id: session,
        username: user.username.clone(),
        role: user.role,
    };
    Ok(SignedIn { tokens: TokenSet::new(api, &subject, successor)?, user })
}

/// What a refresh token is that renews nothing.
enum FoundToken {
    /// It was exchanged a moment ago, for the token of this hash, which was not used yet.
    Successor {
        user: i64,
        hash: String,
    },
    /// It belongs to a session all the same. Whoever knows a session's id has held one of its tokens,
    /// and could have signed it out with that.
    Copied {
        user: i64,
    },
    Nothing,
}

async fn find(
    api: &Api,
    tx: &mut Tx,
    session: SessionId,
    hash: &str,
) -> Result<FoundToken, DbError> {
    let row: Option<TokenRow> = fetch_optional!(
        tx,
        "SELECT s.user_id, s.refresh_hash, s.previous_refresh_hash, s.last_used_at, c.now
         FROM sessions s CROSS JOIN clock c
         WHERE s.id = $1 AND s.ended_at IS NULL AND s.expires_at > c.now",
        session.to_string()
    )?;
    let Some(TokenRow { user_id: user, refresh_hash, previous_refresh_hash, last_used_at, now }) =
        row
    else {
        return Ok(FoundToken::Nothing);
    };
    let grace = i64::try_from(api.config.refresh_grace.as_millis()).unwrap_or(i64::MAX);
    Ok(match previous_refresh_hash.as_deref() == Some(hash) && now - last_used_at < grace {
        true => FoundToken::Successor { user, hash: refresh_hash },
        false => FoundToken::Copied { user },
    })
}

row! {
    /// A session by its refresh tokens: the present one and the one before it.
    struct TokenRow {
        user_id: i64,
        refresh_hash: String,
        previous_refresh_hash: Option<String>,
        last_used_at: i64,
        now: i64,
    }
}

async fn end(api: &Api, mut tx: Tx, user: UserId, session: SessionId) -> Result<Error> {
    let reason = EndReason::TokenReuse;
    let ended = sessions::end_in(tx.link(), user, WhichSessions::One(session), reason).await?;
    let mut news = News::default();
    news.ended(ended, reason);
    news::commit(api, tx, news).await?;
    tracing::warn!(user.id = user.0, reason = reason_text(reason), "ended a session");
    Ok(Code::InvalidRefreshToken.into())
}
