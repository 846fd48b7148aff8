//! Rate limits by the generic cell rate algorithm (ITU-T I.371): one permit every so often, and a
//! burst after a pause. [`Bucket`] limits one thing and is pure; [`Limiter`] limits by key.

mod local;
mod redis;

use self::{local::LocalLimiter, redis::RedisLimiter};
use crate::{
    metric::{self, Metric},
    redis::State,
};
use std::{net::IpAddr, time::Duration};

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
    /// are within range. More than the burst is taken from a full bucket only, and what is missing is
    /// owed: nothing is given until it has come back. `Err`: come back after so long.
    pub fn try_take(&mut self, rate: &Rate, now: Duration, cost: u32) -> Result<(), Duration> {
        let burst = rate.burst.max(1);
        let (now, per) = (nanos(now), nanos(rate.per));
        let begin = self.full_at.max(now);
        let asked = begin.saturating_add(per.saturating_mul(cost.min(burst).into()));
        let wait = asked.saturating_sub(now).saturating_sub(per.saturating_mul(burst.into()));
        if wait > 0 {
            return Err(Duration::from_nanos(wait));
        }
        self.full_at = begin.saturating_add(per.saturating_mul(cost.into()));
        Ok(())
    }

    /// How long until nothing is missing any more.
    pub fn full_in(&self, now: Duration) -> Duration {
        Duration::from_nanos(self.full_at.saturating_sub(nanos(now)))
    }

    /// Nothing is taken that has not come back: the same as a new bucket.
    pub fn is_full(&self, now: Duration) -> bool {
        self.full_in(now).is_zero()
    }
}

/// What a limit by key answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitAnswer {
    /// `Err`: nothing was taken; come back after so long.
    pub result: Result<(), Duration>,
    /// Permits there are now.
    pub left: u32,
    /// How long until there are as many as there can be.
    pub full_in: Duration,
}

impl LimitAnswer {
    fn new(rate: &Rate, result: Result<(), Duration>, full_in: Duration) -> Self {
        let missing = full_in.as_nanos().div_ceil(rate.per.as_nanos().max(1));
        let left = u128::from(rate.burst.max(1)).saturating_sub(missing);
        Self { result, left: u32::try_from(left).unwrap_or(u32::MAX), full_in }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// What one customer of a provider has: an IPv4 address, or a /64 of IPv6.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// A wait in whole seconds, rounded up: coming back exactly then works.
pub fn seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
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
            // During an outage one request a second pays the timeout, and no other one does.
            redis_pause: Duration::from_secs(1),
        }
    }
}

