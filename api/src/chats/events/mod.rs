//! `events`: what was missed in ranges of chats, many ranges in a few statements.
//!
//! A range is read by place: `limit` places after `after` hold at most `limit` events, because
//! every event has a place of its own. So an answer is bounded without sorting or counting, however
//! long somebody was away; places whose message changed again later are simply empty.
//!
//! It is bounded in bytes, too, whatever the texts are: a range ends before the event that does not
//! fit into its share any more. Where many are asked for, their lengths are read first, so that what
//! does not fit is not read either.

mod read;
mod size;

use crate::{
    db::{Conn, Db},
    error::Result,
    state::Api,
};
use protocol::{
    calls::{Events, EventsFound, Range, RangeFound},
    id::Seq,
    limits::{MAX_EVENTS_BYTES, MAX_RANGE_BYTES, MAX_RANGE_EVENTS, MAX_TEXT_CHARS},
};
use read::WantedRange;

/// The most places that are read for one answer, over all ranges.
const MAX_EVENTS: i64 = 4_000;

/// The longest text.
const MAX_TEXT_BYTES: usize = 4 * MAX_TEXT_CHARS;

/// The ranges' events, each range cut after [`MAX_RANGE_EVENTS`] places and before what makes it
/// longer than [`MAX_RANGE_BYTES`]; earlier when many ranges missed much.
pub async fn events(api: &Api, request: Events) -> Result<EventsFound> {
    events_with_limit(api, request, MAX_RANGE_EVENTS).await
}

/// The same, with each range cut after `limit` places (at least one).
pub async fn events_with_limit(api: &Api, request: Events, limit: usize) -> Result<EventsFound> {
    let all = request.ranges.len();
    let ask = |db: Db, ranges: Vec<Range>| async move {
        let bounds = AnswerBounds::of_part(ranges.len(), all);
        Ok(on_server(&db, Events { ranges }, limit, bounds).await?.ranges)
    };
    let ranges = api.db.ask_by_chat(&request.ranges, |range| range.chat_id, ask).await?;
    Ok(EventsFound { ranges })
}

/// How much a server's part of an answer may hold.
#[derive(Clone, Copy)]
struct AnswerBounds {
    places: i64,
    bytes: usize,
}

impl AnswerBounds {
    /// In proportion to the ranges.
    fn of_part(ranges: usize, all: usize) -> Self {
        let bytes = MAX_EVENTS_BYTES / all.max(1) * ranges;
        let (ranges, all) = (ranges as i64, (all as i64).max(1));
        match ranges == all {
            true => Self { places: MAX_EVENTS, bytes: MAX_EVENTS_BYTES },
            false => Self { places: (MAX_EVENTS / all * ranges).max(ranges), bytes },
        }
    }
}

async fn on_server(
    db: &Db,
    request: Events,
    limit: usize,
    bounds: AnswerBounds,
) -> Result<EventsFound> {
    let mut conn = db.read().await?;
    // Heads first: whatever is read afterwards is at least as new, and cut at them.
    let heads = read::heads(&mut conn, &request.ranges).await?;
    let missed =
        request.ranges.iter().filter(|r| heads.get(&r.chat_id.0) > Some(&r.after.0)).count();
    let share = bounds.places / i64::try_from(missed.max(1)).unwrap_or(MAX_EVENTS);
    let limit = i64::try_from(limit).unwrap_or(i64::MAX).min(share).max(1);
    let mut found: Vec<Option<RangeFound>> = Vec::with_capacity(request.ranges.len());
    let mut wanted: Vec<WantedRange> = Vec::with_capacity(missed);
    for (place, range) in (0_i64..).zip(&request.ranges) {
        let Some(&head) = heads.get(&range.chat_id.0) else {
            found.push(None);
            continue;
        };
        let upto = range.after.0.saturating_add(limit).min(head);
        if upto > range.after.0 {
            let (chat_id, after) = (range.chat_id.0, range.after.0);
            wanted.push(WantedRange { place, chat_id, after, upto });
        }
        found.push(Some(RangeFound { events: Vec::new(), upto: Seq(upto), head: Seq(head) }));
    }
    if wanted.is_empty() {
        return Ok(EventsFound { ranges: found });
    }
    // The heads are the primary's, so a replica that has them answers the same.
    let missed =
        wanted.iter().filter_map(|range| Some((range.chat_id, *heads.get(&range.chat_id)?)));
    if let Some(proof) = db.proof(&mut conn, missed).await? {
        drop(conn);
        if let Some((mut conn, replica)) = proof.ask().await {
            let (mut wanted, mut found) = (wanted.clone(), found.clone());
            let read = fill(&mut conn, bounds, &request.ranges, &mut wanted, &mut found);
            if replica.answer(read).await.is_some() {
                return Ok(EventsFound { ranges: found });
            }
        }
        conn = db.read().await?;
    }
    fill(&mut conn, bounds, &request.ranges, &mut wanted, &mut found).await?;
    Ok(EventsFound { ranges: found })
}

/// Reads the wanted ranges into those that are found, each into its place.
async fn fill(
    conn: &mut Conn,
    bounds: AnswerBounds,
    ranges: &[Range],
    wanted: &mut [WantedRange],
    found: &mut [Option<RangeFound>],
) -> Result<()> {
    let share = MAX_RANGE_BYTES.min(bounds.bytes / wanted.len());
    // As many places are read without asking first how long their texts are: the longest are 8 MiB.
    let unweighed = (bounds.bytes / MAX_TEXT_BYTES) as i64;
    if wanted.iter().map(|range| range.upto - range.after).sum::<i64>() > unweighed {
        read::weigh(conn, wanted, share).await?;
    }
    for WantedRange { place, upto, .. } in &*wanted {
        if let Some(Some(range)) = usize::try_from(*place).ok().and_then(|p| found.get_mut(p)) {
            range.upto = Seq(*upto);
        }
    }
    let messages = read::messages(conn, wanted, ranges).await?;
    let members = read::member_changes(conn, wanted).await?;
    let chats = read::chat_changes(conn, wanted).await?;
    for (place, event) in messages.into_iter().chain(members).chain(chats) {
        if let Some(Some(range)) = found.get_mut(place) {
            range.events.push(event);
        }
    }
    for range in found.iter_mut().flatten() {
        range.events.sort_unstable_by_key(|event| event.seq);
        size::cut(range, share);
    }
    Ok(())
}
