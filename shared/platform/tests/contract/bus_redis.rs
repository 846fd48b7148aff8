//! What only a bus over Redis must survive: a server that dies, hangs, cuts a connection or goes
//! deaf, and more messages than can be sent.

use crate::{
    commands,
    listener::{Listener, say},
    pause,
    proxy::{Proxy, Swallow},
    redis as start_redis, soon,
};
use bytes::Bytes;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use platform::{
    bus::{self, Bus, BusEvent, Partitions},
    lifecycle::Lifecycle,
    redis::RedisConfig,
    settings::Secret,
};
use protocol::{
    id::{ChatId, NodeId, UserId},
    relay::Channel,
};
use std::{
    sync::OnceLock,
    time::{Duration, Instant},
};

const ONE: Channel = Channel::Chat(ChatId(1));
const TWO: Channel = Channel::Chat(ChatId(2));

fn bus(config: &RedisConfig) -> Bus {
    Bus::redis(config.clone(), NodeId::random(), &Lifecycle::new())
}

/// Times that make failures show quickly and still leave a busy machine room.
fn impatient(mut config: RedisConfig) -> RedisConfig {
    config.limits.connect_timeout = Duration::from_millis(500);
    config.limits.response_timeout = Duration::from_millis(500);
    config.limits.probe_every = Duration::from_millis(100);
    config.limits.probe_timeout = Duration::from_millis(500);
    config
}

fn metrics() -> &'static PrometheusHandle {
    static METRICS: OnceLock<PrometheusHandle> = OnceLock::new();
    METRICS.get_or_init(|| {
        let handle = PrometheusBuilder::new().install_recorder().unwrap();
        platform::metric::register(bus::METRICS);
        handle
    })
}

/// The value of one metric, counted over all tests of this process.
fn metric(name: &str) -> f64 {
    let text = metrics().render();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in\n{text}")).parse().unwrap()
}

#[tokio::test]
async fn a_killed_server_comes_back_with_every_subscription() {
    let (server, config) = start_redis().await;
    let bus = bus(&impatient(config));
    let mut listener = Listener::start(&bus).await;
    let channels: Vec<Channel> = (1..=1200).map(|id| Channel::Chat(ChatId(id))).collect();
    listener.add(&channels).await;

    server.kill().await.unwrap();
    listener.expect_down().await;
    assert!(!listener.subscriber.hears(ONE));
    // Neither hangs nor is forgotten while the server is away.
    listener.add(&[Channel::Control]).await;
    listener.subscriber.remove(&[ONE]);
    say(&bus, TWO, "dropped");

    server.restart().await.unwrap();
    listener.expect_up().await;
    listener.expect_delivery(&bus, Channel::Control).await;
    let mut commands = commands(&config_of(&server)).await;
    let names: Vec<String> =
        redis::cmd("PUBSUB").arg("CHANNELS").arg("*").query_async(&mut commands).await.unwrap();
    let chats = names.iter().filter(|name| name.starts_with("chat:")).count();
    assert_eq!(chats, 1199, "all but the removed one");
}

fn config_of(server: &cluster::Redis) -> RedisConfig {
    RedisConfig::new(&Secret::new(server.url())).unwrap()
}

#[tokio::test]
async fn a_server_that_is_away_at_the_start_is_waited_for() {
    let (server, config) = start_redis().await;
    server.kill().await.unwrap();
    let bus = bus(&impatient(config));
    let mut listener = Listener::connecting(&bus);
    listener.add(&[ONE]).await;
    assert!(!listener.subscriber.hears(ONE));
    server.restart().await.unwrap();
    listener.expect_up().await;
    listener.expect_delivery(&bus, ONE).await;
}

