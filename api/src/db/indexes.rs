//! Indexes of PostgreSQL that are made beside the writers: making one inside a migration would keep
//! everybody from writing to its table for as long as it is read. They are made after the migrations; one
//! that was cut off is begun anew. SQLite's are in its scripts: nobody else is there to wait.

use super::{Db, DbError};
use sqlx::{PgConnection, Postgres, pool::PoolConnection};
use std::time::{Duration, Instant};

struct Index {
    name: &'static str,
    drop: &'static str,
    create: &'static str,
}

macro_rules! index {
    ($name:literal $on:literal) => {
        Index {
            name: $name,
            drop: concat!("DROP INDEX CONCURRENTLY IF EXISTS ", $name),
            create: concat!("CREATE INDEX CONCURRENTLY ", $name, " ", $on),
        }
    };
}

const INDEXES: &[Index] = &[
    // A user's invitations, those of one person together.
    index!("members_invited" "ON members (user_id, invited_by) WHERE invited_by IS NOT NULL"),
    // Pages, however many deleted messages lie between.
    index!("messages_living" "ON messages (chat_id, id) WHERE deleted_at IS NULL"),
    // What administrators read of several servers in the order of time, whose ids are each their own.
    index!("audit_log_by_time" "ON audit_log (at, id)"),
    // Who is to be copied to other servers.
    index!("users_by_change" "ON users (changed_at, id)"),
    // What administrators look for among all users.
    index!("users_admins" "ON users (id) WHERE role = 'admin'"),
    index!("users_blocked" "ON users (id) WHERE blocked_at IS NOT NULL"),
    index!("users_guests" "ON users (id) WHERE guest"),
];

/// The advisory lock's key: any number that no other program uses.
const LOCK_KEY: i64 = 0x5357_4954_4349;

/// How often is asked whether the process that makes them has come to its end. Whoever waited inside a
/// statement would be waited for, by the making of an index itself.
const PAUSE: Duration = Duration::from_secs(1);

/// Makes those that are missing, whatever that takes. By one process at a time; the others wait for it.
pub(super) async fn make(db: &Db) -> Result<(), DbError> {
    let Db::Postgres(pool, ..) = db else { return Ok(()) };
    while !are_there(&mut *pool.acquire().await?).await? {
        // Between its statements, such a transaction is one that nobody waits for, unless the server's default is
        // one that keeps what it sees.
        let mut lock = pool.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED").await?;
        sqlx::raw_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
            .execute(&mut *lock)
            .await?;
        let locked = sqlx::query_scalar("SELECT pg_try_advisory_xact_lock($1)").bind(LOCK_KEY);
        if locked.fetch_one(&mut *lock).await? {
            make_here(pool.acquire().await?).await?;
        } else {
            drop(lock);
            tokio::time::sleep(PAUSE).await;
        }
    }
    Ok(())
}

/// On a connection that ends with it, and so does its patience.
async fn make_here(mut conn: PoolConnection<Postgres>) -> Result<(), DbError> {
    conn.close_on_drop();
    let patient = "SET statement_timeout = 0; SET lock_timeout = 0";
    sqlx::raw_sql(patient).execute(&mut *conn).await?;
    for index in INDEXES {
        if is_there(&mut conn, index).await? {
            continue;
        }
        let started = Instant::now();
        tracing::info!(db.index = index.name, "creating an index");
        sqlx::raw_sql(index.drop).execute(&mut *conn).await?;
        sqlx::raw_sql(index.create).execute(&mut *conn).await?;
        tracing::info!(db.index = index.name, took = ?started.elapsed(), "created an index");
    }
    Ok(())
}

async fn are_there(conn: &mut PgConnection) -> Result<bool, DbError> {
    for index in INDEXES {
        if !is_there(conn, index).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether it is there and complete: one whose making was cut off stays behind, and serves nobody.
async fn is_there(conn: &mut PgConnection, index: &Index) -> Result<bool, DbError> {
    let valid: Option<bool> =
        sqlx::query_scalar("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass($1)")
            .bind(index.name)
            .fetch_optional(conn)
            .await?;
    Ok(valid == Some(true))
}
