//! The statements that read ranges: each takes them all. How much of a range is read is for the caller to
//! know, what fits into an answer is `size`'s.

use super::size::overflow;
use crate::{
    chats::stored::MessageRecord,
    db::{Conn, List, column, fetch_all, from_row, json_rows, row},
    error::Result,
};
use protocol::{
    calls::Range,
    chat::{Change, Event, MemberChange, UserRef},
    id::{Seq, UserId},
    time::Timestamp,
};
use serde::Serialize;
use std::collections::HashMap;

/// A range to read: from after one place to another, which is in it.
#[derive(Clone, Serialize)]
pub(super) struct WantedRange {
    /// Its own place in the question.
    pub place: i64,
    pub chat_id: i64,
    pub after: i64,
    pub upto: i64,
}

/// An event, and the place of its range in the question.
pub(super) type PlacedEvent = (usize, Event);

/// Ends the ranges before the texts that make them longer than their share.
pub(super) async fn weigh(conn: &mut Conn, wanted: &mut [WantedRange], share: usize) -> Result<()> {
    // As in `messages`: what was made in the range, and what was made before it and changed in it.
    let rows: Vec<(i64, i64, i64)> = fetch_all!(
        conn,
        postgres: "WITH r AS (
                SELECT * FROM UNNEST($1::BIGINT[], $2::BIGINT[], $3::BIGINT[], $4::BIGINT[])
                    AS u (place, chat_id, after, upto))
            SELECT r.place, m.id AS at, CAST(octet_length(m.text) AS BIGINT) FROM r
            JOIN messages m ON m.chat_id = r.chat_id AND m.id > r.after AND m.id <= r.upto
            UNION ALL SELECT r.place, m.seq, CAST(octet_length(m.text) AS BIGINT) FROM r
            JOIN messages m ON m.chat_id = r.chat_id AND m.seq <> m.id
                AND m.seq > r.after AND m.seq <= r.upto AND m.id <= r.after
            ORDER BY 1, 2",
        (
            column!(wanted, place),
            column!(wanted, chat_id),
            column!(wanted, after),
            column!(wanted, upto),
        ),
        sqlite: "WITH r AS (
                SELECT value ->> 'place' AS place, value ->> 'chat_id' AS chat_id,
                    value ->> 'after' AS after, value ->> 'upto' AS upto FROM json_each($1))
            SELECT r.place, m.id AS at, CAST(octet_length(m.text) AS BIGINT) FROM r
            JOIN messages m ON m.chat_id = r.chat_id AND m.id > r.after AND m.id <= r.upto
            UNION ALL SELECT r.place, m.seq, CAST(octet_length(m.text) AS BIGINT) FROM r
            JOIN messages m ON m.chat_id = r.chat_id AND m.seq <> m.id
                AND m.seq > r.after AND m.seq <= r.upto AND m.id <= r.after
            ORDER BY 1, 2",
        (json_rows(wanted)),
    )?;
    // The rows of a range follow each other, in the order of their places.
    for rows in rows.chunk_by(|one, next| one.0 == next.0) {
        let lengths = rows.iter().map(|(_, at, bytes)| (*at, usize::try_from(*bytes).unwrap_or(0)));
        let Some((place, end)) = rows.first().map(|row| row.0).zip(overflow(lengths, share)) else {
            continue;
        };
        if let Some(range) = wanted.iter_mut().find(|range| range.place == place) {
            range.upto = end - 1;
        }
    }
    Ok(())
}

/// The newest event of each chat that still exists.
pub(super) async fn heads(conn: &mut Conn, ranges: &[Range]) -> Result<HashMap<i64, i64>> {
    let chats: List<i64> = ranges.iter().map(|range| range.chat_id.0).collect();
    let rows: Vec<(i64, i64)> = fetch_all!(
        conn,
        "SELECT id, last_seq FROM chats
         WHERE id IN (SELECT value FROM json_each($1)) AND deleted_at IS NULL",
        chats
    )?;
    Ok(rows.into_iter().collect())
}

