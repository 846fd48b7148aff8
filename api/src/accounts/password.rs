//! Changing one's password, which signs out every other device.

use super::{
    input::{self, Check},
    limits::{Attempt, admit},
    sessions::{self, Which},
};
use crate::{
    Api,
    code::Code,
    db::{execute, fetch_optional},
    error::Result,
    news::{self, News},
    rest::caller::Caller,
};
use shared::{relay::EndReason, settings::Secret};
use std::net::IpAddr;

/// Replaces the password, given the present one. 400 when that is wrong (the caller is signed in,
/// so it is not 401); 429 as for signing in. `from` is where the caller is.
pub async fn change(
    api: &Api,
    caller: &Caller,
    from: IpAddr,
    current: Secret,
    new: Secret,
) -> Result<()> {
    Check::default().field("new_password", input::password(new.reveal())).finish()?;
    let user = caller.user_id;
    let passwords = api.passwords.of(from);
    admit(api, Attempt::PasswordOf(user)).await?;
    let mut conn = api.db.read().await?;
    let row: Option<(String,)> =
        fetch_optional!(conn, "SELECT password_hash FROM users WHERE id = $1", user.0)?;
    drop(conn);
    let (stored,) = row.ok_or(Code::WrongPassword)?;
    if current.reveal().len() > 4 * input::MAX_PASSWORD
        || !passwords.verify(Some(stored.clone()), current).await?
    {
        return Err(Code::WrongPassword.into());
    }
    let hash = passwords.hash(new).await?;
    let mut tx = api.db.begin().await?;
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
    let ended = sessions::end_in(tx.link(), user, Which::AllBut(caller.session_id), reason).await?;
    let mut news = News::default();
    news.ended(ended, reason);
    news::commit(api, tx, news).await?;
    Ok(())
}
