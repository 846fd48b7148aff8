//! Signing in with a password. An unknown name and a wrong password take the same time and get the same
//! answer, so that nobody can find out which names exist.

use super::{
    device, input,
    limits::{AccountAttempt, admit},
    second_factor,
    sessions::{self, Opening, SignedIn},
    user::User,
};
use crate::{
    db::{DbError, fetch_optional, from_row},
    error::Result,
    state::Api,
};
use platform::settings::Secret;
use protocol::code::Code;
use std::net::IpAddr;

/// What somebody who signs in says.
#[derive(Debug)]
pub struct Login {
    /// A username or an email, in whatever case and spelling.
    pub identity: String,
    /// As it was typed.
    pub password: Secret,
    /// What the device calls itself; shown in the list of sessions.
    pub user_agent: String,
    /// The client's address, behind trusted proxies. Attempts are limited by it.
    pub from: IpAddr,
    /// What the device shows of an earlier sign-in.
    pub device: Option<String>,
}

/// Opens a session, or answers `second_step_required` where the account asks for a code. `invalid_credentials` when the two do not belong together, `blocked` for a blocked
/// user who knows the password, `rate_limited` after too many attempts on one account, by whichever of
/// its names. The limits are the same for names that nobody has, so that they do not tell which exist.
pub async fn login(api: &Api, login: Login) -> Result<SignedIn> {
    let Login { identity, password, user_agent, from, device } = login;
    // Beyond these no account has it, and no key of a limit may be that long.
    let possible =
        identity.len() <= input::MAX_EMAIL && password.reveal().len() <= 4 * input::MAX_PASSWORD;
    let identity = if possible { identity } else { String::new() };
    let key = input::key(&identity);
    admit(api, AccountAttempt::LoginTo(&key, from)).await?;
    let found = find(api, &identity).await?;
    let known = found.as_ref().zip(device.as_deref());
    match known.and_then(|((user, _), shown)| device::recognize(api, user.id, shown)) {
        Some(device) => admit(api, AccountAttempt::LoginByDevice(device)).await?,
        None => admit(api, AccountAttempt::LoginToByStranger(&key)).await?,
    }
    let password = if possible { password } else { Secret::new("") };
    let stored = found.as_ref().map(|(_, hash)| hash.clone());
    let right = api.passwords.of(from).verify(stored, password).await?;
    let count = |result: &'static str| {
        metrics::counter!("logins_total", "result" => result).increment(1);
    };
    let Some((user, hash)) = found.filter(|_| right) else {
        count("wrong");
        return Err(Code::InvalidCredentials.into());
    };
    if user.blocked {
        count("blocked");
        return Err(Code::Blocked.into());
    }
    second_factor::demand(api, user.id, &hash).await?;

    let mut tx = api.db.home().begin().await?;
    if sessions::lock_unchanged(&mut tx, user.id, &hash).await?.is_none() {
        // Blocked, or the password changed, since it was checked.
        return Err(Code::InvalidCredentials.into());
    }
    let opening = Opening::begin(api, &mut tx, user.id, &user_agent).await?;
    let signed_in = opening.finish(api, tx, user).await?;
    count("ok");
    Ok(signed_in)
}

/// The active account of a username or email, with its password hash. One query whether there is
/// one or not, so that the time does not tell.
async fn find(api: &Api, identity: &str) -> Result<Option<(User, String)>, DbError> {
    let mut conn = api.db.home().read().await?;
    // A username never contains `@` and an email always does.
    let found: Option<WithHash> = if identity.contains('@') {
        fetch_optional!(
            conn,
            "SELECT u.id, u.username, u.email, u.name, u.avatar, u.role, u.created_at, u.blocked_at,
                u.deactivated_at, u.password_hash FROM users u
             WHERE u.email_key = $1 AND u.deactivated_at IS NULL",
            input::key(identity)
        )?
    } else {
        let [written, prepared] = input::username_keys(identity);
        fetch_optional!(
            conn,
            "SELECT u.id, u.username, u.email, u.name, u.avatar, u.role, u.created_at, u.blocked_at,
                u.deactivated_at, u.password_hash FROM users u
             WHERE u.username_key IN ($1, $2) AND u.deactivated_at IS NULL
             ORDER BY u.username_key = $1 DESC LIMIT 1",
            &written,
            &prepared
        )?
    };
    Ok(found.map(|WithHash { user, hash }| (user, hash)))
}

/// A user and the hash of its password.
struct WithHash {
    user: User,
    hash: String,
}

from_row!(WithHash, |row| Self { user: User::from_row(row)?, hash: row.try_get("password_hash")? });