/// The messages that were made or changed in the ranges, deleted ones included.
pub(super) async fn messages(
    conn: &mut Conn,
    wanted: &[WantedRange],
    ranges: &[Range],
) -> Result<Vec<PlacedEvent>> {
    // Two parts, each by an index of its own: one condition for both would read the whole chat.
    let found: Vec<PlacedMessage> = fetch_all!(
        conn,
        postgres: "WITH r AS (
                SELECT * FROM UNNEST($1::BIGINT[], $2::BIGINT[], $3::BIGINT[], $4::BIGINT[])
                    AS u (place, chat_id, after, upto))
            SELECT m.chat_id, m.id, m.seq, m.sender_id, s.username, s.name, s.avatar, s.guest, m.client_message_id,
                m.text, m.reply_to, m.created_at, m.edited_at, m.deleted_at, m.deleted_by, r.place FROM r
            JOIN messages m ON m.chat_id = r.chat_id AND m.id > r.after AND m.id <= r.upto
            JOIN users s ON s.id = m.sender_id
            UNION ALL SELECT m.chat_id, m.id, m.seq, m.sender_id, s.username, s.name, s.avatar, s.guest, m.client_message_id,
                m.text, m.reply_to, m.created_at, m.edited_at, m.deleted_at, m.deleted_by, r.place FROM r
            JOIN messages m ON m.chat_id = r.chat_id AND m.seq <> m.id
                AND m.seq > r.after AND m.seq <= r.upto AND m.id <= r.after
            JOIN users s ON s.id = m.sender_id",
        (
            column!(wanted, place),
            column!(wanted, chat_id),
            column!(wanted, after),
            column!(wanted, upto),
        ),
        sqlite: "WITH r AS (
                SELECT value ->> 'place' AS place, value ->> 'chat_id' AS chat_id,
                    value ->> 'after' AS after, value ->> 'upto' AS upto FROM json_each($1))
            SELECT m.chat_id, m.id, m.seq, m.sender_id, s.username, s.name, s.avatar, s.guest, m.client_message_id,
                m.text, m.reply_to, m.created_at, m.edited_at, m.deleted_at, m.deleted_by, r.place FROM r
            JOIN messages m ON m.chat_id = r.chat_id AND m.id > r.after AND m.id <= r.upto
            JOIN users s ON s.id = m.sender_id
            UNION ALL SELECT m.chat_id, m.id, m.seq, m.sender_id, s.username, s.name, s.avatar, s.guest, m.client_message_id,
                m.text, m.reply_to, m.created_at, m.edited_at, m.deleted_at, m.deleted_by, r.place FROM r
            JOIN messages m ON m.chat_id = r.chat_id AND m.seq <> m.id
                AND m.seq > r.after AND m.seq <= r.upto AND m.id <= r.after
            JOIN users s ON s.id = m.sender_id",
        (json_rows(wanted)),
    )?;
    let event = |PlacedMessage { place, stored }| {
        let place = usize::try_from(place).ok()?;
        let after = ranges.get(place)?.after;
        Some((place, stored.into_event(after)))
    };
    Ok(found.into_iter().filter_map(event).collect())
}

/// A message and its range's place in the question.
struct PlacedMessage {
    place: i64,
    stored: MessageRecord,
}

from_row!(PlacedMessage, |row| Self {
    place: row.try_get("place")?,
    stored: MessageRecord::from_row(row)?
});

row! {
    struct MemberEventRow {
        place: i64,
        seq: i64,
        user_id: i64,
        username: String,
        name: String,
        avatar: String,
        change: String,
        by_user: i64,
        created_at: i64,
    }
}

