//! The statements of `post` that write what a batch did. Each handles the whole batch.

use super::plan::batch::BatchDone;
use crate::{
    chats::ordinals::{self, Ordinals},
    db::{Tx, column, execute, json_rows},
    error::Result,
};
use protocol::time::Timestamp;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Writes what the batch did.
pub(super) async fn write(tx: &mut Tx, now: Timestamp, done: &BatchDone) -> Result<()> {
    let chats = numbered_chats(done);
    if done.sent.is_empty() {
        number_chats(tx, now, &chats).await?;
    } else {
        let messages = new_messages(done);
        let seen = senders_seen(&messages);
        insert_messages(tx, now, &messages, &chats, &seen).await?;
        // PostgreSQL has done both with the insert: two round trips less for every batch, which is what a
        // batch mostly costs. In SQLite a statement is only a call, and changes one table.
        if let Tx::Sqlite(..) = tx {
            move_seen(tx, &seen).await?;
            number_chats(tx, now, &chats).await?;
        }
    }
    if !done.changed.is_empty() {
        update_messages(tx, &changed_messages(done)).await?;
    }
    if !done.edits.is_empty() {
        insert_edits(tx, now, &new_edits(done)).await?;
    }
    let deleted = done.changed.iter().filter(|stored| stored.deleted.is_some());
    let deleted: BTreeSet<i64> = deleted.map(|stored| stored.chat_id.0).collect();
    // Last: it looks at what is left of the chats.
    if !deleted.is_empty() {
        ordinals::settle_newest(tx, deleted.into_iter().collect()).await?;
    }
    Ok(())
}

/// What a batch changes of a chat itself.
#[derive(Serialize)]
struct NumberedChat {
    id: i64,
    last_seq: i64,
    /// Added to the count: messages sent minus messages deleted.
    messages: i64,
    sent_count: i64,
    sent_seq: i64,
    newest: i64,
}

fn numbered_chats(done: &BatchDone) -> Vec<NumberedChat> {
    let chats = done.chats.iter().map(|(id, chat)| {
        let Ordinals { sent_count, sent_seq, newest } = chat.ordinals;
        NumberedChat {
            id: id.0,
            last_seq: chat.last_seq.0,
            messages: chat.messages,
            sent_count,
            sent_seq: sent_seq.0,
            newest,
        }
    });
    chats.collect()
}

async fn number_chats(tx: &mut Tx, now: Timestamp, chats: &[NumberedChat]) -> Result<()> {
    execute!(
        tx,
        postgres: "UPDATE chats SET last_seq = n.last_seq, message_count = message_count + n.messages,
                sent_count = n.sent_count, sent_seq = n.sent_seq, newest = n.newest, changed_at = $1
            FROM UNNEST($2::BIGINT[], $3::BIGINT[], $4::BIGINT[], $5::BIGINT[], $6::BIGINT[], $7::BIGINT[])
                AS n (id, last_seq, messages, sent_count, sent_seq, newest) WHERE chats.id = n.id",
        (
            now.0,
            column!(chats, id),
            column!(chats, last_seq),
            column!(chats, messages),
            column!(chats, sent_count),
            column!(chats, sent_seq),
            column!(chats, newest),
        ),
        sqlite: "UPDATE chats SET last_seq = n.value ->> 'last_seq',
                message_count = message_count + (n.value ->> 'messages'),
                sent_count = n.value ->> 'sent_count', sent_seq = n.value ->> 'sent_seq',
                newest = n.value ->> 'newest', changed_at = $1
            FROM json_each($2) n WHERE chats.id = n.value ->> 'id'",
        (now.0, json_rows(chats)),
    )?;
    Ok(())
}

/// A message as first sent.
#[derive(Serialize)]
struct NewMessage<'a> {
    chat_id: i64,
    id: i64,
    sender_id: i64,
    client_id: &'a str,
    text: &'a str,
    reply_to: Option<i64>,
    ordinal: Option<i64>,
}

fn new_messages(done: &BatchDone) -> Vec<NewMessage<'_>> {
    let messages = done.sent.iter().map(|(chat, message, ordinal)| NewMessage {
        chat_id: chat.0,
        id: message.id.0,
        sender_id: message.sender.id.0,
        client_id: message.client_message_id.as_deref().unwrap_or_default(),
        text: &message.text,
        reply_to: message.reply_to.map(|id| id.0),
        ordinal: *ordinal,
    });
    messages.collect()
}

