//! The database: PostgreSQL or SQLite behind one enum, so that one SQL text with `$1` parameters
//! serves both. Connections, transactions and migrations; what is stored and why is for the
//! services to know.
//!
//! ```ignore
//! let mut tx = db.begin().await?;
//! let row: Option<(i64, String)> =
//!     fetch_optional!(tx, "SELECT id, name FROM users WHERE id = $1", user.0)?;
//! execute!(tx, "UPDATE users SET name = $2 WHERE id = $1", user.0, name)?;
//! tx.commit().await?;
//! ```
//!
//! The migrations make both databases speak alike: the view `clock` holds the database's time
//! (`SELECT now FROM clock`, milliseconds since 1970), and `json_each($1)` turns a [`List`] into
//! rows of `value`. Where only two texts will do, the macros in `link` take both.

mod columns;
mod databases;
mod error;
mod indexes;
mod link;
mod list;
mod migrate;
pub(crate) mod people_copy;
mod place;
mod replicas;
mod servers;
pub(crate) mod skeletons;
mod sqlite;
mod warm;

pub(crate) use columns::{column, json_rows, misplaced};
pub use databases::{CheckPlaces, Databases};
pub(crate) use databases::{ServerPart, joined};
pub use error::{ConnectError, DbError};
pub use link::{Conn, Link, Tx};
pub(crate) use link::{execute, fetch_all, fetch_one, fetch_optional, from_row, row, run};
pub use list::List;
pub use migrate::MigrateError;
pub use place::{Dividing, PlaceError, ServerPlace};
pub use replicas::Replicas;
pub use servers::Servers;
pub use sqlite::LastWrite;
pub use warm::Warm;

