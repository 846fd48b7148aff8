//! A chat's events that are no messages: who came, went and was given the chat, and its new names. Each
//! takes the chat's next number, under its lock, and is told like any other event.

use super::access::Access;
use crate::db::{DbError, List, Tx, execute, fetch_all, fetch_one};
use protocol::{
    chat::{Change, Event, MemberChange, UserRef},
    id::{Seq, UserId},
    time::Timestamp,
};

/// Each of these users, by id, came or went; `by` did it.
pub(super) async fn members(
    tx: &mut Tx,
    access: &mut Access,
    by: UserId,
    users: &[i64],
    change: MemberChange,
) -> Result<Vec<Event>, DbError> {
    let found: Vec<(i64, String, String, String)> = fetch_all!(
        tx,
        "SELECT id, username, name, avatar FROM users
         WHERE id IN (SELECT value FROM json_each($1)) ORDER BY id",
        List(users.to_vec())
    )?;
    let before = access.last_seq.0;
    let now = advance(tx, access, users.len()).await?;
    let word = match change {
        MemberChange::Joined => "joined",
        MemberChange::Left => "left",
        MemberChange::Removed => "removed",
    };
    execute!(
        tx,
        "INSERT INTO member_events (chat_id, seq, user_id, change, by_user, created_at)
         SELECT $1, $2 + ROW_NUMBER() OVER (ORDER BY value), value, $3, $4, $5 FROM json_each($6)",
        access.chat_id.0,
        before,
        word,
        by.0,
        now.0,
        List(users.to_vec())
    )?;
    let event = |(place, (id, username, name, avatar))| Event {
        seq: Seq(place),
        change: Change::Member {
            user: UserRef::registered(UserId(id), username).named(name).pictured(avatar),
            change,
            by,
            timestamp: now,
        },
    };
    Ok((before + 1..).zip(found).map(event).collect())
}

/// The chat has this name from now on.
pub(super) async fn renamed(
    tx: &mut Tx,
    access: &mut Access,
    by: UserId,
    name: &str,
) -> Result<Event, DbError> {
    let timestamp = advance(tx, access, 1).await?;
    insert(tx, access, "renamed", None, Some(name), (by, timestamp)).await?;
    let change = Change::Renamed { name: name.to_owned(), by, timestamp };
    Ok(Event { seq: access.last_seq, change })
}

/// The chat belongs to this member from now on: its owner left it, or was taken out of it by `by`.
pub(super) async fn handed_over(
    tx: &mut Tx,
    access: &mut Access,
    by: UserId,
    heir: UserRef,
) -> Result<Event, DbError> {
    let timestamp = advance(tx, access, 1).await?;
    insert(tx, access, "owner", Some(heir.id.0), None, (by, timestamp)).await?;
    Ok(Event { seq: access.last_seq, change: Change::Owner { user: heir, by, timestamp } })
}

async fn insert(
    tx: &mut Tx,
    access: &Access,
    change: &str,
    user: Option<i64>,
    name: Option<&str>,
    (by, at): (UserId, Timestamp),
) -> Result<(), DbError> {
    execute!(
        tx,
        "INSERT INTO chat_events (chat_id, seq, change, user_id, name, by_user, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        access.chat_id.0,
        access.last_seq.0,
        change,
        user,
        name,
        by.0,
        at.0
    )?;
    Ok(())
}

/// Takes the chat's next numbers. When that was, which is when it changed.
async fn advance(tx: &mut Tx, access: &mut Access, numbers: usize) -> Result<Timestamp, DbError> {
    let (last_seq, now): (i64, i64) = fetch_one!(
        tx,
        "UPDATE chats SET last_seq = last_seq + $2, changed_at = (SELECT now FROM clock),
             sent_seq = CASE WHEN sent_seq = last_seq THEN sent_seq + $2 ELSE sent_seq END
         WHERE id = $1 RETURNING last_seq, changed_at",
        access.chat_id.0,
        numbers as i64
    )?;
    access.last_seq = Seq(last_seq);
    Ok(Timestamp(now))
}
