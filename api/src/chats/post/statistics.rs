//! The statements that keep `statistics`, `senders` and `stretches` up to date, in the batch's own
//! transaction and under the locks of its chats. Three for the whole batch; none when no chat of it is
//! counted.

use super::{plan::batch::BatchDone, tally::Tally};
use crate::db::{DbError, Tx, column, execute, fetch_all, json_rows};
use protocol::id::{ChatId, UserId};
use serde::Serialize;

/// Adds what the batch changed.
pub(super) async fn write(tx: &mut Tx, done: &BatchDone) -> Result<(), DbError> {
    let tallies: Vec<(ChatId, &Tally)> =
        done.chats.iter().filter_map(|(id, chat)| Some((*id, chat.tally.as_ref()?))).collect();
    if tallies.is_empty() {
        return Ok(());
    }
    count_stretches(tx, &tallies).await?;
    let after = count_senders(tx, &tallies).await?;
    let rows: Vec<Growth> = tallies
        .iter()
        .map(|(chat, tally)| {
            let after = after.iter().filter(|(id, ..)| *id == chat.0);
            let senders = tally.senders_more(after.map(|(_, user, count)| (UserId(*user), *count)));
            let Tally { chars, day: today, of_day, .. } = **tally;
            Growth { id: chat.0, senders, chars, today, of_day }
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
            column!(rows, id),
            column!(rows, senders),
            column!(rows, chars),
            column!(rows, today),
            column!(rows, of_day),
        ),
        sqlite: "UPDATE statistics SET sender_count = sender_count + (r.value ->> 'senders'),
                text_chars = text_chars + (r.value ->> 'chars'),
                day_count = CASE WHEN day < r.value ->> 'today' THEN r.value ->> 'of_day'
                    WHEN day = r.value ->> 'today' THEN day_count + (r.value ->> 'of_day')
                    ELSE day_count END,
                day = CASE WHEN day < r.value ->> 'today' THEN r.value ->> 'today' ELSE day END
            FROM json_each($1) r WHERE chat_id = r.value ->> 'id'",
        (json_rows(&rows)),
    )?;
    Ok(())
}

/// What one chat's statistics grow by.
#[derive(Serialize)]
struct Growth {
    id: i64,
    senders: i64,
    chars: i64,
    today: i64,
    of_day: i64,
}

/// How many messages a sender has more in a chat.
#[derive(Serialize)]
struct SenderGrowth {
    chat_id: i64,
    user_id: i64,
    more: i64,
}

/// Adds to each sender's messages; chat, sender, and how many they are now.
async fn count_senders(
    tx: &mut Tx,
    tallies: &[(ChatId, &Tally)],
) -> Result<Vec<(i64, i64, i64)>, DbError> {
    let rows = tallies.iter().flat_map(|(chat, tally)| {
        tally.senders.iter().map(|(user, more)| SenderGrowth {
            chat_id: chat.0,
            user_id: user.0,
            more: *more,
        })
    });
    let rows: Vec<SenderGrowth> = rows.filter(|growth| growth.more != 0).collect();
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
            column!(rows, chat_id),
            column!(rows, user_id),
            column!(rows, more),
        ),
        sqlite: "INSERT INTO senders (chat_id, user_id, message_count)
            SELECT value ->> 'chat_id', value ->> 'user_id', value ->> 'more' FROM json_each($1) WHERE TRUE
            ON CONFLICT (chat_id, user_id)
            DO UPDATE SET message_count = senders.message_count + excluded.message_count
            RETURNING chat_id, user_id, message_count",
        (json_rows(&rows)),
    )
}

/// How many messages a stretch of ids has more.
#[derive(Serialize)]
struct StretchGrowth {
    chat_id: i64,
    stretch: i64,
    more: i64,
}

/// Adds to the messages of each stretch of ids.
async fn count_stretches(tx: &mut Tx, tallies: &[(ChatId, &Tally)]) -> Result<(), DbError> {
    let rows = tallies.iter().flat_map(|(chat, tally)| {
        tally.stretches.iter().map(|(stretch, more)| StretchGrowth {
            chat_id: chat.0,
            stretch: *stretch,
            more: *more,
        })
    });
    let rows: Vec<StretchGrowth> = rows.filter(|growth| growth.more != 0).collect();
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
            column!(rows, chat_id),
            column!(rows, stretch),
            column!(rows, more),
        ),
        sqlite: "INSERT INTO stretches (chat_id, stretch, message_count)
            SELECT value ->> 'chat_id', value ->> 'stretch', value ->> 'more' FROM json_each($1) WHERE TRUE
            ON CONFLICT (chat_id, stretch)
            DO UPDATE SET message_count = stretches.message_count + excluded.message_count",
        (json_rows(&rows)),
    )?;
    Ok(())
}
