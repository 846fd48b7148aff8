//! `events`: what was missed in ranges of chats, many ranges in a few statements.
//!
//! A range is read by place: `limit` places after `after` hold at most `limit` events, because
//! every event has a place of its own. So an answer is bounded without sorting or counting, however
//! long somebody was away; places whose message changed again later are simply empty.

use super::check_batch;
use crate::{
    Api,
    chats::stored::{MessageRow, Stored, message_columns},
    db::{Conn, List, column, fetch_all, json_rows},
};
use shared::{
    chat::{Change, Event, MemberChange, UserRef},
    id::{Seq, UserId},
    internal::{Events, EventsFound, MAX_RANGE_EVENTS, Range, RangeFound},
    problem::Problem,
    time::Timestamp,
};
use std::collections::HashMap;

/// The most events in one answer, over all ranges: 4 MiB of ordinary messages, 64 MiB of the longest.
const MAX_EVENTS: i64 = 4_000;

/// The ranges' events, each range cut after [`MAX_RANGE_EVENTS`] places, fewer when many ranges
/// missed much.
pub async fn events(api: &Api, request: Events) -> Result<EventsFound, Problem> {
    events_with_limit(api, request, MAX_RANGE_EVENTS).await
}

/// The same, with each range cut after `limit` places (at least one).
pub async fn events_with_limit(
    api: &Api,
    request: Events,
    limit: usize,
) -> Result<EventsFound, Problem> {
    check_batch("ranges", request.ranges.len())?;
    let mut conn = api.db.read().await?;
    // Heads first: whatever is read afterwards is at least as new, and cut at them.
    let heads = heads(&mut conn, &request.ranges).await?;
    let missed =
        request.ranges.iter().filter(|r| heads.get(&r.chat_id.0) > Some(&r.after.0)).count();
    let share = MAX_EVENTS / i64::try_from(missed.max(1)).unwrap_or(MAX_EVENTS);
    let limit = i64::try_from(limit).unwrap_or(i64::MAX).min(share).max(1);
    let mut found: Vec<Option<RangeFound>> = Vec::with_capacity(request.ranges.len());
    let mut wanted: Vec<(i64, i64, i64, i64)> = Vec::with_capacity(missed);
    for (place, range) in (0_i64..).zip(&request.ranges) {
        let Some(&head) = heads.get(&range.chat_id.0) else {
            found.push(None);
            continue;
        };
        let upto = range.after.0.saturating_add(limit).min(head);
        if upto > range.after.0 {
            wanted.push((place, range.chat_id.0, range.after.0, upto));
        }
        found.push(Some(RangeFound { events: Vec::new(), upto: Seq(upto), head: Seq(head) }));
    }
    if !wanted.is_empty() {
        let messages = messages(&mut conn, &wanted, &request.ranges).await?;
        let members = member_changes(&mut conn, &wanted).await?;
        for (place, event) in messages.into_iter().chain(members) {
            if let Some(Some(range)) = found.get_mut(place) {
                range.events.push(event);
            }
        }
        for range in found.iter_mut().flatten() {
            range.events.sort_unstable_by_key(|event| event.seq);
        }
    }
    Ok(EventsFound { ranges: found })
}

/// The newest event of each chat that still exists.
async fn heads(conn: &mut Conn, ranges: &[Range]) -> Result<HashMap<i64, i64>, Problem> {
    let chats: List<i64> = ranges.iter().map(|range| range.chat_id.0).collect();
    let rows: Vec<(i64, i64)> = fetch_all!(
        conn,
        "SELECT id, last_seq FROM chats
         WHERE id IN (SELECT value FROM json_each($1)) AND deleted_at IS NULL",
        chats
    )?;
    Ok(rows.into_iter().collect())
}

