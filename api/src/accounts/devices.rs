//! Other people's sessions, for administrators: seeing on which devices somebody is signed in, and signing them
//! out. Both are recorded. One's own sessions are [`super::sessions`]'.

use super::{
    sessions::{self, SessionInfo, WhichSessions},
    whom::Whom,
};
use crate::{
    audit::{self, AuditAction, AuditEntry},
    config::Config,
    db::{Db, Tx},
    error::Result,
    news::{self, News},
    state::Api,
};
use protocol::{
    code::Code,
    id::{SessionId, UserId},
    relay::EndReason,
};

/// The live sessions of a user; the administrator's own one is marked in its own list. Recorded before the answer.
pub async fn list(
    api: &Api,
    admin: UserId,
    current: SessionId,
    user: UserId,
) -> Result<Vec<SessionInfo>> {
    let mut conn = api.db.home().read().await?;
    let user = Whom::Id(user).account(conn.link()).await?;
    drop(conn);
    if user.id != admin {
        let entry = AuditEntry::of(admin, AuditAction::ReadSessions).on_user(user.id);
        audit::record_reading(api, entry).await?;
    }
    sessions::list(api, user.id, current).await
}

/// The same for the operator, who reads the database anyway: not recorded.
pub(crate) async fn list_for_operator(db: &Db, username: &str) -> Result<Vec<SessionInfo>> {
    let mut conn = db.read().await?;
    let user = Whom::Username(username).account(conn.link()).await?;
    let most = Config::default().sessions_per_user;
    Ok(sessions::live(conn.link(), user.id, None, most).await?)
}

/// Signs a user out on one device; `session_not_found` when there is no such session of the user.
pub async fn end_one(
    api: &Api,
    admin: UserId,
    user: UserId,
    session: SessionId,
    reason: &str,
) -> Result<()> {
    let ended = end(api, admin, Whom::Id(user), WhichSessions::One(session), reason).await?;
    if ended == 0 { Err(Code::SessionNotFound.into()) } else { Ok(()) }
}

/// Signs a user out everywhere. Returns how many sessions ended.
pub async fn end_all(api: &Api, admin: UserId, user: UserId, reason: &str) -> Result<usize> {
    end(api, admin, Whom::Id(user), WhichSessions::All, reason).await
}

async fn end(
    api: &Api,
    admin: UserId,
    whom: Whom<'_>,
    which: WhichSessions,
    reason: &str,
) -> Result<usize> {
    let mut tx = api.db.home().begin().await?;
    let ended = end_in(&mut tx, Some(admin), whom, which, reason).await?;
    let count = ended.len();
    let mut news = News::default();
    news.ended(ended, EndReason::SignedOut);
    news::commit(api, tx, news).await?;
    Ok(count)
}

/// [`end_all`] by the operator, whom no gateway hears: they find it by `changed`.
pub(crate) async fn end_all_by_operator(db: &Db, username: &str) -> Result<usize> {
    let mut tx = db.begin().await?;
    let whom = Whom::Username(username);
    let ended = end_in(&mut tx, None, whom, WhichSessions::All, "").await?;
    tx.commit().await?;
    Ok(ended.len())
}

/// Nothing is recorded when nothing ended.
async fn end_in(
    tx: &mut Tx,
    by: Option<UserId>,
    whom: Whom<'_>,
    which: WhichSessions,
    reason: &str,
) -> Result<Vec<SessionId>> {
    audit::check_reason(reason)?;
    let user = whom.account(tx.link()).await?;
    let ended = sessions::end_in(tx.link(), user.id, which, EndReason::SignedOut).await?;
    if !ended.is_empty() {
        let entry = AuditEntry::of(by, AuditAction::EndSessions).on_user(user.id).because(reason);
        audit::record(tx, &[entry]).await?;
    }
    Ok(ended)
}
