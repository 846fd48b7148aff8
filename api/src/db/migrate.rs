//! Embedded migrations: numbered scripts, one text a database, run in one transaction behind a lock,
//! so that any number of starting processes may try at once. There is no way back: a newer schema
//! stops an older program from starting.

use super::{Db, DbError, Link, Tx, execute, fetch_one, sqlite::take_all_time};

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
const MIGRATIONS: &[Migration] = &[migration!("0001_start"), migration!("0002_families")];

/// The advisory lock's key on PostgreSQL: any number that no other program uses.
const LOCK_KEY: i64 = 0x5357_4954_4348;

/// The schema cannot be brought to, or is not in, the state this program needs.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    #[error(
        "the database's schema has version {found}, this program knows {known}: start a newer one"
    )]
    TooNew { found: i64, known: i64 },
    #[error("the database's schema has version {found}, this program needs {known}: migrate first")]
    TooOld { found: i64, known: i64 },
    #[error("migration {name} failed: {error}")]
    Failed { name: &'static str, error: DbError },
    #[error(transparent)]
    Db(#[from] DbError),
}

fn known() -> i64 {
    MIGRATIONS.len() as i64
}

pub(super) async fn migrate(db: &Db) -> Result<(), MigrateError> {
    let mut tx = db.begin().await?;
    // A migration may take longer than a request, and so may waiting for another's.
    match tx.link() {
        Link::Postgres(_) => {
            run_script(&mut tx, "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0")
                .await?;
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
    if found > known() {
        return Err(MigrateError::TooNew { found, known: known() });
    }
    for (version, migration) in (1_i64..).zip(MIGRATIONS).skip_while(|(v, _)| *v <= found) {
        let script = match tx.link() {
            Link::Postgres(_) => migration.postgres,
            Link::Sqlite(_) => migration.sqlite,
        };
        let name = migration.name;
        run_script(&mut tx, script).await.map_err(|error| MigrateError::Failed { name, error })?;
        execute!(tx, "INSERT INTO migrations (version, name) VALUES ($1, $2)", version, name)?;
        tracing::info!(db.version = version, "migrated the database to {name}");
    }
    tx.commit().await?;
    tell(known());
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
    match found {
        _ if found > known => Err(MigrateError::TooNew { found, known }),
        _ if found < known => Err(MigrateError::TooOld { found, known }),
        _ => {
            tell(known);
            Ok(())
        }
    }
}

async fn version(tx: &mut Tx) -> Result<i64, DbError> {
    let (version,): (i64,) = fetch_one!(tx, "SELECT COALESCE(MAX(version), 0) FROM migrations")?;
    Ok(version)
}

async fn run_script(tx: &mut Tx, script: &'static str) -> Result<(), DbError> {
    match tx.link() {
        Link::Postgres(conn) => sqlx::raw_sql(script).execute(conn).await.map(|_| ())?,
        Link::Sqlite(conn) => sqlx::raw_sql(script).execute(conn).await.map(|_| ())?,
    }
    Ok(())
}
