//! Renewing a session: each refresh token is good once and replaced by its successor. One that comes
//! back after its time was copied, by whoever came first or by whoever comes now: the session ends
//! (RFC 9700, 4.14.2). Only the direct predecessor has a short grace, in which it is refused and
//! nothing else: two tabs renewing at once, or a try repeated after a lost answer, are no theft.

use super::{
    ended::reason_text,
    sessions::{self, SignedIn, TokenSet, Which, lifetime_ms, refresh_hash, refresh_token},
    user,
};
use crate::{
    Api,
    db::{DbError, Tx, fetch_optional},
    fault::Result,
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
    let session = sessions::named_session(&token).ok_or_else(invalid)?;
    let hash = refresh_hash(&token);
    let successor = refresh_token(session);
    let mut tx = api.db.begin().await?;
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
    let Some((id,)) = row else {
        return Err(refuse(api, tx, session, &hash).await?);
    };
    let user = user::by_id(tx.link(), UserId(id)).await?;
    let user = user.filter(|user| !user.deactivated && !user.blocked).ok_or_else(invalid)?;
    tx.commit().await?;
    let subject = Subject {
        user_id: user.id,
        session_id: session,
        username: user.username.clone(),
        role: user.role,
    };
    Ok(SignedIn { tokens: TokenSet::new(api, &subject, successor)?, user })
}

/// What a token that renews nothing gets; ends the session it names. Whoever knows a session's id
/// has held one of its tokens, and could have signed it out with that.
async fn refuse(api: &Api, mut tx: Tx, session: SessionId, hash: &str) -> Result<Problem, DbError> {
    let row: Option<(i64, Option<String>, i64, i64)> = fetch_optional!(
        tx,
        "SELECT s.user_id, s.previous_refresh_hash, s.last_used_at, c.now
         FROM sessions s CROSS JOIN clock c
         WHERE s.id = $1 AND s.ended_at IS NULL AND s.expires_at > c.now",
        session.to_string()
    )?;
    let Some((user, previous, rotated_at, now)) = row else { return Ok(invalid()) };
    let grace = i64::try_from(api.config.refresh_grace.as_millis()).unwrap_or(i64::MAX);
    if previous.as_deref() == Some(hash) && now - rotated_at < grace {
        return Ok(Problem::new(
            StatusCode::CONFLICT,
            "already_refreshed",
            "This refresh token was exchanged a moment ago. Use the newer one.",
        ));
    }
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
