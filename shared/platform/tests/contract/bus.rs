//! What both kinds of bus promise.

use crate::{
    listener::{Listener, say},
    redis,
};
use platform::{bus::Bus, lifecycle::Lifecycle};
use protocol::{
    id::{ChatId, NodeId, UserId},
    relay::Channel,
};

const ONE: Channel = Channel::Chat(ChatId(1));
const TWO: Channel = Channel::User(UserId(2));

/// The buses of two processes; one process's bus twice when there are no two.
struct Pair(Bus, Bus);

async fn on_both(test: impl AsyncFn(Pair)) {
    let local = Bus::local();
    test(Pair(local.clone(), local)).await;
    let (_server, config) = redis().await;
    let lifecycle = Lifecycle::new();
    let bus = || Bus::redis(config.clone(), NodeId::random(), &lifecycle);
    test(Pair(bus(), bus())).await;
}

#[tokio::test]
async fn delivered_once_added_and_not_once_removed() {
    on_both(async |Pair(here, there)| {
        let mut listener = Listener::start(&here).await;
        say(&there, ONE, "nobody wants this");
        listener.add(&[TWO]).await;
        listener.add(&[TWO, TWO]).await;
        // Redis handles one connection's commands in order, so this one comes after the first.
        say(&there, TWO, "wanted");
        listener.expect(TWO, "wanted").await;
        listener.add(&[ONE]).await;
        say(&there, ONE, "now wanted");
        listener.expect(ONE, "now wanted").await;
        listener.subscriber.remove(&[TWO]);
        listener.add(&[Channel::Control]).await;
        say(&there, TWO, "no longer");
        say(&there, Channel::Control, "last");
        listener.expect(Channel::Control, "last").await;
        listener.subscriber.remove(&[ONE, TWO]);
        listener.add(&[ONE]).await;
        say(&there, ONE, "wanted again");
        listener.expect(ONE, "wanted again").await;
    })
    .await;
}

#[tokio::test]
async fn a_channels_messages_keep_their_order() {
    on_both(async |Pair(here, there)| {
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
    })
    .await;
}

#[tokio::test]
async fn many_channels() {
    on_both(async |Pair(here, there)| {
        let mut listener = Listener::start(&here).await;
        let channels: Vec<Channel> = (1..=5000).map(|id| Channel::Chat(ChatId(id))).collect();
        listener.add(&channels).await;
        for channel in &channels {
            say(&there, *channel, "hello");
        }
        for channel in &channels {
            listener.expect(*channel, "hello").await;
        }
    })
    .await;
}

#[tokio::test]
async fn adds_at_the_same_time_all_count() {
    on_both(async |Pair(here, there)| {
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
        for channel in &channels {
            listener.expect(*channel, "hello").await;
        }
    })
    .await;
}

#[tokio::test]
async fn any_payload_arrives_unchanged() {
    on_both(async |Pair(here, there)| {
        let mut listener = Listener::start(&here).await;
        listener.add(&[ONE]).await;
        let large = "ж".repeat(200_000);
        for text in ["", "\r\n$-1\r\n\0", &large] {
            say(&there, ONE, text);
            listener.expect(ONE, text).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_dropped_subscriber_hears_nothing_more() {
    on_both(async |Pair(here, there)| {
        let ended = Listener::start(&here).await;
        ended.add(&[ONE]).await;
        let mut other = Listener::start(&there).await;
        other.add(&[ONE]).await;
        let Listener { subscriber, mut events } = ended;
        drop(subscriber);
        // The closure goes with the subscription, and the channel's only sender with it.
        assert_eq!(crate::soon("the end", events.recv()).await, None);
        say(&here, ONE, "to the other");
        other.expect(ONE, "to the other").await;
    })
    .await;
}
