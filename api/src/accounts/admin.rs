//! The first administrator. Its name is kept from everybody else, so that it can be made at any
//! later start too.

use super::{
    input,
    register::{Account, insert},
};
use crate::{
    audit::{self, Action, Entry},
    db::{Db, DbError, fetch_one},
    fault::Result,
    passwords::Passwords,
};
use shared::{
    internal::Role,
    settings::{Secret, WrongSetting},
};

/// The username of the first administrator.
pub const USERNAME: &str = "admin";

/// Whether [`create`] can go well with the ADMIN_PASSWORD that was set, if one was: it fits, or `admin` is
/// there and needs none. A database that is not made yet (`None`), or has no tables, has no `admin`.
pub async fn check(db: Option<&Db>, password: Option<&Secret>) -> Result<(), WrongSetting> {
    let verdict = password.map_or(Ok(()), |password| input::password(password.reveal()));
    let Err(why) = verdict else { return Ok(()) };
    match db {
        Some(db) if is_there(db).await.unwrap_or(false) => Ok(()),
        _ => Err(WrongSetting(format!("ADMIN_PASSWORD {why}"))),
    }
}

/// Makes `admin` with this password, which went through [`check`]; `false` when there is one already,
/// whose password then stays. Safe to call from several processes at once: one of them makes it, and the
/// audit log says so.
pub async fn create(db: &Db, passwords: &Passwords, password: Secret) -> Result<bool> {
    if exists(db).await? {
        return Ok(false);
    }
    let password_hash = passwords.hash(password).await?;
    let mut tx = db.begin().await?;
    let account = Account {
        username: USERNAME,
        email: None,
        name: "Administrator",
        role: Role::Admin,
        password_hash: &password_hash,
    };
    let made = insert(&mut tx, &account).await?;
    if let Some(user) = made {
        let entry = Entry::of(None, Action::CreateAdmin).on_user(user);
        audit::record(&mut tx, &[entry]).await?;
    }
    tx.commit().await?;
    Ok(made.is_some())
}

/// Whether `admin` was made.
pub async fn exists(db: &Db) -> Result<bool> {
    Ok(is_there(db).await?)
}

async fn is_there(db: &Db) -> Result<bool, DbError> {
    let mut conn = db.read().await?;
    let (count,): (i64,) =
        fetch_one!(conn, "SELECT COUNT(*) FROM users WHERE username_key = $1", USERNAME)?;
    Ok(count > 0)
}
