//! Waking the members whose connections do not hold a chat live: each once, by the first message since it
//! was marked dormant for them.

use super::plan::batch::BatchDone;
use crate::{
    db::{List, Tx, column, execute, fetch_all, json_rows},
    error::Result,
};
use protocol::id::ChatId;
use serde::Serialize;

/// The most members woken by one batch. The others keep their marks, by which `changed` finds them.
const MAX_WAKES: i64 = 10_000;

/// A member who is woken, for what came after an event.
#[derive(Serialize)]
struct Wake {
    chat_id: i64,
    user_id: i64,
    after: i64,
}

/// The dormant members of these chats, chat and user. Their marks are taken away, so that nobody who never
/// comes back is woken for each message, and that they were woken is remembered, for gateways that the
/// bus does not reach. Whatever marks a chat once more is for the messages after this batch.
pub(super) async fn wake(tx: &mut Tx, done: &BatchDone) -> Result<Vec<(i64, i64)>> {
    let chats: List<i64> =
        done.chats.iter().filter(|(_, chat)| chat.has_dormant).map(|(id, _)| id.0).collect();
    if chats.0.is_empty() {
        return Ok(Vec::new());
    }
    let sleepers: Vec<(i64, i64)> = fetch_all!(
        tx,
        "SELECT chat_id, user_id FROM members
         WHERE dormant AND chat_id IN (SELECT value FROM json_each($1)) LIMIT $2",
        chats,
        MAX_WAKES
    )?;
    let wake = |&(chat_id, user_id): &(i64, i64)| {
        let after = done.chats.get(&ChatId(chat_id)).map(|chat| chat.before.0).unwrap_or_default();
        Wake { chat_id, user_id, after }
    };
    let rows: Vec<Wake> = sleepers.iter().map(wake).collect();
    // A batch waits for no member's row: one that is being marked at this moment keeps its mark.
    execute!(
        tx,
        postgres: "UPDATE members m SET dormant = FALSE
            FROM (SELECT m.chat_id, m.user_id FROM UNNEST($1::BIGINT[], $2::BIGINT[]) AS r (chat_id, user_id)
                  JOIN members m ON m.chat_id = r.chat_id AND m.user_id = r.user_id
                  FOR NO KEY UPDATE OF m SKIP LOCKED) free
            WHERE m.chat_id = free.chat_id AND m.user_id = free.user_id",
        (
            column!(rows, chat_id),
            column!(rows, user_id),
        ),
        sqlite: "UPDATE members SET dormant = FALSE FROM json_each($1) r
            WHERE chat_id = r.value ->> 'chat_id' AND user_id = r.value ->> 'user_id'",
        (json_rows(&rows)),
    )?;
    execute!(
        tx,
        postgres: "INSERT INTO wakes (woken_at, chat_id, user_id, after)
            SELECT now, chat_id, user_id, after FROM clock
            CROSS JOIN UNNEST($1::BIGINT[], $2::BIGINT[], $3::BIGINT[]) AS r (chat_id, user_id, after)
            ON CONFLICT DO NOTHING",
        (
            column!(rows, chat_id),
            column!(rows, user_id),
            column!(rows, after),
        ),
        sqlite: "INSERT INTO wakes (woken_at, chat_id, user_id, after)
            SELECT now, r.value ->> 'chat_id', r.value ->> 'user_id', r.value ->> 'after'
            FROM clock CROSS JOIN json_each($1) r
            WHERE TRUE ON CONFLICT DO NOTHING",
        (json_rows(&rows)),
    )?;
    Ok(sleepers)
}
