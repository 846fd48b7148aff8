//! Ordinals: each message knows its place among its chat's messages, each member the place that they have
//! seen (by a read mark, or by having written), and a chat the place of its newest message that is not
//! deleted. So how many are unread is a subtraction, whatever was edited or deleted, and whoever never
//! marks anything.
//!
//! Whoever has read up to a message has seen also those behind it that are deleted, up to the next one that
//! is not: else a badge would stay that nothing can clear.
//!
//! A chat is *numbered* when `sent_seq` is `last_seq`. Whoever makes an event in such a chat, under its
//! lock, keeps it numbered; in another one messages get no ordinal. `keep_numbering` numbers those:
//! chats from before there were ordinals, and those that an older program wrote to during an upgrade.

use crate::db::{Db, DbError, List, Tx, execute, fetch_optional};
use protocol::id::Seq;
use std::time::Duration;
use tokio::time::Instant;

/// How far a chat is numbered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ordinals {
    /// The newest message's ordinal.
    pub sent_count: i64,
    /// The event up to which that is so.
    pub sent_seq: Seq,
    /// The ordinal of the newest message that is not deleted.
    pub newest: i64,
}

impl Ordinals {
    /// Goes on to the event behind `last_seq`, which makes no message. Whether everything before it is
    /// numbered; if not, nothing changes.
    pub(crate) fn advance(&mut self, last_seq: Seq) -> bool {
        let numbered = self.sent_seq == last_seq;
        if numbered {
            self.sent_seq = last_seq.next();
        }
        numbered
    }

    /// The same for an event that makes a message: the message's ordinal.
    pub(crate) fn advance_by_message(&mut self, last_seq: Seq) -> Option<i64> {
        if !self.advance(last_seq) {
            return None;
        }
        self.sent_count += 1;
        self.newest = self.sent_count;
        Some(self.sent_count)
    }
}

/// Finds the newest messages of these chats, of which some were deleted in this transaction.
pub(crate) async fn settle_newest(tx: &mut Tx, chats: List<i64>) -> Result<(), DbError> {
    execute!(
        tx,
        "UPDATE chats SET newest = COALESCE((SELECT x.ordinal FROM messages x
             WHERE x.chat_id = chats.id AND x.deleted_at IS NULL ORDER BY x.id DESC LIMIT 1), 0)
         WHERE id IN (SELECT value FROM json_each($1)) AND sent_seq = last_seq",
        chats
    )?;
    Ok(())
}

/// Events of a chat that are numbered in one transaction: its senders wait meanwhile, some hundredths of a
/// second. And members whose place is found in one.
const STEP: i64 = 1_000;

/// Until it is looked again whether an older program has written something.
const REST: Duration = Duration::from_secs(10);

/// Numbers the chats that are not numbered, for ever, and is idle as long as it works. Any number of
/// processes may do so at once.
pub(crate) async fn keep_numbering(db: Db) {
    let mut numbered = 0_u64;
    loop {
        let started = Instant::now();
        let pause = match number_one(&db).await {
            Ok(true) => {
                numbered += 1;
                started.elapsed()
            }
            Ok(false) => {
                if std::mem::take(&mut numbered) > 0 {
                    tracing::info!("finished numbering the messages of all chats");
                }
                REST
            }
            Err(error) => {
                tracing::warn!(%error, "cannot number the messages of chats; trying again");
                REST
            }
        };
        tokio::time::sleep(pause).await;
    }
}

/// A chat that is not numbered, locked: its id, its newest event, and how far it is numbered.
async fn next_unnumbered(tx: &mut Tx) -> Result<Option<(i64, i64, i64)>, DbError> {
    // What another process is at, or somebody writes to, comes later.
    fetch_optional!(
        tx,
        postgres: "SELECT c.id, c.last_seq, c.sent_seq
            FROM unnumbered_chats u JOIN chats c ON c.id = u.id ORDER BY u.id LIMIT 1
            FOR NO KEY UPDATE OF c SKIP LOCKED",
        (),
        sqlite: "SELECT id, last_seq, sent_seq FROM chats
            WHERE sent_seq <> last_seq AND deleted_at IS NULL ORDER BY id LIMIT 1",
        (),
    )
}

