//! The copy of people on servers that have chats and are not people's home: what messages and lists show of them, and
//! what decides whether they may write. Nobody's password or email address is in it. Accounts are copied as they
//! change; who is not there yet is copied before anything names that person. Guests are copied when they write.
//!
//! Whoever copies holds the row `people_copied` of the server's `meta`, so an older state never comes after a newer one.
//! It holds the time of the home's `users.changed_at` up to which all is copied, and the last id of that time.

use super::{Databases, Db, DbError, List, Tx, column, execute, fetch_all, fetch_optional, row};
use crate::error::Result;
use protocol::calls::CHANGED_OVERLAP_MS;
use std::time::Duration;

/// How long a change at home takes at most to be everywhere, while all servers answer.
const EVERY: Duration = Duration::from_secs(1);

/// People in one transaction.
const STEP: i64 = 1_000;

/// How far clocks of servers that follow each other as the home may differ.
const LOOK_BACK_MS: i64 = 10 * 60 * 1_000;

const KEY: &str = "people_copied";

row! {
    /// A person as copies have it.
    #[derive(Clone)]
    struct Person {
        id: i64,
        username: String,
        username_key: String,
        name: String,
        avatar: String,
        role: String,
        created_at: i64,
        blocked_at: Option<i64>,
        deactivated_at: Option<i64>,
        guest: bool,
        changed_at: i64,
    }
}

/// Has those of these people who are at home on a server, too, whose chats are to name them.
pub(crate) async fn await_people(all: &Databases, server: &Db, users: &[i64]) -> Result<()> {
    if std::ptr::eq(server, all.home()) {
        return Ok(());
    }
    let missing: List<i64> = missing(server, users).await?;
    if missing.0.is_empty() {
        return Ok(());
    }
    // Who holds a connection to the home waits for one to another server, and never the other way round.
    let mut home = all.home().read().await?;
    let mut tx = server.begin().await?;
    take(&mut tx, Wait::Yes).await?;
    let people: Vec<Person> = fetch_all!(
        home,
        "SELECT id, username, username_key, name, avatar, role, created_at, blocked_at, deactivated_at, guest, changed_at
         FROM users WHERE id IN (SELECT value FROM json_each($1))",
        missing
    )?;
    write(&mut tx, &people).await?;
    tx.commit().await?;
    Ok(())
}

async fn missing(server: &Db, users: &[i64]) -> Result<List<i64>, DbError> {
    let mut conn = server.read().await?;
    let there: Vec<(i64,)> = fetch_all!(
        conn,
        "SELECT id FROM users WHERE id IN (SELECT value FROM json_each($1))",
        List(users.to_vec())
    )?;
    Ok(users.iter().copied().filter(|user| !there.contains(&(*user,))).collect())
}

/// Keeps a server's copy up to date for ever, and says by it whether the server answers.
pub(crate) async fn keep_copying(all: Databases, place: usize) {
    let server = &all.each()[place];
    loop {
        let copied = copy(all.home(), server).await;
        match &copied {
            Ok(_) => {
                if all.set_away(place, false) {
                    tracing::info!(server = place, "the server of chats answers again");
                }
            }
            Err(error) => {
                // Of two servers, either may be the one that does not answer.
                if server.ping().await.is_err() && !all.set_away(place, true) {
                    tracing::warn!(server = place, %error, "a server of chats does not answer");
                }
            }
        }
        if !matches!(copied, Ok(Copied::More)) {
            tokio::time::sleep(EVERY).await;
        }
    }
}

/// Whether there is more to copy at once.
#[derive(Debug, PartialEq, Eq)]
enum Copied {
    All,
    More,
}

/// Copies those who changed since the last time.
async fn copy(from: &Db, server: &Db) -> Result<Copied, DbError> {
    let settled = from.settled().await?;
    let mut home = from.read().await?;
    let mut tx = server.begin().await?;
    // Another process is at it.
    let Some((at, id)) = take(&mut tx, Wait::No).await? else {
        tx.rollback().await?;
        return Ok(Copied::All);
    };
    // The home's clock was set back, or another server is the home now.
    let (at, id) = if settled < at { (settled - LOOK_BACK_MS, 0) } else { (at, id) };
    let people: Vec<Person> = fetch_all!(
        home,
        "SELECT id, username, username_key, name, avatar, role, created_at, blocked_at, deactivated_at, guest, changed_at
         FROM users WHERE (changed_at, id) > ($1, $2) ORDER BY changed_at, id LIMIT $3",
        at,
        id,
        STEP
    )?;
    let more = people.len() as i64 == STEP;
    let (at, id) = match people.last() {
        Some(last) if more => (last.changed_at, last.id),
        // What was being written then comes with a later time, or this one.
        _ => (settled - CHANGED_OVERLAP_MS, 0),
    };
    let guests: Vec<i64> = people.iter().filter(|one| one.guest).map(|one| one.id).collect();
    let absent = if guests.is_empty() { List(Vec::new()) } else { absent(&mut tx, guests).await? };
    let people: Vec<Person> =
        people.into_iter().filter(|one| !absent.0.contains(&one.id)).collect();
    write(&mut tx, &people).await?;
    execute!(tx, "UPDATE meta SET value = $2 WHERE key = $1", KEY, format!("{at} {id}"))?;
    tx.commit().await?;
    Ok(if more { Copied::More } else { Copied::All })
}