/// The limiter's metrics.
pub const METRICS: &[Metric] = &[
    metric::counter(
        "limit_fallback_total",
        &[],
        "Limits decided from this process's memory because Redis was unavailable",
    ),
    metric::counter(
        "limit_forgotten_total",
        &[],
        "Keys evicted while still limiting something, because there were too many",
    ),
];

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
    pub fn redis(state: State, config: LimiterConfig) -> Self {
        Self::Redis(RedisLimiter::new(state, config))
    }

    /// Takes one permit of this key. `Err`: come back after so long. One key belongs to one rate.
    pub async fn try_take(&self, key: &str, rate: &Rate) -> Result<(), Duration> {
        self.try_take_many(key, rate, 1).await.result
    }

    /// Takes `cost` permits of this key or none, as [`Bucket::try_take`] does, and tells what is left.
    pub async fn try_take_many(&self, key: &str, rate: &Rate, cost: u32) -> LimitAnswer {
        match self {
            Self::Local(limiter) => limiter.try_take(key, rate, cost),
            Self::Redis(limiter) => limiter.try_take(key, rate, cost).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_burst_then_one_permit_every_so_often() {
        let rate = Rate { per: Duration::from_secs(1), burst: 3 };
        let mut bucket = Bucket::default();
        let start = Duration::from_secs(100);
        for _ in 0..3 {
            assert_eq!(bucket.try_take(&rate, start, 1), Ok(()));
        }
        assert_eq!(bucket.try_take(&rate, start, 1), Err(Duration::from_secs(1)));
        assert_eq!(bucket.try_take(&rate, start, 2), Err(Duration::from_secs(2)));
        assert_eq!(bucket.try_take(&rate, start + Duration::from_secs(1), 1), Ok(()));
        assert!(!bucket.is_full(start + Duration::from_millis(3999)));
        assert!(bucket.is_full(start + Duration::from_secs(4)));
        assert_eq!(size_of::<Bucket>(), 8);
    }

    #[test]
    fn more_than_the_burst_needs_a_full_bucket_and_is_owed() {
        let rate = Rate { per: Duration::from_secs(1), burst: 3 };
        let mut bucket = Bucket::default();
        let at = Duration::from_secs;
        assert_eq!(bucket.try_take(&rate, at(0), 1), Ok(()));
        assert_eq!(bucket.try_take(&rate, at(0), 10), Err(at(1)), "not full");
        assert_eq!(bucket.try_take(&rate, at(1), 10), Ok(()));
        assert_eq!(bucket.full_in(at(1)), at(10));
        assert_eq!(bucket.try_take(&rate, at(1), 1), Err(at(8)));
        assert_eq!(bucket.try_take(&rate, at(9), 1), Ok(()));
    }

    #[test]
    fn what_is_left_is_what_can_be_taken() {
        let rate = Rate { per: Duration::from_secs(1), burst: 3 };
        let left = |millis| LimitAnswer::new(&rate, Ok(()), Duration::from_millis(millis)).left;
        assert_eq!([0, 1, 1_000, 1_001, 3_000, 9_000].map(left), [3, 2, 2, 1, 0, 0]);
    }

    proptest! {
        /// Between any two moments no more than the burst and what came back in between.
        #[test]
        fn never_more_than_burst_and_elapsed(
            per in 1u64..1_000_000,
            burst in 1u32..20,
            calls in prop::collection::vec((0u64..3_000_000, 1u32..4), 1..200),
        ) {
            let rate = Rate { per: Duration::from_nanos(per), burst };
            let mut bucket = Bucket::default();
            let mut now = 0;
            let mut taken: Vec<(u64, u64)> = Vec::new();
            for (pause, cost) in calls {
                now += pause;
                if bucket.try_take(&rate, Duration::from_nanos(now), cost).is_ok() {
                    taken.push((now, cost.into()));
                }
            }
            for from in 0..taken.len() {
                let mut sum = 0;
                for (at, cost) in &taken[from..] {
                    // What the last one takes beyond the burst is owed afterwards.
                    let most = u64::from(burst) + (at - taken[from].0) / per;
                    prop_assert!(sum + cost.min(&burst.into()) <= most);
                    sum += cost;
                }
            }
        }

        /// The wait is exact: one nanosecond less is too early.
        #[test]
        fn the_wait_is_exactly_enough(
            per in 2u64..1_000_000,
            burst in 1u32..20,
            taken in 1u32..40,
            cost in 1u32..20,
        ) {
            let rate = Rate { per: Duration::from_nanos(per), burst };
            let mut bucket = Bucket::default();
            let now = Duration::from_secs(1);
            for _ in 0..taken {
                let _ = bucket.try_take(&rate, now, 1);
            }
            if let Err(wait) = bucket.try_take(&rate, now, cost) {
                let early = now + wait - Duration::from_nanos(1);
                prop_assert_eq!(bucket.try_take(&rate, early, cost), Err(Duration::from_nanos(1)));
                prop_assert_eq!(bucket.try_take(&rate, now + wait, cost), Ok(()));
            }
        }
    }

    #[test]
    fn addresses_of_one_customer_are_one() {
        for (address, expected) in [
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ] {
            let address: IpAddr = address.parse().unwrap();
            assert_eq!(network(address), expected.parse::<IpAddr>().unwrap());
        }
    }
}
