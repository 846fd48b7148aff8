//! How many messages each stretch of ids holds, so that a place in a long chat is found without walking over
//! all that come before it. Posting keeps the counters, of the lobby only.

use crate::db::{DbError, Tx, fetch_optional};
use protocol::id::ChatId;

/// Ids in a row that are counted together. The table then has 2,500 rows for ten million messages,
/// and as many messages are walked over from a stretch's beginning: a few milliseconds each.
pub(crate) const STRETCH: i64 = 4_096;

/// The place of an offset: `skip` messages after the first one whose id is at least `first`.
pub(crate) struct OffsetPlace {
    pub first: i64,
    /// Less than [`STRETCH`].
    pub skip: i64,
}

/// The place of an offset in the lobby, by adding up the stretches before it; `None`: behind the end.
pub(crate) async fn place(tx: &mut Tx, offset: i64) -> Result<Option<OffsetPlace>, DbError> {
    let offset = offset.max(0);
    let found: Option<(i64, i64)> = fetch_optional!(
        tx,
        "SELECT stretch, before FROM (
             SELECT stretch, message_count,
                 CAST(SUM(message_count) OVER (ORDER BY stretch) AS BIGINT) - message_count AS before
             FROM stretches WHERE chat_id = $1) s
         WHERE before <= $2 AND $2 - before < message_count",
        ChatId::LOBBY.0,
        offset
    )?;
    Ok(found
        .map(|(stretch, before)| OffsetPlace { first: stretch * STRETCH, skip: offset - before }))
}