/// The ranges of `$1`…: place in the question, chat, after, upto.
macro_rules! ranges {
    (postgres) => {
        "WITH r AS (SELECT * FROM UNNEST($1::BIGINT[], $2::BIGINT[], $3::BIGINT[], $4::BIGINT[])
             AS u (place, chat_id, after, upto)) "
    };
    (sqlite) => {
        "WITH r AS (SELECT value ->> 0 AS place, value ->> 1 AS chat_id, value ->> 2 AS after,
             value ->> 3 AS upto FROM json_each($1)) "
    };
}

async fn messages(
    conn: &mut Conn,
    wanted: &[(i64, i64, i64, i64)],
    ranges: &[Range],
) -> Result<Vec<(usize, Event)>, Problem> {
    macro_rules! select {
        () => {
            concat!(
                "SELECT ", message_columns!(), ", r.place FROM r
                    JOIN messages m ON m.chat_id = r.chat_id AND m.id > r.after AND m.id <= r.upto
                    JOIN users s ON s.id = m.sender_id
                 UNION ALL SELECT ", message_columns!(), ", r.place FROM r
                    JOIN messages m ON m.chat_id = r.chat_id AND m.seq <> m.id
                        AND m.seq > r.after AND m.seq <= r.upto AND m.id <= r.after
                    JOIN users s ON s.id = m.sender_id"
            )
        };
    }
    let rows: Vec<PlacedRow> = fetch_all!(
        conn,
        postgres: concat!(ranges!(postgres), select!()), (column!(wanted, 0), column!(wanted, 1), column!(wanted, 2), column!(wanted, 3)),
        sqlite: concat!(ranges!(sqlite), select!()), (json_rows(wanted)),
    )?;
    let event = |row: PlacedRow| {
        let (
            chat,
            id,
            seq,
            by,
            name,
            guest,
            client_id,
            text,
            reply_to,
            at,
            edited,
            deleted,
            del_by,
            place,
        ) = row;
        let place = usize::try_from(place).ok()?;
        let after = ranges.get(place)?.after;
        let row: MessageRow = (
            chat, id, seq, by, name, guest, client_id, text, reply_to, at, edited, deleted, del_by,
        );
        Some((place, Stored::from(row).into_event(after)))
    };
    Ok(rows.into_iter().filter_map(event).collect())
}

/// A [`MessageRow`] and the range's place in the question.
type PlacedRow = (
    i64,
    i64,
    i64,
    i64,
    String,
    bool,
    String,
    String,
    Option<i64>,
    i64,
    Option<i64>,
    Option<i64>,
    Option<i64>,
    i64,
);

async fn member_changes(
    conn: &mut Conn,
    wanted: &[(i64, i64, i64, i64)],
) -> Result<Vec<(usize, Event)>, Problem> {
    macro_rules! select {
        () => {
            "SELECT r.place, e.seq, e.user_id, u.username, e.change, e.by_user, e.created_at FROM r
             JOIN member_events e ON e.chat_id = r.chat_id AND e.seq > r.after AND e.seq <= r.upto
             JOIN users u ON u.id = e.user_id"
        };
    }
    let rows: Vec<(i64, i64, i64, String, String, i64, i64)> = fetch_all!(
        conn,
        postgres: concat!(ranges!(postgres), select!()), (column!(wanted, 0), column!(wanted, 1), column!(wanted, 2), column!(wanted, 3)),
        sqlite: concat!(ranges!(sqlite), select!()), (json_rows(wanted)),
    )?;
    let event = |(place, seq, user, username, change, by, at): (
        i64,
        i64,
        i64,
        String,
        String,
        i64,
        i64,
    )| {
        let change = Change::Member {
            user: UserRef::registered(UserId(user), username),
            change: match change.as_str() {
                "joined" => MemberChange::Joined,
                "left" => MemberChange::Left,
                _ => MemberChange::Removed,
            },
            by: UserId(by),
            timestamp: Timestamp(at),
        };
        Some((usize::try_from(place).ok()?, Event { seq: Seq(seq), change }))
    };
    Ok(rows.into_iter().filter_map(event).collect())
}
