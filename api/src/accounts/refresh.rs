//! Renewing a session: each refresh token is good once and replaced by its successor. One that
//! comes back after its time was copied, by whoever came first or by whoever comes now: the session
//! ends (RFC 9700, 4.14.2), except within a short grace, in which the late one is only refused.

use super::{
    ended::reason_text,
    sessions::{self, SignedIn, TokenSet, Which, lifetime_ms, refresh_hash},
    user,
};
use crate::{
    Api,
    db::{DbError, Tx, fetch_optional},
    fault::Result,
    passwords::random_secret,
    tokens::Subject,
};
use axum::http::StatusCode;
use shared::{
    id::{SessionId, UserId},
    problem::Problem,
    relay::EndReason,
    settings::Secret,
};

/// New tokens for a refresh token. 401 when it is not good; 409 when it was exchanged a moment ago
/// by another tab or an earlier try, whose tokens the client then goes on with.
pub async fn refresh(api: &Api, token: Secret) -> Result<SignedIn> {
    let hash = refresh_hash(&token);
    let successor = random_secret();
    let mut tx = api.db.begin().await?;
    let row: Option<(String, i64)> = fetch_optional!(
        tx,
        "UPDATE sessions SET previous_refresh_hash = refresh_hash, refresh_hash = $2,
             last_used_at = (SELECT now FROM clock), expires_at = (SELECT now FROM clock) + $3
         WHERE refresh_hash = $1 AND ended_at IS NULL AND expires_at > (SELECT now FROM clock)
         RETURNING id, user_id",
        &hash,
        refresh_hash(&successor),
        lifetime_ms(api)
    )?;
    let Some((session, id)) = row else {
        return Err(refuse(api, tx, &hash).await?);
    };
    let user = user::by_id(tx.link(), UserId(id)).await?;
    let user = user.filter(|user| !user.deactivated && !user.blocked).ok_or_else(invalid)?;
    tx.commit().await?;
    let subject = Subject {
        user_id: user.id,
        session_id: session.parse().map_err(crate::fault::fault)?,
        username: user.username.clone(),
        role: user.role,
    };
    Ok(SignedIn { tokens: TokenSet::new(api, &subject, successor)?, user })
}

/// What a token that renews nothing gets; ends the session it was stolen from.
async fn refuse(api: &Api, mut tx: Tx, hash: &str) -> Result<Problem, DbError> {
    let row: Option<(String, i64, i64, i64)> = fetch_optional!(
        tx,
        "SELECT s.id, s.user_id, s.last_used_at, c.now FROM sessions s CROSS JOIN clock c
         WHERE s.previous_refresh_hash = $1 AND s.ended_at IS NULL",
        hash
    )?;
    let Some((session, user, rotated_at, now)) = row else { return Ok(invalid()) };
    let grace = i64::try_from(api.config.refresh_grace.as_millis()).unwrap_or(i64::MAX);
    if now - rotated_at < grace {
        return Ok(Problem::new(
            StatusCode::CONFLICT,
            "already_refreshed",
            "This refresh token was exchanged a moment ago. Use the newer one.",
        ));
    }
    let Ok(session) = session.parse::<SessionId>() else { return Ok(invalid()) };
    let reason = EndReason::TokenReuse;
    let ended = sessions::end_in(tx.link(), UserId(user), Which::One(session), reason).await?;
    tx.commit().await?;
    tracing::warn!(user.id = user, reason = reason_text(reason), "a session ended");
    sessions::announce(api, ended, reason);
    Ok(invalid())
}

fn invalid() -> Problem {
    Problem::new(
        StatusCode::UNAUTHORIZED,
        "invalid_refresh_token",
        "The refresh token is not valid. Sign in again.",
    )
}
