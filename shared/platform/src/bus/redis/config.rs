//! Where Redis is and every number about talking to it, and the pool for request-style commands.
//! The server's address may carry a password, so nothing here prints it.

use crate::backoff::Backoff;
use crate::settings::Secret;
use deadpool_redis::{Manager, Pool, Runtime, Timeouts};
use redis::{
    AsyncConnectionConfig, Client, IntoConnectionInfo, ProtocolVersion,
    aio::AsyncPushSender,
    io::tcp::{TcpSettings, socket2::TcpKeepalive},
};
use std::{fmt, time::Duration};

/// Where Redis is and how long to wait for it.
#[derive(Clone, Debug)]
pub struct RedisConfig {
    server: Server,
    /// May be changed before the configuration is used.
    pub limits: RedisLimits,
}

/// Times and sizes of everything said to Redis.
#[derive(Clone, Copy, Debug)]
pub struct RedisLimits {
    /// How long connecting may take, name lookup and login included.
    pub connect_timeout: Duration,
    /// How long one answer may take before the connection is given up; on a subscription,
    /// the first answer.
    pub response_timeout: Duration,
    /// The first pause before connecting again; each failure doubles it.
    pub backoff_first: Duration,
    /// The longest such pause. A pause is drawn from its upper half, so that nodes spread.
    pub backoff_longest: Duration,
    /// How often each connection is proven alive: PING, and a probe through the subscription.
    pub probe_every: Duration,
    /// How long that may take on a subscription to which nothing else comes either.
    pub probe_timeout: Duration,
    /// How long an answer or a probe may be behind messages on a busy subscription.
    pub probe_patience: Duration,
    /// Channels in one SUBSCRIBE or UNSUBSCRIBE.
    pub subscribe_batch: usize,
    /// Messages in one pipeline of PUBLISH.
    pub publish_batch: usize,
    /// Messages waiting to be published; more are dropped.
    pub publish_entries: usize,
    /// Bytes of payload waiting to be published; more are dropped.
    pub publish_bytes: usize,
    /// Connections of the pool for presence and limits.
    pub pool_size: usize,
}

impl RedisLimits {
    /// The pauses of a connection that is lost.
    pub(super) fn backoff(&self) -> Backoff {
        Backoff::new(self.backoff_first, self.backoff_longest)
    }
}

impl Default for RedisLimits {
    fn default() -> Self {
        Self {
            // A lost SYN is sent again after 1 s; twice that is a server that is away.
            connect_timeout: Duration::from_secs(2),
            // A healthy server answers in under a millisecond. Two seconds are above its usual
            // stalls (fork, eviction, a slow disk) and below a user's patience.
            response_timeout: Duration::from_secs(2),
            // A restarted server loads for some tenths of a second.
            backoff_first: Duration::from_millis(100),
            // The gap in live delivery after a long outage; 1000 nodes then make 500 to 1000
            // attempts a second, which a server answers easily.
            backoff_longest: Duration::from_secs(2),
            // With `probe_timeout`: a deaf subscription is replaced within five seconds.
            probe_every: Duration::from_secs(2),
            probe_timeout: Duration::from_secs(3),
            // Longer than a node catches up after the largest backlog that the server keeps for it
            // (32 MiB, some hundred thousand messages).
            probe_patience: Duration::from_secs(10),
            // Measured: 500 a command subscribe 370,000 to 735,000 channels a second, one at a time
            // 13,000; the server is busy for about a millisecond with each.
            subscribe_batch: 500,
            // Measured: 828,000 messages a second at 500 a pipeline, 508,000 at 100.
            publish_batch: 512,
            // A response timeout's worth of 30,000 messages a second: after a longer stall,
            // repair from the database is better than late delivery.
            publish_entries: 65_536,
            // Those at 512 bytes each.
            publish_bytes: 32 << 20,
            // Calls take well under a millisecond, so 16 connections serve 16,000 a second.
            pool_size: 16,
        }
    }
}

/// The text is not a Redis URL. It is not repeated here, because it may carry a password.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not a Redis URL; write it as redis://[[user]:password@]host[:port][/database]")]
pub struct InvalidRedisUrl;

/// The server, printed as `****`.
#[derive(Clone)]
struct Server(Client);

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("****")
    }
}

impl RedisConfig {
    /// Reads `redis://[[user]:password@]host[:port][/database]`; connects to nothing.
    pub fn new(url: &Secret) -> Result<Self, InvalidRedisUrl> {
        let limits = RedisLimits::default();
        let server = url.reveal().into_connection_info().map_err(|_| InvalidRedisUrl)?;
        // Push messages, which subscriptions next to ordinary commands need, came with RESP3.
        let settings = server.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        // A peer that vanished without a word: noticed by the kernel when idle (10 s + 3 probes of
        // 5 s) and when something is on its way (10 s); PING is usually faster.
        let keepalive = TcpKeepalive::new()
            .with_time(Duration::from_secs(10))
            .with_interval(Duration::from_secs(5))
            .with_retries(3);
        let tcp = TcpSettings::default()
            .set_nodelay(true)
            .set_keepalive(keepalive)
            .set_user_timeout(Duration::from_secs(10));
        let server = server.set_redis_settings(settings).set_tcp_settings(tcp);
        let client = Client::open(server).map_err(|_| InvalidRedisUrl)?;
        Ok(Self { server: Server(client), limits })
    }

    /// A new connection that hands its push messages, its end included, to `on_push`, and gives up
    /// commands that are not answered in time.
    pub(super) async fn connect(
        &self,
        on_push: impl AsyncPushSender,
        response_timeout: Duration,
    ) -> redis::RedisResult<redis::aio::MultiplexedConnection> {
        let timeouts =
            self.timeouts().set_response_timeout(Some(response_timeout)).set_push_sender(on_push);
        self.server.0.get_multiplexed_async_connection_with_config(&timeouts).await
    }

    fn timeouts(&self) -> AsyncConnectionConfig {
        AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.limits.connect_timeout))
            .set_response_timeout(Some(self.limits.response_timeout))
    }
}

/// A pool of connections for request-style commands: presence and limits. Connects when used; every
/// wait is bounded by the configuration's timeouts.
pub fn pool(config: &RedisConfig) -> Result<Pool, InvalidRedisUrl> {
    let server = config.server.0.get_connection_info().clone();
    let manager =
        Manager::new_with_config(server, config.timeouts()).map_err(|_| InvalidRedisUrl)?;
    let timeouts = Timeouts {
        wait: Some(config.limits.response_timeout),
        create: Some(config.limits.connect_timeout),
        recycle: Some(config.limits.response_timeout),
    };
    Pool::builder(manager)
        .max_size(config.limits.pool_size)
        .timeouts(timeouts)
        .runtime(Runtime::Tokio1)
        .build()
        .map_err(|_| InvalidRedisUrl)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_url_is_refused_and_a_good_one_not_printed() {
        for url in ["", "localhost", "http://localhost", "redis://host:port", "rediss://host"] {
            let error = RedisConfig::new(&Secret::new(url)).unwrap_err();
            assert_eq!(error, InvalidRedisUrl, "{url}");
        }
        let config = RedisConfig::new(&Secret::new("redis://:geheim@localhost:1/2")).unwrap();
        let printed = format!("{config:?}");
        assert!(!printed.contains("geheim") && printed.contains("****"), "{printed}");
    }
}
