//! Buckets by key in memory, bounded: two generations of keys, of which the older is dropped when
//! the younger has filled half of the bound. Keys in use move to the younger, so what is forgotten
//! has been unused the longest.

use super::{Bucket, LimitAnswer, LimiterConfig, Rate};
use parking_lot::Mutex;
use std::{collections::HashMap, sync::Arc};
use tokio::time::Instant;

/// Limits within this process; clones share them.
#[derive(Clone)]
pub struct LocalLimiter(Arc<LocalBuckets>);

struct LocalBuckets {
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
        Self(Arc::new(LocalBuckets { start: Instant::now(), half, buckets: Mutex::default() }))
    }

    pub(super) fn try_take(&self, key: &str, rate: &Rate, cost: u32) -> LimitAnswer {
        let now = self.0.start.elapsed();
        let take = |bucket: &mut Bucket| {
            let result = bucket.try_take(rate, now, cost);
            LimitAnswer::new(rate, result, bucket.full_in(now))
        };
        let mut buckets = self.0.buckets.lock();
        if let Some(bucket) = buckets.young.get_mut(key) {
            return take(bucket);
        }
        if buckets.young.len() >= self.0.half {
            let young = std::mem::take(&mut buckets.young);
            let old = std::mem::replace(&mut buckets.old, young);
            let forgotten = old.values().filter(|bucket| !bucket.is_full(now)).count();
            metrics::counter!("limit_forgotten_total").increment(forgotten as u64);
        }
        let mut bucket = buckets.old.remove(key).unwrap_or_default();
        let taken = take(&mut bucket);
        buckets.young.insert(key.into(), bucket);
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn keys_are_bounded_and_those_in_use_stay() {
        let config = LimiterConfig { max_keys: 10, ..LimiterConfig::default() };
        let limiter = LocalLimiter::new(config);
        let rate = Rate { per: Duration::from_secs(60), burst: 1 };
        let take = |key: &str| limiter.try_take(key, &rate, 1).result;
        assert_eq!(take("used"), Ok(()));
        for key in 0..1000 {
            assert_eq!(take(&key.to_string()), Ok(()), "{key}");
            assert!(take("used").is_err(), "{key}");
            let buckets = limiter.0.buckets.lock();
            assert!(buckets.young.len() + buckets.old.len() <= 10);
        }
        assert_eq!(take("0"), Ok(()), "long forgotten");
    }
}
