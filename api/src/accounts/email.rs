//! One's e-mail address. It becomes the account's when its owner has followed the link that was mailed to it; until
//! then it gets nothing but that link. An address belongs to the one account that has shown this; who only wrote it
//! down when registering loses it then.

use super::{
    input::{self, Check},
    letters::{self, Language},
    limits::{AccountAttempt, admit},
    links::{self, LinkPurpose},
    password,
};
use crate::{
    db::{DbError, Tx, execute, fetch_optional, from_row},
    error::{Error, Result},
    state::Api,
};
use platform::settings::Secret;
use protocol::{code::Code, id::UserId};
use std::{net::IpAddr, time::Duration};

/// How long the link for verifying an address is good: a mail may lie in a box over night.
const VERIFY_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// The unique key of addresses.
const TAKEN: &str = "users_email_key";

/// An account's address.
#[derive(Debug)]
pub struct EmailStanding {
    /// Empty when there is none.
    pub email: String,
    /// Whether its owner has followed the link.
    pub verified: bool,
}

from_row!(EmailStanding, |row| Self {
    email: row.try_get::<Option<String>, _>("email")?.unwrap_or_default(),
    verified: row.try_get::<Option<i64>, _>("email_verified_at")?.is_some(),
});

/// The user's own address.
pub async fn standing(api: &Api, user: UserId) -> Result<EmailStanding> {
    let mut conn = api.db.home().read().await?;
    let found =
        fetch_optional!(conn, "SELECT email, email_verified_at FROM users WHERE id = $1", user.0)?;
    found.ok_or(Code::UserNotFound.into())
}

/// What a user who changes the address says.
#[derive(Debug)]
pub struct EmailChange {
    /// Whose address it is to be.
    pub user: UserId,
    /// The client's address. Attempts are limited by it.
    pub from: IpAddr,
    /// The account's password.
    pub password: Secret,
    /// Not checked yet.
    pub email: String,
    /// Of the letter with the link.
    pub language: Language,
}

/// Mails a link to the new address; nothing changes before it is followed. `wrong_password`, `mail_off`,
/// `email_taken` when another account has verified it, `rate_limited`.
pub async fn ask(api: &Api, change: EmailChange) -> Result<()> {
    let EmailChange { user, from, password, email, language } = change;
    Check::default().field("email", input::email(&email)).finish()?;
    password::prove(api, user, from, password).await?;
    let mut conn = api.db.home().read().await?;
    let other: Option<(i64,)> = fetch_optional!(
        conn,
        "SELECT id FROM users WHERE email_key = $1 AND id <> $2 AND email_verified_at IS NOT NULL",
        input::key(&email),
        user.0
    )?;
    drop(conn);
    if other.is_some() {
        return Err(Code::EmailTaken.into());
    }
    admit(api, AccountAttempt::MailFrom(from)).await?;
    mail_link(api, user, email, language).await
}

/// Takes the address off the account.
pub async fn remove(api: &Api, user: UserId, from: IpAddr, password: Secret) -> Result<()> {
    password::prove(api, user, from, password).await?;
    let mut tx = api.db.home().begin().await?;
    execute!(
        tx,
        "UPDATE users SET email = NULL, email_key = NULL, email_verified_at = NULL WHERE id = $1",
        user.0
    )?;
    links::revoke(&mut tx, user, LinkPurpose::Email).await?;
    links::revoke(&mut tx, user, LinkPurpose::Password).await?;
    tx.commit().await?;
    Ok(())
}

/// Somebody has registered with an address: mails the link to it, where mail is sent. The account is there
/// all the same when it cannot be.
pub(crate) async fn welcome(api: &Api, user: UserId, email: String, language: Language) {
    if let Err(error) = mail_link(api, user, email, language).await
        && error.code != Code::MailOff
    {
        tracing::debug!(code = error.code.as_str(), "mailed no link to a new account");
    }
}

async fn mail_link(api: &Api, user: UserId, email: String, language: Language) -> Result<()> {
    let place = api.mailer.reserve()?;
    admit(api, AccountAttempt::MailTo(&input::key(&email))).await?;
    let purpose = LinkPurpose::Email;
    let mut tx = api.db.home().begin().await?;
    let token = links::issue(&mut tx, user, purpose, Some(&email), VERIFY_FOR).await?;
    tx.commit().await?;
    let address = links::address(api, purpose, &token);
    let letter = letters::verify_email(language, email, &address);
    api.lifecycle.spawn_background(place.deliver(letter));
    Ok(())
}

/// Makes the address of the link the account's. `invalid_link`, or `email_taken` when another account was
/// faster. The address that the account had verified before hears of it, in this language.
pub async fn verify(api: &Api, token: Secret, from: IpAddr, language: Language) -> Result<()> {
    admit(api, AccountAttempt::LinkFrom(from)).await?;
    let mut tx = api.db.home().begin().await?;
    let link = links::redeem(&mut tx, LinkPurpose::Email, &token).await?;
    let link = link.ok_or(Code::InvalidLink)?;
    let email = link.email.ok_or_else(Error::internal)?;
    let before: Option<EmailStanding> = fetch_optional!(
        tx,
        "SELECT email, email_verified_at FROM users WHERE id = $1 AND deactivated_at IS NULL",
        link.user.0
    )?;
    let before = before.ok_or(Code::InvalidLink)?;
    match give(&mut tx, link.user, &email).await {
        Err(error) if error.violates(TAKEN) => return Err(Code::EmailTaken.into()),
        given => given?,
    }
    // Whoever reads the old address must not come in by it any more.
    links::revoke(&mut tx, link.user, LinkPurpose::Password).await?;
    tx.commit().await?;
    let is_other = before.verified && input::key(&before.email) != input::key(&email);
    if is_other && let Ok(place) = api.mailer.reserve() {
        let letter = letters::email_changed(language, before.email);
        api.lifecycle.spawn_background(place.deliver(letter));
    }
    Ok(())
}

async fn give(tx: &mut Tx, user: UserId, email: &str) -> Result<(), DbError> {
    let key = input::key(email);
    execute!(
        tx,
        "UPDATE users SET email = NULL, email_key = NULL
         WHERE email_key = $1 AND id <> $2 AND email_verified_at IS NULL",
        &key,
        user.0
    )?;
    execute!(
        tx,
        "UPDATE users SET email = $2, email_key = $3, email_verified_at = (SELECT now FROM clock)
         WHERE id = $1",
        user.0,
        email,
        &key
    )?;
    Ok(())
}
