//! PostgreSQL connections that serve one call after the other: the one that was used last comes first, and
//! nobody asks it in between whether it still stands. The pool gives out the one that has rested longest, so
//! with few calls at a time each would go to another of its sessions, whose memory no cache holds any more,
//! which is a quarter of what the server pays for a message that comes alone. Making connections, testing and
//! closing them stays the pool's.

use super::{DbError, TRUSTED, Waiting, servers};
use parking_lot::Mutex;
use sqlx::{PgPool, Postgres, pool::PoolConnection};
use std::{
    fmt,
    ops::{Deref, DerefMut},
    sync::Arc,
    time::{Duration, Instant},
};

/// The most that rest here. Whoever waits for one of the pool's gets none of these, so there are few; as many
/// calls as that at a time are served well, and more of them make larger batches.
const MOST: usize = 2;

/// How long the pool does without one. Then it looks whether the connection is old enough to be closed.
const LENT: Duration = Duration::from_secs(60);

/// Those of one pool, whose connections may take turns here. Clones share them.
#[derive(Clone, Default)]
pub struct Warm(Arc<Mutex<Vec<WarmConn>>>);

/// A connection of a pool that may go to [`Warm`]. It goes back to the pool when it is dropped.
pub(crate) struct WarmConn {
    conn: PoolConnection<Postgres>,
    lent: Instant,
    rests: Instant,
}

impl Warm {
    /// The one that was kept last, or one of the pool's. It may be broken, as one of the pool's may be.
    pub(crate) async fn take(&self, pool: &PgPool) -> Result<WarmConn, DbError> {
        let waiting = Waiting::start();
        let conn = match self.newest() {
            Some(conn) => conn,
            None => {
                let conn = pool.acquire().await?;
                let now = Instant::now();
                WarmConn { conn, lent: now, rests: now }
            }
        };
        waiting.over();
        Ok(conn)
    }

    /// Those that nobody has used lately go to the pool, which tests them.
    fn newest(&self) -> Option<WarmConn> {
        let mut resting = self.0.lock();
        resting.retain(|conn| conn.rests.elapsed() <= TRUSTED && !servers::is_outdated(conn.lent));
        resting.pop()
    }

    /// For the next call. For a connection that did what it was asked for; any other is for the pool to test.
    pub(crate) fn keep(&self, pool: &PgPool, mut conn: WarmConn) {
        let most = MOST.min(pool.options().get_max_connections() as usize / 2);
        let mut resting = self.0.lock();
        if !pool.is_closed() && conn.lent.elapsed() < LENT && resting.len() < most {
            conn.rests = Instant::now();
            resting.push(conn);
        }
    }

    /// Gives the pool all of them: while it closes, it waits for them.
    pub(super) async fn close(&self) {
        self.0.lock().clear();
    }
}

impl fmt::Debug for Warm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Warm").finish_non_exhaustive()
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
