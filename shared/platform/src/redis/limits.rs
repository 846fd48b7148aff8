//! Every number about talking to Redis.

use crate::backoff::Backoff;
use std::time::Duration;

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
    pub(crate) fn backoff(&self) -> Backoff {
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
