//! Registering: makes an account and its first session.

use super::{
    email,
    input::{self, Check},
    letters::Language,
    sessions::{Opening, SignedIn},
    user,
};
use crate::{
    db::{DbError, List, Tx, fetch_one, fetch_optional, skeletons},
    error::{Error, Result},
    lookalikes::{is_reserved, skeletons},
    state::Api,
};
use platform::settings::Secret;
use protocol::{account::Role, code::Code, id::UserId};
use std::net::IpAddr;

/// What somebody who registers says. Without `username` one is made from `email`; one of the two
/// must be there.
#[derive(Debug)]
pub struct Registration {
    /// Not checked yet; nobody else may have it or one that looks like it.
    pub username: Option<String>,
    /// Not checked yet; nobody else may have it.
    pub email: Option<String>,
    /// Display name; the username when it is missing.
    pub name: Option<String>,
    /// Not checked yet.
    pub password: Secret,
    /// What the device calls itself; shown in the list of sessions.
    pub user_agent: String,
    /// The client's address. Registrations are limited by it.
    pub from: IpAddr,
    /// Of the letter with the link that verifies `email`.
    pub language: Language,
}

/// How many made-up usernames are tried before the client has to choose one.
const TRIES: usize = 8;

/// Makes the account. `validation_failed` for what may not be, `username_taken` or `email_taken` for what
/// is taken or looks like what is taken.
pub async fn register(api: &Api, registration: Registration) -> Result<SignedIn> {
    let Registration { username, email, name, password, user_agent, from, language } = registration;
    let username = check(username.as_deref(), email.as_deref(), name.as_deref(), &password)?;
    // Before the hash, which is the expensive part. It proves nothing: `insert` decides.
    refuse_taken(api, username.as_deref(), email.as_deref()).await?;
    let hash = api.passwords.of(from).hash(password).await?;

    let mut tx = api.db.home().begin().await?;
    let candidates = match (username, &email) {
        (Some(username), _) => vec![username],
        (None, email) => candidates(email.as_deref().unwrap_or_default()),
    };
    for username in candidates {
        let account = NewAccount {
            username: &username,
            email: email.as_deref(),
            name: name.as_deref().unwrap_or(&username),
            role: Role::User,
            password_hash: &hash,
        };
        let made = insert(&mut tx, &account).await;
        // PostgreSQL has given up the transaction, so no other candidate can be tried in it.
        if matches!(&made, Err(error) if error.violates(skeletons::TAKEN)) {
            return Err(Code::UsernameTaken.into());
        }
        if let Some(id) = made? {
            let opening = Opening::begin(api, &mut tx, id, &user_agent).await?;
            let user = user::by_id(tx.link(), id).await?;
            let user = user.ok_or_else(Error::internal)?;
            let signed_in = opening.finish(api, tx, user).await?;
            metrics::counter!("registrations_total").increment(1);
            if let Some(email) = email {
                email::welcome(api, id, email, language).await;
            }
            return Ok(signed_in);
        }
        // `insert` does not say which of the two was taken. Another username helps only if it was that.
        if email_taken(&mut tx, email.as_deref()).await? {
            return Err(Code::EmailTaken.into());
        }
    }
    Err(Code::UsernameTaken.into())
}

/// A row to be.
pub(crate) struct NewAccount<'a> {
    pub username: &'a str,
    pub email: Option<&'a str>,
    pub name: &'a str,
    pub role: Role,
    pub password_hash: &'a str,
}

/// Adds the account; `None` when its email or username is taken, or another username looks like it.
/// Violates [`skeletons::TAKEN`] when that other one is being registered at the same time.
pub(crate) async fn insert(
    tx: &mut Tx,
    account: &NewAccount<'_>,
) -> Result<Option<UserId>, DbError> {
    let role = match account.role {
        Role::Admin => "admin",
        Role::User => "user",
    };
    let skeletons = skeletons(account.username);
    let row: Option<(i64,)> = fetch_optional!(
        tx,
        "INSERT INTO users
             (username, username_key, email, email_key, name, role, password_hash, created_at)
         SELECT $1, $2, $3, $4, $5, $6, $7, c.now FROM clock c WHERE NOT EXISTS (
             SELECT 1 FROM username_skeletons
             WHERE skeleton IN (SELECT value FROM json_each($8)))
         ON CONFLICT DO NOTHING RETURNING id",
        account.username,
        input::key(account.username),
        account.email,
        account.email.map(input::key),
        account.name,
        role,
        account.password_hash,
        List(skeletons.clone())
    )?;
    let Some((id,)) = row else { return Ok(None) };
    skeletons::keep(tx, skeletons.into_iter().map(|one| (one, id)).collect()).await?;
    Ok(Some(UserId(id)))
}

/// The username as it is kept, when one was given.
fn check(
    username: Option<&str>,
    email: Option<&str>,
    name: Option<&str>,
    password: &Secret,
) -> Result<Option<String>> {
    let mut check = Check::default();
    if username.or(email).is_none() {
        check.field("username", Err("or email is required"));
    }
    let username = username.map(|text| check.take("username", input::username(text)));
    check.field("email", email.map_or(Ok(()), input::email));
    check.field("name", name.map_or(Ok(()), input::name));
    check.field("password", input::password(password.reveal()));
    check.finish()?;
    Ok(username.flatten())
}

/// Before the costly hash; the insert decides.
async fn refuse_taken(api: &Api, username: Option<&str>, email: Option<&str>) -> Result<()> {
    let mut conn = api.db.home().read().await?;
    let (names, emails): (i64, i64) = fetch_one!(
        conn,
        "SELECT (SELECT COUNT(*) FROM users WHERE username_key = $1),
                (SELECT COUNT(*) FROM users WHERE email_key = $2)",
        username.map(input::key),
        email.map(input::key)
    )?;
    if emails > 0 {
        return Err(Code::EmailTaken.into());
    }
    let Some(username) = username else { return Ok(()) };
    if names > 0 || is_reserved(username) {
        return Err(Code::UsernameTaken.into());
    }
    let alike = skeletons::owners(conn.link(), skeletons(username)).await?;
    if alike.is_empty() { Ok(()) } else { Err(taken_look()) }
}

async fn email_taken(tx: &mut Tx, email: Option<&str>) -> Result<bool, DbError> {
    let (count,): (i64,) =
        fetch_one!(tx, "SELECT COUNT(*) FROM users WHERE email_key = $1", email.map(input::key))?;
    Ok(count > 0)
}

/// Usernames to try for somebody who chose none, one after the other.
pub(crate) fn candidates(email: &str) -> Vec<String> {
    let base = input::username_from(email);
    let numbered = (1..TRIES).map(|_| format!("{base}{}", rand::random_range(10..1_000_000)));
    // A reserved name gets a number at once.
    let plain = (!is_reserved(&base)).then(|| base.clone());
    plain.into_iter().chain(numbered).collect()
}

fn taken_look() -> Error {
    let text = "A username that looks like this one is already registered.";
    Error::new(Code::UsernameTaken, text)
}
