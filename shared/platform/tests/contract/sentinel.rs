//! Sentinels: whatever happens to the primary, the bus and the state are at the one that the sentinels name next, and
//! nothing stays at the one before.

use crate::{listener::Listener, pause, soon, state::used};
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

async fn start() -> (RedisSentinels, RedisConfig) {
    let servers = RedisSentinels::start().await.unwrap();
    let config = RedisConfig::new(&Secret::new(servers.url())).unwrap();
    (servers, config)
}

fn bus(config: &RedisConfig) -> Bus {
    Bus::redis(config.clone(), NodeId::random(), &Lifecycle::new())
}

/// Sends one command to a server or sentinel, and returns its answer.
async fn ask<T: redis::FromRedisValue>(port: u16, command: &[&str]) -> redis::RedisResult<T> {
    let client = redis::Client::open(("127.0.0.1", port))?;
    let mut connection = client.get_multiplexed_async_connection().await?;
    redis::cmd(command[0]).arg(&command[1..]).query_async(&mut connection).await
}

/// Waits until most sentinels name this server, and returns when that was.
async fn named(servers: &RedisSentinels, primary: &Redis) -> Instant {
    let port = primary.port().to_string();
    soon("the sentinels name the new primary", async {
        loop {
            let mut votes = 0;
            for sentinel in servers.sentinels() {
                let question = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", RedisSentinels::NAME];
                let named: redis::RedisResult<(String, String)> =
                    ask(sentinel.port(), &question).await;
                votes += u32::from(named.is_ok_and(|(_, named)| named == port));
            }
            if votes >= 2 {
                return Instant::now();
            }
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await
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
    let named = named(&servers, &servers.servers()[1]).await;
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
    (servers, config)
}

#[tokio::test]
async fn a_planned_failover_is_followed() {
    fails_over(async |servers| {
        let port = servers.sentinels()[0].port();
        let () = ask(port, &["SENTINEL", "FAILOVER", RedisSentinels::NAME]).await.unwrap();
    })
    .await;
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
