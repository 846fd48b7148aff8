//! The statements of `post`. Each handles the whole batch.

use super::plan::{Barred, Chat, Done, EditKey, Edited, Fact, Repeated, Sender, fingerprint};
use crate::{
    chats::{
        access::{MemberRole, chat_type},
        ordinals::{self, Ordinals},
        stored::{MessageRow, Stored, message_columns},
    },
    db::{DbError, List, Tx, column, execute, fetch_all, json_rows},
};
use shared::{
    id::{ChatId, Seq},
    internal::{Action, Command, Role},
    problem::Problem,
    time::Timestamp,
};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// How to lock chats that somebody else holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lock {
    /// Wait for them, as long as the transaction waits for rows.
    Wait,
    /// Leave them out.
    Skip,
}

/// Locks the chats that exist, in the order of their ids, so that overlapping batches queue up
/// instead of waiting for each other in a circle.
pub async fn lock_chats(
    tx: &mut Tx,
    commands: &[&Command],
    how: Lock,
) -> Result<HashMap<ChatId, Chat>, DbError> {
    let ids = chat_ids(commands);
    macro_rules! select {
        () => {
            "SELECT c.id, c.chat_type, c.last_seq, c.sent_count, c.sent_seq, c.newest,
                 COALESCE((SELECT TRUE FROM members d
                     WHERE d.chat_id = c.id AND d.dormant LIMIT 1), FALSE),
                 COALESCE((SELECT TRUE FROM statistics k WHERE k.chat_id = c.id), FALSE)
             FROM chats c
             WHERE c.id IN (SELECT value FROM json_each($1)) AND c.deleted_at IS NULL
             ORDER BY c.id"
        };
    }
    let rows: Vec<ChatRow> = match how {
        Lock::Wait => fetch_all!(
            tx,
            postgres: concat!(select!(), " FOR NO KEY UPDATE OF c"), (ids),
            sqlite: select!(), (ids),
        )?,
        Lock::Skip => fetch_all!(
            tx,
            postgres: concat!(select!(), " FOR NO KEY UPDATE OF c SKIP LOCKED"), (ids),
            sqlite: select!(), (ids),
        )?,
    };
    let chat =
        |(id, kind, last_seq, sent_count, sent_seq, newest, has_dormant, counted): ChatRow| {
            let (chat_type, last_seq) = (chat_type(&kind), Seq(last_seq));
            let ordinals = Ordinals { sent_count, sent_seq: Seq(sent_seq), newest };
            (ChatId(id), Chat { chat_type, last_seq, ordinals, has_dormant, counted })
        };
    Ok(rows.into_iter().map(chat).collect())
}

/// The chats of these commands that exist, locked by whomever.
pub async fn existing(tx: &mut Tx, commands: &[&Command]) -> Result<HashSet<ChatId>, DbError> {
    let rows: Vec<(i64,)> = fetch_all!(
        tx,
        "SELECT id FROM chats
         WHERE id IN (SELECT value FROM json_each($1)) AND deleted_at IS NULL",
        chat_ids(commands)
    )?;
    Ok(rows.into_iter().map(|(id,)| ChatId(id)).collect())
}

fn chat_ids(commands: &[&Command]) -> List<i64> {
    let ids: BTreeSet<i64> = commands.iter().map(|command| command.chat_id.0).collect();
    ids.into_iter().collect()
}

type ChatRow = (i64, String, i64, i64, i64, i64, bool, bool);

type FactRow = (
    Option<String>,
    Option<String>,
    bool,
    Option<String>,
    Option<i64>,
    Option<String>,
    Option<i64>,
    Option<i64>,
    bool,
    bool,
    bool,
    Option<String>,
    i64,
);

