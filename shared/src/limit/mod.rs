//! Rate limits by the generic cell rate algorithm (ITU-T I.371): one permit every so often, and a
//! burst after a pause. [`Bucket`] limits one thing and is pure; [`Limiter`] limits by key.

mod local;
mod redis;

use self::{local::LocalLimiter, redis::RedisLimiter};
use deadpool_redis::Pool;
use std::time::Duration;

/// How much is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// One permit every.
    pub per: Duration,
    /// Permits at once after a pause; at least 1.
    pub burst: u32,
}

/// The state of one limit, 8 bytes. It starts full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    /// When it is full again, in nanoseconds since the caller's start.
    full_at: u64,
}

impl Bucket {
    /// Takes `cost` permits or none. `now` is the time since any fixed start; 584 years from there
    /// are within range. `Err`: come back after so long; [`Duration::MAX`] when `cost` is above the
    /// burst, which no pause makes possible.
    pub fn try_take(&mut self, rate: &Rate, now: Duration, cost: u32) -> Result<(), Duration> {
        let burst = rate.burst.max(1);
        if cost > burst {
            return Err(Duration::MAX);
        }
        let (now, per) = (nanos(now), nanos(rate.per));
        let full_at = self.full_at.max(now).saturating_add(per.saturating_mul(cost.into()));
        let wait = full_at.saturating_sub(now).saturating_sub(per.saturating_mul(burst.into()));
        if wait > 0 {
            return Err(Duration::from_nanos(wait));
        }
        self.full_at = full_at;
        Ok(())
    }

    /// Nothing is taken that has not come back: the same as a new bucket.
    pub fn is_full(&self, now: Duration) -> bool {
        self.full_at <= nanos(now)
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Numbers of a keyed limiter.
#[derive(Clone, Copy, Debug)]
pub struct LimiterConfig {
    /// Keys remembered in this process; beyond them the longest unused are forgotten.
    pub max_keys: usize,
    /// How long Redis may take before this process's memory answers instead.
    pub redis_timeout: Duration,
    /// How long Redis is then left alone.
    pub redis_pause: Duration,
}

impl Default for LimiterConfig {
    fn default() -> Self {
        Self {
            // About 100 bytes each with a 40-byte key: 10 MiB.
            max_keys: 100_000,
            // A healthy answer takes a millisecond; nobody should wait longer for a limit than for
            // the work that it guards.
            redis_timeout: Duration::from_millis(250),
            // During an outage one request a second pays the timeout.
            redis_pause: Duration::from_secs(1),
        }
    }
}

/// Limits by key; clones share their state.
#[derive(Clone)]
pub enum Limiter {
    /// In this process's memory.
    Local(LocalLimiter),
    /// In Redis, one count for all processes; in this process's memory while Redis is away.
    Redis(RedisLimiter),
}

impl Limiter {
    /// Limits within this process.
    pub fn local(config: LimiterConfig) -> Self {
        Self::Local(LocalLimiter::new(config))
    }

    /// Limits shared by all processes on the same Redis.
    pub fn redis(pool: Pool, config: LimiterConfig) -> Self {
        Self::Redis(RedisLimiter::new(pool, config))
    }

    /// Takes one permit of this key. `Err`: come back after so long. One key belongs to one rate.
    pub async fn try_take(&self, key: &str, rate: &Rate) -> Result<(), Duration> {
        match self {
            Self::Local(limiter) => limiter.try_take(key, rate),
            Self::Redis(limiter) => limiter.try_take(key, rate).await,
        }
    }
}
