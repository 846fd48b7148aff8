//! The end of an account by its owner's will. The row and the username stay, so that nobody can pose as the one who
//! had it and what it wrote keeps its author; everything else that is known of the person goes. Leaving the chats
//! comes before and is decided elsewhere.

use super::{
    admin, avatar,
    sessions::{self, WhichSessions},
};
use crate::{
    audit::{self, AuditAction, AuditEntry},
    db::{Tx, execute},
    error::Result,
    news::News,
};
use protocol::{code::Code, id::UserId, relay::EndReason};

/// Deletes the account when the transaction commits, and ends its sessions: the caller publishes the news.
/// `last_admin` for the last administrator.
pub(crate) async fn delete(tx: &mut Tx, user: UserId) -> Result<News> {
    if admin::lock_admins(tx).await? == [user] {
        return Err(Code::LastAdmin.into());
    }
    avatar::replace(tx, user, "").await?;
    execute!(
        tx,
        "UPDATE users SET deactivated_at = (SELECT now FROM clock), role = 'user', name = username,
             email = NULL, email_key = NULL, email_verified_at = NULL, password_hash = $2
         WHERE id = $1 AND deactivated_at IS NULL",
        user.0,
        DELETED
    )?;
    for forget in [
        "DELETE FROM account_links WHERE user_id = $1",
        "DELETE FROM recovery_codes WHERE user_id = $1",
        "DELETE FROM second_factors WHERE user_id = $1",
        "DELETE FROM blocklist WHERE user_id = $1",
    ] {
        execute!(tx, forget, user.0)?;
    }
    // What the device was called; the rows themselves go as those of all ended sessions.
    execute!(tx, "UPDATE sessions SET user_agent = '' WHERE user_id = $1", user.0)?;
    let reason = EndReason::SignedOut;
    let ended = sessions::end_in(tx.link(), user, WhichSessions::All, reason).await?;
    let entry = AuditEntry::of(user, AuditAction::DeleteAccount).on_user(user);
    audit::record(tx, &[entry]).await?;
    let mut news = News::default();
    news.ended(ended, reason);
    Ok(news)
}

/// Stands in the place of the hash: no password has it, and it is not that of accounts made in bulk, whose names
/// are used again.
const DELETED: &str = "!deleted";
