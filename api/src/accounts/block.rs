//! An administrator's block of an account, and its end. A block ends all sessions of the user; within a second
//! every node refuses the tokens and closes the sockets. The route checks who may block; an operator on the
//! command line may, too.

use super::{
    admin,
    sessions::{self, WhichSessions},
    user::{self, Profile, User, Viewer},
    whom::Whom,
};
use crate::{
    audit::{self, AuditAction, AuditEntry},
    db::{Db, Tx, execute},
    error::Result,
    news::{self, News},
    state::Api,
};
use protocol::{
    account::Role,
    code::Code,
    id::{SessionId, UserId},
    relay::EndReason,
};

/// Blocks the user of this name; `@name` is the guest of that name. Blocked already: nothing
/// changes, and nothing is recorded. `cannot_block_yourself` for oneself, so that the last admin
/// cannot lock everybody out.
pub async fn block(api: &Api, admin: UserId, username: &str, reason: &str) -> Result<Profile> {
    let mut tx = api.db.home().begin().await?;
    let ended = block_in(&mut tx, Some(admin), username, reason).await?;
    let mut news = News::default();
    news.ended(ended, EndReason::Blocked);
    news::commit(api, tx, news).await?;
    show(api, username).await
}

/// The same by the operator, whom no gateway hears: they find it by `changed`. `last_admin` for the last
/// administrator.
pub(crate) async fn block_by_operator(db: &Db, username: &str, reason: &str) -> Result<()> {
    let mut tx = db.begin().await?;
    block_in(&mut tx, None, username, reason).await?;
    tx.commit().await?;
    Ok(())
}

/// Returns the sessions that end with it, for the news.
async fn block_in(
    tx: &mut Tx,
    by: Option<UserId>,
    username: &str,
    reason: &str,
) -> Result<Vec<SessionId>> {
    audit::check_reason(reason)?;
    let user = find(tx, username).await?;
    if by == Some(user.id) {
        return Err(Code::CannotBlockYourself.into());
    }
    if by.is_none() && user.role == Role::Admin && admin::lock_admins(tx).await? == [user.id] {
        return Err(Code::LastAdmin.into());
    }
    // First the user, then the sessions: nobody signs in between the two (see `lock_unchanged`).
    let blocked = execute!(
        tx,
        "UPDATE users SET blocked_at = (SELECT now FROM clock) WHERE id = $1 AND blocked_at IS NULL",
        user.id.0
    )?;
    if blocked > 0 {
        record(tx, by, AuditAction::BlockUser, user.id, reason).await?;
    }
    let ended =
        sessions::end_in(tx.link(), user.id, WhichSessions::All, EndReason::Blocked).await?;
    Ok(ended)
}

/// Lets the user of this name sign in again. Its old sessions stay ended. Not blocked: nothing
/// changes, and nothing is recorded.
pub async fn unblock(api: &Api, admin: UserId, username: &str, reason: &str) -> Result<Profile> {
    unblock_by(api.db.home(), Some(admin), username, reason).await?;
    show(api, username).await
}

/// The same by an administrator or, with `None`, the operator.
pub(crate) async fn unblock_by(
    db: &Db,
    by: Option<UserId>,
    username: &str,
    reason: &str,
) -> Result<()> {
    audit::check_reason(reason)?;
    let mut tx = db.begin().await?;
    let user = find(&mut tx, username).await?;
    let unblocked = execute!(
        tx,
        "UPDATE users SET blocked_at = NULL WHERE id = $1 AND blocked_at IS NOT NULL",
        user.id.0
    )?;
    if unblocked > 0 {
        record(&mut tx, by, AuditAction::UnblockUser, user.id, reason).await?;
    }
    tx.commit().await?;
    Ok(())
}

async fn find(tx: &mut Tx, username: &str) -> Result<User> {
    Whom::Username(username).anybody(tx.link()).await
}

async fn record(
    tx: &mut Tx,
    by: Option<UserId>,
    action: AuditAction,
    user: UserId,
    reason: &str,
) -> Result<()> {
    let entry = AuditEntry::of(by, action).on_user(user).because(reason);
    audit::record(tx, &[entry]).await?;
    tracing::info!(
        user.id = user.0,
        admin.id = by.map(|admin| admin.0),
        action = action.as_str(),
        "an account's block changed"
    );
    Ok(())
}

async fn show(api: &Api, username: &str) -> Result<Profile> {
    let mut conn = api.db.home().read().await?;
    let user = user::by_username(conn.link(), username).await?.ok_or(Code::UserNotFound)?;
    drop(conn);
    let status = user::status(api, user.id).await;
    Ok(user.view(status, Viewer::Trusted))
}
