//! What all kinds of bus promise.

use crate::{
    listener::{Listener, say},
    redis,
};
use platform::{bus::Bus, lifecycle::Lifecycle, redis::RedisConfig, settings::Secret};
use protocol::{
    id::{ChatId, NodeId, UserId},
    relay::Channel,
};

const ONE: Channel = Channel::Chat(ChatId(1));

/// Channels of one partition, whose server therefore handles what is said of them in order.
fn two_and_three() -> [Channel; 2] {
    let near = |one: &Channel| one.partition() == ONE.partition();
    let mut users = (1..).map(|id| Channel::User(UserId(id))).filter(near);
    [users.next().unwrap(), users.next().unwrap()]
}

/// The buses of two processes; one process's bus twice when there are no two.
struct Pair(Bus, Bus);

async fn on_all_kinds(test: impl AsyncFn(Pair)) {
    let local = Bus::local();
    test(Pair(local.clone(), local)).await;
    let (server, config) = redis().await;
    test(pair(&config)).await;
    let (other, _) = redis().await;
    let url = format!("{},{}", server.url(), other.url());
    test(pair(&RedisConfig::new(&Secret::new(url)).unwrap())).await;
}

fn pair(config: &RedisConfig) -> Pair {
    let bus = || Bus::redis(config.clone(), NodeId::random(), &Lifecycle::new());
    Pair(bus(), bus())
}

#[tokio::test]
async fn a_cluster_keeps_the_same_promises() {
    let cluster = cluster::RedisCluster::start(3, 0).await.unwrap();
    let config = RedisConfig::new(&Secret::new(cluster.url())).unwrap();
    deliver_once_added(pair(&config)).await;
    keep_order(pair(&config)).await;
    add_many(pair(&config)).await;
    add_at_once(pair(&config)).await;
    take_any_payload(pair(&config)).await;
    end_when_dropped(pair(&config)).await;
}

#[tokio::test]
async fn delivered_once_added_and_not_once_removed() {
    on_all_kinds(deliver_once_added).await;
}

async fn deliver_once_added(Pair(here, there): Pair) {
    let [two, three] = two_and_three();
    let mut listener = Listener::start(&here).await;
    say(&there, ONE, "nobody wants this");
    listener.add(&[two]).await;
    listener.add(&[two, two]).await;
    // A server handles one connection's commands in order, so this one comes after the first.
    say(&there, two, "wanted");
    listener.expect(two, "wanted").await;
    listener.add(&[ONE]).await;
    say(&there, ONE, "now wanted");
    listener.expect(ONE, "now wanted").await;
    listener.subscriber.remove(&[two]);
    listener.add(&[three]).await;
    say(&there, two, "no longer");
    say(&there, three, "last");
    listener.expect(three, "last").await;
    listener.subscriber.remove(&[ONE, two]);
    listener.add(&[ONE]).await;
    say(&there, ONE, "wanted again");
    listener.expect(ONE, "wanted again").await;
}

#[tokio::test]
async fn a_channels_messages_keep_their_order() {
    on_all_kinds(keep_order).await;
}

async fn keep_order(Pair(here, there): Pair) {
    let mut near = Listener::start(&here).await;
    let mut far = Listener::start(&there).await;
    near.add(&[ONE]).await;
    far.add(&[ONE]).await;
    for number in 0..2000 {
        say(&here, ONE, &number.to_string());
    }
    for number in 0..2000 {
        near.expect(ONE, &number.to_string()).await;
        far.expect(ONE, &number.to_string()).await;
    }
}

#[tokio::test]
async fn many_channels() {
    on_all_kinds(add_many).await;
}

async fn add_many(Pair(here, there): Pair) {
    let mut listener = Listener::start(&here).await;
    let channels: Vec<Channel> = (1..=5000).map(|id| Channel::Chat(ChatId(id))).collect();
    listener.add(&channels).await;
    for channel in &channels {
        say(&there, *channel, "hello");
    }
    listener.expect_each(&channels, "hello").await;
}

#[tokio::test]
async fn adds_at_the_same_time_all_count() {
    on_all_kinds(add_at_once).await;
}

async fn add_at_once(Pair(here, there): Pair) {
    let mut listener = Listener::start(&here).await;
    let channels: Vec<Channel> = (1..=500).map(|id| Channel::User(UserId(id))).collect();
    // Wanted at once: nothing awaits between these calls, and half of the futures never run.
    let adds: Vec<_> =
        channels.iter().map(|channel| listener.subscriber.add(&[*channel])).collect();
    for (number, add) in adds.into_iter().enumerate() {
        if number % 2 == 1 {
            add.await;
        }
    }
    for channel in &channels {
        say(&there, *channel, "hello");
    }
    listener.expect_each(&channels, "hello").await;
}

#[tokio::test]
async fn any_payload_arrives_unchanged() {
    on_all_kinds(take_any_payload).await;
}

async fn take_any_payload(Pair(here, there): Pair) {
    let mut listener = Listener::start(&here).await;
    listener.add(&[ONE]).await;
    let large = "ж".repeat(200_000);
    for text in ["", "\r\n$-1\r\n\0", &large] {
        say(&there, ONE, text);
        listener.expect(ONE, text).await;
    }
}

#[tokio::test]
async fn a_dropped_subscriber_hears_nothing_more() {
    on_all_kinds(end_when_dropped).await;
}

async fn end_when_dropped(Pair(here, there): Pair) {
    let ended = Listener::start(&here).await;
    ended.add(&[ONE]).await;
    let mut other = Listener::start(&there).await;
    other.add(&[ONE]).await;
    let Listener { subscriber, mut events, .. } = ended;
    drop(subscriber);
    // The closure goes with the subscription, and the channel's only sender with it.
    assert_eq!(crate::soon("the end", events.recv()).await, None);
    say(&here, ONE, "to the other");
    other.expect(ONE, "to the other").await;
}