/// How far a sender has read a chat: up to the last message of its own.
#[derive(Serialize)]
struct SenderSeen {
    chat_id: i64,
    user_id: i64,
    message_id: i64,
    ordinal: Option<i64>,
}

/// In the order in which everybody locks members' rows: the lists are, and each row of them is looked
/// for in its turn.
fn senders_seen(messages: &[NewMessage<'_>]) -> Vec<SenderSeen> {
    // The last message of each sender stays.
    let last: BTreeMap<(i64, i64), &NewMessage<'_>> =
        messages.iter().map(|sent| ((sent.chat_id, sent.sender_id), sent)).collect();
    let seen = |((chat_id, user_id), sent): (_, &NewMessage<'_>)| SenderSeen {
        chat_id,
        user_id,
        message_id: sent.id,
        ordinal: sent.ordinal,
    };
    last.into_iter().map(seen).collect()
}

/// Inserts the new messages. With PostgreSQL it does what [`move_seen`] and [`number_chats`] do, too, and notes
/// that the chats changed: no trigger does where messages get ordinals.
async fn insert_messages(
    tx: &mut Tx,
    now: Timestamp,
    messages: &[NewMessage<'_>],
    chats: &[NumberedChat],
    seen: &[SenderSeen],
) -> Result<()> {
    execute!(
        tx,
        postgres: "WITH numbered AS (
                UPDATE chats SET last_seq = n.last_seq, message_count = message_count + n.messages,
                    sent_count = n.sent_count, sent_seq = n.sent_seq, newest = n.newest, changed_at = $1
                FROM UNNEST($9::BIGINT[], $10::BIGINT[], $11::BIGINT[], $12::BIGINT[], $13::BIGINT[],
                    $14::BIGINT[]) AS n (id, last_seq, messages, sent_count, sent_seq, newest)
                WHERE chats.id = n.id),
             seen AS (
                UPDATE members SET seen = COALESCE(r.ordinal, members.seen), last_read = r.message_id,
                    marked_unread = FALSE, invited_by = NULL
                FROM UNNEST($15::BIGINT[], $16::BIGINT[], $17::BIGINT[], $18::BIGINT[])
                    AS r (chat_id, user_id, message_id, ordinal)
                WHERE members.chat_id = r.chat_id AND members.user_id = r.user_id),
             noted AS (INSERT INTO changes (at, chats, seqs) VALUES ($1, $9, $10))
             INSERT INTO messages
                 (chat_id, id, seq, sender_id, client_message_id, text, reply_to, ordinal, created_at)
             SELECT chat_id, id, id, sender_id, client_id, text, reply_to, ordinal, $1
             FROM UNNEST($2::BIGINT[], $3::BIGINT[], $4::BIGINT[], $5::TEXT[], $6::TEXT[],
                 $7::BIGINT[], $8::BIGINT[])
                 AS r (chat_id, id, sender_id, client_id, text, reply_to, ordinal)",
        (
            now.0,
            column!(messages, chat_id),
            column!(messages, id),
            column!(messages, sender_id),
            column!(messages, client_id),
            column!(messages, text),
            column!(messages, reply_to),
            column!(messages, ordinal),
            column!(chats, id),
            column!(chats, last_seq),
            column!(chats, messages),
            column!(chats, sent_count),
            column!(chats, sent_seq),
            column!(chats, newest),
            column!(seen, chat_id),
            column!(seen, user_id),
            column!(seen, message_id),
            column!(seen, ordinal),
        ),
        sqlite: "INSERT INTO messages
                (chat_id, id, seq, sender_id, client_message_id, text, reply_to, ordinal, created_at)
            SELECT value ->> 'chat_id', value ->> 'id', value ->> 'id', value ->> 'sender_id',
                value ->> 'client_id', value ->> 'text', value ->> 'reply_to', value ->> 'ordinal', $1
            FROM json_each($2)",
        (now.0, json_rows(messages)),
    )?;
    Ok(())
}

/// Notes that senders have read up to their own messages, and want to be members if they were only invited.
async fn move_seen(tx: &mut Tx, seen: &[SenderSeen]) -> Result<()> {
    execute!(
        tx,
        "UPDATE members SET seen = COALESCE(r.value ->> 'ordinal', seen), last_read = r.value ->> 'message_id',
             marked_unread = FALSE, invited_by = NULL
         FROM json_each($1) r
         WHERE members.chat_id = r.value ->> 'chat_id' AND members.user_id = r.value ->> 'user_id'",
        json_rows(seen)
    )?;
    Ok(())
}

/// A message that was edited or deleted, as it is now.
#[derive(Serialize)]
struct ChangedMessage<'a> {
    chat_id: i64,
    id: i64,
    seq: i64,
    text: &'a str,
    edited_at: Option<i64>,
    deleted_at: Option<i64>,
    deleted_by: Option<i64>,
}

