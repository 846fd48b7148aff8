//! `events`: what was missed in ranges of chats, many ranges in a few statements.
//!
//! A range is read by place: `limit` places after `after` hold at most `limit` events, because
//! every event has a place of its own. So an answer is bounded without sorting or counting, however
//! long somebody was away; places whose message changed again later are simply empty.
//!
//! It is bounded in bytes, too, whatever the texts are: a range ends before the event that does not
//! fit into its share any more. Where many are asked for, their lengths are read first, so that what
//! does not fit is not read either.

use crate::{
    chats::stored::{Stored, message_columns},
    db::{Conn, List, column, fetch_all, from_row, json_rows, row},
    error::Result,
    state::Api,
};
use protocol::{
    calls::{Events, EventsFound, Range, RangeFound},
    chat::{Change, Event, MemberChange, UserRef},
    id::{Seq, UserId},
    limits::{MAX_EVENTS_BYTES, MAX_RANGE_BYTES, MAX_RANGE_EVENTS, MAX_TEXT_CHARS},
    time::Timestamp,
};
use std::collections::HashMap;

/// The most places that are read for one answer, over all ranges.
const MAX_EVENTS: i64 = 4_000;

/// As many places are read without asking first how long their texts are: the longest are 8 MiB.
const UNWEIGHED: i64 = (MAX_EVENTS_BYTES / (4 * MAX_TEXT_CHARS)) as i64;

/// A range to read: its place in the question, chat, after, upto.
type Wanted = (i64, i64, i64, i64);

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

/// The ranges' events, each range cut after [`MAX_RANGE_EVENTS`] places and before what makes it
/// longer than [`MAX_RANGE_BYTES`]; earlier when many ranges missed much.
pub async fn events(api: &Api, request: Events) -> Result<EventsFound> {
    events_with_limit(api, request, MAX_RANGE_EVENTS).await
}

/// The same, with each range cut after `limit` places (at least one).
pub async fn events_with_limit(api: &Api, request: Events, limit: usize) -> Result<EventsFound> {
    let mut conn = api.db.read().await?;
    // Heads first: whatever is read afterwards is at least as new, and cut at them.
    let heads = heads(&mut conn, &request.ranges).await?;
    let missed =
        request.ranges.iter().filter(|r| heads.get(&r.chat_id.0) > Some(&r.after.0)).count();
    let share = MAX_EVENTS / i64::try_from(missed.max(1)).unwrap_or(MAX_EVENTS);
    let limit = i64::try_from(limit).unwrap_or(i64::MAX).min(share).max(1);
    let mut found: Vec<Option<RangeFound>> = Vec::with_capacity(request.ranges.len());
    let mut wanted: Vec<Wanted> = Vec::with_capacity(missed);
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
        let share = MAX_RANGE_BYTES.min(MAX_EVENTS_BYTES / wanted.len());
        if wanted.iter().map(|(_, _, after, upto)| upto - after).sum::<i64>() > UNWEIGHED {
            weigh(&mut conn, &mut wanted, share).await?;
        }
        for (place, _, _, upto) in &wanted {
            if let Some(Some(range)) = usize::try_from(*place).ok().and_then(|p| found.get_mut(p)) {
                range.upto = Seq(*upto);
            }
        }
        let messages = messages(&mut conn, &wanted, &request.ranges).await?;
        let members = member_changes(&mut conn, &wanted).await?;
        let chats = chat_changes(&mut conn, &wanted).await?;
        for (place, event) in messages.into_iter().chain(members).chain(chats) {
            if let Some(Some(range)) = found.get_mut(place) {
                range.events.push(event);
            }
        }
        for range in found.iter_mut().flatten() {
            range.events.sort_unstable_by_key(|event| event.seq);
            cut(range, share);
        }
    }
    Ok(EventsFound { ranges: found })
}