/// Who came and who went.
pub(super) async fn member_changes(
    conn: &mut Conn,
    wanted: &[WantedRange],
) -> Result<Vec<PlacedEvent>> {
    let rows: Vec<MemberEventRow> = fetch_all!(
        conn,
        postgres: "WITH r AS (
                SELECT * FROM UNNEST($1::BIGINT[], $2::BIGINT[], $3::BIGINT[], $4::BIGINT[])
                    AS u (place, chat_id, after, upto))
            SELECT r.place, e.seq, e.user_id, u.username, u.name, u.avatar, e.change, e.by_user, e.created_at FROM r
            JOIN member_events e ON e.chat_id = r.chat_id AND e.seq > r.after AND e.seq <= r.upto
            JOIN users u ON u.id = e.user_id",
        (
            column!(wanted, place),
            column!(wanted, chat_id),
            column!(wanted, after),
            column!(wanted, upto),
        ),
        sqlite: "WITH r AS (
                SELECT value ->> 'place' AS place, value ->> 'chat_id' AS chat_id,
                    value ->> 'after' AS after, value ->> 'upto' AS upto FROM json_each($1))
            SELECT r.place, e.seq, e.user_id, u.username, u.name, u.avatar, e.change, e.by_user, e.created_at FROM r
            JOIN member_events e ON e.chat_id = r.chat_id AND e.seq > r.after AND e.seq <= r.upto
            JOIN users u ON u.id = e.user_id",
        (json_rows(wanted)),
    )?;
    let event = |row: MemberEventRow| {
        let change = Change::Member {
            user: UserRef::registered(UserId(row.user_id), row.username)
                .named(row.name)
                .pictured(row.avatar),
            change: match row.change.as_str() {
                "joined" => MemberChange::Joined,
                "left" => MemberChange::Left,
                _ => MemberChange::Removed,
            },
            by: UserId(row.by_user),
            timestamp: Timestamp(row.created_at),
        };
        Some((usize::try_from(row.place).ok()?, Event { seq: Seq(row.seq), change }))
    };
    Ok(rows.into_iter().filter_map(event).collect())
}

row! {
    struct ChatEventRow {
        place: i64,
        seq: i64,
        name: Option<String>,
        user_id: Option<i64>,
        username: Option<String>,
        user_name: Option<String>,
        avatar: Option<String>,
        by_user: i64,
        created_at: i64,
    }
}

/// New names and new owners.
pub(super) async fn chat_changes(
    conn: &mut Conn,
    wanted: &[WantedRange],
) -> Result<Vec<PlacedEvent>> {
    let rows: Vec<ChatEventRow> = fetch_all!(
        conn,
        postgres: "WITH r AS (
                SELECT * FROM UNNEST($1::BIGINT[], $2::BIGINT[], $3::BIGINT[], $4::BIGINT[])
                    AS u (place, chat_id, after, upto))
            SELECT r.place, e.seq, e.name, e.user_id, u.username, u.name AS user_name, u.avatar, e.by_user, e.created_at FROM r
            JOIN chat_events e ON e.chat_id = r.chat_id AND e.seq > r.after AND e.seq <= r.upto
            LEFT JOIN users u ON u.id = e.user_id",
        (
            column!(wanted, place),
            column!(wanted, chat_id),
            column!(wanted, after),
            column!(wanted, upto),
        ),
        sqlite: "WITH r AS (
                SELECT value ->> 'place' AS place, value ->> 'chat_id' AS chat_id,
                    value ->> 'after' AS after, value ->> 'upto' AS upto FROM json_each($1))
            SELECT r.place, e.seq, e.name, e.user_id, u.username, u.name AS user_name, u.avatar, e.by_user, e.created_at FROM r
            JOIN chat_events e ON e.chat_id = r.chat_id AND e.seq > r.after AND e.seq <= r.upto
            LEFT JOIN users u ON u.id = e.user_id",
        (json_rows(wanted)),
    )?;
    let event = |row: ChatEventRow| {
        let (by, timestamp) = (UserId(row.by_user), Timestamp(row.created_at));
        let change = match (row.name, row.user_id.zip(row.username)) {
            (Some(name), _) => Change::Renamed { name, by, timestamp },
            (None, Some((id, username))) => {
                let user = UserRef::registered(UserId(id), username)
                    .named(row.user_name.unwrap_or_default())
                    .pictured(row.avatar.unwrap_or_default());
                Change::Owner { user, by, timestamp }
            }
            (None, None) => return None,
        };
        Some((usize::try_from(row.place).ok()?, Event { seq: Seq(row.seq), change }))
    };
    Ok(rows.into_iter().filter_map(event).collect())
}
