//! One Redis server: a fixed address, or the one that sentinels or a cluster name. It makes connections, each to a server that
//! takes writes, and watches that it goes on to be one.

use super::{
    guides::{Address, Guides, in_time},
    limits::RedisLimits,
    tls,
};
use redis::{
    AsyncConnectionConfig, Client, ConnectionInfo, ErrorKind, RedisError, RedisResult, Value,
    aio::{AsyncPushSender, MultiplexedConnection},
};
use std::{fmt, sync::Arc, time::Duration};
use tokio::time::{self, MissedTickBehavior};

/// A server. Clones are the same one. It prints its address, and never its password.
#[derive(Clone)]
pub struct Server(ServerKind);

#[derive(Clone)]
pub(super) enum ServerKind {
    Fixed(Box<ConnectionInfo>),
    Named(Arc<Guides>),
}

/// A new connection, and who watches it.
pub struct RedisConnection {
    /// To a server that takes writes.
    pub connection: MultiplexedConnection,
    /// To be run beside all use of the connection.
    pub watch: ServerWatch,
}

/// Watches the server at the other end of one connection.
pub struct ServerWatch {
    connection: MultiplexedConnection,
    named: Option<NamedBy>,
    limits: RedisLimits,
}

/// Who named an address, and the address.
type NamedBy = (Arc<Guides>, Address);

impl Server {
    pub(super) fn fixed(at: ConnectionInfo) -> Self {
        Self(ServerKind::Fixed(Box::new(at)))
    }

    pub(super) fn named(guides: Guides) -> Self {
        Self(ServerKind::Named(Arc::new(guides)))
    }

    pub(super) fn kind(&self) -> &ServerKind {
        &self.0
    }

    /// Makes a connection to the server that takes writes. It gives up commands that are not answered within
    /// `response_timeout`, and hands its push messages, its end included, to `on_push`. Sentinels are asked anew each
    /// time. An error after at most twice [`RedisLimits::connect_timeout`].
    pub async fn connect(
        &self,
        limits: &RedisLimits,
        response_timeout: Duration,
        on_push: impl AsyncPushSender,
    ) -> RedisResult<RedisConnection> {
        let (info, named) = match &self.0 {
            ServerKind::Fixed(info) => (ConnectionInfo::clone(info), None),
            ServerKind::Named(guides) => {
                let address = guides.ask(limits).await?.address;
                let info = guides.access.at(&address.0, address.1);
                (info, Some((Arc::clone(guides), address)))
            }
        };
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(limits.connect_timeout))
            .set_response_timeout(Some(response_timeout))
            .set_push_sender(on_push);
        let connecting = in_time(limits.connect_timeout, async {
            let client = Client::open(info)?;
            let mut connection =
                client.get_multiplexed_async_connection_with_config(&config).await?;
            check_role(&mut connection).await?;
            Ok(connection)
        });
        let connecting = unless_replaced(named.as_ref(), limits, connecting);
        let connection = connecting.await.map_err(tls::advised)?;
        let watch = ServerWatch { connection: connection.clone(), named, limits: *limits };
        Ok(RedisConnection { connection, watch })
    }

    /// Waits before the next attempt; no longer than until another server is named.
    pub async fn pause(&self, limits: &RedisLimits, pause: Duration) {
        let pausing = async {
            time::sleep(pause).await;
            Ok(())
        };
        let named = match &self.0 {
            ServerKind::Fixed(_) => None,
            ServerKind::Named(guides) => guides.last().map(|last| (Arc::clone(guides), last)),
        };
        // Both mean the same here.
        let _ = unless_replaced(named.as_ref(), limits, pausing).await;
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            ServerKind::Fixed(info) => info.addr().fmt(f),
            ServerKind::Named(guides) => guides.fmt(f),
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "****@{self}")
    }
}

impl ServerWatch {
    /// Checks again and again, and returns why the connection must be left: the server does not answer, or became a
    /// replica, or the sentinels name another one.
    pub async fn run(mut self) -> RedisError {
        let every = match &self.named {
            Some((guides, _)) => self.limits.probe_every.min(guides.ask_every()),
            None => self.limits.probe_every,
        };
        let mut next = time::interval(every);
        next.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            next.tick().await;
            if let Err(error) = self.check().await {
                return error;
            }
        }
    }

    /// One such check. Whoever names the server is asked at most that often, or after a doubt.
    pub(super) async fn check(&mut self) -> RedisResult<()> {
        // A check that is given up has not been passed.
        let doubt = Doubt(self.named.as_ref().map(|(guides, _)| &**guides));
        if let Some((guides, address)) = &self.named
            && guides.name_another(address, guides.ask_every(), &self.limits).await
        {
            doubt.dispel();
            return Err(replaced());
        }
        let checking = check_role(&mut self.connection);
        unless_replaced(self.named.as_ref(), &self.limits, checking).await?;
        doubt.dispel();
        Ok(())
    }

    /// The connection went wrong: who names the server is asked before the next use of another one.
    pub(super) fn doubt(&self) {
        if let Some((guides, _)) = &self.named {
            guides.doubt();
        }
    }
}

/// A server that was replaced may never answer.
async fn unless_replaced<T>(
    named: Option<&NamedBy>,
    limits: &RedisLimits,
    work: impl Future<Output = RedisResult<T>>,
) -> RedisResult<T> {
    let Some((guides, address)) = named else { return work.await };
    tokio::select! {
        result = work => result,
        () = guides.until_replaced(address, limits) => Err(replaced()),
    }
}

fn replaced() -> RedisError {
    (ErrorKind::Client, "the server has been replaced").into()
}

/// Doubts that the server is still the one that was named, unless dispelled.
struct Doubt<'a>(Option<&'a Guides>);

impl Doubt<'_> {
    fn dispel(mut self) {
        self.0 = None;
    }
}

impl Drop for Doubt<'_> {
    fn drop(&mut self) {
        if let Some(guides) = self.0 {
            guides.doubt();
        }
    }
}

/// A replica that is taken for the primary hears nothing of what others publish, and takes no writes. A server that
/// does not let us ask is trusted.
async fn check_role(connection: &mut MultiplexedConnection) -> RedisResult<()> {
    let role: Value = match redis::cmd("ROLE").query_async(connection).await {
        Err(error) if error.code().is_some() => return Ok(()),
        role => role?,
    };
    match role.as_sequence().and_then(<[Value]>::first) {
        Some(Value::BulkString(role)) if role == b"slave" => {
            Err((ErrorKind::Client, "the server is a replica and takes no writes").into())
        }
        Some(Value::BulkString(role)) if role == b"sentinel" => {
            Err((ErrorKind::Client, "the server is a sentinel; its URL is redis+sentinel://")
                .into())
        }
        _ => Ok(()),
    }
}
