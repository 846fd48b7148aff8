//! Connections for request-style commands: presence and limits, all of whose keys are on one server. It is the server
//! itself, the first of several, the primary that sentinels name, or the owner of one slot of a cluster.

use super::{
    config::RedisConfig,
    found::FoundManager,
    server::{Server, ServerKind},
    topology::{InvalidRedisUrl, Topology},
};
use deadpool::managed;
use deadpool_redis::{PoolError, Runtime, Timeouts};
use redis::{
    AsyncConnectionConfig, Cmd, ConnectionInfo, Pipeline, RedisFuture, RedisResult, Value,
    aio::{ConnectionLike, MultiplexedConnection},
};

/// In front of each key in a cluster, so that all of them are in one slot: scripts use several at once.
const TAG: &str = "{state}";

/// The slot of [`TAG`].
pub(super) const SLOT: u16 = 12053;

/// A pool of connections; clones share it. It connects when used, and every wait is bounded by the configuration's
/// timeouts.
#[derive(Clone)]
pub struct State {
    pool: Pool,
    prefix: &'static str,
}

#[derive(Clone)]
enum Pool {
    Fixed(deadpool_redis::Pool),
    Found(managed::Pool<FoundManager>),
}

impl State {
    /// The state in the server of this configuration; nothing is connected yet.
    pub fn new(config: &RedisConfig) -> Result<Self, InvalidRedisUrl> {
        match &config.topology {
            Topology::One(server) => Self::on(server, config, ""),
            Topology::Several(servers) => {
                Self::on(servers.first().ok_or(InvalidRedisUrl::Several)?, config, "")
            }
            Topology::Cluster(seeds) => Self::on(&seeds.owner(SLOT), config, TAG),
        }
    }

    fn on(
        server: &Server,
        config: &RedisConfig,
        prefix: &'static str,
    ) -> Result<Self, InvalidRedisUrl> {
        let limits = config.limits;
        let timeouts = Timeouts {
            wait: Some(limits.response_timeout),
            create: Some(3 * limits.connect_timeout),
            recycle: Some(limits.response_timeout),
        };
        let pool = match server.kind() {
            ServerKind::Fixed(info) => {
                let connection = AsyncConnectionConfig::new()
                    .set_connection_timeout(Some(limits.connect_timeout))
                    .set_response_timeout(Some(limits.response_timeout));
                let manager = deadpool_redis::Manager::new_with_config(
                    ConnectionInfo::clone(info),
                    connection,
                )
                .map_err(|_| InvalidRedisUrl::One)?;
                let pool = deadpool_redis::Pool::builder(manager).max_size(limits.pool_size);
                Pool::Fixed(pool.timeouts(timeouts).runtime(Runtime::Tokio1).build().map_err(none)?)
            }
            ServerKind::Named(_) => {
                let manager = FoundManager::new(server.clone(), limits);
                let pool = managed::Pool::builder(manager).max_size(limits.pool_size);
                Pool::Found(pool.timeouts(timeouts).runtime(Runtime::Tokio1).build().map_err(none)?)
            }
        };
        Ok(Self { pool, prefix })
    }

    /// A connection for one use.
    pub async fn connection(&self) -> Result<StateConnection, PoolError> {
        // Connecting is a large future, and rare; it must not be a part of everybody's.
        let lent = match &self.pool {
            Pool::Fixed(pool) => LentConnection::Fixed(Box::pin(pool.get()).await?),
            Pool::Found(pool) => LentConnection::Found(Box::new(Box::pin(pool.get()).await?)),
        };
        Ok(StateConnection { lent: Some(lent), is_good: true })
    }

    /// A key of the state as it is called on this server.
    pub fn key(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }
}

fn none(_: managed::BuildError) -> InvalidRedisUrl {
    InvalidRedisUrl::One
}

/// A connection of the pool. One whose server did not answer, or takes no writes any more, does not return to it.
pub struct StateConnection {
    lent: Option<LentConnection>,
    is_good: bool,
}

enum LentConnection {
    Fixed(deadpool_redis::Connection),
    Found(Box<managed::Object<FoundManager>>),
}

impl StateConnection {
    /// Keeps the verdict on the connection: it is good if the answer came, and from the right server. A caller who stops
    /// waiting leaves it bad, because of what may be ahead of its successor.
    async fn judged<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut MultiplexedConnection) -> RedisResult<T>,
        is_right: impl Fn(&T) -> bool,
    ) -> RedisResult<T> {
        let connection: &mut MultiplexedConnection = match &mut self.lent {
            Some(LentConnection::Fixed(connection)) => connection,
            Some(LentConnection::Found(found)) => &mut found.connection,
            None => return Err(std::io::Error::from(std::io::ErrorKind::NotConnected).into()),
        };
        self.is_good = false;
        let result = work(connection).await;
        self.is_good = result.as_ref().is_ok_and(is_right);
        result
    }
}

/// What a server says that is not the right one. Older ones put the code of what a script met into the text.
fn is_right(answer: &Value) -> bool {
    const ELSEWHERE: [&str; 5] = ["READONLY", "MOVED", "MASTERDOWN", "CLUSTERDOWN", "EXECABORT"];
    let Value::ServerError(error) = answer else { return true };
    let within = error.details().is_some_and(|details| details.contains("READONLY"));
    !within && !ELSEWHERE.contains(&error.code())
}

impl ConnectionLike for StateConnection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        let work =
            async |connection: &mut MultiplexedConnection| connection.req_packed_command(cmd).await;
        Box::pin(self.judged(work, is_right))
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        let work = async move |connection: &mut MultiplexedConnection| {
            connection.req_packed_commands(pipeline, offset, count).await
        };
        Box::pin(self.judged(work, |answers: &Vec<Value>| answers.iter().all(is_right)))
    }

    fn get_db(&self) -> i64 {
        match &self.lent {
            Some(LentConnection::Fixed(connection)) => connection.get_db(),
            Some(LentConnection::Found(found)) => found.connection.get_db(),
            None => 0,
        }
    }
}

impl Drop for StateConnection {
    fn drop(&mut self) {
        if self.is_good {
            return;
        }
        match self.lent.take() {
            Some(LentConnection::Fixed(connection)) => {
                drop(deadpool_redis::Connection::take(connection))
            }
            Some(LentConnection::Found(found)) => managed::Object::take(*found).doubt(),
            None => {}
        }
    }
}
