//! The first administrator. Its name is kept from everybody else, so that it can be made at any
//! later start too.

use super::{
    input::{self, Check},
    register::{Account, insert},
};
use crate::{
    audit::{self, Action, Entry},
    db::{Db, fetch_one},
    fault::Result,
    passwords::Passwords,
};
use shared::{internal::Role, settings::Secret};

/// The username of the first administrator.
pub const USERNAME: &str = "admin";

/// Makes `admin` with this password; `false` when there is one already, whose password then stays.
/// Safe to call from several processes at once: one of them makes it, and the audit log says so.
pub async fn create(db: &Db, passwords: &Passwords, password: Secret) -> Result<bool> {
    Check::default().field("ADMIN_PASSWORD", input::password(password.reveal())).finish()?;
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
    let mut conn = db.read().await?;
    let (count,): (i64,) =
        fetch_one!(conn, "SELECT COUNT(*) FROM users WHERE username_key = $1", USERNAME)?;
    Ok(count > 0)
}