/// Takes a step in a chat that is not numbered. Once it is, finds what its members have seen. `Ok(false)`:
/// all chats are numbered.
pub async fn number_one(db: &Db) -> Result<bool, DbError> {
    let mut tx = db.begin().await?;
    let found = next_unnumbered(&mut tx).await?;
    let Some((chat, last_seq, after)) = found else {
        tx.rollback().await?;
        return Ok(false);
    };
    let upto = last_seq.min(after + STEP);
    // Each row is looked for by what the subquery found of it, the chat too: what PostgreSQL knew before,
    // it could take as a reason to run the subquery for each row.
    let count = execute!(
        tx,
        "UPDATE messages SET ordinal = r.ordinal
         FROM (SELECT m.chat_id, m.id, c.sent_count + ROW_NUMBER() OVER (ORDER BY m.id) AS ordinal
               FROM chats c JOIN messages m ON m.chat_id = c.id
               WHERE c.id = $1 AND m.id > $2 AND m.id <= $3) r
         WHERE messages.chat_id = r.chat_id AND messages.id = r.id",
        chat,
        after,
        upto
    )?;
    execute!(
        tx,
        "UPDATE members SET seen = r.ordinal
         FROM (SELECT chat_id, sender_id, MAX(ordinal) AS ordinal FROM messages
               WHERE chat_id = $1 AND id > $2 AND id <= $3
               GROUP BY chat_id, sender_id ORDER BY sender_id) r
         WHERE members.chat_id = r.chat_id AND members.user_id = r.sender_id
             AND COALESCE(members.seen, 0) < r.ordinal",
        chat,
        after,
        upto
    )?;
    execute!(
        tx,
        "UPDATE chats SET sent_seq = $2, sent_count = sent_count + $3 WHERE id = $1",
        chat,
        upto,
        i64::try_from(count).unwrap_or(i64::MAX)
    )?;
    settle_newest(&mut tx, List(vec![chat])).await?;
    // PostgreSQL has a list of them. Whoever puts the chat there once more waits for its lock.
    if let Tx::Postgres(_) = tx
        && upto == last_seq
    {
        execute!(tx, "DELETE FROM unnumbered_chats WHERE id = $1", chat)?;
    }
    tx.commit().await?;
    if upto == last_seq {
        find_seen(db, chat).await?;
    }
    Ok(true)
}

/// Finds what the members of a numbered chat have seen by their marks. Where that is cut off, members of
/// whom it is not known are counted for one by one.
async fn find_seen(db: &Db, chat: i64) -> Result<(), DbError> {
    let mut after = 0;
    loop {
        let mut tx = db.begin().await?;
        let last: Option<(i64,)> = fetch_optional!(
            tx,
            "SELECT user_id FROM (SELECT user_id FROM members WHERE chat_id = $1 AND user_id > $2
                 ORDER BY user_id LIMIT $3) step ORDER BY user_id DESC LIMIT 1",
            chat,
            after,
            STEP
        )?;
        let Some((last,)) = last else { return tx.rollback().await };
        execute!(
            tx,
            "UPDATE members SET seen = r.seen
             FROM (SELECT m.chat_id, m.user_id, COALESCE((
                       SELECT x.ordinal - 1 FROM messages x
                       WHERE x.chat_id = c.id AND x.id > m.last_read AND x.deleted_at IS NULL
                       ORDER BY x.id LIMIT 1), c.sent_count) AS seen
                   FROM chats c JOIN members m ON m.chat_id = c.id
                   WHERE c.id = $1 AND c.sent_seq = c.last_seq AND m.user_id > $2 AND m.user_id <= $3
                   ORDER BY m.user_id) r
             WHERE members.chat_id = r.chat_id AND members.user_id = r.user_id
                 AND COALESCE(members.seen, -1) < r.seen",
            chat,
            after,
            last
        )?;
        tx.commit().await?;
        after = last;
    }
}
