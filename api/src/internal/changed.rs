//! `changed`: what happened lately, for gateways that must not rely on the bus. Every node asks every
//! few seconds, so each list reads one index from its recent end.

use crate::{
    Api,
    db::{Tx, fetch_all, fetch_one},
};
use shared::{
    id::{ChatId, Seq, SessionId, UserId},
    internal::{CHANGED_OVERLAP_MS, Changed, ChangedFound, MAX_CHANGED, UserChat},
    problem::Problem,
    relay::{EndReason, EndedSessions},
    time::Timestamp,
};

/// How far back a caller looks that never asked before. A process that starts holds nothing older.
const FIRST_LOOK_MS: i64 = 30_000;

/// Everything since a little before `since`, as of one moment.
pub async fn changed(api: &Api, request: Changed) -> Result<ChangedFound, Problem> {
    let mut tx = api.db.snapshot().await?;
    let (now,): (i64,) = fetch_one!(tx, "SELECT now FROM clock")?;
    let since = request.since.map_or(now - FIRST_LOOK_MS, |since| since.0) - CHANGED_OVERLAP_MS;
    let mut found = ChangedFound { now: Timestamp(now), ..ChangedFound::default() };
    // One more than is answered, to know whether something was cut.
    let limit = i64::try_from(MAX_CHANGED).unwrap_or(i64::MAX) + 1;

    let mut chats: Vec<(i64, i64, bool)> = fetch_all!(
        tx,
        "SELECT id, last_seq, deleted_at IS NOT NULL FROM chats
         WHERE changed_at >= $1 ORDER BY changed_at DESC LIMIT $2",
        since,
        limit
    )?;
    cut(&mut chats, &mut found.truncated);
    for (id, seq, deleted) in chats {
        match deleted {
            true => found.deleted.push(ChatId(id)),
            false => found.chats.push((ChatId(id), Seq(seq))),
        }
    }

    let joined: Vec<(i64, i64)> = fetch_all!(
        tx,
        "SELECT user_id, chat_id FROM members WHERE joined_at >= $1 ORDER BY joined_at DESC LIMIT $2",
        since,
        limit
    )?;
    found.joined = user_chats(joined, &mut found.truncated);

    // Whoever came back since is in `joined` only.
    let parted: Vec<(i64, i64)> = fetch_all!(
        tx,
        "SELECT e.user_id, e.chat_id FROM member_events e
         WHERE e.created_at >= $1 AND e.change <> 'joined' AND NOT EXISTS (
             SELECT 1 FROM members m WHERE m.chat_id = e.chat_id AND m.user_id = e.user_id)
         ORDER BY e.created_at DESC LIMIT $2",
        since,
        limit
    )?;
    found.parted = user_chats(parted, &mut found.truncated);

    let woken: Vec<(i64, i64)> = fetch_all!(
        tx,
        "SELECT m.user_id, m.chat_id FROM chats c JOIN members m ON m.chat_id = c.id AND m.dormant
         WHERE c.changed_at >= $1 AND c.deleted_at IS NULL ORDER BY c.changed_at DESC LIMIT $2",
        since,
        limit
    )?;
    found.woken = user_chats(woken, &mut found.truncated);

    ended(&mut tx, since, limit, &mut found).await?;
    tx.commit().await?;
    Ok(found)
}

async fn ended(
    tx: &mut Tx,
    since: i64,
    limit: i64,
    found: &mut ChangedFound,
) -> Result<(), Problem> {
    let mut rows: Vec<(String, Option<String>)> = fetch_all!(
        tx,
        "SELECT id, end_reason FROM sessions WHERE ended_at >= $1 ORDER BY ended_at DESC LIMIT $2",
        since,
        limit
    )?;
    cut(&mut rows, &mut found.truncated);
    for (session, reason) in rows {
        let Ok(session) = session.parse::<SessionId>() else { continue };
        let reason = end_reason(reason.as_deref());
        match found.ended.iter_mut().find(|group| group.reason == reason) {
            Some(group) => group.sessions.push(session),
            None => found.ended.push(EndedSessions { sessions: vec![session], reason }),
        }
    }
    Ok(())
}

/// As `sessions.end_reason` spells it.
fn end_reason(text: Option<&str>) -> EndReason {
    match text {
        Some("blocked") => EndReason::Blocked,
        Some("token_reuse") => EndReason::TokenReuse,
        Some("password_changed") => EndReason::PasswordChanged,
        _ => EndReason::SignedOut,
    }
}

fn user_chats(mut rows: Vec<(i64, i64)>, truncated: &mut bool) -> Vec<UserChat> {
    cut(&mut rows, truncated);
    let pair = |(user, chat)| UserChat { user_id: UserId(user), chat_id: ChatId(chat) };
    rows.into_iter().map(pair).collect()
}

fn cut<T>(rows: &mut Vec<T>, truncated: &mut bool) {
    if rows.len() > MAX_CHANGED {
        rows.truncate(MAX_CHANGED);
        *truncated = true;
    }
}
