//! Embedded migrations: numbered scripts, one text a database, each in a transaction of its own behind a
//! lock, so that any number of starting processes may try at once, and one that fails leaves those before
//! it. What SQL cannot compute of the rows that are there is filled in behind its script. A script that
//! waits for a table makes nobody wait behind it for longer than a second: it tries again. What would keep
//! writers waiting for longer, the making of an index, comes after them ([`indexes`]). There is no way back. A newer schema stops an older program from starting, unless all that is new only adds: the
//! script of such a version, 7 say, puts `oldest_program_7` into `meta`, the oldest version of a program
//! that goes on beside it.

use super::{
    Db, DbError, Link, Tx, execute, fetch_one, fetch_optional, indexes, skeletons,
    sqlite::take_all_time,
};
use std::time::{Duration, Instant};

struct Migration {
    name: &'static str,
    postgres: &'static str,
    sqlite: &'static str,
}

macro_rules! migration {
    ($name:literal) => {
        Migration {
            name: $name,
            postgres: include_str!(concat!("migrations/postgres/", $name, ".sql")),
            sqlite: include_str!(concat!("migrations/sqlite/", $name, ".sql")),
        }
    };
}

/// In order; the version of the schema is how many of them it has.
const MIGRATIONS: &[Migration] = &[
    migration!("0001_start"),
    migration!("0002_families"),
    migration!("0003_names"),
    migration!("0004_no_hole"),
    migration!("0005_ordinals"),
    migration!("0006_strangers"),
    migration!("0007_retention"),
    migration!("0008_loose_ends"),
    migration!("0009_unnumbered"),
    migration!("0010_changes"),
    migration!("0011_post_plain"),
    migration!("0012_chat_settings"),
    migration!("0013_accounts"),
    migration!("0014_administration"),
    migration!("0015_avatars"),
    migration!("0016_profiles"),
    migration!("0017_buckets"),
    migration!("0018_servers"),
];

/// Makes a table that SQL cannot fill with what is to be said of the accounts that are there.
const NAMES: &str = "0003_names";

/// Whatever the server's default: behind the lock, it sees what those before it have made.
const PATIENT: &str = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0";

/// A statement that waits for a table makes everybody wait who comes later: not for long.
const BRIEF: &str = "SET LOCAL lock_timeout = '1s'";

/// How often a statement is tried before the migration gives up: about three minutes.
const TRIES: u32 = 60;

/// Between two tries, so that the statements which queued up behind the last one get on.
const PAUSE: Duration = Duration::from_secs(2);

/// The advisory lock's key on PostgreSQL: any number that no other program uses.
const LOCK_KEY: i64 = 0x5357_4954_4348;

/// The schema cannot be brought to, or is not in, the state this program needs.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// A newer program has migrated it.
    #[error(
        "the database schema has version {found}, but this program knows only version {known}: start a newer program"
    )]
    TooNew {
        /// The database's version.
        found: i64,
        /// The newest one that this program brings.
        known: i64,
    },
    /// It waits for a migration that this process may not make.
    #[error(
        "the database schema has version {found}, but this program needs version {known}: migrate first"
    )]
    TooOld {
        /// The database's version.
        found: i64,
        /// The one that this program needs.
        known: i64,
    },
    /// The database refused a migration; those before it stand.
    #[error("migration {name} failed: {error}")]
    Failed {
        /// The migration's file, without its ending.
        name: &'static str,
        /// Why.
        error: DbError,
    },
    /// The version could not be read or written.
    #[error(transparent)]
    Db(#[from] DbError),
}

fn known() -> i64 {
    MIGRATIONS.len() as i64
}

