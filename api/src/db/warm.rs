//! PostgreSQL connections that serve one call after the other: the one that was used last comes first, and
//! nobody asks it in between whether it still stands. The pool gives out the one that has rested longest, so
//! with few calls at a time each would go to another of its sessions, whose memory no cache holds any more,
//! which is a quarter of what the server pays for a message that comes alone. Making connections, testing and
//! closing them stays the pool's.

use super::{Db, DbError, TRUSTED, Waiting};
use parking_lot::Mutex;
use sqlx::{PgPool, Postgres, pool::PoolConnection};
use std::{
    ops::{Deref, DerefMut},
    sync::Arc,
    time::{Duration, Instant},
};

/// The most that rest here. Whoever waits for one of the pool's gets none of these, so there are few; as many
/// calls as that at a time are served well, and more of them make larger batches.
const MOST: usize = 2;

/// How long the pool does without one. Then it looks whether the connection is old enough to be closed.
const LENT: Duration = Duration::from_secs(60);

/// Connections of a pool. Clones share them.
#[derive(Clone)]
pub struct Warm {
    pool: PgPool,
    /// How many may rest.
    most: usize,
    resting: Arc<Mutex<Vec<WarmConn>>>,
}

/// A connection of [`Warm`]. Goes back to the pool when it is dropped.
pub(crate) struct WarmConn {
    conn: PoolConnection<Postgres>,
    lent: Instant,
    rests: Instant,
}

impl Warm {
    /// Those of this database's pool. `None`: it is SQLite.
    pub(crate) fn of(db: &Db) -> Option<Self> {
        let Db::Postgres(pool) = db else { return None };
        let most = MOST.min(pool.options().get_max_connections() as usize / 2);
        Some(Self { pool: pool.clone(), most, resting: Arc::default() })
    }

    /// The same, but all go back to the pool: for one whose connections are wanted for other things.
    pub(crate) fn none_of(db: &Db) -> Option<Self> {
        Some(Self { most: 0, ..Self::of(db)? })
    }

    /// The one that was kept last, or one of the pool's. It may be broken, as one of the pool's may be.
    pub(crate) async fn take(&self) -> Result<WarmConn, DbError> {
        let waiting = Waiting::start();
        let conn = match self.newest() {
            Some(conn) => conn,
            None => {
                let conn = self.pool.acquire().await?;
                let now = Instant::now();
                WarmConn { conn, lent: now, rests: now }
            }
        };
        waiting.over();
        Ok(conn)
    }

    /// Those that nobody has used lately go to the pool, which tests them.
    fn newest(&self) -> Option<WarmConn> {
        let mut resting = self.resting.lock();
        resting.retain(|conn| conn.rests.elapsed() <= TRUSTED);
        resting.pop()
    }

    /// For the next call. For a connection that did what it was asked for; any other is for the pool to test.
    pub(crate) fn keep(&self, mut conn: WarmConn) {
        let mut resting = self.resting.lock();
        if !self.pool.is_closed() && conn.lent.elapsed() < LENT && resting.len() < self.most {
            conn.rests = Instant::now();
            resting.push(conn);
        }
    }

    /// Gives the pool all of them, which it waits for when it is closed.
    pub(crate) fn close(&self) {
        self.resting.lock().clear();
    }
}

impl Deref for WarmConn {
    type Target = PoolConnection<Postgres>;

    fn deref(&self) -> &Self::Target {
        &self.conn
    }
}

impl DerefMut for WarmConn {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.conn
    }
}
