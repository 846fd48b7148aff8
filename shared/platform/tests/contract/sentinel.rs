//! Sentinels: whatever happens to the primary, the bus and the state are at the one that the sentinels name next, and
//! nothing stays at the one before.

use crate::{commands, listener::Listener, pause, soon, state::used};
use bytes::Bytes;
use cluster::{Redis, RedisSentinels};
use platform::{
    bus::{Bus, BusEvent},
    lifecycle::Lifecycle,
    redis::{RedisConfig, State, Topology},
    settings::Secret,
};
use protocol::{
    id::{ChatId, NodeId},
    relay::Channel,
};
use std::time::{Duration, Instant};
use tokio::time::sleep;

const CHAT: Channel = Channel::Chat(ChatId(1));

/// From the moment at which the sentinels name the new primary.
const LIVE_AGAIN: Duration = Duration::from_secs(2);

/// Before the sentinels demote a primary that they replaced and that still runs, and it cuts its connections: they wait
/// for eight seconds.
const DEMOTED: Duration = Duration::from_secs(5);

async fn start() -> (RedisSentinels, RedisConfig) {
    let servers = RedisSentinels::start().await.unwrap();
    let config = RedisConfig::new(&Secret::new(servers.url())).unwrap();
    (servers, config)
}

fn bus(config: &RedisConfig) -> Bus {
    Bus::redis(config.clone(), NodeId::random(), &Lifecycle::new())
}

/// How many hear the chat at this server.
async fn subscribers(server: &Redis) -> u32 {
    let config = RedisConfig::new(&Secret::new(server.url())).unwrap();
    let mut question = redis::cmd("PUBSUB");
    question.arg("NUMSUB").arg(CHAT.to_string());
    let (_, count): (String, u32) =
        question.query_async(&mut commands(&config).await).await.unwrap();
    count
}

/// Lets something happen to the primary while one node publishes and another one listens.
async fn fails_over(happen: impl AsyncFnOnce(&RedisSentinels)) -> (RedisSentinels, RedisConfig) {
    let (servers, config) = start().await;
    let (publisher, hearer) = (bus(&config), bus(&config));
    let mut listener = Listener::start(&hearer).await;
    listener.add(&[CHAT]).await;
    listener.delivery(&publisher, CHAT).await;
    let state = State::new(&config).unwrap();
    used(&state, 8).await.unwrap();
    let lifecycle = Lifecycle::new();
    let start = Instant::now();
    lifecycle.spawn_background({
        let publisher = publisher.clone();
        async move {
            loop {
                let at = start.elapsed().as_millis().to_string();
                publisher.publish(CHAT, Bytes::from(at));
                sleep(Duration::from_millis(10)).await;
            }
        }
    });
    happen(&servers).await;
    servers.named(1).await.unwrap();
    let named = Instant::now();
    let heard = soon("a message from after the failover", async {
        loop {
            if let BusEvent::Message { payload, .. } = listener.event().await
                && let Ok(at) = String::from_utf8_lossy(&payload).parse()
                && start + Duration::from_millis(at) > named
            {
                return Instant::now();
            }
        }
    })
    .await;
    let took = heard - named;
    assert!(took < LIVE_AGAIN, "{took:?}");
    // Presence asks again every few seconds; limits, which the least patience has, once a second.
    soon("the state is at the new primary", async { while used(&state, 8).await.is_err() {} })
        .await;
    let took = named.elapsed();
    assert!(took < LIVE_AGAIN, "{took:?}");
    // What was heard may have come by the old primary.
    soon("the subscription is at the new primary", async {
        while subscribers(&servers.servers()[1]).await == 0 {
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let took = named.elapsed();
    assert!(took < DEMOTED, "{took:?}");
    (servers, config)
}

#[tokio::test]
async fn a_planned_failover_is_followed() {
    fails_over(async |servers| servers.fail_over().await.unwrap()).await;
}

#[tokio::test]
async fn a_killed_primary_is_replaced() {
    fails_over(async |servers| servers.servers()[0].kill().await.unwrap()).await;
}

#[tokio::test]
async fn a_frozen_primary_is_left() {
    let (servers, config) = fails_over(async |servers| pause(&servers.servers()[0]).await).await;
    // What is connected for the first time does not even try it, nor wait for a sentinel that is frozen, too.
    servers.sentinels()[0].process().pause();
    let late = bus(&config);
    let begun = Instant::now();
    Listener::start(&late).await;
    assert!(begun.elapsed() < LIVE_AGAIN, "{:?}", begun.elapsed());
    for process in [servers.servers()[0].process(), servers.sentinels()[0].process()] {
        process.resume();
    }
}

#[tokio::test]
async fn a_primary_that_the_sentinels_do_not_know_is_told() {
    let servers = RedisSentinels::start().await.unwrap();
    let port = servers.sentinels()[0].port();
    for (url, words) in [
        (format!("redis+sentinel://127.0.0.1:{port}/other"), "No such master"),
        (format!("redis://127.0.0.1:{port}"), "is a sentinel"),
    ] {
        let config = RedisConfig::new(&Secret::new(&url)).unwrap();
        let Topology::One(server) = &config.topology else { panic!("one server") };
        let on_push = |_: redis::PushInfo| Ok::<(), ()>(());
        let refused = server.connect(&config.limits, LIVE_AGAIN, on_push).await.err().unwrap();
        assert!(refused.to_string().contains(words), "{url}: {refused}");
    }
}
