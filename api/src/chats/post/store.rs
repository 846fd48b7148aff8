//! The statements of `post` that read what a batch must know; [`super::lock`] has those that lock, and
//! [`super::write`] those that write. Each handles the whole batch.

use super::plan::facts::{Barred, EditKey, Edited, Fact, Repeated, Sender, fingerprint};
use crate::{
    chats::{access::MemberRole, stored::MessageRecord},
    db::{Tx, column, fetch_all, from_row, json_rows, row},
    error::Result,
};
use protocol::{
    account::Role,
    command::{Action, Command},
    id::{ChatId, Seq},
    time::Timestamp,
};
use serde::Serialize;
use std::collections::{BTreeSet, HashMap};

/// Whose command it is, where, and by what it would be known again.
#[derive(Serialize)]
struct AskedSender<'a> {
    chat_id: i64,
    user_id: i64,
    client_id: Option<&'a str>,
}

impl<'a> AskedSender<'a> {
    fn of(command: &'a Command) -> Self {
        let client_id = match &command.action {
            Action::Send { client_message_id, .. } => Some(client_message_id.as_str()),
            Action::Edit { .. } | Action::Delete { .. } => None,
        };
        Self { chat_id: command.chat_id.0, user_id: command.user_id.0, client_id }
    }
}

row! {
    struct FactRow {
        username: Option<String>,
        name: Option<String>,
        avatar: Option<String>,
        role: Option<String>,
        shut_out: bool,
        member: Option<String>,
        id: Option<i64>,
        text: Option<String>,
        reply_to: Option<i64>,
        created_at: Option<i64>,
        changed: bool,
        guest: bool,
        name_taken: bool,
        barred: Option<String>,
        now: i64,
    }
}

/// The time, and for each command what must be known of its sender. Read after the locks, so that
/// times grow with the numbers.
pub(super) async fn facts(tx: &mut Tx, commands: &[&Command]) -> Result<(Timestamp, Vec<Fact>)> {
    let rows: Vec<AskedSender> = commands.iter().copied().map(AskedSender::of).collect();
    // No EXISTS, for which PostgreSQL may read the whole table, and no join: only guests' names may be taken.
    // PostgreSQL looks for repeats in the order of the index that is meant: while chats are small, the
    // primary key looks as good to it, and would have it read all of a big chat for each message. What has
    // no key finds another message, which is not joined.
    let rows: Vec<FactRow> = fetch_all!(
        tx,
        postgres: "SELECT u.username, u.name, u.avatar, u.role,
                u.blocked_at IS NOT NULL OR u.deactivated_at IS NOT NULL AS shut_out,
                m.role AS member, d.id, d.text, d.reply_to, d.created_at,
                d.edited_at IS NOT NULL OR d.deleted_at IS NOT NULL AS changed,
                COALESCE(u.guest, FALSE) AS guest, COALESCE(u.guest AND (
                    SELECT TRUE FROM users t WHERE t.username_key = substr(u.username_key, 2)), FALSE) AS name_taken,
                CASE WHEN m.silenced THEN 'silenced' WHEN m.user_id IS NULL THEN (
                    SELECT 'banned' FROM bans b WHERE b.chat_id = r.chat_id AND b.user_id = r.user_id
                        AND (b.ends_at IS NULL OR b.ends_at > clock.now)) END AS barred,
                clock.now
            FROM clock CROSS JOIN UNNEST($1::BIGINT[], $2::BIGINT[], $3::TEXT[])
                WITH ORDINALITY AS r (chat_id, user_id, client_id, place)
            LEFT JOIN users u ON u.id = r.user_id
            LEFT JOIN members m ON m.chat_id = r.chat_id AND m.user_id = r.user_id
            LEFT JOIN LATERAL (SELECT * FROM messages WHERE (chat_id, sender_id, client_message_id)
                    >= (r.chat_id, r.user_id, COALESCE(r.client_id, ''))
                ORDER BY chat_id, sender_id, client_message_id LIMIT 1) d
                ON d.chat_id = r.chat_id AND d.sender_id = r.user_id AND d.client_message_id = r.client_id
            ORDER BY r.place",
        (
            column!(rows, chat_id),
            column!(rows, user_id),
            column!(rows, client_id),
        ),
        sqlite: "SELECT u.username, u.name, u.avatar, u.role,
                u.blocked_at IS NOT NULL OR u.deactivated_at IS NOT NULL AS shut_out,
                m.role AS member, d.id, d.text, d.reply_to, d.created_at,
                d.edited_at IS NOT NULL OR d.deleted_at IS NOT NULL AS changed,
                COALESCE(u.guest, FALSE) AS guest, t.id IS NOT NULL AS name_taken,
                CASE WHEN m.silenced THEN 'silenced' WHEN m.user_id IS NULL THEN (
                    SELECT 'banned' FROM bans b WHERE b.chat_id = r.chat_id AND b.user_id = r.user_id
                        AND (b.ends_at IS NULL OR b.ends_at > clock.now)) END AS barred,
                clock.now
            FROM clock CROSS JOIN (SELECT key AS place, value ->> 'chat_id' AS chat_id,
                value ->> 'user_id' AS user_id, value ->> 'client_id' AS client_id FROM json_each($1)) r
            LEFT JOIN users u ON u.id = r.user_id
            LEFT JOIN users t ON u.guest AND t.username_key = substr(u.username_key, 2)
            LEFT JOIN members m ON m.chat_id = r.chat_id AND m.user_id = r.user_id
            LEFT JOIN messages d ON d.chat_id = r.chat_id AND d.sender_id = r.user_id
                AND d.client_message_id = r.client_id
            ORDER BY r.place",
        (json_rows(&rows)),
    )?;
    let now = rows.first().map_or(0, |row| row.now);
    Ok((Timestamp(now), rows.into_iter().map(fact).collect()))
}