/// The time, and for each command what must be known of its sender. Read after the locks, so that
/// times grow with the numbers.
pub async fn facts(tx: &mut Tx, commands: &[&Command]) -> Result<(Timestamp, Vec<Fact>), Problem> {
    macro_rules! select {
        ($from:literal, $messages:literal) => {
            concat!(
                "SELECT u.username, u.role, u.blocked_at IS NOT NULL OR u.deactivated_at IS NOT NULL,
                     m.role, d.id, d.text, d.reply_to, d.created_at,
                     d.edited_at IS NOT NULL OR d.deleted_at IS NOT NULL, COALESCE(u.guest, FALSE),
                     t.id IS NOT NULL,
                     CASE WHEN m.silenced THEN 'silenced' WHEN m.user_id IS NULL THEN (
                         SELECT 'banned' FROM bans b WHERE b.chat_id = r.chat_id AND b.user_id = r.user_id
                             AND (b.ends_at IS NULL OR b.ends_at > clock.now)) END,
                     clock.now
                 FROM clock CROSS JOIN ", $from, "
                 LEFT JOIN users u ON u.id = r.user_id
                 LEFT JOIN users t ON u.guest AND t.username_key = substr(u.username_key, 2)
                 LEFT JOIN members m ON m.chat_id = r.chat_id AND m.user_id = r.user_id
                 LEFT JOIN ", $messages, " d ON d.chat_id = r.chat_id AND d.sender_id = r.user_id
                     AND d.client_message_id = r.client_id
                 ORDER BY r.place"
            )
        };
    }
    let rows: Vec<(i64, i64, Option<&str>)> = commands
        .iter()
        .map(|command| {
            let key = match &command.action {
                Action::Send { client_message_id, .. } => Some(client_message_id.as_str()),
                Action::Edit { .. } | Action::Delete { .. } => None,
            };
            (command.chat_id.0, command.user_id.0, key)
        })
        .collect();
    let rows: Vec<FactRow> = fetch_all!(
        tx,
        postgres: select!("UNNEST($1::BIGINT[], $2::BIGINT[], $3::TEXT[])
            WITH ORDINALITY AS r (chat_id, user_id, client_id, place)",
            // In the order of the index that is meant: while chats are small, the primary key looks
            // as good to PostgreSQL, and would have it read all of a big chat for each message. What has
            // no key finds another message, which is not joined.
            "LATERAL (SELECT * FROM messages WHERE (chat_id, sender_id, client_message_id)
                    >= (r.chat_id, r.user_id, COALESCE(r.client_id, ''))
                ORDER BY chat_id, sender_id, client_message_id LIMIT 1)"),
        (
            column!(rows, 0),
            column!(rows, 1),
            column!(rows, 2),
        ),
        sqlite: select!("(SELECT key AS place, value ->> 0 AS chat_id, value ->> 1 AS user_id,
            value ->> 2 AS client_id FROM json_each($1)) r", "messages"),
        (json_rows(&rows)),
    )?;
    let now = rows.first().map_or(0, |row| row.12);
    Ok((Timestamp(now), rows.into_iter().map(fact).collect()))
}

fn fact(row: FactRow) -> Fact {
    let (
        username,
        role,
        blocked,
        member,
        id,
        text,
        reply_to,
        created_at,
        changed,
        guest,
        name_taken,
        barred,
        _,
    ) = row;
    Fact {
        user: username.map(|username| Sender {
            username,
            role: if role.as_deref() == Some("admin") { Role::Admin } else { Role::User },
            blocked,
            guest,
            name_taken,
        }),
        member: member.as_deref().map(MemberRole::from_text),
        barred: match barred.as_deref() {
            Some("banned") => Some(Barred::Banned),
            Some(_) => Some(Barred::Silenced),
            None => None,
        },
        repeated: id.map(|id| Repeated {
            id: Seq(id),
            text: text.unwrap_or_default(),
            reply_to: reply_to.map(Seq),
            timestamp: Timestamp(created_at.unwrap_or(0)),
            changed,
        }),
    }
}

