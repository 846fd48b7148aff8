//! Making and removing administrators: the first one at the start, others by administrators and by operators on
//! the command line, who also give out new passwords. Nobody else can register the first administrator's name, so
//! any later start can still create that account.

use super::{
    input,
    register::{NewAccount, insert},
    sessions::{self, WhichSessions},
    whom::Whom,
};
use crate::{
    audit::{self, AuditAction, AuditEntry},
    auth::passwords::Passwords,
    db::{Db, DbError, Tx, execute, fetch_all, fetch_one},
    error::{Result, fault},
    lookalikes::ADMIN,
};
use platform::settings::{Secret, WrongSetting};
use protocol::{account::Role, code::Code, id::UserId, relay::EndReason};
use std::io;

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
/// audit log says so. `tell` shows the password to who needs it, before there is no way back: nothing is
/// made when it cannot.
pub async fn create(
    db: &Db,
    passwords: &Passwords,
    password: Secret,
    tell: impl FnOnce(&Secret) -> io::Result<()> + Send,
) -> Result<bool> {
    if exists(db).await? {
        return Ok(false);
    }
    let password_hash = passwords.hash(password.clone()).await?;
    let mut tx = db.begin().await?;
    let account = NewAccount {
        username: ADMIN,
        email: None,
        name: "Administrator",
        role: Role::Admin,
        password_hash: &password_hash,
    };
    let made = insert(&mut tx, &account).await?;
    if let Some(user) = made {
        let entry = AuditEntry::of(None, AuditAction::CreateAdmin).on_user(user);
        audit::record(&mut tx, &[entry]).await?;
        tell(&password).map_err(fault)?;
    }
    tx.commit().await?;
    Ok(made.is_some())
}

/// Gives an account another password and signs it out everywhere, within seconds. `tell` as for [`create`].
pub async fn reset_password(
    db: &Db,
    passwords: &Passwords,
    username: &str,
    password: Secret,
    tell: impl FnOnce(&Secret) -> io::Result<()> + Send,
) -> Result<()> {
    let hash = passwords.hash(password.clone()).await?;
    let mut tx = db.begin().await?;
    let user = Whom::Username(username).account(tx.link()).await?;
    execute!(tx, "UPDATE users SET password_hash = $2 WHERE id = $1", user.id.0, &hash)?;
    sessions::end_in(tx.link(), user.id, WhichSessions::All, EndReason::PasswordChanged).await?;
    let entry = AuditEntry::of(None, AuditAction::ResetPassword).on_user(user.id);
    audit::record(&mut tx, &[entry]).await?;
    tell(&password).map_err(fault)?;
    tx.commit().await?;
    Ok(())
}

/// Makes an account an administrator, which it is from its next sign-in or renewal on, or makes it none,
/// which it is at once. The last one stays (`last_admin`). `by`: an administrator, or the operator. `false` when
/// it was so already.
pub(crate) async fn set_role(
    db: &Db,
    by: Option<UserId>,
    whom: Whom<'_>,
    role: Role,
    reason: &str,
) -> Result<bool> {
    audit::check_reason(reason)?;
    let mut tx = db.begin().await?;
    let admins = lock_admins(&mut tx).await?;
    let user = whom.account(tx.link()).await?;
    if user.role == role {
        tx.rollback().await?;
        return Ok(false);
    }
    let (word, action) = match role {
        Role::Admin => ("admin", AuditAction::PromoteUser),
        Role::User => ("user", AuditAction::DemoteUser),
    };
    if role == Role::User && admins.iter().all(|id| *id == user.id) {
        return Err(Code::LastAdmin.into());
    }
    execute!(tx, "UPDATE users SET role = $2 WHERE id = $1", user.id.0, word)?;
    let entry = AuditEntry::of(by, action).on_user(user.id).because(reason);
    audit::record(&mut tx, &[entry]).await?;
    tx.commit().await?;
    Ok(true)
}

/// The administrators who can act, locked: of two who are about to be none at once, the second finds itself the
/// last one. SQLite has one writer anyway.
pub(super) async fn lock_admins(tx: &mut Tx) -> Result<Vec<UserId>, DbError> {
    let admins: Vec<(i64,)> = fetch_all!(
        tx,
        postgres: "SELECT id FROM users WHERE role = 'admin' AND blocked_at IS NULL
            AND deactivated_at IS NULL ORDER BY id FOR UPDATE",
        (),
        sqlite: "SELECT id FROM users WHERE role = 'admin' AND blocked_at IS NULL
            AND deactivated_at IS NULL ORDER BY id",
        (),
    )?;
    Ok(admins.into_iter().map(|(id,)| UserId(id)).collect())
}

/// The administrators' usernames, and whether they are blocked.
pub async fn list(db: &Db) -> Result<Vec<(String, bool)>> {
    let mut conn = db.read().await?;
    Ok(fetch_all!(
        conn,
        "SELECT username, blocked_at IS NOT NULL FROM users
         WHERE role = 'admin' AND deactivated_at IS NULL ORDER BY username_key"
    )?)
}

/// Whether `admin` was made.
pub async fn exists(db: &Db) -> Result<bool> {
    Ok(is_there(db).await?)
}

async fn is_there(db: &Db) -> Result<bool, DbError> {
    let mut conn = db.read().await?;
    let (count,): (i64,) =
        fetch_one!(conn, "SELECT COUNT(*) FROM users WHERE username_key = $1", ADMIN)?;
    Ok(count > 0)
}
