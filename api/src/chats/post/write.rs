//! The statements of `post` that write what a batch did. Each handles the whole batch.

use super::plan::batch::Done;
use crate::{
    chats::{
        ordinals::{self, Ordinals},
        stored::Stored,
    },
    db::{Tx, column, execute, json_rows},
    error::Result,
};
use protocol::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// A chat's id, its newest number, how many messages it has more, and its [`Ordinals`].
type Numbered = (i64, i64, i64, i64, i64, i64);

/// Writes what the batch did.
pub(super) async fn write(tx: &mut Tx, now: Timestamp, done: &Done) -> Result<()> {
    let numbered = done.chats.iter().map(|(id, chat)| {
        let Ordinals { sent_count, sent_seq, newest } = chat.ordinals;
        (id.0, chat.last_seq.0, chat.messages, sent_count, sent_seq.0, newest)
    });
    let numbered: Vec<Numbered> = numbered.collect();
    if !done.sent.is_empty() {
        insert_messages(tx, now, done, &numbered).await?;
    }
    if !done.changed.is_empty() {
        update_messages(tx, done).await?;
    }
    if !done.edits.is_empty() {
        insert_edits(tx, now, done).await?;
    }
    // PostgreSQL has numbered them with the insert: a round trip less for every batch, which is
    // what a batch mostly costs. In SQLite a statement is only a call, and changes one table.
    if done.sent.is_empty() || matches!(tx, Tx::Sqlite(..)) {
        number_chats(tx, now, &numbered).await?;
    }
    let deleted = done.changed.iter().filter(|stored| stored.deleted.is_some());
    let deleted: BTreeSet<i64> = deleted.map(|stored| stored.chat_id.0).collect();
    if !deleted.is_empty() {
        ordinals::settle_newest(tx, deleted.into_iter().collect()).await?;
    }
    Ok(())
}

async fn number_chats(tx: &mut Tx, now: Timestamp, rows: &[Numbered]) -> Result<()> {
    execute!(
        tx,
        postgres: "UPDATE chats SET last_seq = n.last_seq, message_count = message_count + n.messages,
                sent_count = n.sent_count, sent_seq = n.sent_seq, newest = n.newest, changed_at = $1
            FROM UNNEST($2::BIGINT[], $3::BIGINT[], $4::BIGINT[], $5::BIGINT[], $6::BIGINT[], $7::BIGINT[])
                AS n (id, last_seq, messages, sent_count, sent_seq, newest) WHERE chats.id = n.id",
        (
            now.0,
            column!(rows, 0),
            column!(rows, 1),
            column!(rows, 2),
            column!(rows, 3),
            column!(rows, 4),
            column!(rows, 5),
        ),
        sqlite: "UPDATE chats SET last_seq = r.value ->> 1,
                message_count = message_count + (r.value ->> 2), sent_count = r.value ->> 3,
                sent_seq = r.value ->> 4, newest = r.value ->> 5, changed_at = $1
            FROM json_each($2) r WHERE chats.id = r.value ->> 0",
        (now.0, json_rows(rows)),
    )?;
    Ok(())
}

