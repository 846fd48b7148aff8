//! An administrator's block of an account, and its end. A block ends all sessions of the user; within a second
//! every node refuses the tokens and closes the sockets. The route checks who may block.

use super::{
    sessions::{self, WhichSessions},
    user::{self, Profile, Viewer},
};
use crate::{
    audit::{self, AuditAction, AuditEntry},
    db::{Tx, execute},
    error::Result,
    news::{self, News},
    state::Api,
};
use protocol::{code::Code, id::UserId, relay::EndReason};

/// Blocks the user of this name; `@name` is the guest of that name. Blocked already: nothing
/// changes, and nothing is recorded. `cannot_block_yourself` for oneself, so that the last admin
/// cannot lock everybody out.
pub async fn block(api: &Api, admin: UserId, username: &str, reason: &str) -> Result<Profile> {
    audit::check_reason(reason)?;
    let mut tx = api.db.begin().await?;
    let user = user::by_username(tx.link(), username).await?.ok_or(Code::UserNotFound)?;
    if user.id == admin {
        return Err(Code::CannotBlockYourself.into());
    }
    // First the user, then the sessions: nobody signs in between the two (see `lock_unchanged`).
    let blocked = execute!(
        tx,
        "UPDATE users SET blocked_at = (SELECT now FROM clock) WHERE id = $1 AND blocked_at IS NULL",
        user.id.0
    )?;
    if blocked > 0 {
        record(&mut tx, admin, AuditAction::BlockUser, user.id, reason).await?;
        tracing::info!(user.id = user.id.0, admin.id = admin.0, "blocking a user");
    }
    let end_reason = EndReason::Blocked;
    let ended = sessions::end_in(tx.link(), user.id, WhichSessions::All, end_reason).await?;
    let mut news = News::default();
    news.ended(ended, end_reason);
    news::commit(api, tx, news).await?;
    show(api, username).await
}

/// Lets the user of this name sign in again. Its old sessions stay ended. Not blocked: nothing
/// changes, and nothing is recorded.
pub async fn unblock(api: &Api, admin: UserId, username: &str, reason: &str) -> Result<Profile> {
    audit::check_reason(reason)?;
    let mut tx = api.db.begin().await?;
    let user = user::by_username(tx.link(), username).await?.ok_or(Code::UserNotFound)?;
    let unblocked = execute!(
        tx,
        "UPDATE users SET blocked_at = NULL WHERE id = $1 AND blocked_at IS NOT NULL",
        user.id.0
    )?;
    if unblocked > 0 {
        record(&mut tx, admin, AuditAction::UnblockUser, user.id, reason).await?;
        tracing::info!(user.id = user.id.0, admin.id = admin.0, "unblocking a user");
    }
    tx.commit().await?;
    show(api, username).await
}

async fn record(
    tx: &mut Tx,
    admin: UserId,
    action: AuditAction,
    user: UserId,
    reason: &str,
) -> Result<()> {
    let entry = AuditEntry::of(admin, action).on_user(user).because(reason);
    audit::record(tx, &[entry]).await?;
    Ok(())
}

async fn show(api: &Api, username: &str) -> Result<Profile> {
    let mut conn = api.db.read().await?;
    let user = user::by_username(conn.link(), username).await?.ok_or(Code::UserNotFound)?;
    drop(conn);
    let status = user::status(api, user.id).await;
    Ok(user.view(status, Viewer::Trusted))
}
