//! Who may be put into a chat without being asked: those with whom one shares another chat, of which both
//! are members by their own will. Everybody else is invited: such a member's chat comes after all others
//! and counts for nothing until the member accepts, by joining it or by writing in it.

use super::direct::pair_key;
use crate::{
    accounts::Actor,
    db::{DbError, Link, List, Tx, execute, fetch_all},
    error::{Error, Result},
    state::Api,
};
use platform::limit;
use protocol::{
    account::Role,
    chat::ChatType,
    code::Code,
    id::{ChatId, UserId},
};
use std::collections::BTreeSet;

/// Of one's groups that many, the newest, are looked through for the people in them.
const ACQUAINTED_CHATS: i64 = 100;

/// Those of `users` whom the actor may only invite. Administrators put in whom they like.
pub(super) async fn among(tx: &mut Tx, actor: Actor, users: &[i64]) -> Result<BTreeSet<i64>> {
    let others: BTreeSet<i64> =
        users.iter().copied().filter(|user| *user != actor.user_id.0).collect();
    if others.is_empty() || actor.role == Role::Admin {
        return Ok(BTreeSet::new());
    }
    let pairs: List<String> =
        others.iter().map(|other| pair_key(actor.user_id, UserId(*other))).collect();
    let private: Vec<(i64,)> = fetch_all!(
        tx,
        "SELECT id FROM chats WHERE pair_key IN (SELECT value FROM json_each($1))",
        pairs
    )?;
    let shared: Vec<(i64,)> = fetch_all!(
        tx,
        "SELECT m.chat_id FROM members m
         WHERE m.user_id = $1 AND m.invited_by IS NULL AND (
             SELECT c.chat_type = 'group' AND c.deleted_at IS NULL FROM chats c WHERE c.id = m.chat_id)
         ORDER BY m.chat_id DESC LIMIT $2",
        actor.user_id.0,
        ACQUAINTED_CHATS
    )?;
    let chats: List<i64> = private.into_iter().chain(shared).map(|(id,)| id).collect();
    // A look at the primary key for each chat and person, however many members the chats have.
    let strangers: Vec<(i64,)> = fetch_all!(
        tx,
        "SELECT u.value FROM json_each($1) u WHERE COALESCE((
             SELECT FALSE FROM json_each($2) c
             JOIN members m ON m.chat_id = c.value AND m.user_id = u.value
             WHERE m.invited_by IS NULL LIMIT 1), TRUE)",
        others.into_iter().collect::<List<i64>>(),
        chats
    )?;
    Ok(strangers.into_iter().map(|(id,)| id).collect())
}

/// Whether these people may be invited to one more group or room. A private chat is one for each who
/// writes, whom the list of those whom one does not want to hear from keeps out.
pub(super) async fn check_invitations(
    api: &Api,
    tx: &mut Tx,
    actor: Actor,
    kind: ChatType,
    strangers: &BTreeSet<i64>,
) -> Result<()> {
    if strangers.is_empty() || kind == ChatType::Private {
        return Ok(());
    }
    let limits = &api.config.chats;
    let (key, many) = (format!("invitations:{}", actor.user_id), strangers.len());
    let cost = u32::try_from(many).unwrap_or(u32::MAX);
    // Before the query: whoever invites without end costs the database nothing.
    let taken = api.limiter.try_take_many(&key, &limits.invitation, cost).await;
    taken.result.map_err(|wait| {
        count_refused();
        Error::too_many(limit::seconds(wait))
    })?;
    let full: Vec<(i64,)> = fetch_all!(
        tx,
        "SELECT u.value FROM json_each($1) u
         WHERE (SELECT count(*) FROM (
                SELECT 1 FROM members m JOIN chats c ON c.id = m.chat_id AND c.deleted_at IS NULL
                WHERE m.user_id = u.value AND m.invited_by = $2 LIMIT $3) own) >= $3
             OR (SELECT count(*) FROM (
                SELECT 1 FROM members m JOIN chats c ON c.id = m.chat_id AND c.deleted_at IS NULL
                WHERE m.user_id = u.value AND m.invited_by IS NOT NULL LIMIT $4) others) >= $4
         ORDER BY u.value",
        strangers.iter().copied().collect::<List<i64>>(),
        actor.user_id.0,
        limits.invitations_by_one,
        limits.invitations
    )?;
    match &full[..] {
        [] => Ok(()),
        full => {
            count_refused();
            Err(Error::new(
                Code::TooManyInvitations,
                format!("These users have too many unanswered invitations: {}.", ids(full)),
            ))
        }
    }
}

fn count_refused() {
    metrics::counter!("limit_refused_total", "kind" => "invitations").increment(1);
}

/// Nobody of `users` has blocked the actor. To be asked once they are members, in the same transaction: who
/// blocks somebody waits for that (see [`super::blocklist::block`]).
pub(super) async fn check_wanted(tx: &mut Tx, actor: Actor, users: &[i64]) -> Result<()> {
    if let Tx::Postgres(_) = tx {
        execute!(
            tx,
            "SELECT id FROM users WHERE id IN (SELECT value FROM json_each($1)) ORDER BY id FOR KEY SHARE",
            List(users.to_vec())
        )?;
    }
    match &against(tx, actor.user_id, users).await?[..] {
        [] => Ok(()),
        unwilling => Err(Error::new(
            Code::BlockedByRecipient,
            format!("These users do not want to hear from you: {}.", ids(unwilling)),
        )),
    }
}

/// Those of `users` who have blocked this one.
async fn against(tx: &mut Tx, blocked: UserId, users: &[i64]) -> Result<Vec<(i64,)>, DbError> {
    fetch_all!(
        tx,
        "SELECT user_id FROM blocklist
         WHERE blocked_id = $1 AND user_id IN (SELECT value FROM json_each($2)) ORDER BY user_id",
        blocked.0,
        List(users.to_vec())
    )
}

/// This member is one by its own will from now on.
pub(super) async fn accept(link: &mut Link<'_>, chat: ChatId, user: UserId) -> Result<(), DbError> {
    execute!(
        link,
        "UPDATE members SET invited_by = NULL
         WHERE chat_id = $1 AND user_id = $2 AND invited_by IS NOT NULL",
        chat.0,
        user.0
    )?;
    Ok(())
}

fn ids(rows: &[(i64,)]) -> String {
    rows.iter().map(|(id,)| id.to_string()).collect::<Vec<_>>().join(", ")
}