#[tokio::test]
async fn cut_connections_are_made_again() {
    let (_server, config) = start_redis().await;
    let bus = bus(&config);
    let mut listener = Listener::start(&bus).await;
    listener.add(&[ONE]).await;
    let mut commands = commands(&config).await;
    for kind in ["pubsub", "normal"] {
        let mut kill = redis::cmd("CLIENT");
        kill.arg("KILL").arg("TYPE").arg(kind).arg("SKIPME").arg("yes");
        let killed: u32 = soon("CLIENT KILL", kill.query_async(&mut commands)).await.unwrap();
        assert_eq!(killed, 1, "{kind}");
        if kind == "pubsub" {
            listener.expect_down().await;
            listener.expect_up().await;
        }
        listener.expect_delivery(&bus, ONE).await;
    }
}

#[tokio::test]
async fn a_deaf_subscription_is_found_out_and_replaced() {
    metrics();
    let (server, _) = start_redis().await;
    let proxy = Proxy::start(server.port()).await;
    let url = Secret::new(format!("redis://127.0.0.1:{}", proxy.port));
    let bus = bus(&impatient(RedisConfig::new(&url).unwrap()));
    let mut listener = Listener::start(&bus).await;
    listener.add(&[ONE]).await;
    listener.expect_delivery(&bus, ONE).await;

    let failures = metric("bus_probe_failures_total");
    proxy.swallow(Swallow::Everything);
    listener.expect_down().await;
    assert!(metric("bus_probe_failures_total") > failures, "the probe noticed");
    proxy.swallow(Swallow::Nothing);
    // Connections made in between were deaf, too, and given up again.
    listener.delivery(&bus, ONE).await;
}

#[tokio::test]
async fn a_probe_may_be_late_while_messages_arrive_but_not_for_ever() {
    let (server, _) = start_redis().await;
    let proxy = Proxy::start(server.port()).await;
    let url = Secret::new(format!("redis://127.0.0.1:{}", proxy.port));
    let mut config = impatient(RedisConfig::new(&url).unwrap());
    config.limits.probe_patience = 4 * config.limits.probe_timeout;
    let bus = bus(&config);
    let mut listener = Listener::start(&bus).await;
    listener.add(&[ONE]).await;
    listener.expect_delivery(&bus, ONE).await;

    let start = Instant::now();
    proxy.swallow(Swallow::Probes);
    let down = BusEvent::Down(Partitions::all());
    soon("Down", async { while !listener.delivery(&bus, ONE).await.contains(&down) {} }).await;
    assert!(start.elapsed() > 3 * config.limits.probe_timeout, "not at the first late probe");
}

#[tokio::test]
async fn a_server_that_hangs_is_noticed_and_add_does_not_hang_with_it() {
    let (server, config) = start_redis().await;
    let bus = bus(&impatient(config));
    let mut listener = Listener::start(&bus).await;
    listener.add(&[ONE]).await;
    pause(&server).await;
    listener.add(&[TWO]).await;
    listener.expect_down().await;
    listener.add(&[Channel::User(UserId(1))]).await;
    server.process().resume();
    listener.expect_up().await;
    listener.expect_delivery(&bus, TWO).await;
}

#[tokio::test]
async fn a_full_publish_queue_drops_and_counts_without_waiting() {
    metrics();
    let (_server, mut config) = start_redis().await;
    config.limits.publish_entries = 10;
    config.limits.publish_bytes = 100;
    let bus = bus(&config);
    let mut listener = Listener::start(&bus).await;
    listener.add(&[ONE]).await;
    let dropped = metric("bus_dropped_total{reason=\"queue_full\"}");
    // One thread and no await: the publisher cannot run before all are published.
    for number in 0..25 {
        say(&bus, ONE, &number.to_string());
    }
    bus.publish(ONE, Bytes::from(vec![0; 101]));
    for number in 0..10 {
        listener.expect(ONE, &number.to_string()).await;
    }
    assert!(metric("bus_dropped_total{reason=\"queue_full\"}") >= dropped + 16.0);
    listener.expect_delivery(&bus, ONE).await;
}
