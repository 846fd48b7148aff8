//! Which of several servers of chats a database is. Each keeps it in its `meta`, and has a constraint that refuses chats
//! of others' buckets, so neither a wrong list of servers nor a program with another list can write to the wrong place.
//! Dividing gives the servers their places: each gives up the chats that another one has.

use super::{Databases, DbError, Tx, execute, fetch_one, fetch_optional, migrate::run_script};
use protocol::id::ChatId;
use sqlx::PgConnection;
use std::{collections::BTreeMap, fmt, io};

/// One of several servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerPlace {
    /// From 0 on, the home's. It has the buckets whose remainder it is.
    pub number: usize,
    /// How many there are.
    pub of: usize,
}

impl fmt::Display for ServerPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.number, self.of)
    }
}

const KEY: &str = "chat_server";

/// The servers are not as the settings say.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// It is another one, or of another number.
    #[error(
        "the database of place {wanted} says that its place is {found}: DATABASE_URL and CHAT_DATABASE_URLS must name \
         all servers, in the order in which the chats were divided"
    )]
    Wrong {
        /// What it says.
        found: String,
        /// What the settings say.
        wanted: String,
    },
    /// There are chats that must move first.
    #[error(
        "the chats are not divided among these servers yet: stop all apis and run `api divide`, as docs/sharding.md says"
    )]
    Undivided,
    /// A server would give up chats that another one does not have.
    #[error(
        "server {holder} has chats of server {owner} that are not the same there: copy its database first, with all \
         apis stopped, as docs/sharding.md says"
    )]
    NotCopied {
        /// Which server would give them up.
        holder: usize,
        /// Which one they belong to.
        owner: usize,
    },
    /// A database does not answer.
    #[error(transparent)]
    Db(#[from] DbError),
}

/// Refuses a connection to a server that says that it has another place. One that says nothing has not been divided.
pub(super) async fn check_connection(
    conn: &mut PgConnection,
    place: Option<ServerPlace>,
) -> Result<(), sqlx::Error> {
    let Some(place) = place else { return Ok(()) };
    const FOUND: &str = "SELECT value FROM meta WHERE key = 'chat_server'";
    let found: Result<Option<String>, sqlx::Error> =
        sqlx::query_scalar(FOUND).fetch_optional(conn).await;
    match found {
        Ok(Some(found)) if found != place.to_string() => {
            let text = format!("the server of place {place} says that its place is {found}");
            Err(sqlx::Error::Io(io::Error::other(text)))
        }
        // It has no tables yet.
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("42P01") => Ok(()),
        found => found.map(drop),
    }
}

/// What a server's living chats of one remainder are: alike on two servers only if one is a copy of the other.
type ShareContent = (i64, i64, i64);

impl Databases {
    /// Whether each server has the place that the settings give it. New ones, on which nothing was ever said, take
    /// theirs. Servers other than the home that are away are passed over: each connection to one is checked, too.
    pub async fn check_places(&self) -> Result<(), PlaceError> {
        let of = self.each().len();
        let mut missing = false;
        for (number, db) in self.each().iter().enumerate() {
            let mut conn = match db.read().await {
                Err(DbError::Unavailable(error)) if number > 0 => {
                    tracing::warn!(server = number, %error, "cannot ask a server of chats for its place yet");
                    continue;
                }
                conn => conn?,
            };
            let row: Option<(String,)> =
                fetch_optional!(conn, "SELECT value FROM meta WHERE key = $1", KEY)?;
            let wanted = ServerPlace { number, of }.to_string();
            match row {
                Some((found,)) if of == 1 || found != wanted => {
                    return Err(PlaceError::Wrong { found, wanted });
                }
                Some(_) => {}
                None => missing |= of > 1,
            }
        }
        if missing { self.divide(Dividing::NewOnes).await } else { Ok(()) }
    }

