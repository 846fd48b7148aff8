//! The pool's connections to a server that somebody has to name: which one it is, is asked when a connection is made,
//! and again when one went wrong.

use super::{
    limits::RedisLimits,
    server::{RedisConnection, Server, ServerWatch},
};
use deadpool::managed::{Manager, Metrics, RecycleError, RecycleResult};
use redis::{PushInfo, RedisError, aio::MultiplexedConnection};

/// Makes them, and throws away those to a server that it is no longer.
pub(super) struct FoundManager {
    server: Server,
    limits: RedisLimits,
}

/// A connection of the pool.
pub(super) struct FoundConnection {
    pub(super) connection: MultiplexedConnection,
    watch: ServerWatch,
}

impl FoundManager {
    pub(super) fn new(server: Server, limits: RedisLimits) -> Self {
        Self { server, limits }
    }
}

impl Manager for FoundManager {
    type Type = FoundConnection;
    type Error = RedisError;

    async fn create(&self) -> Result<FoundConnection, RedisError> {
        let on_push = |_: PushInfo| Ok::<(), ()>(());
        let timeout = self.limits.response_timeout;
        let RedisConnection { connection, watch } =
            self.server.connect(&self.limits, timeout, on_push).await?;
        Ok(FoundConnection { connection, watch })
    }

    async fn recycle(&self, found: &mut FoundConnection, _: &Metrics) -> RecycleResult<RedisError> {
        found.watch.check().await.map_err(RecycleError::Backend)
    }
}

impl FoundConnection {
    /// It went wrong: the others are looked at more closely.
    pub(super) fn doubt(self) {
        self.watch.doubt();
    }
}