/// Ends the ranges before the texts that make them longer than their share.
async fn weigh(conn: &mut Conn, wanted: &mut [Wanted], share: usize) -> Result<()> {
    macro_rules! select {
        () => {
            "SELECT r.place, m.id AS at, CAST(octet_length(m.text) AS BIGINT) FROM r
                JOIN messages m ON m.chat_id = r.chat_id AND m.id > r.after AND m.id <= r.upto
             UNION ALL SELECT r.place, m.seq, CAST(octet_length(m.text) AS BIGINT) FROM r
                JOIN messages m ON m.chat_id = r.chat_id AND m.seq <> m.id
                    AND m.seq > r.after AND m.seq <= r.upto AND m.id <= r.after
             ORDER BY 1, 2"
        };
    }
    let rows: Vec<(i64, i64, i64)> = fetch_all!(
        conn,
        postgres: concat!(ranges!(postgres), select!()), (column!(wanted, 0), column!(wanted, 1), column!(wanted, 2), column!(wanted, 3)),
        sqlite: concat!(ranges!(sqlite), select!()), (json_rows(wanted)),
    )?;
    for rows in rows.chunk_by(|one, next| one.0 == next.0) {
        let lengths = rows.iter().map(|(_, at, bytes)| (*at, usize::try_from(*bytes).unwrap_or(0)));
        let Some((place, end)) = rows.first().map(|row| row.0).zip(overflow(lengths, share)) else {
            continue;
        };
        if let Some(range) = wanted.iter_mut().find(|range| range.0 == place) {
            range.3 = end - 1;
        }
    }
    Ok(())
}

/// Ends a range before the event that makes it longer than its share.
fn cut(range: &mut RangeFound, share: usize) {
    let sizes = range.events.iter().map(|event| (event.seq.0, json_bytes(event)));
    if let Some(end) = overflow(sizes, share) {
        range.events.retain(|event| event.seq.0 < end);
        range.upto = Seq(end - 1);
    }
}

/// The place of the first one that does not fit any more. The first of all always does.
fn overflow(sizes: impl Iterator<Item = (i64, usize)>, share: usize) -> Option<i64> {
    let mut all = 0;
    sizes
        .enumerate()
        .find(|(number, (_, bytes))| {
            all += bytes;
            *number > 0 && all > share
        })
        .map(|(_, (at, _))| at)
}

/// The most that an event may have as JSON, without writing it.
fn json_bytes(event: &Event) -> usize {
    /// The names of all fields, numbers of twenty digits, times.
    const FIELDS: usize = 400;
    FIELDS
        + match &event.change {
            Change::Message(message) | Change::Edited(message) => {
                let key = message.client_message_id.as_deref().unwrap_or_default();
                spelled(&message.text) + spelled(&message.sender.username) + spelled(key)
            }
            Change::Member { user, .. } | Change::Owner { user, .. } => spelled(&user.username),
            Change::Renamed { name, .. } => spelled(name),
            Change::Deleted { .. } | Change::Unknown => 0,
        }
}

/// The length of a text as JSON spells it.
fn spelled(text: &str) -> usize {
    let byte = |byte: u8| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' => 2,
        0..0x20 => 6,
        _ => 1,
    };
    text.bytes().map(byte).sum()
}

/// The newest event of each chat that still exists.
async fn heads(conn: &mut Conn, ranges: &[Range]) -> Result<HashMap<i64, i64>> {
    let chats: List<i64> = ranges.iter().map(|range| range.chat_id.0).collect();
    let rows: Vec<(i64, i64)> = fetch_all!(
        conn,
        "SELECT id, last_seq FROM chats
         WHERE id IN (SELECT value FROM json_each($1)) AND deleted_at IS NULL",
        chats
    )?;
    Ok(rows.into_iter().collect())
}

