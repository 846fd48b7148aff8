//! SQLite's connections: one that writes and a few that read, how long they may run, and how a broken one
//! is replaced. What is asked of them is not known here.

use super::{ConnectError, Db, DbConfig, DbError, STATEMENTS};
use parking_lot::Mutex;
use sqlx::{
    Connection, Sqlite, SqliteConnection,
    pool::PoolConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

/// How many steps of SQLite's machine go by between two looks at the clock: some tenths of a millisecond.
const STEPS: i32 = 10_000;

/// A write within this time shows that there is space, so readiness costs no write of its own.
const LATELY: Duration = Duration::from_secs(5);

/// Opens the file, which is made when it is missing.
pub(super) async fn connect(path: &str, config: &DbConfig) -> Result<Db, ConnectError> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // An acknowledged message survives a power cut: the log is synced at every commit.
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(config.busy_timeout)
        .statement_cache_capacity(STATEMENTS);
    let most = config.sqlite_timeout;
    let pool = |connections: u32| {
        SqlitePoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(config.acquire_timeout)
            .test_before_acquire(false)
            .idle_timeout(None)
            .max_lifetime(None)
            .after_connect(move |conn, _| Box::pin(limit(conn, most)))
            .before_acquire(move |conn, _| {
                Box::pin(async move {
                    // SQLite ends a transaction by itself when the disk is full or a statement runs
                    // too long. sqlx goes on counting it, and no other could ever begin.
                    if conn.is_in_transaction() {
                        tracing::debug!("replacing a connection whose transaction SQLite ended");
                        return Ok(false);
                    }
                    limit(conn, most).await?;
                    Ok(true)
                })
            })
    };
    let write = pool(1).connect_with(options.clone()).await.map_err(ConnectError::Open)?;
    let read = pool(config.sqlite_readers)
        .connect_with(options.pragma("query_only", "ON"))
        .await
        .map_err(ConnectError::Open)?;
    Ok(Db::Sqlite { read, write, written: LastWrite::default() })
}

/// Whoever has the connection now may have it run for so long: what runs then ends with SQLITE_INTERRUPT,
/// and its transaction with it.
async fn limit(conn: &mut SqliteConnection, most: Duration) -> Result<(), sqlx::Error> {
    let until = Instant::now() + most;
    conn.lock_handle().await?.set_progress_handler(STEPS, move || Instant::now() < until);
    Ok(())
}

/// Lets what has to be done take as long as it takes, until the connection is given back.
pub(super) async fn take_all_time(conn: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    conn.lock_handle().await?.remove_progress_handler();
    Ok(())
}

/// Copies the database, as of one moment, to a file that is empty.
pub(super) async fn copy(db: &Db, file: &Path) -> Result<(), DbError> {
    let mut conn = all_day(db).await?;
    let file = file.to_string_lossy();
    sqlx::query("VACUUM INTO $1").bind(&*file).execute(&mut *conn).await?;
    Ok(())
}

/// Reads every page.
pub(super) async fn check(db: &Db) -> Result<(), DbError> {
    let mut conn = all_day(db).await?;
    let found: String = sqlx::query_scalar("PRAGMA integrity_check").fetch_one(&mut *conn).await?;
    if found != "ok" {
        return Err(sqlx::Error::Protocol(found).into());
    }
    Ok(())
}

/// The writing connection, for as long as it takes.
async fn all_day(db: &Db) -> Result<PoolConnection<Sqlite>, DbError> {
    let Db::Sqlite { write, .. } = db else {
        return Err(sqlx::Error::Protocol("not a SQLite database".to_owned()).into());
    };
    let mut conn = write.acquire().await?;
    take_all_time(&mut conn).await?;
    Ok(conn)
}

/// When the database has last taken a write. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct LastWrite(Arc<Mutex<Option<Instant>>>);

impl LastWrite {
    pub(super) fn now(&self) {
        *self.0.lock() = Some(Instant::now());
    }

    pub(super) fn is_recent(&self) -> bool {
        let last = *self.0.lock();
        last.is_some_and(|last| last.elapsed() < LATELY)
    }
}
