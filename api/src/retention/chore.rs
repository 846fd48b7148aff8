//! The chores: what each deletes, how long the rows stay before that, and one step of the work. When a step
//! runs is decided in [`super`].

use crate::{
    config::RetentionConfig,
    db::{Db, DbError, List, Tx, execute, fetch_all, fetch_one},
};
use std::{collections::HashSet, time::Duration};

/// A kind of rows that is deleted some time after it is needed last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chore {
    /// Members of deleted chats. They go early, because every opening connection walks over them.
    Members,
    /// Deleted chats, with everything in them.
    Chats,
    /// Sessions that ended or were not renewed.
    Sessions,
    /// Guests who have written nothing.
    Guests,
    /// Records of edits, kept for clients that repeat one.
    Edits,
    /// Records of who left a room, kept for `changed`.
    Departures,
    /// Records of who was woken, kept for `changed`.
    Wakes,
    /// Records of which chats changed, kept for `changed`. PostgreSQL only: SQLite's row in `chores` is
    /// missing, so nothing is ever due.
    Changes,
    /// Links to a new password or for verifying an address that nobody has used in time.
    Links,
}

const HOUR_MS: i64 = 60 * 60 * 1000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// How long the members of a deleted chat stay. Gateways close it within seconds, and one that was away
/// goes by the chat, not by them.
const MEMBERS_STAY_MS: i64 = HOUR_MS;

/// How long an ended session stays: its last access token lives for a quarter of an hour, and a gateway that
/// was cut off for a night is still told why the session ended.
pub(crate) const SESSIONS_STAY_MS: i64 = DAY_MS;

/// How long edits are remembered: a client that was offline over a weekend still repeats its last edit.
const EDITS_STAY_MS: i64 = 7 * DAY_MS;

/// How long `changed` is told of departures and wake-ups: by far longer than a gateway is cut off and goes
/// on.
const NEWS_STAY_MS: i64 = DAY_MS;

/// How long `changed` is told which chats changed: there is a row for each batch of messages, about 90 bytes
/// with its index, so 1,000 a second are 54 MB. Gateways ask every few seconds, and one that was cut off for
/// longer goes through all that it holds. The script that made the table filled it with as much.
pub(crate) const CHANGES_STAY_MS: i64 = 10 * 60 * 1000;

/// As many times more of these rows go in a step: they are small and lie side by side, and there are as many
/// as batches.
const CHANGES_TIMES: i64 = 10;

/// Chats begun in one step: a dozen statements each.
const MOST_CHATS: i64 = 20;

/// Guests in one step: two statements each.
const MOST_GUESTS: i64 = 100;

/// Chats whose members are looked for in one step.
const MOST_MEMBERS_CHATS: i64 = 100;

// Each removes the first `$2` rows, in the order of a column, among those that a condition on `$1` names; and
// those that are equal to the last of them in that order.

const MEMBERS_OF_A_CHAT: &str =
    "DELETE FROM members WHERE chat_id = $1 AND user_id <= (SELECT MAX(user_id) FROM (
     SELECT user_id FROM members WHERE chat_id = $1 ORDER BY user_id LIMIT $2) AS part)";