fn changed_messages(done: &BatchDone) -> Vec<ChangedMessage<'_>> {
    let messages = done.changed.iter().map(|stored| ChangedMessage {
        chat_id: stored.chat_id.0,
        id: stored.message.id.0,
        seq: stored.seq.0,
        text: &stored.message.text,
        edited_at: stored.message.edited_at.map(|at| at.0),
        deleted_at: stored.deleted.map(|deletion| deletion.at.0),
        deleted_by: stored.deleted.map(|deletion| deletion.by.0),
    });
    messages.collect()
}

async fn update_messages(tx: &mut Tx, messages: &[ChangedMessage<'_>]) -> Result<()> {
    execute!(
        tx,
        postgres: "UPDATE messages m SET seq = r.seq, text = r.text, edited_at = r.edited_at,
                deleted_at = r.deleted_at, deleted_by = r.deleted_by
            FROM UNNEST($1::BIGINT[], $2::BIGINT[], $3::BIGINT[], $4::TEXT[], $5::BIGINT[],
                $6::BIGINT[], $7::BIGINT[])
                AS r (chat_id, id, seq, text, edited_at, deleted_at, deleted_by)
            WHERE m.chat_id = r.chat_id AND m.id = r.id",
        (
            column!(messages, chat_id),
            column!(messages, id),
            column!(messages, seq),
            column!(messages, text),
            column!(messages, edited_at),
            column!(messages, deleted_at),
            column!(messages, deleted_by),
        ),
        sqlite: "UPDATE messages SET seq = r.value ->> 'seq', text = r.value ->> 'text',
                edited_at = r.value ->> 'edited_at', deleted_at = r.value ->> 'deleted_at',
                deleted_by = r.value ->> 'deleted_by'
            FROM json_each($1) r
            WHERE messages.chat_id = r.value ->> 'chat_id' AND messages.id = r.value ->> 'id'",
        (json_rows(messages)),
    )?;
    Ok(())
}

/// An edit that had an id, for when it is asked for again.
#[derive(Serialize)]
struct NewEdit<'a> {
    chat_id: i64,
    message_id: i64,
    fingerprint: &'a str,
    seq: i64,
}

fn new_edits(done: &BatchDone) -> Vec<NewEdit<'_>> {
    let edits = done.edits.iter().map(|((chat, message, fingerprint), seq)| NewEdit {
        chat_id: chat.0,
        message_id: message.0,
        fingerprint,
        seq: seq.0,
    });
    edits.collect()
}

async fn insert_edits(tx: &mut Tx, now: Timestamp, edits: &[NewEdit<'_>]) -> Result<()> {
    execute!(
        tx,
        postgres: "INSERT INTO edits (chat_id, message_id, fingerprint, seq, created_at)
            SELECT chat_id, message_id, fingerprint, seq, $1
            FROM UNNEST($2::BIGINT[], $3::BIGINT[], $4::TEXT[], $5::BIGINT[])
                AS r (chat_id, message_id, fingerprint, seq)",
        (
            now.0,
            column!(edits, chat_id),
            column!(edits, message_id),
            column!(edits, fingerprint),
            column!(edits, seq),
        ),
        sqlite: "INSERT INTO edits (chat_id, message_id, fingerprint, seq, created_at)
            SELECT value ->> 'chat_id', value ->> 'message_id', value ->> 'fingerprint', value ->> 'seq', $1
            FROM json_each($2)",
        (now.0, json_rows(edits)),
    )?;
    Ok(())
}
