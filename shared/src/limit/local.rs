//! Buckets by key in memory, bounded: two generations of keys, of which the older is dropped when
//! the younger has filled half of the bound. Keys in use move to the younger, so what is forgotten
//! has been unused the longest.

use super::{Bucket, LimiterConfig, Rate};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// Limits within this process; clones share them.
#[derive(Clone)]
pub struct LocalLimiter(Arc<Inner>);

struct Inner {
    start: Instant,
    half: usize,
    buckets: Mutex<Generations>,
}

#[derive(Default)]
struct Generations {
    young: HashMap<Box<str>, Bucket>,
    old: HashMap<Box<str>, Bucket>,
}

impl LocalLimiter {
    pub(super) fn new(config: LimiterConfig) -> Self {
        let half = (config.max_keys / 2).max(1);
        Self(Arc::new(Inner { start: Instant::now(), half, buckets: Mutex::default() }))
    }

    pub(super) fn try_take(&self, key: &str, rate: &Rate) -> Result<(), Duration> {
        let now = self.0.start.elapsed();
        let mut buckets = self.0.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = buckets.young.get_mut(key) {
            return bucket.try_take(rate, now, 1);
        }
        if buckets.young.len() >= self.0.half {
            let young = std::mem::take(&mut buckets.young);
            let old = std::mem::replace(&mut buckets.old, young);
            let forgotten = old.values().filter(|bucket| !bucket.is_full(now)).count();
            metrics::counter!("limit_forgotten_total").increment(forgotten as u64);
        }
        let mut bucket = buckets.old.remove(key).unwrap_or_default();
        let result = bucket.try_take(rate, now, 1);
        buckets.young.insert(key.into(), bucket);
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_bounded_and_those_in_use_stay() {
        let config = LimiterConfig { max_keys: 10, ..LimiterConfig::default() };
        let limiter = LocalLimiter::new(config);
        let rate = Rate { per: Duration::from_secs(60), burst: 1 };
        assert_eq!(limiter.try_take("used", &rate), Ok(()));
        for key in 0..1000 {
            assert_eq!(limiter.try_take(&key.to_string(), &rate), Ok(()), "{key}");
            assert!(limiter.try_take("used", &rate).is_err(), "{key}");
            let buckets = limiter.0.buckets.lock().unwrap();
            assert!(buckets.young.len() + buckets.old.len() <= 10);
        }
        assert_eq!(limiter.try_take("0", &rate), Ok(()), "long forgotten");
    }
}
