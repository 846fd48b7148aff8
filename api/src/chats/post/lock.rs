//! The beginning of `post`: a transaction that holds the batch's chats. What the batch does there is for
//! others to know.

use super::{PostServer, plan::facts::ChatFacts};
use crate::{
    chats::{access::chat_type, ordinals::Ordinals},
    db::{DbError, List, Tx, fetch_all, from_row},
};
use protocol::{
    command::Command,
    id::{ChatId, Seq},
};
use std::collections::{BTreeSet, HashMap, HashSet};

/// A transaction that has locked chats.
pub(super) struct Locked {
    pub tx: Tx,
    /// Those that exist.
    pub chats: HashMap<ChatId, ChatFacts>,
    /// Those that exist and that somebody else has locked.
    pub busy: HashSet<ChatId>,
}

/// What a caller does about chats that another transaction holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeldChats {
    /// It waits until they are free, or the database's `lock_timeout` is over: a fault.
    Wait,
    /// It waits a moment, as long as [`crate::db::Db::begin_impatient`] does, and then goes on
    /// without them: they are [`Locked::busy`].
    Skip,
    /// It does not wait, because another one has done so in vain just now.
    SkipAtOnce,
}

/// Begins a transaction and locks the chats of these commands that exist.
pub(super) async fn lock(
    server: PostServer<'_>,
    commands: &[&Command],
    held: HeldChats,
) -> Result<Locked, DbError> {
    let mut tx = match held {
        HeldChats::Wait => server.db().begin().await?,
        HeldChats::Skip => server.db().begin_impatient().await?,
        HeldChats::SkipAtOnce => return lock_free(server, commands).await,
    };
    match lock_chats(&mut tx, commands, LOCK_CHATS).await {
        Err(DbError::Held(_)) if held == HeldChats::Skip => {}
        chats => return Ok(Locked { tx, chats: chats?, busy: HashSet::new() }),
    }
    // PostgreSQL does not say which chat is held. The rollback frees those that are locked already,
    // and the second transaction takes all that are free without waiting.
    tx.rollback().await?;
    lock_free(server, commands).await
}

/// Those that nobody holds.
async fn lock_free(server: PostServer<'_>, commands: &[&Command]) -> Result<Locked, DbError> {
    let mut tx = server.db().begin().await?;
    let chats = lock_chats(&mut tx, commands, LOCK_FREE_CHATS).await?;
    let mut busy = find_existing(&mut tx, commands).await?;
    busy.retain(|chat| !chats.contains_key(chat));
    Ok(Locked { tx, chats, busy })
}

/// PostgreSQL: waits for chats that another transaction holds.
const LOCK_CHATS: &str = "
    SELECT c.id, c.chat_type, c.last_seq, c.sent_count, c.sent_seq, c.newest,
        COALESCE((SELECT TRUE FROM members d
            WHERE d.chat_id = c.id AND d.dormant LIMIT 1), FALSE) AS has_dormant,
        COALESCE((SELECT TRUE FROM statistics k WHERE k.chat_id = c.id), FALSE) AS counted
    FROM chats c
    WHERE c.id = ANY($1) AND c.deleted_at IS NULL
    ORDER BY c.id
    FOR NO KEY UPDATE OF c";

/// PostgreSQL: leaves out chats that another transaction holds.
const LOCK_FREE_CHATS: &str = "
    SELECT c.id, c.chat_type, c.last_seq, c.sent_count, c.sent_seq, c.newest,
        COALESCE((SELECT TRUE FROM members d
            WHERE d.chat_id = c.id AND d.dormant LIMIT 1), FALSE) AS has_dormant,
        COALESCE((SELECT TRUE FROM statistics k WHERE k.chat_id = c.id), FALSE) AS counted
    FROM chats c
    WHERE c.id = ANY($1) AND c.deleted_at IS NULL
    ORDER BY c.id
    FOR NO KEY UPDATE OF c SKIP LOCKED";

/// SQLite: the transaction is the only one that writes, so nobody else holds a chat.
const READ_CHATS: &str = "
    SELECT c.id, c.chat_type, c.last_seq, c.sent_count, c.sent_seq, c.newest,
        COALESCE((SELECT TRUE FROM members d
            WHERE d.chat_id = c.id AND d.dormant LIMIT 1), FALSE) AS has_dormant,
        COALESCE((SELECT TRUE FROM statistics k WHERE k.chat_id = c.id), FALSE) AS counted
    FROM chats c
    WHERE c.id IN (SELECT value FROM json_each($1)) AND c.deleted_at IS NULL
    ORDER BY c.id";

/// Locks the chats that exist, in the order of their ids, so that overlapping batches queue up
/// instead of waiting for each other in a circle.
async fn lock_chats(
    tx: &mut Tx,
    commands: &[&Command],
    postgres: &'static str,
) -> Result<HashMap<ChatId, ChatFacts>, DbError> {
    let ids = chat_ids(commands);
    let found: Vec<LockedChat> =
        fetch_all!(tx, postgres: postgres, (ids), sqlite: READ_CHATS, (ids))?;
    Ok(found.into_iter().map(|LockedChat { id, chat }| (id, chat)).collect())
}

struct LockedChat {
    id: ChatId,
    chat: ChatFacts,
}

from_row!(LockedChat, |row| Self {
    id: ChatId(row.try_get("id")?),
    chat: ChatFacts {
        chat_type: chat_type(row.try_get("chat_type")?),
        last_seq: Seq(row.try_get("last_seq")?),
        ordinals: Ordinals {
            sent_count: row.try_get("sent_count")?,
            sent_seq: Seq(row.try_get("sent_seq")?),
            newest: row.try_get("newest")?,
        },
        has_dormant: row.try_get("has_dormant")?,
        counted: row.try_get("counted")?,
    },
});

/// The chats of these commands that exist, locked by whomever.
async fn find_existing(tx: &mut Tx, commands: &[&Command]) -> Result<HashSet<ChatId>, DbError> {
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
