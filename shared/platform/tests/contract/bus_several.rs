//! A bus over several plain servers: what happens to one of them is nothing to the channels of the others.

use crate::{listener::Listener, redis as start_redis, traffic::Traffic};
use platform::{bus::Bus, lifecycle::Lifecycle, redis::RedisConfig, settings::Secret};
use protocol::{
    id::{ChatId, NodeId},
    relay::Channel,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_two_servers_restarted_is_down_alone() {
    let ((one, _), (two, _)) = tokio::join!(start_redis(), start_redis());
    let url = |first: &cluster::Redis, second: &cluster::Redis| {
        let url = format!("{},{}", first.url(), second.url());
        RedisConfig::new(&Secret::new(url)).unwrap()
    };
    let bus = Bus::redis(url(&one, &two), NodeId::random(), &Lifecycle::new());
    let mut traffic = Traffic::start(&bus, vec![one.port(), two.port()], false).await;
    let outcome = traffic
        .withstand(async {
            one.kill().await.unwrap();
            one.restart().await.unwrap();
        })
        .await;
    for channel in &traffic.channels {
        let is_there = traffic.home(*channel) == one.port();
        assert_eq!(outcome.down.contains(channel.partition()), is_there, "{channel}");
    }
    assert!(!outcome.down.is_all() && outcome.lost + outcome.refused > 0, "{outcome:?}");
    // Another process names them the other way round and still meets this one everywhere.
    let other = Bus::redis(url(&two, &one), NodeId::random(), &Lifecycle::new());
    let mut listener = Listener::start(&other).await;
    for channel in [&traffic.channels[..], &[Channel::Control]].concat() {
        listener.add(&[channel]).await;
        listener.delivery(&bus, channel).await;
    }
}

/// From one server to three, one process after the other, as the operations guide says: first everybody publishes to
/// both, then everybody listens to the new servers, then the old one is left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn channels_move_to_other_servers_without_a_flag_day() {
    let (one, old) = start_redis().await;
    let ((two, _), (three, _)) = tokio::join!(start_redis(), start_redis());
    let url = format!("{},{},{}", one.url(), two.url(), three.url());
    let new = RedisConfig::new(&Secret::new(url)).unwrap();
    let bus = |config: &RedisConfig, also: Option<&RedisConfig>| {
        let also = also.map(|also| also.topology.clone());
        Bus::redis(RedisConfig { also, ..config.clone() }, NodeId::random(), &Lifecycle::new())
    };
    let first = bus(&old, Some(&new));
    let second = bus(&new, Some(&old));
    let steps =
        [[bus(&old, None), first.clone()], [first, second.clone()], [second, bus(&new, None)]];
    let channels: Vec<Channel> = (1..=20).map(|id| Channel::Chat(ChatId(id))).collect();
    for [before, after] in steps {
        for (here, there) in [(&before, &after), (&after, &before)] {
            let mut listener = Listener::start(here).await;
            listener.add(&channels).await;
            // Publishers connect in their own time.
            for channel in &channels {
                listener.delivery(there, *channel).await;
            }
        }
    }
}
