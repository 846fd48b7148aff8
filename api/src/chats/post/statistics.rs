//! The statements that keep `statistics`, `senders` and `stretches` up to date, in the batch's own
//! transaction and under the locks of its chats. Three for the whole batch; none when no chat of it is
//! counted.

use super::{plan::batch::Done, tally::Tally};
use crate::db::{DbError, Tx, column, execute, fetch_all, json_rows};
use protocol::id::{ChatId, UserId};

/// Adds what the batch changed.
pub(super) async fn write(tx: &mut Tx, done: &Done) -> Result<(), DbError> {
    let tallies: Vec<(ChatId, &Tally)> =
        done.chats.iter().filter_map(|(id, chat)| Some((*id, chat.tally.as_ref()?))).collect();
    if tallies.is_empty() {
        return Ok(());
    }
    count_stretches(tx, &tallies).await?;
    let after = count_senders(tx, &tallies).await?;
    let rows: Vec<(i64, i64, i64, i64, i64)> = tallies
        .iter()
        .map(|(chat, tally)| {
            let after = after.iter().filter(|(id, ..)| *id == chat.0);
            let senders = tally.senders_more(after.map(|(_, user, count)| (UserId(*user), *count)));
            (chat.0, senders, tally.chars, tally.day, tally.of_day)
        })
        .collect();
    // The stored day never goes back: behind a clock that did, nothing counts for the day until it
    // has caught up.
    execute!(
        tx,
        postgres: "UPDATE statistics SET sender_count = sender_count + r.senders,
                text_chars = text_chars + r.chars,
                day_count = CASE WHEN day < r.today THEN r.of_day
                    WHEN day = r.today THEN day_count + r.of_day ELSE day_count END,
                day = CASE WHEN day < r.today THEN r.today ELSE day END
            FROM UNNEST($1::BIGINT[], $2::BIGINT[], $3::BIGINT[], $4::BIGINT[], $5::BIGINT[])
                AS r (id, senders, chars, today, of_day) WHERE chat_id = r.id",
        (
            column!(rows, 0),
            column!(rows, 1),
            column!(rows, 2),
            column!(rows, 3),
            column!(rows, 4),
        ),
        sqlite: "UPDATE statistics SET sender_count = sender_count + (r.value ->> 1),
                text_chars = text_chars + (r.value ->> 2),
                day_count = CASE WHEN day < r.value ->> 3 THEN r.value ->> 4
                    WHEN day = r.value ->> 3 THEN day_count + (r.value ->> 4) ELSE day_count END,
                day = CASE WHEN day < r.value ->> 3 THEN r.value ->> 3 ELSE day END
            FROM json_each($1) r WHERE chat_id = r.value ->> 0",
        (json_rows(&rows)),
    )?;
    Ok(())
}

/// Chat, key (a sender or a stretch of ids), and a number of messages.
type Counted = (i64, i64, i64);

/// Adds to each sender's messages; how many they are now.
async fn count_senders(tx: &mut Tx, tallies: &[(ChatId, &Tally)]) -> Result<Vec<Counted>, DbError> {
    let rows = tallies
        .iter()
        .flat_map(|(chat, tally)| tally.senders.iter().map(|(user, more)| (chat.0, user.0, *more)));
    let rows: Vec<Counted> = rows.filter(|(.., more)| *more != 0).collect();
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    fetch_all!(
        tx,
        postgres: "INSERT INTO senders (chat_id, user_id, message_count)
            SELECT chat_id, user_id, more
            FROM UNNEST($1::BIGINT[], $2::BIGINT[], $3::BIGINT[]) AS r (chat_id, user_id, more)
            ON CONFLICT (chat_id, user_id)
            DO UPDATE SET message_count = senders.message_count + excluded.message_count
            RETURNING chat_id, user_id, message_count",
        (
            column!(rows, 0),
            column!(rows, 1),
            column!(rows, 2),
        ),
        sqlite: "INSERT INTO senders (chat_id, user_id, message_count)
            SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each($1) WHERE TRUE
            ON CONFLICT (chat_id, user_id)
            DO UPDATE SET message_count = senders.message_count + excluded.message_count
            RETURNING chat_id, user_id, message_count",
        (json_rows(&rows)),
    )
}

/// Adds to the messages of each stretch of ids.
async fn count_stretches(tx: &mut Tx, tallies: &[(ChatId, &Tally)]) -> Result<(), DbError> {
    let rows = tallies.iter().flat_map(|(chat, tally)| {
        tally.stretches.iter().map(|(stretch, more)| (chat.0, *stretch, *more))
    });
    let rows: Vec<Counted> = rows.filter(|(.., more)| *more != 0).collect();
    if rows.is_empty() {
        return Ok(());
    }
    execute!(
        tx,
        postgres: "INSERT INTO stretches (chat_id, stretch, message_count)
            SELECT chat_id, stretch, more
            FROM UNNEST($1::BIGINT[], $2::BIGINT[], $3::BIGINT[]) AS r (chat_id, stretch, more)
            ON CONFLICT (chat_id, stretch)
            DO UPDATE SET message_count = stretches.message_count + excluded.message_count",
        (
            column!(rows, 0),
            column!(rows, 1),
            column!(rows, 2),
        ),
        sqlite: "INSERT INTO stretches (chat_id, stretch, message_count)
            SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each($1) WHERE TRUE
            ON CONFLICT (chat_id, stretch)
            DO UPDATE SET message_count = stretches.message_count + excluded.message_count",
        (json_rows(&rows)),
    )?;
    Ok(())
}