fn fact(row: FactRow) -> Fact {
    Fact {
        user: row.username.map(|username| Sender {
            username,
            name: row.name.unwrap_or_default(),
            avatar: row.avatar.unwrap_or_default(),
            role: if row.role.as_deref() == Some("admin") { Role::Admin } else { Role::User },
            blocked: row.shut_out,
            guest: row.guest,
            name_taken: row.name_taken,
        }),
        member: row.member.as_deref().map(MemberRole::from_text),
        barred: match row.barred.as_deref() {
            Some("banned") => Some(Barred::Banned),
            Some(_) => Some(Barred::Silenced),
            None => None,
        },
        repeated: row.id.map(|id| Repeated {
            id: Seq(id),
            text: row.text.unwrap_or_default(),
            reply_to: row.reply_to.map(Seq),
            timestamp: Timestamp(row.created_at.unwrap_or(0)),
            changed: row.changed,
        }),
    }
}

#[derive(PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct MessageKey {
    chat_id: i64,
    id: i64,
}

/// The messages that edits, deletions and replies name, as far as they exist, and those that were sent
/// before.
pub(super) async fn named_messages(
    tx: &mut Tx,
    commands: &[&Command],
    facts: &[Fact],
) -> Result<Vec<MessageRecord>> {
    let named: BTreeSet<MessageKey> = commands
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
            let ids = [named, repeated].into_iter().flatten();
            ids.map(|id| MessageKey { chat_id: command.chat_id.0, id: id.0 })
        })
        .collect();
    if named.is_empty() {
        return Ok(Vec::new());
    }
    let named: Vec<MessageKey> = named.into_iter().collect();
    Ok(fetch_all!(
        tx,
        postgres: "SELECT m.chat_id, m.id, m.seq, m.sender_id, s.username, s.name, s.avatar, s.guest, m.client_message_id, m.text,
            m.reply_to, m.created_at, m.edited_at, m.deleted_at, m.deleted_by
         FROM UNNEST($1::BIGINT[], $2::BIGINT[]) AS r (chat_id, id)
         JOIN messages m ON m.chat_id = r.chat_id AND m.id = r.id
         JOIN users s ON s.id = m.sender_id",
        (column!(named, chat_id), column!(named, id)),
        sqlite: "SELECT m.chat_id, m.id, m.seq, m.sender_id, s.username, s.name, s.avatar, s.guest, m.client_message_id, m.text,
            m.reply_to, m.created_at, m.edited_at, m.deleted_at, m.deleted_by
         FROM json_each($1) r
         JOIN messages m ON m.chat_id = r.value ->> 'chat_id' AND m.id = r.value ->> 'id'
         JOIN users s ON s.id = m.sender_id",
        (json_rows(&named)),
    )?)
}

/// An edit that has an id, and the fingerprint of it.
#[derive(Serialize)]
struct AskedEdit<'a> {
    chat_id: i64,
    message_id: i64,
    fingerprint: &'a str,
}

/// Which of the edits that have an id were made before.
pub(super) async fn earlier_edits(
    tx: &mut Tx,
    commands: &[&Command],
) -> Result<HashMap<EditKey, Edited>> {
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
    let rows: Vec<AskedEdit> = keys
        .iter()
        .map(|(chat, message, fingerprint)| AskedEdit {
            chat_id: chat.0,
            message_id: message.0,
            fingerprint,
        })
        .collect();
    let found: Vec<EarlierEdit> = fetch_all!(
        tx,
        postgres: "SELECT e.chat_id, e.message_id, e.fingerprint, e.seq, e.created_at
            FROM UNNEST($1::BIGINT[], $2::BIGINT[], $3::TEXT[]) AS r (chat_id, message_id, fingerprint)
            JOIN edits e ON e.chat_id = r.chat_id AND e.message_id = r.message_id
                AND e.fingerprint = r.fingerprint",
        (
            column!(rows, chat_id),
            column!(rows, message_id),
            column!(rows, fingerprint),
        ),
        sqlite: "SELECT e.chat_id, e.message_id, e.fingerprint, e.seq, e.created_at
            FROM json_each($1) r
            JOIN edits e ON e.chat_id = r.value ->> 'chat_id'
                AND e.message_id = r.value ->> 'message_id' AND e.fingerprint = r.value ->> 'fingerprint'",
        (json_rows(&rows)),
    )?;
    Ok(found.into_iter().map(|EarlierEdit { key, edited }| (key, edited)).collect())
}

struct EarlierEdit {
    key: EditKey,
    edited: Edited,
}

from_row!(EarlierEdit, |row| Self {
    key: (
        ChatId(row.try_get("chat_id")?),
        Seq(row.try_get("message_id")?),
        row.try_get("fingerprint")?
    ),
    edited: Edited {
        seq: Seq(row.try_get("seq")?),
        timestamp: Timestamp(row.try_get("created_at")?)
    },
});