async fn messages(
    conn: &mut Conn,
    wanted: &[Wanted],
    ranges: &[Range],
) -> Result<Vec<(usize, Event)>> {
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
    let found: Vec<PlacedMessage> = fetch_all!(
        conn,
        postgres: concat!(ranges!(postgres), select!()), (column!(wanted, 0), column!(wanted, 1), column!(wanted, 2), column!(wanted, 3)),
        sqlite: concat!(ranges!(sqlite), select!()), (json_rows(wanted)),
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
    stored: Stored,
}

from_row!(PlacedMessage, |row| Self {
    place: row.try_get("place")?,
    stored: Stored::from_row(row)?
});

row! {
    struct MemberEventRow {
        place: i64,
        seq: i64,
        user_id: i64,
        username: String,
        change: String,
        by_user: i64,
        created_at: i64,
    }
}

async fn member_changes(conn: &mut Conn, wanted: &[Wanted]) -> Result<Vec<(usize, Event)>> {
    macro_rules! select {
        () => {
            "SELECT r.place, e.seq, e.user_id, u.username, e.change, e.by_user, e.created_at FROM r
             JOIN member_events e ON e.chat_id = r.chat_id AND e.seq > r.after AND e.seq <= r.upto
             JOIN users u ON u.id = e.user_id"
        };
    }
    let rows: Vec<MemberEventRow> = fetch_all!(
        conn,
        postgres: concat!(ranges!(postgres), select!()), (column!(wanted, 0), column!(wanted, 1), column!(wanted, 2), column!(wanted, 3)),
        sqlite: concat!(ranges!(sqlite), select!()), (json_rows(wanted)),
    )?;
    let event = |row: MemberEventRow| {
        let change = Change::Member {
            user: UserRef::registered(UserId(row.user_id), row.username),
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
        by_user: i64,
        created_at: i64,
    }
}

/// New names and new owners.
async fn chat_changes(conn: &mut Conn, wanted: &[Wanted]) -> Result<Vec<(usize, Event)>> {
    macro_rules! select {
        () => {
            "SELECT r.place, e.seq, e.name, e.user_id, u.username, e.by_user, e.created_at FROM r
             JOIN chat_events e ON e.chat_id = r.chat_id AND e.seq > r.after AND e.seq <= r.upto
             LEFT JOIN users u ON u.id = e.user_id"
        };
    }
    let rows: Vec<ChatEventRow> = fetch_all!(
        conn,
        postgres: concat!(ranges!(postgres), select!()), (column!(wanted, 0), column!(wanted, 1), column!(wanted, 2), column!(wanted, 3)),
        sqlite: concat!(ranges!(sqlite), select!()), (json_rows(wanted)),
    )?;
    let event = |row: ChatEventRow| {
        let (by, timestamp) = (UserId(row.by_user), Timestamp(row.created_at));
        let change = match (row.name, row.user_id.zip(row.username)) {
            (Some(name), _) => Change::Renamed { name, by, timestamp },
            (None, Some((id, username))) => {
                let user = UserRef::registered(UserId(id), username);
                Change::Owner { user, by, timestamp }
            }
            (None, None) => return None,
        };
        Some((usize::try_from(row.place).ok()?, Event { seq: Seq(row.seq), change }))
    };
    Ok(rows.into_iter().filter_map(event).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::{chat::Message, id::ChatId};

    fn event(text: &str) -> Event {
        let message = Message {
            id: Seq(i64::MIN),
            sender: UserRef { id: UserId(i64::MIN), username: "\"".repeat(32), guest: true },
            text: text.to_owned(),
            timestamp: Timestamp(1_700_000_000_007),
            client_message_id: Some("\\".repeat(64)),
            reply_to: Some(Seq(i64::MIN)),
            edited_at: Some(Timestamp(1_700_000_000_007)),
        };
        Event { seq: Seq(i64::MIN), change: Change::Edited(message) }
    }

    #[test]
    fn no_event_is_longer_than_it_is_weighed() {
        for text in ["", "hi", "a\"b\\c\nd\re\tf", "\u{1}\u{1f}\u{7f}", "привет 😀 \u{2028}"]
        {
            let event = event(text);
            let whole = serde_json::to_string(&event).unwrap().len();
            let weighed = json_bytes(&event);
            assert!(whole <= weighed && weighed < whole + 400, "{text:?}: {whole}, {weighed}");
            let alone = serde_json::to_string(text).unwrap().len();
            assert_eq!(spelled(text) + 2, alone, "{text:?}");
        }
        let (user, change) =
            (UserRef::registered(UserId(1), "😀".repeat(32)), MemberChange::Removed);
        let (by, timestamp) = (UserId(i64::MIN), Timestamp(1_700_000_000_007));
        let change = Change::Member { user, change, by, timestamp };
        let event = Event { seq: Seq(i64::MIN), change };
        assert!(serde_json::to_string(&event).unwrap().len() <= json_bytes(&event));
    }

    #[test]
    fn a_range_ends_before_what_does_not_fit_and_has_one_event_at_least() {
        assert_eq!(overflow([(3, 90), (4, 10), (7, 1)].into_iter(), 100), Some(7));
        assert_eq!(overflow([(3, 900), (4, 1)].into_iter(), 100), Some(4));
        assert_eq!(overflow([(3, 900)].into_iter(), 100), None);
        assert_eq!(overflow([].into_iter(), 100), None);
        let range = Range { chat_id: ChatId(1), after: Seq(0) };
        let mut events = vec![event("one"), event("two")];
        (events[0].seq, events[1].seq) = (Seq(5), Seq(9));
        let mut found = RangeFound { events, upto: Seq(20), head: Seq(20) };
        cut(&mut found, 500);
        assert_eq!((found.events.len(), found.upto), (1, Seq(8)), "{range:?}");
    }
}
