//! Servers that follow the one that takes writes, the primary, and answer reads in its place. A replica is asked only
//! when it proves that its answer is the primary's: it has each chat's newest event that the primary has just named,
//! everything that messages show of people, and the same epoch. So nothing is ever old, and nobody measures how far
//! it is behind. One that does not answer, or is behind again and again, is left alone for a while.

use super::{Conn, Db, DbError, Servers, TRUSTED, fetch_all};
use crate::error::Result;
use platform::breaker::Breaker;
use sqlx::{
    Connection as _, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
    time::Duration,
};

/// How long a replica may take to prove that it is fresh, and then to answer: many times what either takes.
const PATIENCE: Duration = Duration::from_millis(500);

/// How long one that failed is left alone: what it costs to try again is one caller's patience.
const REST: Duration = Duration::from_secs(3);

/// So often in a row may it be behind before it is left alone: right after a message, any replica is for a moment.
const MOST_BEHIND: u32 = 5;

/// Whether a replica has all that the primary has of these chats and their people.
const PROVES: &str = "
    SELECT COALESCE((SELECT value = $1 FROM meta WHERE key = 'epoch'), FALSE)
        AND COALESCE((SELECT CAST(value AS BIGINT) >= $2 FROM meta WHERE key = 'profiles'), FALSE)
        AND NOT EXISTS (SELECT FROM UNNEST($3::BIGINT[], $4::BIGINT[]) AS w (id, head)
            LEFT JOIN chats c ON c.id = w.id WHERE c.last_seq IS NULL OR c.last_seq < w.head)";

tokio::task_local! {
    /// Set while a replica is asked: its errors say nothing about the primary.
    static ASKED: ();
}

/// Whether what fails here is a replica's.
pub(super) fn is_asked() -> bool {
    ASKED.try_with(|()| ()).is_ok()
}

/// The replicas of a database, each with connections of its own. Clones share them.
#[derive(Clone, Debug)]
pub struct Replicas {
    servers: Servers,
    each: Arc<[Arc<Replica>]>,
    next: Arc<AtomicUsize>,
}

#[derive(Debug)]
pub(crate) struct Replica {
    pool: PgPool,
    breaker: Breaker,
    /// How often in a row it was behind.
    behind: AtomicU32,
}

impl Replicas {
    /// Connects when they are first used.
    pub(super) fn new(servers: Servers, pool: &PgPoolOptions) -> Self {
        let each = servers.each().iter().map(|server| Arc::new(Replica::new(server, pool)));
        Self { each: each.collect(), servers, next: Arc::default() }
    }

    /// The same by other connections.
    pub(super) fn apart(&self, pool: &PgPoolOptions) -> Self {
        Self::new(self.servers.clone(), pool)
    }

    /// One of those that are not left alone, in turn.
    fn awake(&self) -> Option<Arc<Replica>> {
        let count = self.each.len();
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        let mut turn = (0..count).map(|place| &self.each[(first.wrapping_add(place)) % count]);
        turn.find(|replica| !replica.breaker.is_resting()).cloned()
    }

    pub(super) async fn close(&self) {
        for replica in &*self.each {
            replica.pool.close().await;
        }
    }
}

impl Replica {
    fn new(server: &PgConnectOptions, pool: &PgPoolOptions) -> Self {
        let pool = pool.clone().test_before_acquire(false).before_acquire(|conn, meta| {
            Box::pin(async move {
                if meta.idle_for > TRUSTED {
                    conn.ping().await?;
                }
                Ok(true)
            })
        });
        Self {
            pool: pool.connect_lazy_with(server.clone()),
            breaker: Breaker::new("A read replica", "the primary is read instead", PATIENCE, REST),
            behind: AtomicU32::new(0),
        }
    }

    /// What a read on the replica's connection finds. `None`: it failed or took too long, and the primary is to be read.
    pub(crate) async fn answer<T>(&self, read: impl Future<Output = Result<T>>) -> Option<T> {
        // In a box, or each layer around a large read would hold it twice.
        let read = Box::pin(read);
        let read = async { read.await.map_err(|error| error.code.as_str()) };
        let answer = ASKED.scope((), self.breaker.ask(read)).await;
        count(if answer.is_some() { "served" } else { "failed" });
        answer
    }
}

/// What a replica has to prove before it is read.
pub(crate) struct Proof {
    replica: Arc<Replica>,
    epoch: String,
    profiles: i64,
    chats: Vec<i64>,
    heads: Vec<i64>,
}

impl Db {
    /// What one of the replicas has to prove to be read in the primary's place, for chats of which the primary has just
    /// named the newest events. `None`, at no cost: there is none, or all are left alone.
    pub(crate) async fn proof(
        &self,
        primary: &mut Conn,
        heads: impl IntoIterator<Item = (i64, i64)>,
    ) -> Result<Option<Proof>, DbError> {
        let Self::Postgres(.., Some(replicas)) = self else { return Ok(None) };
        let Some(replica) = replicas.awake() else {
            count("unused");
            return Ok(None);
        };
        let meta: Vec<(String, String)> =
            fetch_all!(primary, "SELECT key, value FROM meta WHERE key IN ('epoch', 'profiles')")?;
        let (mut epoch, mut profiles) = (String::new(), i64::MAX);
        for (key, value) in meta {
            match key.as_str() {
                "epoch" => epoch = value,
                _ => profiles = value.parse().unwrap_or(i64::MAX),
            }
        }
        let (chats, heads) = heads.into_iter().unzip();
        Ok(Some(Proof { replica, epoch, profiles, chats, heads }))
    }
}

impl Proof {
    /// A connection to the replica, if it proves all of that: for [`Replica::answer`].
    pub(crate) async fn ask(self) -> Option<(Conn, Arc<Replica>)> {
        let mut is_behind = false;
        let question = async {
            let mut conn = self.replica.pool.acquire().await.map_err(|error| error.to_string())?;
            if self.is_met(&mut conn).await.map_err(|error| error.to_string())? {
                self.replica.behind.store(0, Ordering::Relaxed);
                return Ok(Some(conn));
            }
            is_behind = true;
            match self.replica.behind.fetch_add(1, Ordering::Relaxed).saturating_add(1) {
                ..MOST_BEHIND => Ok(None),
                MOST_BEHIND.. => Err("it is behind".to_owned()),
            }
        };
        let answer = self.replica.breaker.ask(question).await;
        match answer {
            Some(Some(conn)) => return Some((Conn::Postgres(conn), self.replica)),
            _ if is_behind => count("behind"),
            _ => count("failed"),
        }
        None
    }

    async fn is_met(&self, conn: &mut PgConnection) -> Result<bool, sqlx::Error> {
        sqlx::query_scalar(PROVES)
            .bind(&self.epoch)
            .bind(self.profiles)
            .bind(&self.chats)
            .bind(&self.heads)
            .fetch_one(conn)
            .await
    }
}

fn count(result: &'static str) {
    metrics::counter!("replica_reads_total", "result" => result).increment(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn errors_of_a_replica_say_nothing_about_the_primary() {
        let error = || DbError::from(sqlx::Error::PoolTimedOut);
        assert!(matches!(error(), DbError::Unavailable(_)));
        assert!(matches!(ASKED.scope((), async { error() }).await, DbError::Replica(_)));
    }
}