use platform::settings::Secret;
use sqlx::{
    PgPool, SqlitePool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use std::{
    path::Path,
    time::{Duration, Instant},
};

/// The numbers of a database's connections.
#[derive(Clone, Debug)]
pub struct DbConfig {
    /// The PostgreSQL user's, when it is not in the URL.
    pub password: Option<Secret>,
    /// The URL of servers that follow the one that takes writes. Each gets as many connections as that one.
    pub replicas: Option<Secret>,
    /// Which of several servers of chats it is to be; `None`: the only one.
    pub place: Option<ServerPlace>,
    /// PostgreSQL connections of one process for gateways' calls. Posts come in a few lanes per gateway
    /// and hold a connection for milliseconds; with those of people, six apis fit into a server's
    /// default of 100.
    pub max_connections: u32,
    /// And those of [`Db::apart`], for people's requests: they take what there is while reads are slow.
    pub max_connections_apart: u32,
    /// How long a request waits for a free connection before it is answered `unavailable`.
    pub acquire_timeout: Duration,
    /// PostgreSQL ends a statement after this; a commit takes as long as it takes.
    pub statement_timeout: Duration,
    /// PostgreSQL gives up waiting for a row after this: a stuck transaction must not collect
    /// everybody's connections behind it.
    pub lock_timeout: Duration,
    /// SQLite connections for reading, one thread each. Writers do not disturb them (WAL).
    pub sqlite_readers: u32,
    /// How long whoever has a SQLite connection may have it run, all statements together: a runaway
    /// one would keep all writers from writing, or one of a few readers from reading. Longer than the
    /// largest order takes (1,000 accounts at once), shorter than a request may take at all.
    pub sqlite_timeout: Duration,
    /// How long SQLite waits for another process that is writing.
    pub busy_timeout: Duration,
}

impl Default for DbConfig {
    fn default() -> Self {
        Self {
            password: None,
            replicas: None,
            place: None,
            max_connections: 10,
            max_connections_apart: 6,
            acquire_timeout: Duration::from_secs(3),
            statement_timeout: Duration::from_secs(5),
            lock_timeout: Duration::from_secs(3),
            sqlite_readers: 4,
            sqlite_timeout: Duration::from_secs(10),
            busy_timeout: Duration::from_secs(5),
        }
    }
}

impl DbConfig {
    /// What each PostgreSQL session is told.
    fn session(&self, options: PgConnectOptions) -> PgConnectOptions {
        let options = match &self.password {
            Some(password) => options.password(password.reveal()),
            None => options,
        };
        options
            .application_name("switchboard-api")
            .statement_cache_capacity(STATEMENTS)
            .options(self.session_settings())
    }

    /// The settings of each PostgreSQL session. A pooler may keep them from the server; then its user needs them.
    pub fn session_settings(&self) -> Vec<(&'static str, String)> {
        let millis = |time: Duration| time.as_millis().to_string();
        let settings = [
            ("statement_timeout", millis(self.statement_timeout)),
            ("lock_timeout", millis(self.lock_timeout)),
            ("idle_in_transaction_session_timeout", millis(self.statement_timeout)),
        ];
        let plans = PLANS.map(|(setting, value)| (setting, value.to_owned()));
        settings.into_iter().chain(plans).collect()
    }

    fn pool(&self) -> PgPoolOptions {
        PgPoolOptions::new().acquire_timeout(self.acquire_timeout)
    }
}

/// Every query here goes by its indexes, whatever the tables hold. So each is planned once, because planning costs more
/// than most of them; and not in a way that reads tables whole, which is right while they are empty and kept for a
/// minute after.
const PLANS: [(&str, &str); 9] = [
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("enable_material", "off"),
    // Our loops meet few rows twice, and each execution would make a table to remember them.
    ("enable_memoize", "off"),
    ("random_page_cost", "1.1"),
    // For queries that read much: started for one of ours, they cost all the others.
    ("max_parallel_workers_per_gather", "0"),
    ("jit", "off"),
];

/// Prepared statements kept per connection: all of ours, with room.
const STATEMENTS: usize = 256;

/// A connection that was used within this time is taken without asking whether it still stands:
/// that would be one more round trip for every request of a busy api.
const TRUSTED: Duration = Duration::from_secs(1);

/// An impatient transaction waits for rows longer than others hold them as a rule, and not so long that people
/// notice. In one text, because a second would be one more round trip.
const BEGIN_IMPATIENT: &str = "BEGIN; SET LOCAL lock_timeout = '200ms'";

/// Often enough for a scrape every 15 s or so to see a recent number.
const MEASURE_EVERY: Duration = Duration::from_secs(5);

/// How long somebody waits for a connection, and for a transaction to begin on it.
struct Waiting(Instant);

impl Waiting {
    fn start() -> Self {
        Self(Instant::now())
    }

    /// There is one. Who waits in vain is counted as an error.
    fn over(self) {
        metrics::histogram!("db_wait_seconds").record(self.0.elapsed());
    }
}

/// A database. Clones share its connections.
#[derive(Clone, Debug)]
pub enum Db {
    /// Any number of apis may share it. Some of the pool's connections are kept for calls that come one after
    /// the other. Its replicas are read where they prove that they may.
    Postgres(PgPool, Warm, Servers, Option<Replicas>),
    /// A file, of one process.
    Sqlite {
        /// Several connections, which never wait for the writer.
        read: SqlitePool,
        /// One connection: SQLite has one writer at a time, and a queue here is fair where its
        /// own busy handler is not.
        write: SqlitePool,
        /// When this process wrote last.
        written: LastWrite,
    },
}

impl Db {
    /// The database of a URL: `postgres://user:password@host/name` or `sqlite:path`. Of several hosts, separated by
    /// commas, the one that takes writes is found, now and after each failover.
    ///
    /// PostgreSQL is connected when first used, so one that is away does not stop a process from
    /// starting; a SQLite file is made when it is missing, and a path that cannot be is an error.
    pub async fn connect(url: &str, config: &DbConfig) -> Result<Self, ConnectError> {
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            let servers =
                Servers::parse(url, |options| config.session(options))?.placed(config.place);
            let options = config.pool().max_connections(config.max_connections);
            let replicas = config.replicas.as_ref().map(|url| {
                let servers = Servers::parse(url.reveal(), |options| config.session(options));
                let servers = servers.map_err(|_| ConnectError::ReplicaUrl)?;
                Ok::<_, ConnectError>(Replicas::new(servers, &options))
            });
            let replicas = replicas.transpose()?;
            let pool = servers.pool(options);
            return Ok(Self::Postgres(pool, Warm::default(), servers, replicas));
        }
        let Some(path) = url.strip_prefix("sqlite:") else {
            return Err(ConnectError::Scheme);
        };
        sqlite::connect(path.strip_prefix("//").unwrap_or(path), config).await
    }

    /// A connection for statements that read, each of them for itself.
    pub async fn read(&self) -> Result<Conn, DbError> {
        let waiting = Waiting::start();
        let conn = match self {
            Self::Postgres(pool, ..) => Conn::Postgres(pool.acquire().await?),
            Self::Sqlite { read, .. } => Conn::Sqlite(read.acquire().await?),
        };
        waiting.over();
        Ok(conn)
    }

    /// A transaction that may write. Dropped without [`Tx::commit`], it changes nothing.
    pub async fn begin(&self) -> Result<Tx, DbError> {
        let waiting = Waiting::start();
        let tx = match self {
            Self::Postgres(pool, ..) => Tx::Postgres(pool.begin().await?),
            // Immediate: a transaction that reads first and writes later could otherwise fail
            // half-way because another process wrote in between.
            Self::Sqlite { write, written, .. } => {
                Tx::Sqlite(write.begin_with("BEGIN IMMEDIATE").await?, Some(written.clone()))
            }
        };
        waiting.over();
        Ok(tx)
    }

    /// The same, but it waits for rows that others hold for a moment only, which is
    /// [`DbError::Held`] then. In SQLite nobody holds rows.
    pub async fn begin_impatient(&self) -> Result<Tx, DbError> {
        let Self::Postgres(pool, ..) = self else { return self.begin().await };
        let waiting = Waiting::start();
        let tx = Tx::Postgres(pool.begin_with(BEGIN_IMPATIENT).await?);
        waiting.over();
        Ok(tx)
    }

    /// A transaction whose statements all read the same moment.
    pub async fn snapshot(&self) -> Result<Tx, DbError> {
        let waiting = Waiting::start();
        let tx = match self {
            Self::Postgres(pool, ..) => Tx::Postgres(
                pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?,
            ),
            Self::Sqlite { read, .. } => Tx::Sqlite(read.begin().await?, None),
        };
        waiting.over();
        Ok(tx)
    }

    /// A time before which everything is settled: whatever a transaction wrote then is there for every
    /// statement that begins after this call, or will never be. PostgreSQL's clock, or the beginning of
    /// the oldest transaction that is writing: one whose commit waits for a disk or a standby stays
    /// invisible for as long as that takes. It sees those of this connection's user. In SQLite it is the
    /// clock: whoever asks is the process that writes, and tells by itself.
    pub async fn settled(&self) -> Result<i64, DbError> {
        let mut conn = self.read().await?;
        let (now,): (i64,) = fetch_one!(
            conn,
            postgres: "SELECT LEAST(now, (
                    SELECT (extract(epoch FROM min(a.xact_start)) * 1000)::BIGINT
                    FROM pg_stat_activity a
                    WHERE a.datname = current_database() AND a.backend_xid IS NOT NULL)) FROM clock", (),
            sqlite: "SELECT now FROM clock", (),
        )?;
        Ok(now)
    }

    /// The same database by other connections: for people's requests, so that gateways' calls find one
    /// of theirs free, however long these take. SQLite's one writer is shared all the same.
    pub fn apart(&self, config: &DbConfig) -> Self {
        match self {
            Self::Postgres(.., servers, replicas) => {
                let options = config.pool().max_connections(config.max_connections_apart);
                let replicas = replicas.as_ref().map(|replicas| replicas.apart(&options));
                let pool = servers.pool(options);
                Self::Postgres(pool, Warm::default(), servers.clone(), replicas)
            }
            Self::Sqlite { read, write, written } => {
                let options = read.options().clone();
                let read = options.connect_lazy_with((*read.connect_options()).clone());
                Self::Sqlite { read, write: write.clone(), written: written.clone() }
            }
        }
    }

    /// Open connections, idle ones, and how many there may be.
    fn measure(&self) -> (u32, usize, u32) {
        match self {
            Self::Postgres(pool, ..) => {
                (pool.size(), pool.num_idle(), pool.options().get_max_connections())
            }
            Self::Sqlite { read, write, .. } => (
                read.size() + write.size(),
                read.num_idle() + write.num_idle(),
                read.options().get_max_connections() + write.options().get_max_connections(),
            ),
        }
    }

    /// Whether the database answers, and on SQLite whether it takes writes: a full disk is read all the
    /// same. For readiness; at most one write in some seconds.
    pub async fn ping(&self) -> Result<(), DbError> {
        match self {
            Self::Postgres(..) => {
                let mut conn = self.read().await?;
                servers::check_writable(&mut conn).await
            }
            Self::Sqlite { written, .. } if written.is_recent() => Ok(()),
            Self::Sqlite { .. } => {
                let mut tx = self.begin().await?;
                // A number of ours in the file's first page that nobody reads. It stays what it is, and
                // the page is written.
                execute!(tx, "PRAGMA user_version = 0")?;
                tx.commit().await
            }
        }
    }

    /// Brings the schema up to date. Any number of processes may do so at once; a schema newer than
    /// this program is refused. See [`Db::check_schema`] for those that must not change it.
    pub async fn migrate(&self) -> Result<(), MigrateError> {
        migrate::migrate(self).await
    }

    /// Whether the schema is the one this program was written for.
    pub async fn check_schema(&self) -> Result<(), MigrateError> {
        migrate::check(self).await
    }

    /// Copies a SQLite database to this file, which is empty, while others go on with theirs.
    pub async fn copy_to(&self, file: &Path) -> Result<(), DbError> {
        sqlite::copy(self, file).await
    }

    /// Whether a SQLite database is in order, to the last page.
    pub async fn check_content(&self) -> Result<(), DbError> {
        sqlite::check(self).await
    }

    /// How many messages there are, in all chats.
    pub async fn count_messages(&self) -> Result<i64, DbError> {
        let mut conn = self.read().await?;
        let (count,): (i64,) = fetch_one!(conn, "SELECT count(*) FROM messages")?;
        Ok(count)
    }

    /// Closes all connections, waiting for those in use.
    pub async fn close(&self) {
        match self {
            // Closing begins first: from then on nothing is kept warm.
            Self::Postgres(pool, warm, _, replicas) => {
                tokio::join!(pool.close(), warm.close());
                if let Some(replicas) = replicas {
                    replicas.close().await;
                }
            }
            Self::Sqlite { read, write, .. } => {
                read.close().await;
                write.close().await;
            }
        }
    }
}
