//! Who may be put into a chat without being asked: those with whom one shares another chat, of which both
//! are members by their own will. Everybody else is invited: such a member's chat comes after all others
//! and counts for nothing until the member accepts, by joining it or by writing in it.

use super::direct::pair_key;
use crate::{
    accounts::Actor,
    db::{Databases, Db, DbError, Link, List, Tx, execute, fetch_all},
    error::{Error, Result},
    news::{self, News},
    state::Api,
};
use platform::limit;
use protocol::{
    account::Role,
    chat::ChatType,
    code::Code,
    id::{ChatId, UserId},
};
use std::collections::{BTreeMap, BTreeSet};

/// Of one's groups that many, the newest, are looked through for the people in them.
const ACQUAINTED_CHATS: i64 = 100;

/// Those of `users` whom the actor may only invite. Administrators put in whom they like. Whoever is acquainted by the
/// chats of one server is no stranger on any.
pub(super) async fn among(db: &Databases, actor: Actor, users: &[i64]) -> Result<BTreeSet<i64>> {
    let others: BTreeSet<i64> =
        users.iter().copied().filter(|user| *user != actor.user_id.0).collect();
    if others.is_empty() || actor.role == Role::Admin {
        return Ok(BTreeSet::new());
    }
    let ask = |db: Db| {
        let others = others.clone();
        async move { Ok(on_server(&db, actor.user_id, &others).await?) }
    };
    let mut strangers = others.clone();
    for of_one in db.ask_each(ask).await? {
        strangers.retain(|user| of_one.contains(user));
    }
    Ok(strangers)
}

/// Those of `others` with whom the user shares no chat of this server.
async fn on_server(
    db: &Db,
    user: UserId,
    others: &BTreeSet<i64>,
) -> Result<BTreeSet<i64>, DbError> {
    let mut conn = db.read().await?;
    let pairs: List<String> = others.iter().map(|other| pair_key(user, UserId(*other))).collect();
    let private: Vec<(i64,)> = fetch_all!(
        conn,
        "SELECT id FROM chats WHERE pair_key IN (SELECT value FROM json_each($1))",
        pairs
    )?;
    let shared: Vec<(i64,)> = fetch_all!(
        conn,
        "SELECT m.chat_id FROM members m
         WHERE m.user_id = $1 AND m.invited_by IS NULL AND (
             SELECT c.chat_type = 'group' AND c.deleted_at IS NULL FROM chats c WHERE c.id = m.chat_id)
         ORDER BY m.chat_id DESC LIMIT $2",
        user.0,
        ACQUAINTED_CHATS
    )?;
    let chats: List<i64> = private.into_iter().chain(shared).map(|(id,)| id).collect();
    // A look at the primary key for each chat and person, however many members the chats have.
    let strangers: Vec<(i64,)> = fetch_all!(
        conn,
        "SELECT u.value FROM json_each($1) u WHERE COALESCE((
             SELECT FALSE FROM json_each($2) c
             JOIN members m ON m.chat_id = c.value AND m.user_id = u.value
             WHERE m.invited_by IS NULL LIMIT 1), TRUE)",
        others.iter().copied().collect::<List<i64>>(),
        chats
    )?;
    Ok(strangers.into_iter().map(|(id,)| id).collect())
}

/// Whether these people may be invited to one more group or room. A private chat is one for each who
/// writes, whom the list of those whom one does not want to hear from keeps out.
pub(super) async fn check_invitations(
    api: &Api,
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
    let (by_one, by_all) = (limits.invitations_by_one, limits.invitations);
    let ask = |db: Db| async move {
        let mut conn = db.read().await?;
        let rows: Vec<(i64, i64, i64)> = fetch_all!(
            conn,
            "SELECT u.value, (SELECT count(*) FROM (
                    SELECT 1 FROM members m JOIN chats c ON c.id = m.chat_id AND c.deleted_at IS NULL
                    WHERE m.user_id = u.value AND m.invited_by = $2 LIMIT $3) own),
                 (SELECT count(*) FROM (
                    SELECT 1 FROM members m JOIN chats c ON c.id = m.chat_id AND c.deleted_at IS NULL
                    WHERE m.user_id = u.value AND m.invited_by IS NOT NULL LIMIT $4) others)
             FROM json_each($1) u",
            strangers.iter().copied().collect::<List<i64>>(),
            actor.user_id.0,
            by_one,
            by_all
        )?;
        Ok(rows)
    };
    let mut counts: BTreeMap<i64, (i64, i64)> = BTreeMap::new();
    for (user, own, others) in api.db.ask_each(ask).await?.into_iter().flatten() {
        let sum = counts.entry(user).or_default();
        *sum = (sum.0 + own, sum.1 + others);
    }
    counts.retain(|_, (own, others)| *own >= by_one || *others >= by_all);
    if counts.is_empty() {
        return Ok(());
    }
    count_refused();
    Err(Error::new(
        Code::TooManyInvitations,
        format!("These users have too many unanswered invitations: {}.", ids(counts.into_keys())),
    ))
}

fn count_refused() {
    metrics::counter!("limit_refused_total", "kind" => "invitations").increment(1);
}

/// Holds that nobody of the new members blocks the actor before they are members. Who blocks somebody locks their own
/// row at home, and then looks for the chats that it was put into ([`super::blocklist::block`]).
pub(super) enum WantedHold {
    /// The chat is at home: its transaction locks and asks, once they are members.
    InTheChats,
    /// The chat is elsewhere: this transaction at home has locked and asked, and ends after the chat's.
    AtHome(Tx),
}

/// To be called before the chat's transaction begins: who holds a connection to the home waits for one to another
/// server, and never the other way round.
pub(super) async fn hold_wanted(
    all: &Databases,
    server: &Db,
    actor: Actor,
    users: &[i64],
) -> Result<WantedHold> {
    if std::ptr::eq(server, all.home()) {
        return Ok(WantedHold::InTheChats);
    }
    let mut tx = all.home().begin().await?;
    check_wanted(&mut tx, actor, users).await?;
    Ok(WantedHold::AtHome(tx))
}

impl WantedHold {
    /// Asks in the chat's transaction, if that has not been done.
    pub(super) async fn check(&self, tx: &mut Tx, actor: Actor, users: &[i64]) -> Result<()> {
        match self {
            Self::InTheChats => check_wanted(tx, actor, users).await,
            Self::AtHome(_) => Ok(()),
        }
    }

    /// Commits the chat's transaction and lets go. Whoever asked may go away in between.
    pub(super) async fn commit(self, api: &Api, tx: Tx, news: News) -> Result<()> {
        let committed = news::commit_by(api, async move {
            tx.commit().await?;
            if let Self::AtHome(held) = self {
                // It has written nothing. If it fails, its connection has let go.
                let _ = held.rollback().await;
            }
            Ok(((), news))
        });
        committed.await?;
        Ok(())
    }
}

/// Nobody of `users` has blocked the actor.
async fn check_wanted(tx: &mut Tx, actor: Actor, users: &[i64]) -> Result<()> {
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
            format!(
                "These users do not want to hear from you: {}.",
                ids(unwilling.iter().map(|(id,)| *id))
            ),
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

fn ids(users: impl Iterator<Item = i64>) -> String {
    users.map(|id| id.to_string()).collect::<Vec<_>>().join(", ")
}