/// What a chat consists of beside its own row.
const OF_A_CHAT: [&str; 10] = [
    "DELETE FROM messages WHERE chat_id = $1 AND id <= (SELECT MAX(id) FROM (
     SELECT id FROM messages WHERE chat_id = $1 ORDER BY id LIMIT $2) AS part)",
    "DELETE FROM member_events WHERE chat_id = $1 AND seq <= (SELECT MAX(seq) FROM (
     SELECT seq FROM member_events WHERE chat_id = $1 ORDER BY seq LIMIT $2) AS part)",
    "DELETE FROM chat_events WHERE chat_id = $1 AND seq <= (SELECT MAX(seq) FROM (
     SELECT seq FROM chat_events WHERE chat_id = $1 ORDER BY seq LIMIT $2) AS part)",
    "DELETE FROM edits WHERE chat_id = $1 AND message_id <= (SELECT MAX(message_id) FROM (
     SELECT message_id FROM edits WHERE chat_id = $1 ORDER BY message_id LIMIT $2) AS part)",
    "DELETE FROM departures WHERE chat_id = $1 AND user_id <= (SELECT MAX(user_id) FROM (
     SELECT user_id FROM departures WHERE chat_id = $1 ORDER BY user_id LIMIT $2) AS part)",
    "DELETE FROM bans WHERE chat_id = $1 AND user_id <= (SELECT MAX(user_id) FROM (
     SELECT user_id FROM bans WHERE chat_id = $1 ORDER BY user_id LIMIT $2) AS part)",
    "DELETE FROM senders WHERE chat_id = $1 AND user_id <= (SELECT MAX(user_id) FROM (
     SELECT user_id FROM senders WHERE chat_id = $1 ORDER BY user_id LIMIT $2) AS part)",
    "DELETE FROM stretches WHERE chat_id = $1 AND stretch <= (SELECT MAX(stretch) FROM (
     SELECT stretch FROM stretches WHERE chat_id = $1 ORDER BY stretch LIMIT $2) AS part)",
    "DELETE FROM statistics WHERE chat_id = $1 AND chat_id <= (SELECT MAX(chat_id) FROM (
     SELECT chat_id FROM statistics WHERE chat_id = $1 ORDER BY chat_id LIMIT $2) AS part)",
    MEMBERS_OF_A_CHAT,
];

const OLD_EDITS: &str =
    "DELETE FROM edits WHERE created_at < $1 AND created_at <= (SELECT MAX(created_at) FROM (
     SELECT created_at FROM edits WHERE created_at < $1 ORDER BY created_at LIMIT $2) AS part)";
const OLD_DEPARTURES: &str =
    "DELETE FROM departures WHERE parted_at < $1 AND parted_at <= (SELECT MAX(parted_at) FROM (
     SELECT parted_at FROM departures WHERE parted_at < $1 ORDER BY parted_at LIMIT $2) AS part)";
const OLD_WAKES: &str =
    "DELETE FROM wakes WHERE woken_at < $1 AND woken_at <= (SELECT MAX(woken_at) FROM (
     SELECT woken_at FROM wakes WHERE woken_at < $1 ORDER BY woken_at LIMIT $2) AS part)";
const OLD_CHANGES: &str = "DELETE FROM changes WHERE at < $1 AND at <= (SELECT MAX(at) FROM (
     SELECT at FROM changes WHERE at < $1 ORDER BY at LIMIT $2) AS part)";
const OLD_LINKS: &str =
    "DELETE FROM account_links WHERE expires_at < $1 AND expires_at <= (SELECT MAX(expires_at) FROM (
     SELECT expires_at FROM account_links WHERE expires_at < $1 ORDER BY expires_at LIMIT $2) AS part)";

impl Chore {
    /// In the order in which they are looked at.
    pub const ALL: [Self; 9] = [
        Self::Members,
        Self::Chats,
        Self::Sessions,
        Self::Guests,
        Self::Edits,
        Self::Departures,
        Self::Wakes,
        Self::Changes,
        Self::Links,
    ];

    /// As the table `chores` and the metrics spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Members => "members",
            Self::Chats => "chats",
            Self::Sessions => "sessions",
            Self::Guests => "guests",
            Self::Edits => "edits",
            Self::Departures => "departures",
            Self::Wakes => "wakes",
            Self::Changes => "changes",
            Self::Links => "links",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|chore| chore.name() == name)
    }

    /// How long after nothing was left to be done it begins anew.
    pub(super) fn round_ms(self) -> i64 {
        match self {
            // Walks over all of them.
            Self::Sessions => DAY_MS,
            // A tenth of the time that they stay, so that the table never holds much more.
            Self::Changes => CHANGES_STAY_MS / 10,
            // Indexes say whether there is something to be done.
            _ => HOUR_MS / 6,
        }
    }
}

