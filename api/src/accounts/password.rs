//! Showing once more that one knows one's password, and changing it, which signs out every other device.

use super::{
    input::{self, Check},
    limits::{AccountAttempt, admit},
    sessions::{self, WhichSessions},
};
use crate::{
    db::{execute, fetch_optional},
    error::Result,
    news::{self, News},
    state::Api,
};
use platform::settings::Secret;
use protocol::{
    code::Code,
    id::{SessionId, UserId},
    relay::EndReason,
};
use std::net::IpAddr;

/// What a user who changes the password says.
#[derive(Debug)]
pub struct PasswordChange {
    /// Whose password it is.
    pub user: UserId,
    /// The session that stays.
    pub session: SessionId,
    /// The client's address. Attempts are limited by it.
    pub from: IpAddr,
    /// The present password.
    pub current: Secret,
    /// The one to come, not checked yet.
    pub new: Secret,
}

/// Replaces the password, given the present one. [`Code::WrongPassword`] when that is wrong (the user is
/// signed in, so it is no failed sign-in); limited as signing in is.
pub async fn change(api: &Api, change: PasswordChange) -> Result<()> {
    let PasswordChange { user, session, from, current, new } = change;
    Check::default().field("new_password", input::password(new.reveal())).finish()?;
    let stored = prove(api, user, from, current).await?;
    let hash = api.passwords.of(from).hash(new).await?;
    let mut tx = api.db.home().begin().await?;
    let changed = execute!(
        tx,
        "UPDATE users SET password_hash = $3 WHERE id = $1 AND password_hash = $2",
        user.0,
        &stored,
        &hash
    )?;
    if changed == 0 {
        return Err(Code::WrongPassword.into());
    }
    let reason = EndReason::PasswordChanged;
    let ended = sessions::end_in(tx.link(), user, WhichSessions::AllBut(session), reason).await?;
    let mut news = News::default();
    news.ended(ended, reason);
    news::commit(api, tx, news).await?;
    Ok(())
}

/// Whoever is signed in shows that it is the owner who asks, before something that would give the account away. The
/// hash of the password; [`Code::WrongPassword`], limited as signing in is.
pub(crate) async fn prove(
    api: &Api,
    user: UserId,
    from: IpAddr,
    password: Secret,
) -> Result<String> {
    admit(api, AccountAttempt::PasswordOf(user)).await?;
    let mut conn = api.db.home().read().await?;
    let row: Option<(String,)> =
        fetch_optional!(conn, "SELECT password_hash FROM users WHERE id = $1", user.0)?;
    drop(conn);
    let (stored,) = row.ok_or(Code::WrongPassword)?;
    let possible = password.reveal().len() <= 4 * input::MAX_PASSWORD;
    if possible && api.passwords.of(from).verify(Some(stored.clone()), password).await? {
        Ok(stored)
    } else {
        Err(Code::WrongPassword.into())
    }
}
