//! The statements that keep `statistics`, `senders` and `stretches` up to date, in the batch's own
//! transaction and under the locks of its chats. Three for the whole batch; none when no chat of it is
//! counted.

use super::{plan::Done, tally::Tally};
use crate::db::{DbError, Tx, column, execute, fetch_all, json_rows};
use protocol::id::{ChatId, UserId};

/// Adds what the batch changed.
pub async fn write(tx: &mut Tx, done: &Done) -> Result<(), DbError> {
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
    macro_rules! set {
        ($senders:literal, $chars:literal, $day:literal, $of_day:literal) => {
            concat!(
                "UPDATE statistics SET sender_count = sender_count + (",
                $senders,
                "),
                     text_chars = text_chars + (",
                $chars,
                "),
                     day_count = CASE WHEN day < ",
                $day,
                " THEN ",
                $of_day,
                "
                         WHEN day = ",
                $day,
                " THEN day_count + (",
                $of_day,
                ")
                         ELSE day_count END,
                     day = CASE WHEN day < ",
                $day,
                " THEN ",
                $day,
                " ELSE day END "
            )
        };
    }
    execute!(
        tx,
        postgres: concat!(set!("r.senders", "r.chars", "r.today", "r.of_day"),
            "FROM UNNEST($1::BIGINT[], $2::BIGINT[], $3::BIGINT[], $4::BIGINT[], $5::BIGINT[])
                AS r (id, senders, chars, today, of_day) WHERE chat_id = r.id"),
        (
            column!(rows, 0),
            column!(rows, 1),
            column!(rows, 2),
            column!(rows, 3),
            column!(rows, 4),
        ),
        sqlite: concat!(set!("r.value ->> 1", "r.value ->> 2", "r.value ->> 3", "r.value ->> 4"),
            "FROM json_each($1) r WHERE chat_id = r.value ->> 0"),
        (json_rows(&rows)),
    )?;
    Ok(())
}

/// Adds `more` of [`Row`]s to the counts by `$key` in `$table`, where a row may be new.
macro_rules! add {
    ($tx:expr, $table:literal, $key:literal, $rows:expr) => {
        fetch_all!(
            $tx,
            postgres: add!(@text $table, $key, "chat_id, key, more
                FROM UNNEST($1::BIGINT[], $2::BIGINT[], $3::BIGINT[]) AS r (chat_id, key, more)"),
            (
                column!($rows, 0),
                column!($rows, 1),
                column!($rows, 2),
            ),
            sqlite: add!(@text $table, $key, "value ->> 0, value ->> 1, value ->> 2
                FROM json_each($1) WHERE TRUE"),
            (json_rows(&$rows)),
        )
    };
    (@text $table:literal, $key:literal, $from:literal) => {
        concat!(
            "INSERT INTO ", $table, " (chat_id, ", $key, ", message_count) SELECT ", $from, "
             ON CONFLICT (chat_id, ", $key, ")
             DO UPDATE SET message_count = ", $table, ".message_count + excluded.message_count
             RETURNING chat_id, ", $key, ", message_count"
        )
    };
}

/// Chat, key, and a number of messages.
type Row = (i64, i64, i64);

/// Adds to each sender's messages; how many they are now.
async fn count_senders(tx: &mut Tx, tallies: &[(ChatId, &Tally)]) -> Result<Vec<Row>, DbError> {
    let rows = tallies
        .iter()
        .flat_map(|(chat, tally)| tally.senders.iter().map(|(user, more)| (chat.0, user.0, *more)));
    let rows: Vec<Row> = rows.filter(|(.., more)| *more != 0).collect();
    if rows.is_empty() { Ok(Vec::new()) } else { add!(tx, "senders", "user_id", rows) }
}

/// Adds to the messages of each stretch of ids.
async fn count_stretches(tx: &mut Tx, tallies: &[(ChatId, &Tally)]) -> Result<(), DbError> {
    let rows = tallies.iter().flat_map(|(chat, tally)| {
        tally.stretches.iter().map(|(stretch, more)| (chat.0, *stretch, *more))
    });
    let rows: Vec<Row> = rows.filter(|(.., more)| *more != 0).collect();
    if !rows.is_empty() {
        let _: Vec<Row> = add!(tx, "stretches", "stretch", rows)?;
    }
    Ok(())
}