/// What a step did.
#[derive(Debug, Default)]
pub(super) struct Tidied {
    pub removed: u64,
    /// Whether there may be more to be done at once.
    pub more: bool,
    /// Where the next step goes on, for chores that walk.
    pub place: String,
}

/// One step of a chore, from this place on.
pub(super) async fn work(
    tx: &mut Tx,
    lobby: Option<&Db>,
    config: &RetentionConfig,
    chore: Chore,
    now: i64,
    place: &str,
) -> Result<Tidied, DbError> {
    let rows = config.step_rows;
    let before = |stay: Option<Duration>| {
        stay.map(|stay| now - i64::try_from(stay.as_millis()).unwrap_or(i64::MAX))
    };
    match chore {
        Chore::Members => members(tx, now - MEMBERS_STAY_MS, rows).await,
        Chore::Chats => match before(config.deleted_chats) {
            Some(before) => chats(tx, before, rows).await,
            None => Ok(Tidied::default()),
        },
        Chore::Sessions => sessions(tx, now - SESSIONS_STAY_MS, rows, place).await,
        Chore::Guests => match before(config.guests) {
            Some(before) => guests(tx, lobby, before, rows).await,
            None => Ok(Tidied::default()),
        },
        Chore::Edits => old(tx, OLD_EDITS, now - EDITS_STAY_MS, rows).await,
        Chore::Departures => old(tx, OLD_DEPARTURES, now - NEWS_STAY_MS, rows).await,
        Chore::Wakes => old(tx, OLD_WAKES, now - NEWS_STAY_MS, rows).await,
        Chore::Links => old(tx, OLD_LINKS, now, rows).await,
        Chore::Changes => old(tx, OLD_CHANGES, now - CHANGES_STAY_MS, CHANGES_TIMES * rows).await,
    }
}

async fn old(tx: &mut Tx, sql: &'static str, before: i64, rows: i64) -> Result<Tidied, DbError> {
    let removed = execute!(tx, sql, before, rows)?;
    Ok(Tidied { removed, more: removed >= rows as u64, ..Tidied::default() })
}

/// A chat whose members are gone has none by its own count either, which is how it is known. Until then
/// the count stays, so that a step that stops half-way goes on.
async fn members(tx: &mut Tx, before: i64, rows: i64) -> Result<Tidied, DbError> {
    let chats: Vec<(i64,)> = fetch_all!(
        tx,
        "SELECT id FROM chats WHERE deleted_at < $1 AND member_count > 0 ORDER BY deleted_at LIMIT $2",
        before,
        MOST_MEMBERS_CHATS
    )?;
    let (mut made, mut left) = (Tidied::default(), rows);
    for (chat,) in &chats {
        if left == 0 {
            made.more = true;
            return Ok(made);
        }
        let removed = execute!(tx, MEMBERS_OF_A_CHAT, chat, left)?;
        made.removed += removed;
        left -= removed as i64;
        if left > 0 {
            execute!(tx, "UPDATE chats SET member_count = 0 WHERE id = $1", chat)?;
        }
    }
    made.more = left == 0 || chats.len() as i64 == MOST_MEMBERS_CHATS;
    Ok(made)
}

/// The chat's own row goes last: as long as it is there, the chat is one that is to be removed.
async fn chats(tx: &mut Tx, before: i64, rows: i64) -> Result<Tidied, DbError> {
    let chats: Vec<(i64,)> = fetch_all!(
        tx,
        "SELECT id FROM chats WHERE deleted_at < $1 ORDER BY deleted_at LIMIT $2",
        before,
        MOST_CHATS
    )?;
    let (mut made, mut left) = (Tidied::default(), rows);
    for (chat,) in &chats {
        for remove in OF_A_CHAT {
            let removed = execute!(tx, remove, chat, left)?;
            made.removed += removed;
            left -= removed as i64;
            if left <= 0 {
                made.more = true;
                return Ok(made);
            }
        }
        made.removed += execute!(tx, "DELETE FROM chats WHERE id = $1", chat)?;
        // After the chat, which whoever numbers it locks first, too.
        if let Tx::Postgres(_) = tx {
            execute!(tx, "DELETE FROM unnumbered_chats WHERE id = $1", chat)?;
        }
    }
    made.more = chats.len() as i64 == MOST_CHATS;
    Ok(made)
}