pub(super) async fn migrate(db: &Db) -> Result<(), MigrateError> {
    let mut tries = 0;
    loop {
        match step(db).await {
            Ok(MigrationStep::Made) => tries = 0,
            Ok(MigrationStep::Done { found }) => {
                // Those of a newer schema are its own program's to make.
                if found == known() {
                    indexes::make(db).await?;
                }
                tell(found);
                return Ok(());
            }
            Err(MigrateError::Failed { name, error: DbError::Held(_) | DbError::Conflict(_) })
                if tries < TRIES =>
            {
                if tries == 0 {
                    tracing::info!("migration {name} waits until nobody uses its tables");
                }
                tries += 1;
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => return Err(error),
        }
    }
}

enum MigrationStep {
    /// There may be another one to make.
    Made,
    Done {
        found: i64,
    },
}

/// Makes the next migration, in a transaction of its own: one that is there stays, if the next one fails.
async fn step(db: &Db) -> Result<MigrationStep, MigrateError> {
    let mut tx = db.begin().await?;
    // A migration may take longer than a request, and so may waiting for another process's.
    match tx.link() {
        Link::Postgres(_) => {
            run_script(&mut tx, PATIENT).await?;
            execute!(tx, "SELECT pg_advisory_xact_lock($1)", LOCK_KEY)?;
        }
        Link::Sqlite(conn) => take_all_time(conn).await.map_err(DbError::from)?,
    }
    run_script(
        &mut tx,
        "CREATE TABLE IF NOT EXISTS migrations (version BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL)",
    )
    .await?;
    let found = version(&mut tx).await?;
    let Some((version, migration)) = (1_i64..).zip(MIGRATIONS).find(|(v, _)| *v > found) else {
        fits(&mut tx, found).await?;
        tx.commit().await?;
        return Ok(MigrationStep::Done { found });
    };
    let (name, script) = match tx.link() {
        Link::Postgres(_) => (migration.name, migration.postgres),
        Link::Sqlite(_) => (migration.name, migration.sqlite),
    };
    let failed = |error| MigrateError::Failed { name, error };
    if let Link::Postgres(_) = tx.link() {
        run_script(&mut tx, BRIEF).await?;
    }
    let started = Instant::now();
    run_script(&mut tx, script).await.map_err(failed)?;
    if name == NAMES {
        skeletons::back_fill(&mut tx).await.map_err(failed)?;
    }
    const MADE: &str = "INSERT INTO migrations (version, name) VALUES ($1, $2)";
    execute!(tx, MADE, version, name).map_err(failed)?;
    tx.commit().await?;
    let took = started.elapsed();
    tracing::info!(db.version = version, ?took, "migrated the database to {name}");
    Ok(MigrationStep::Made)
}

/// Whether this program may work on a schema of this version, of which it knows the beginning: if each
/// migration that came later says so of itself, in `meta`.
async fn fits(tx: &mut Tx, found: i64) -> Result<(), MigrateError> {
    let known = known();
    for later in known + 1..=found {
        let oldest: Option<(String,)> = fetch_optional!(
            tx,
            "SELECT value FROM meta WHERE key = $1",
            format!("oldest_program_{later}")
        )?;
        match oldest.and_then(|(version,)| version.parse::<i64>().ok()) {
            Some(oldest) if oldest <= known => {}
            _ => return Err(MigrateError::TooNew { found, known }),
        }
    }
    Ok(())
}

/// The schema's version, for dashboards: a rollout that migrates shows there.
fn tell(version: i64) {
    metrics::gauge!("db_schema_version").set(version as f64);
}

pub(super) async fn check(db: &Db) -> Result<(), MigrateError> {
    let mut tx = db.snapshot().await?;
    let tables: (i64,) = fetch_one!(
        tx,
        postgres: "SELECT count(*) FROM pg_tables WHERE tablename = 'migrations' AND schemaname = ANY (current_schemas(FALSE))", (),
        sqlite: "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'migrations'", (),
    )?;
    let found = if tables.0 == 0 { 0 } else { version(&mut tx).await? };
    let known = known();
    if found < known {
        return Err(MigrateError::TooOld { found, known });
    }
    fits(&mut tx, found).await?;
    tell(found);
    Ok(())
}

async fn version(tx: &mut Tx) -> Result<i64, DbError> {
    let (version,): (i64,) = fetch_one!(tx, "SELECT COALESCE(MAX(version), 0) FROM migrations")?;
    Ok(version)
}

pub(super) async fn run_script(tx: &mut Tx, script: &'static str) -> Result<(), DbError> {
    match tx.link() {
        Link::Postgres(conn) => sqlx::raw_sql(script).execute(conn).await.map(|_| ())?,
        Link::Sqlite(conn) => sqlx::raw_sql(script).execute(conn).await.map(|_| ())?,
    }
    Ok(())
}
