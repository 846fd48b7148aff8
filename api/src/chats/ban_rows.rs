//! The bans of rooms as the database keeps them. Who may ban whom is for [`super::bans`] and
//! [`super::membership`] to know.

use super::member_key::MemberKey;
use crate::{
    db::{DbError, Link, List, Tx, column, execute, fetch_all, fetch_one, json_rows},
    error::{Error, Result},
};
use protocol::{
    calls::UserChat,
    code::Code,
    id::{ChatId, UserId},
};
use std::{collections::HashSet, time::Duration};

/// A ban to be.
pub(super) struct Banning<'a> {
    pub user: UserId,
    pub by: UserId,
    /// `None`: it does not end by itself.
    pub length: Option<Duration>,
    pub reason: &'a str,
}

/// Writes a ban, under the room's lock, and clears away some of the room's that have ended.
pub(super) async fn insert(
    tx: &mut Tx,
    chat: ChatId,
    banning: Banning<'_>,
    most: i64,
) -> Result<()> {
    let Banning { user, by, length, reason } = banning;
    let chat = chat.0;
    execute!(
        tx,
        "DELETE FROM bans WHERE chat_id = $1 AND user_id IN (
             SELECT user_id FROM bans WHERE chat_id = $1 AND ends_at <= (SELECT now FROM clock) LIMIT 4)",
        chat
    )?;
    let (bans,): (i64,) = fetch_one!(
        tx,
        "SELECT count(*) FROM (SELECT 1 FROM bans WHERE chat_id = $1 AND user_id <> $2 LIMIT $3) b",
        chat,
        user.0,
        most
    )?;
    if bans >= most {
        return Err(Error::new(
            Code::TooManyBans,
            format!("A room has at most {most} bans. Lift some first."),
        ));
    }
    let length = length.map(|length| i64::try_from(length.as_millis()).unwrap_or(i64::MAX));
    execute!(
        tx,
        "INSERT INTO bans (chat_id, user_id, banned_by, banned_at, ends_at, reason)
         SELECT $1, $2, $3, now, now + $4, $5 FROM clock WHERE TRUE
         ON CONFLICT (chat_id, user_id) DO UPDATE SET banned_by = excluded.banned_by,
             banned_at = excluded.banned_at, ends_at = excluded.ends_at, reason = excluded.reason",
        chat,
        user.0,
        by.0,
        length,
        reason
    )?;
    Ok(())
}

/// Lifts these users' bans. How many there were.
pub(super) async fn remove(tx: &mut Tx, chat: ChatId, users: &[i64]) -> Result<u64, DbError> {
    execute!(
        tx,
        "DELETE FROM bans WHERE chat_id = $1 AND user_id IN (SELECT value FROM json_each($2))",
        chat.0,
        List(users.to_vec())
    )
}

/// Those of the pairs in which the user is banned from the chat.
pub(crate) async fn among(
    link: &mut Link<'_>,
    pairs: &[UserChat],
) -> Result<HashSet<UserChat>, DbError> {
    if pairs.is_empty() {
        return Ok(HashSet::new());
    }
    let keys: Vec<MemberKey> = pairs.iter().map(MemberKey::from).collect();
    let banned: Vec<(i64, i64)> = fetch_all!(
        link,
        postgres: "SELECT b.chat_id, b.user_id FROM UNNEST($1::BIGINT[], $2::BIGINT[]) AS r (chat_id, user_id)
            JOIN bans b ON b.chat_id = r.chat_id AND b.user_id = r.user_id
            WHERE b.ends_at IS NULL OR b.ends_at > (SELECT now FROM clock)",
        (column!(keys, chat_id), column!(keys, user_id)),
        sqlite: "SELECT b.chat_id, b.user_id FROM json_each($1) r
            JOIN bans b ON b.chat_id = r.value ->> 'chat_id' AND b.user_id = r.value ->> 'user_id'
            WHERE b.ends_at IS NULL OR b.ends_at > (SELECT now FROM clock)",
        (json_rows(&keys)),
    )?;
    let pair = |(chat, user)| UserChat { user_id: UserId(user), chat_id: ChatId(chat) };
    Ok(banned.into_iter().map(pair).collect())
}