/// Inserts the new messages, and notes that their senders have seen them and want to be members. With PostgreSQL it numbers the
/// chats, too.
async fn insert_messages(
    tx: &mut Tx,
    now: Timestamp,
    done: &Done,
    numbered: &[Numbered],
) -> Result<()> {
    type Row<'a> = (i64, i64, i64, &'a str, &'a str, Option<i64>, Option<i64>);
    let rows: Vec<Row<'_>> = done
        .sent
        .iter()
        .map(|(chat, message, ordinal)| {
            let key = message.client_message_id.as_deref().unwrap_or_default();
            let reply_to = message.reply_to.map(|id| id.0);
            let (id, sender, text) = (message.id.0, message.sender.id.0, message.text.as_str());
            (chat.0, id, sender, key, text, reply_to, *ordinal)
        })
        .collect();
    // In the order in which everybody locks members' rows: the lists are, and each row of them is looked
    // for in its turn.
    let seen: BTreeMap<(i64, i64), Option<i64>> =
        rows.iter().map(|row| ((row.0, row.2), row.6)).collect();
    let seen: Vec<(i64, i64, Option<i64>)> =
        seen.into_iter().map(|((chat, user), ordinal)| (chat, user, ordinal)).collect();
    execute!(
        tx,
        postgres: "WITH numbered AS (
                UPDATE chats SET last_seq = n.last_seq, message_count = message_count + n.messages,
                    sent_count = n.sent_count, sent_seq = n.sent_seq, newest = n.newest, changed_at = $1
                FROM UNNEST($9::BIGINT[], $10::BIGINT[], $11::BIGINT[], $12::BIGINT[], $13::BIGINT[],
                    $14::BIGINT[]) AS n (id, last_seq, messages, sent_count, sent_seq, newest)
                WHERE chats.id = n.id),
             seen AS (
                UPDATE members SET seen = COALESCE(r.ordinal, members.seen), invited_by = NULL
                FROM UNNEST($15::BIGINT[], $16::BIGINT[], $17::BIGINT[]) AS r (chat_id, user_id, ordinal)
                WHERE members.chat_id = r.chat_id AND members.user_id = r.user_id)
             INSERT INTO messages
                 (chat_id, id, seq, sender_id, client_message_id, text, reply_to, ordinal, created_at)
             SELECT chat_id, id, id, sender_id, client_id, text, reply_to, ordinal, $1
             FROM UNNEST($2::BIGINT[], $3::BIGINT[], $4::BIGINT[], $5::TEXT[], $6::TEXT[],
                 $7::BIGINT[], $8::BIGINT[])
                 AS r (chat_id, id, sender_id, client_id, text, reply_to, ordinal)",
        (
            now.0,
            column!(rows, 0),
            column!(rows, 1),
            column!(rows, 2),
            column!(rows, 3),
            column!(rows, 4),
            column!(rows, 5),
            column!(rows, 6),
            column!(numbered, 0),
            column!(numbered, 1),
            column!(numbered, 2),
            column!(numbered, 3),
            column!(numbered, 4),
            column!(numbered, 5),
            column!(seen, 0),
            column!(seen, 1),
            column!(seen, 2),
        ),
        sqlite: "INSERT INTO messages
                (chat_id, id, seq, sender_id, client_message_id, text, reply_to, ordinal, created_at)
            SELECT value ->> 0, value ->> 1, value ->> 1, value ->> 2, value ->> 3, value ->> 4,
                value ->> 5, value ->> 6, $1 FROM json_each($2)",
        (now.0, json_rows(&rows)),
    )?;
    if let Tx::Sqlite(..) = tx {
        execute!(
            tx,
            "UPDATE members SET seen = COALESCE(r.value ->> 2, seen), invited_by = NULL
             FROM json_each($1) r
             WHERE members.chat_id = r.value ->> 0 AND members.user_id = r.value ->> 1",
            json_rows(&seen)
        )?;
    }
    Ok(())
}

async fn insert_edits(tx: &mut Tx, now: Timestamp, done: &Done) -> Result<()> {
    let rows: Vec<(i64, i64, &str, i64)> = done
        .edits
        .iter()
        .map(|((chat, message, fingerprint), seq)| (chat.0, message.0, fingerprint.as_str(), seq.0))
        .collect();
    execute!(
        tx,
        postgres: "INSERT INTO edits (chat_id, message_id, fingerprint, seq, created_at)
            SELECT chat_id, message_id, fingerprint, seq, $1
            FROM UNNEST($2::BIGINT[], $3::BIGINT[], $4::TEXT[], $5::BIGINT[])
                AS r (chat_id, message_id, fingerprint, seq)",
        (
            now.0,
            column!(rows, 0),
            column!(rows, 1),
            column!(rows, 2),
            column!(rows, 3),
        ),
        sqlite: "INSERT INTO edits (chat_id, message_id, fingerprint, seq, created_at)
            SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, $1 FROM json_each($2)",
        (now.0, json_rows(&rows)),
    )?;
    Ok(())
}

async fn update_messages(tx: &mut Tx, done: &Done) -> Result<()> {
    type Row<'a> = (i64, i64, i64, &'a str, Option<i64>, Option<i64>, Option<i64>);
    let rows: Vec<Row<'_>> = done
        .changed
        .iter()
        .map(|Stored { chat_id, seq, message, deleted }| {
            let edited_at = message.edited_at.map(|at| at.0);
            let (deleted_at, by) = (deleted.map(|d| d.at.0), deleted.map(|d| d.by.0));
            (chat_id.0, message.id.0, seq.0, message.text.as_str(), edited_at, deleted_at, by)
        })
        .collect();
    execute!(
        tx,
        postgres: "UPDATE messages m SET seq = r.seq, text = r.text, edited_at = r.edited_at,
                deleted_at = r.deleted_at, deleted_by = r.deleted_by
            FROM UNNEST($1::BIGINT[], $2::BIGINT[], $3::BIGINT[], $4::TEXT[], $5::BIGINT[],
                $6::BIGINT[], $7::BIGINT[])
                AS r (chat_id, id, seq, text, edited_at, deleted_at, deleted_by)
            WHERE m.chat_id = r.chat_id AND m.id = r.id",
        (
            column!(rows, 0),
            column!(rows, 1),
            column!(rows, 2),
            column!(rows, 3),
            column!(rows, 4),
            column!(rows, 5),
            column!(rows, 6),
        ),
        sqlite: "UPDATE messages SET seq = r.value ->> 2, text = r.value ->> 3,
                edited_at = r.value ->> 4, deleted_at = r.value ->> 5, deleted_by = r.value ->> 6
            FROM json_each($1) r
            WHERE messages.chat_id = r.value ->> 0 AND messages.id = r.value ->> 1",
        (json_rows(&rows)),
    )?;
    Ok(())
}
