//! One Redis server: a fixed address, or the primary that sentinels name. It makes connections, each to a server that
//! takes writes, and watches that it goes on to be one.

use super::{RedisLimits, sentinel::Sentinels};
use redis::{
    AsyncConnectionConfig, Client, ConnectionInfo, ErrorKind, RedisError, RedisResult, Value,
    aio::{AsyncPushSender, MultiplexedConnection},
};
use std::{fmt, sync::Arc, time::Duration};
use tokio::time::{self, MissedTickBehavior};

/// A server. Clones are the same one. It prints its address, and never its password.
#[derive(Clone)]
pub struct Server(Kind);

#[derive(Clone)]
pub(super) enum Kind {
    Fixed(ConnectionInfo),
    Named(Arc<Sentinels>),
}

/// A new connection, and who watches it.
pub struct Connected {
    /// To a server that takes writes.
    pub connection: MultiplexedConnection,
    /// To be run beside all use of the connection.
    pub watch: Watch,
}

/// Watches the server at the other end of one connection.
pub struct Watch {
    connection: MultiplexedConnection,
    /// The address that sentinels named, and who asks them.
    named: Option<(Arc<Sentinels>, Address)>,
    limits: RedisLimits,
}

/// A host and a port.
pub(super) type Address = (String, u16);

impl Server {
    pub(super) fn fixed(at: ConnectionInfo) -> Self {
        Self(Kind::Fixed(at))
    }

    pub(super) fn named(sentinels: Sentinels) -> Self {
        Self(Kind::Named(Arc::new(sentinels)))
    }

    pub(super) fn kind(&self) -> &Kind {
        &self.0
    }

    /// Makes a connection to the server that takes writes. It gives up commands that are not answered within
    /// `response_timeout`, and hands its push messages, its end included, to `on_push`. Sentinels are asked anew each
    /// time. An error after at most three times [`RedisLimits::connect_timeout`].
    pub async fn connect(
        &self,
        limits: &RedisLimits,
        response_timeout: Duration,
        on_push: impl AsyncPushSender,
    ) -> RedisResult<Connected> {
        let (info, named) = match &self.0 {
            Kind::Fixed(info) => (info.clone(), None),
            Kind::Named(sentinels) => {
                let address = sentinels.ask(limits).await?.address;
                let info = sentinels.access.at(&address.0, address.1);
                (info, Some((Arc::clone(sentinels), address)))
            }
        };
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(limits.connect_timeout))
            .set_response_timeout(Some(response_timeout))
            .set_push_sender(on_push);
        let client = Client::open(info)?;
        let connecting = client.get_multiplexed_async_connection_with_config(&config);
        let mut connection = in_time(limits.connect_timeout, connecting).await?;
        in_time(limits.connect_timeout, check_role(&mut connection)).await?;
        let watch = Watch { connection: connection.clone(), named, limits: *limits };
        Ok(Connected { connection, watch })
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Fixed(info) => info.addr().fmt(f),
            Kind::Named(sentinels) => sentinels.fmt(f),
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "****@{self}")
    }
}

impl Watch {
    /// Checks again and again, and returns why the connection must be left: the server does not answer, or became a
    /// replica, or the sentinels name another one.
    pub async fn run(mut self) -> RedisError {
        let mut next = time::interval(self.limits.probe_every);
        next.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            next.tick().await;
            if let Err(error) = check_role(&mut self.connection).await {
                return error;
            }
            if let Some((sentinels, address)) = &self.named
                && sentinels.name_another(address, &self.limits).await
            {
                return (ErrorKind::Client, "the sentinels name another server").into();
            }
        }
    }
}

/// A replica that is taken for the primary hears nothing of what others publish, and takes no writes. A server that
/// does not let us ask is trusted.
pub(super) async fn check_role(connection: &mut MultiplexedConnection) -> RedisResult<()> {
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

/// Bounds the whole of what may have several steps.
pub(super) async fn in_time<T>(
    bound: Duration,
    work: impl Future<Output = RedisResult<T>>,
) -> RedisResult<T> {
    let late = |_| Err(RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut)));
    time::timeout(bound, work).await.unwrap_or_else(late)
}
