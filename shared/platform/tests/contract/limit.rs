//! What the keyed limiter promises, over memory and Redis.

use crate::{pause, redis as start_redis, soon};
use platform::{
    limit::{Limiter, LimiterConfig, Rate},
    redis::State,
};
use std::time::Duration;
use tokio::time::Instant;

/// Patient with a server that shares the machine with compilers.
fn patient() -> LimiterConfig {
    LimiterConfig { redis_timeout: Duration::from_secs(5), ..LimiterConfig::default() }
}

async fn on_both(test: impl AsyncFn(Limiter)) {
    test(Limiter::local(patient())).await;
    let (_server, config) = start_redis().await;
    test(Limiter::redis(State::new(&config).unwrap(), patient())).await;
}

#[tokio::test]
async fn a_burst_then_a_wait_for_each_key() {
    on_both(async |limiter| {
        let rate = Rate { per: Duration::from_secs(600), burst: 3 };
        for _ in 0..3 {
            assert_eq!(limiter.try_take("ann", &rate).await, Ok(()));
        }
        for _ in 0..2 {
            let wait = limiter.try_take("ann", &rate).await.unwrap_err();
            assert!(wait <= rate.per && wait > Duration::from_secs(500), "{wait:?}");
        }
        assert_eq!(limiter.try_take("bob", &rate).await, Ok(()), "another key");
    })
    .await;
}

#[tokio::test]
async fn never_more_than_the_burst_and_what_came_back() {
    on_both(async |limiter| {
        let rate = Rate { per: Duration::from_millis(20), burst: 5 };
        let start = Instant::now();
        let mut taken = 0u128;
        while start.elapsed() < Duration::from_millis(400) {
            if let Err(wait) = limiter.try_take("key", &rate).await {
                assert!(wait <= rate.per, "{wait:?}");
                tokio::task::yield_now().await;
            } else {
                taken += 1;
            }
        }
        let most = 5 + start.elapsed().as_millis() / 20 + 1;
        assert!(taken <= most, "{taken} of {most}");
        assert!(taken > 5, "permits come back");
    })
    .await;
}

#[tokio::test]
async fn what_costs_more_takes_more_and_what_is_left_is_told() {
    on_both(async |limiter| {
        let rate = Rate { per: Duration::from_secs(600), burst: 10 };
        let full_in = |taken: u32| taken * rate.per - Duration::from_secs(60)..=taken * rate.per;
        let taken = limiter.try_take_many("ann", &rate, 4).await;
        assert_eq!((taken.result, taken.left), (Ok(()), 6));
        assert!(full_in(4).contains(&taken.full_in), "{taken:?}");
        let refused = limiter.try_take_many("ann", &rate, 7).await;
        assert!(full_in(1).contains(&refused.result.unwrap_err()), "{refused:?}");
        assert_eq!(refused.left, 6, "nothing was taken");
        assert_eq!(limiter.try_take_many("ann", &rate, 6).await.left, 0);
        // More than there can ever be: from a full bucket, and owed.
        assert!(limiter.try_take_many("ann", &rate, 30).await.result.is_err());
        assert_eq!(limiter.try_take_many("bob", &rate, 30).await.result, Ok(()));
        let refused = limiter.try_take_many("bob", &rate, 1).await;
        assert!(full_in(21).contains(&refused.result.unwrap_err()), "{refused:?}");
        assert!(full_in(30).contains(&refused.full_in), "{refused:?}");
    })
    .await;
}

#[tokio::test]
async fn two_processes_share_one_count_in_redis() {
    let (_server, config) = start_redis().await;
    let limiter = || Limiter::redis(State::new(&config).unwrap(), patient());
    let (here, there) = (limiter(), limiter());
    let rate = Rate { per: Duration::from_secs(600), burst: 2 };
    assert_eq!(here.try_take("key", &rate).await, Ok(()));
    assert_eq!(there.try_take("key", &rate).await, Ok(()));
    assert!(here.try_take("key", &rate).await.is_err());
    assert!(there.try_take("key", &rate).await.is_err());
}

#[tokio::test]
async fn what_is_full_again_is_forgotten_by_redis() {
    let (_server, config) = start_redis().await;
    let limiter = Limiter::redis(State::new(&config).unwrap(), patient());
    let rate = Rate { per: Duration::from_millis(50), burst: 2 };
    limiter.try_take("key", &rate).await.unwrap();
    let mut commands = crate::commands(&config).await;
    soon("the key expires", async {
        while redis::cmd("DBSIZE").query_async::<u32>(&mut commands).await.unwrap() > 0 {}
    })
    .await;
}

#[tokio::test]
async fn without_redis_this_process_limits_alone_and_soon() {
    let (server, config) = start_redis().await;
    let limiter = Limiter::redis(State::new(&config).unwrap(), LimiterConfig::default());
    let rate = Rate { per: Duration::from_secs(600), burst: 2 };
    limiter.try_take("key", &rate).await.unwrap();
    pause(&server).await;
    let start = Instant::now();
    for _ in 0..2 {
        assert_eq!(soon("an answer", limiter.try_take("key", &rate)).await, Ok(()));
    }
    assert!(soon("an answer", limiter.try_take("key", &rate)).await.is_err());
    assert!(start.elapsed() < Duration::from_secs(2), "one of them paid the timeout");
    server.process().resume();
}