/// Walks over all sessions once: an index by when they expire would be written at each renewal.
async fn sessions(tx: &mut Tx, before: i64, rows: i64, after: &str) -> Result<Tidied, DbError> {
    let (upto,): (Option<String>,) = fetch_one!(
        tx,
        "SELECT MAX(id) FROM (SELECT id FROM sessions WHERE id > $1 ORDER BY id LIMIT $2) AS part",
        after,
        rows
    )?;
    let Some(place) = upto else { return Ok(Tidied::default()) };
    let removed = execute!(
        tx,
        "DELETE FROM sessions WHERE id > $1 AND id <= $2 AND (ended_at < $3 OR expires_at < $3)",
        after,
        &place,
        before
    )?;
    Ok(Tidied { removed, more: true, place })
}

/// A guest who has written is the name shown beside its messages, one who is blocked or banned must not come
/// back as somebody new: these stay, and are not looked at again before they come again.
///
/// Where the lobby is on another server than guests are kept on, the copies of guests go first. A guest whose copy is
/// still there has written, or was banned; one who comes back meanwhile is copied anew.
async fn guests(
    tx: &mut Tx,
    lobby: Option<&Db>,
    before: i64,
    rows: i64,
) -> Result<Tidied, DbError> {
    // One by one, and written so that PostgreSQL looks for one message by the index, whatever it believes
    // of the tables' sizes.
    const REMOVE: &str = "DELETE FROM users WHERE id = $1 AND guest AND blocked_at IS NULL
        AND COALESCE((SELECT FALSE FROM messages m
            WHERE m.chat_id = 1 AND m.sender_id = users.id LIMIT 1), TRUE)
        AND COALESCE((SELECT FALSE FROM bans b
            WHERE b.chat_id = 1 AND b.user_id = users.id LIMIT 1), TRUE)";
    let most = rows.min(MOST_GUESTS);
    // Who comes at this moment waits, and is made anew.
    let old: Vec<(i64,)> = fetch_all!(
        tx,
        postgres: "SELECT user_id FROM guest_visits WHERE seen_at < $1 ORDER BY seen_at LIMIT $2
            FOR UPDATE SKIP LOCKED",
        (before, most),
        sqlite: "SELECT user_id FROM guest_visits WHERE seen_at < $1 ORDER BY seen_at LIMIT $2",
        (before, most),
    )?;
    let mut made = Tidied { more: old.len() as i64 == most, ..Tidied::default() };
    let kept = match lobby {
        Some(lobby) => remove_copies(lobby, REMOVE, &old).await?,
        None => HashSet::new(),
    };
    for (guest,) in old {
        if kept.contains(&guest) {
            execute!(tx, "DELETE FROM guest_visits WHERE user_id = $1", guest)?;
            continue;
        }
        made.removed += execute!(tx, REMOVE, guest)?;
        execute!(tx, "DELETE FROM guest_visits WHERE user_id = $1", guest)?;
    }
    Ok(made)
}

/// Removes the copies of these guests on the lobby's server; those that must stay.
async fn remove_copies(
    lobby: &Db,
    remove: &'static str,
    guests: &[(i64,)],
) -> Result<HashSet<i64>, DbError> {
    let mut tx = lobby.begin().await?;
    for (guest,) in guests {
        execute!(tx, remove, guest)?;
    }
    let kept: Vec<(i64,)> = fetch_all!(
        tx,
        "SELECT id FROM users WHERE id IN (SELECT value FROM json_each($1))",
        guests.iter().map(|(guest,)| *guest).collect::<List<i64>>()
    )?;
    tx.commit().await?;
    Ok(kept.into_iter().map(|(guest,)| guest).collect())
}
