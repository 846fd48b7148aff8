//! A bus over several plain servers: what happens to one of them is nothing to the channels of the others.

use crate::{listener::Listener, redis as start_redis, traffic::Traffic};
use platform::{bus::Bus, lifecycle::Lifecycle, redis::RedisConfig, settings::Secret};
use protocol::{id::NodeId, relay::Channel};

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
