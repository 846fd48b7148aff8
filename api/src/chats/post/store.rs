//! The statements of `post` that read and lock; [`super::write`] has those that write. Each handles the
//! whole batch.

use super::plan::{Barred, Chat, EditKey, Edited, Fact, Repeated, Sender, fingerprint};
use crate::{
    chats::{
        access::{MemberRole, chat_type},
        ordinals::Ordinals,
        stored::{MessageRow, Stored, message_columns},
    },
    db::{DbError, List, Tx, column, fetch_all, json_rows},
    error::Result,
};
use protocol::{
    account::Role,
    command::{Action, Command},
    id::{ChatId, Seq},
    time::Timestamp,
};
use std::collections::{BTreeSet, HashMap, HashSet};

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
pub async fn facts(tx: &mut Tx, commands: &[&Command]) -> Result<(Timestamp, Vec<Fact>)> {
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
) -> Result<Vec<Stored>> {
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
pub async fn earlier_edits(tx: &mut Tx, commands: &[&Command]) -> Result<HashMap<EditKey, Edited>> {
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