/// Guests who have not written here.
async fn absent(tx: &mut Tx, guests: Vec<i64>) -> Result<List<i64>, DbError> {
    let there: Vec<(i64,)> = fetch_all!(
        tx,
        "SELECT id FROM users WHERE id IN (SELECT value FROM json_each($1))",
        List(guests.clone())
    )?;
    Ok(guests.into_iter().filter(|guest| !there.contains(&(*guest,))).collect())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Wait {
    Yes,
    No,
}

/// Becomes the one that copies, and says up to where all is copied. `None`: another one is.
async fn take(tx: &mut Tx, wait: Wait) -> Result<Option<(i64, i64)>, DbError> {
    execute!(tx, "INSERT INTO meta (key, value) VALUES ($1, '-1 0') ON CONFLICT DO NOTHING", KEY)?;
    let row: Option<(String,)> = match wait {
        Wait::Yes => {
            fetch_optional!(tx, "SELECT value FROM meta WHERE key = $1 FOR NO KEY UPDATE", KEY)?
        }
        Wait::No => fetch_optional!(
            tx,
            "SELECT value FROM meta WHERE key = $1 FOR NO KEY UPDATE SKIP LOCKED",
            KEY
        )?,
    };
    Ok(row.map(|(text,)| {
        let place = text.split_once(' ');
        let place = place.and_then(|(at, id)| Some((at.parse().ok()?, id.parse().ok()?)));
        place.unwrap_or((-1, 0))
    }))
}

async fn write(tx: &mut Tx, people: &[Person]) -> Result<(), DbError> {
    if people.is_empty() {
        return Ok(());
    }
    // Only PostgreSQL has several servers.
    let Tx::Postgres(tx) = tx else { return Ok(()) };
    for statement in [
        // Who had such a name here has another one at home by now, or is a guest who is gone.
        "UPDATE users SET username_key = '~' || id WHERE username_key = ANY($1) AND id <> ALL($2)",
        // Two who have changed their names may have changed them with each other.
        "UPDATE users SET username_key = '~' || id WHERE username_key <> ALL($1) AND id = ANY($2)",
    ] {
        let keys = column!(people, username_key);
        sqlx::query(statement).bind(keys).bind(column!(people, id)).execute(&mut **tx).await?;
    }
    sqlx::query(
        "INSERT INTO users (id, username, username_key, name, avatar, role, password_hash, created_at, blocked_at,
             deactivated_at, guest)
         SELECT id, username, username_key, name, avatar, role, '', created_at, blocked_at, deactivated_at, guest
         FROM UNNEST($1::BIGINT[], $2::TEXT[], $3::TEXT[], $4::TEXT[], $5::TEXT[], $6::TEXT[], $7::BIGINT[],
             $8::BIGINT[], $9::BIGINT[], $10::BOOLEAN[])
             AS r (id, username, username_key, name, avatar, role, created_at, blocked_at, deactivated_at, guest)
         ON CONFLICT (id) DO UPDATE SET username = EXCLUDED.username, username_key = EXCLUDED.username_key,
             name = EXCLUDED.name, avatar = EXCLUDED.avatar, role = EXCLUDED.role,
             blocked_at = EXCLUDED.blocked_at, deactivated_at = EXCLUDED.deactivated_at, guest = EXCLUDED.guest",
    )
    .bind(column!(people, id))
    .bind(column!(people, username))
    .bind(column!(people, username_key))
    .bind(column!(people, name))
    .bind(column!(people, avatar))
    .bind(column!(people, role))
    .bind(column!(people, created_at))
    .bind(column!(people, blocked_at))
    .bind(column!(people, deactivated_at))
    .bind(column!(people, guest))
    .execute(&mut **tx)
    .await?;
    Ok(())
}