    /// Gives the servers their places. Each has its own chats already, and copies of others', which it gives up: they
    /// are deleted in the background, as chats are that were deleted long ago. What a server would give up without its
    /// owner having the same is an error, and nothing changes. Nobody writes meanwhile.
    pub async fn divide(&self, which: Dividing) -> Result<(), PlaceError> {
        let of = self.each().len() as i64;
        let mut held = Vec::new();
        for db in self.each() {
            let mut tx = db.begin().await?;
            run_script(&mut tx, PATIENT).await?;
            held.push(tx);
        }
        let mut contents: Vec<BTreeMap<i64, ShareContent>> = Vec::new();
        for tx in &mut held {
            contents.push(content(tx, of).await?);
        }
        for (holder, content) in contents.iter().enumerate() {
            for (owner, found) in content {
                let owner = usize::try_from(*owner).unwrap_or_default();
                let there = contents[owner].get(&(owner as i64));
                if owner != holder && there != Some(found) {
                    return Err(PlaceError::NotCopied { holder, owner });
                }
                if owner != holder && which == Dividing::NewOnes && *found != NEW_LOBBY {
                    return Err(PlaceError::Undivided);
                }
            }
        }
        for (number, tx) in held.iter_mut().enumerate() {
            settle(tx, ServerPlace { number, of: self.each().len() }).await?;
        }
        for tx in held {
            tx.commit().await?;
        }
        tracing::info!(servers = of, "the chats are divided among the servers");
        Ok(())
    }
}

/// Which servers may be divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dividing {
    /// Those without chats but the lobby, where nothing happened yet.
    NewOnes,
    /// Any whose chats are copied.
    Copied,
}

/// Of a lobby that nobody has written in.
const NEW_LOBBY: ShareContent = (1, 0, ChatId::LOBBY.0);

/// Holds out all who read and write chats, however long that takes.
const PATIENT: &str = "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0;
    SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL enable_seqscan = on;
    LOCK TABLE chats IN ACCESS EXCLUSIVE MODE";

async fn content(tx: &mut Tx, of: i64) -> Result<BTreeMap<i64, ShareContent>, DbError> {
    let mut found = BTreeMap::new();
    for owner in 0..of {
        let (count, events, newest): ShareContent = fetch_one!(
            tx,
            "SELECT count(*), CAST(COALESCE(SUM(last_seq), 0) AS BIGINT), COALESCE(MAX(id), 0)
             FROM chats WHERE id % 4096 % $1 = $2 AND deleted_at IS NULL",
            of,
            owner
        )?;
        if count > 0 {
            found.insert(owner, (count, events, newest));
        }
    }
    Ok(found)
}

/// Gives up what is others', and refuses it from now on.
async fn settle(tx: &mut Tx, place: ServerPlace) -> Result<(), DbError> {
    let ServerPlace { number, of } = place;
    let before: Option<(String,)> =
        fetch_optional!(tx, "SELECT value FROM meta WHERE key = $1", KEY)?;
    // A server that comes from a copy has others' past in its log.
    let is_copy = match before {
        None => number > 0,
        Some((text,)) => !text.starts_with(&format!("{number} ")),
    };
    let (of, number) = (of as i64, number as i64);
    execute!(
        tx,
        "UPDATE chats SET deleted_at = 1, pair_key = NULL
         WHERE id % 4096 % $1 <> $2 AND deleted_at IS NULL",
        of,
        number
    )?;
    execute!(tx, "DELETE FROM unnumbered_chats WHERE id % 4096 % $1 <> $2", of, number)?;
    if is_copy {
        execute!(
            tx,
            "INSERT INTO meta (key, value)
             SELECT 'audit_from', CAST(COALESCE(MAX(id), 0) AS TEXT) FROM audit_log
             ON CONFLICT (key) DO UPDATE SET value = excluded.value"
        )?;
        execute!(tx, "DELETE FROM meta WHERE key = 'people_copied'")?;
        run_script(tx, FORGET_PEOPLE).await?;
    }
    if let Tx::Postgres(tx) = tx {
        let sql = format!(
            "ALTER TABLE chats DROP CONSTRAINT IF EXISTS chats_own_bucket;
             ALTER TABLE chats ADD CONSTRAINT chats_own_bucket
                 CHECK (id % 4096 % {of} = {number} OR deleted_at IS NOT NULL)"
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut **tx).await?;
    }
    execute!(
        tx,
        "INSERT INTO meta (key, value) VALUES ($1, $2)
         ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        KEY,
        place.to_string()
    )?;
    Ok(())
}

/// What a copy of the home has of people and does not need.
const FORGET_PEOPLE: &str =
    "TRUNCATE sessions, blocklist, username_skeletons, account_links, second_factors,
        recovery_codes, guest_visits, announcement, unused_avatars;
    UPDATE users SET email = NULL, email_key = NULL, email_verified_at = NULL, password_hash = ''
    WHERE email IS NOT NULL OR password_hash <> ''";
