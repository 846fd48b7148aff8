//! Limits in Redis: the bucket of a key is one number there, taken from by a script on the server's
//! clock, and gone as soon as it is full again. While Redis is away this process's memory answers:
//! each process then allows the whole rate, which beats refusing everybody or nobody.

use super::{LimiterConfig, Rate, local::LocalLimiter};
use deadpool_redis::Pool;
use redis::Script;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::time::{self, Instant};

/// [`super::Bucket::try_take`] in microseconds: returns 0 or the wait.
const TAKE: &str = "
    local time = redis.call('TIME')
    local now = time[1] * 1000000 + time[2]
    local per, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
    local full_at = math.max(tonumber(redis.call('GET', KEYS[1]) or now), now) + per
    local wait = full_at - now - per * burst
    if wait > 0 then return wait end
    local lives = math.ceil((full_at - now) / 1000)
    redis.call('SET', KEYS[1], string.format('%.0f', full_at), 'PX', string.format('%.0f', lives))
    return 0";

/// Limits in Redis; clones share them.
#[derive(Clone)]
pub struct RedisLimiter(Arc<Inner>);

struct Inner {
    pool: Pool,
    config: LimiterConfig,
    take: Script,
    local: LocalLimiter,
    start: Instant,
    /// Redis is not asked before, in milliseconds since `start`.
    ask_after: AtomicU64,
}

impl RedisLimiter {
    pub(super) fn new(pool: Pool, config: LimiterConfig) -> Self {
        Self(Arc::new(Inner {
            pool,
            config,
            take: Script::new(TAKE),
            local: LocalLimiter::new(config),
            start: Instant::now(),
            ask_after: AtomicU64::new(0),
        }))
    }

    pub(super) async fn try_take(&self, key: &str, rate: &Rate) -> Result<(), Duration> {
        let inner = &*self.0;
        if millis(inner.start.elapsed()) >= inner.ask_after.load(Ordering::Relaxed) {
            match time::timeout(inner.config.redis_timeout, inner.take(key, rate)).await {
                Ok(Ok(0)) => return Ok(()),
                Ok(Ok(wait)) => return Err(Duration::from_micros(wait)),
                Ok(Err(error)) => inner.pause(&error),
                Err(elapsed) => inner.pause(&elapsed),
            }
        }
        metrics::counter!("limit_fallback_total").increment(1);
        inner.local.try_take(key, rate)
    }
}

#[derive(Debug, thiserror::Error)]
enum RedisAway {
    #[error(transparent)]
    Pool(#[from] deadpool_redis::PoolError),
    #[error(transparent)]
    Redis(#[from] redis::RedisError),
}

impl Inner {
    async fn take(&self, key: &str, rate: &Rate) -> Result<u64, RedisAway> {
        let mut connection = self.pool.get().await?;
        // Up to 35 years, so that sums stay exact in the script's doubles.
        let per = u64::try_from(rate.per.as_micros()).unwrap_or(u64::MAX).clamp(1, 1 << 50);
        let mut call = self.take.key(format!("limit:{key}"));
        Ok(call.arg(per).arg(rate.burst.max(1)).invoke_async(&mut connection).await?)
    }

    fn pause(&self, cause: &dyn std::fmt::Display) {
        tracing::warn!(error = %cause, "Redis does not answer; limits count in this process alone");
        let until = self.start.elapsed() + self.config.redis_pause;
        self.ask_after.store(millis(until), Ordering::Relaxed);
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
