//! Limits in Redis: the bucket of a key is one number. A script takes from it by the server's clock, and the
//! key expires as soon as the bucket is full again. While Redis is down, this process's memory decides: each
//! process then allows the whole rate, which is better than refusing everybody or nobody.

use super::{LimitAnswer, LimiterConfig, Rate, local::LocalLimiter};
use crate::{breaker::Breaker, redis::State};
use redis::Script;
use std::{sync::Arc, time::Duration};

/// [`super::Bucket::try_take`] in microseconds: returns 0 or the wait, and when it is full again.
const TAKE: &str = "
    local time = redis.call('TIME')
    local now = time[1] * 1000000 + time[2]
    local per, burst, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
    local begin = math.max(tonumber(redis.call('GET', KEYS[1]) or now), now)
    local wait = begin + per * math.min(cost, burst) - now - per * burst
    if wait > 0 then return {wait, begin - now} end
    local full_at = begin + per * cost
    local lives = math.ceil((full_at - now) / 1000)
    redis.call('SET', KEYS[1], string.format('%.0f', full_at), 'PX', string.format('%.0f', lives))
    return {0, full_at - now}";

/// Limits in Redis; clones share them.
#[derive(Clone)]
pub struct RedisLimiter(Arc<RedisBuckets>);

struct RedisBuckets {
    state: State,
    breaker: Breaker,
    take: Script,
    local: LocalLimiter,
}

impl RedisLimiter {
    pub(super) fn new(state: State, config: LimiterConfig) -> Self {
        Self(Arc::new(RedisBuckets {
            state,
            breaker: Breaker::new(
                "Redis",
                "each process counts rate limits for itself until it does",
                config.redis_timeout,
                config.redis_pause,
            ),
            take: Script::new(TAKE),
            local: LocalLimiter::new(config),
        }))
    }

    pub(super) async fn try_take(&self, key: &str, rate: &Rate, cost: u32) -> LimitAnswer {
        let inner = &*self.0;
        let Some((wait, full_in)) = inner.breaker.ask(inner.take(key, rate, cost)).await else {
            metrics::counter!("limit_fallback_total").increment(1);
            return inner.local.try_take(key, rate, cost);
        };
        let result = if wait == 0 { Ok(()) } else { Err(Duration::from_micros(wait)) };
        LimitAnswer::new(rate, result, Duration::from_micros(full_in))
    }
}

#[derive(Debug, thiserror::Error)]
enum RedisAway {
    #[error(transparent)]
    Pool(#[from] deadpool_redis::PoolError),
    #[error(transparent)]
    Redis(#[from] redis::RedisError),
}

impl RedisBuckets {
    async fn take(&self, key: &str, rate: &Rate, cost: u32) -> Result<(u64, u64), RedisAway> {
        let mut connection = self.state.connection().await?;
        // Up to 35 years, so that sums stay exact in the script's doubles.
        let per = u64::try_from(rate.per.as_micros()).unwrap_or(u64::MAX).clamp(1, 1 << 50);
        let mut call = self.take.key(self.state.key(&format!("limit:{key}")));
        call.arg(per).arg(rate.burst.max(1)).arg(cost);
        Ok(call.invoke_async(&mut connection).await?)
    }
}