/// The messages that edits, deletions and replies name, as far as they exist, and those that were sent
/// before.
pub async fn named_messages(
    tx: &mut Tx,
    commands: &[&Command],
    facts: &[Fact],
) -> Result<Vec<Stored>, Problem> {
    let named: BTreeSet<(i64, i64)> = commands
        .iter()
        .zip(facts)
        .flat_map(|(command, fact)| {
            let named = match &command.action {
                Action::Send { reply_to, .. } => *reply_to,
                Action::Edit { message_id, .. } | Action::Delete { message_id } => {
                    Some(*message_id)
                }
            };
            let repeated = fact.repeated.as_ref().map(|repeated| repeated.id);
            [named, repeated].into_iter().flatten().map(|id| (command.chat_id.0, id.0))
        })
        .collect();
    if named.is_empty() {
        return Ok(Vec::new());
    }
    let named: Vec<(i64, i64)> = named.into_iter().collect();
    let (chats, ids): (Vec<i64>, Vec<i64>) = named.iter().copied().unzip();
    let rows: Vec<MessageRow> = fetch_all!(
        tx,
        postgres: concat!("SELECT ", message_columns!(), "
            FROM UNNEST($1::BIGINT[], $2::BIGINT[]) AS r (chat_id, id)
            JOIN messages m ON m.chat_id = r.chat_id AND m.id = r.id
            JOIN users s ON s.id = m.sender_id"),
        (chats, ids),
        sqlite: concat!("SELECT ", message_columns!(), "
            FROM json_each($1) r
            JOIN messages m ON m.chat_id = r.value ->> 0 AND m.id = r.value ->> 1
            JOIN users s ON s.id = m.sender_id"),
        (json_rows(&named)),
    )?;
    Ok(rows.into_iter().map(Stored::from).collect())
}

/// Which of the edits that have an id were made before.
pub async fn earlier_edits(
    tx: &mut Tx,
    commands: &[&Command],
) -> Result<HashMap<EditKey, Edited>, Problem> {
    let keys: Vec<EditKey> = commands
        .iter()
        .filter_map(|command| match &command.action {
            Action::Edit { message_id, text, client_edit_id: Some(id) } => {
                Some((command.chat_id, *message_id, fingerprint(id, text)))
            }
            _ => None,
        })
        .collect();
    if keys.is_empty() {
        return Ok(HashMap::new());
    }
    let rows: Vec<(i64, i64, &str)> =
        keys.iter().map(|(chat, message, key)| (chat.0, message.0, key.as_str())).collect();
    let found: Vec<(i64, i64, String, i64, i64)> = fetch_all!(
        tx,
        postgres: "SELECT e.chat_id, e.message_id, e.fingerprint, e.seq, e.created_at
            FROM UNNEST($1::BIGINT[], $2::BIGINT[], $3::TEXT[]) AS r (chat_id, message_id, fingerprint)
            JOIN edits e ON e.chat_id = r.chat_id AND e.message_id = r.message_id
                AND e.fingerprint = r.fingerprint",
        (
            column!(rows, 0),
            column!(rows, 1),
            column!(rows, 2),
        ),
        sqlite: "SELECT e.chat_id, e.message_id, e.fingerprint, e.seq, e.created_at
            FROM json_each($1) r
            JOIN edits e ON e.chat_id = r.value ->> 0 AND e.message_id = r.value ->> 1
                AND e.fingerprint = r.value ->> 2",
        (json_rows(&rows)),
    )?;
    let edit = |(chat, message, fingerprint, seq, at)| {
        let edited = Edited { seq: Seq(seq), timestamp: Timestamp(at) };
        ((ChatId(chat), Seq(message), fingerprint), edited)
    };
    Ok(found.into_iter().map(edit).collect())
}

/// A chat's id, its newest number, how many messages it has more, and its [`Ordinals`].
type Numbered = (i64, i64, i64, i64, i64, i64);

/// Writes what the batch did.
pub async fn write(tx: &mut Tx, now: Timestamp, done: &Done) -> Result<(), Problem> {
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

/// PostgreSQL's statement that numbers chats, with its rows from the parameters `$rows`; `$1` is the time.
macro_rules! number {
    ($rows:literal) => {
        concat!(
            "UPDATE chats SET last_seq = n.last_seq, message_count = message_count + n.messages,
                 sent_count = n.sent_count, sent_seq = n.sent_seq, newest = n.newest, changed_at = $1
             FROM UNNEST(",
            $rows,
            ") AS n (id, last_seq, messages, sent_count, sent_seq, newest) WHERE chats.id = n.id"
        )
    };
}

async fn number_chats(tx: &mut Tx, now: Timestamp, rows: &[Numbered]) -> Result<(), Problem> {
    execute!(
        tx,
        postgres: number!("$2::BIGINT[], $3::BIGINT[], $4::BIGINT[], $5::BIGINT[], $6::BIGINT[], $7::BIGINT[]"),
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
) -> Result<(), Problem> {
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
        postgres: concat!(
            "WITH numbered AS (",
            number!("$9::BIGINT[], $10::BIGINT[], $11::BIGINT[], $12::BIGINT[], $13::BIGINT[], $14::BIGINT[]"),
            "), seen AS (
                UPDATE members SET seen = COALESCE(r.ordinal, members.seen), invited_by = NULL
                FROM UNNEST($15::BIGINT[], $16::BIGINT[], $17::BIGINT[]) AS r (chat_id, user_id, ordinal)
                WHERE members.chat_id = r.chat_id AND members.user_id = r.user_id)
             INSERT INTO messages
                 (chat_id, id, seq, sender_id, client_message_id, text, reply_to, ordinal, created_at)
             SELECT chat_id, id, id, sender_id, client_id, text, reply_to, ordinal, $1
             FROM UNNEST($2::BIGINT[], $3::BIGINT[], $4::BIGINT[], $5::TEXT[], $6::TEXT[],
                 $7::BIGINT[], $8::BIGINT[])
                 AS r (chat_id, id, sender_id, client_id, text, reply_to, ordinal)"),
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

async fn insert_edits(tx: &mut Tx, now: Timestamp, done: &Done) -> Result<(), Problem> {
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

async fn update_messages(tx: &mut Tx, done: &Done) -> Result<(), Problem> {
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
