//! A bus over a Redis cluster whose slots move: by hand, by a planned failover, and by the death of a master.

use crate::{
    soon,
    traffic::{Traffic, channel},
};
use cluster::RedisCluster;
use platform::{
    bus::{Bus, Partitions},
    lifecycle::Lifecycle,
    redis::RedisConfig,
    settings::Secret,
};
use protocol::{
    id::{ChatId, NodeId},
    partition::PARTITIONS,
    relay::Channel,
};
use std::{collections::HashSet, sync::Arc};

/// The first slot of the sixteen to which a partition belongs.
fn slots(channel: Channel) -> std::ops::Range<u16> {
    let step = cluster::SLOTS / PARTITIONS;
    let first = channel.partition().number() * step;
    first..first + step
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_moves_in_a_cluster_nothing_is_lost_without_a_word() {
    let cluster = RedisCluster::start(3, 1).await.unwrap();
    let config = RedisConfig::new(&Secret::new(cluster.url())).unwrap();
    let bus = Bus::redis(config, NodeId::random(), &Lifecycle::new());
    let ports = cluster.nodes().iter().map(cluster::Redis::port).collect();
    let mut traffic = Traffic::start(&bus, ports, true).await;

    let moving = traffic.channels[0];
    let from = cluster.owner(slots(moving).start).await.unwrap();
    let outcome = traffic
        .withstand(async {
            for slot in slots(moving) {
                cluster.move_slot(slot, (from + 1) % 3).await.unwrap();
            }
        })
        .await;
    let only = Partitions::from_iter([moving.partition()]);
    assert_eq!(outcome.down, only, "the others on that server do not notice");

    // Questions are on their way at any moment while slots move off, so that some answers are eaten.
    let more: Vec<Channel> = (1_000..5_000).map(|id| Channel::Chat(ChatId(id))).collect();
    let (subscriber, moving) = (Arc::clone(&traffic.subscriber), traffic.channels[1..5].to_vec());
    traffic
        .withstand(async {
            let adding = async {
                for some in more.chunks(5) {
                    subscriber.add(some).await;
                }
            };
            let moving = async {
                for slot in moving.into_iter().flat_map(slots) {
                    let from = cluster.owner(slot).await.unwrap();
                    cluster.move_slot(slot, (from + 1) % 3).await.unwrap();
                }
            };
            soon("all are added", async { tokio::join!(adding, moving) }).await;
        })
        .await;

    let outcome = traffic.withstand(async { cluster.fail_over(3).await.unwrap() }).await;
    assert!(!outcome.down.is_empty() && !outcome.down.is_all(), "{outcome:?}");

    let outcome = traffic
        .withstand(async {
            cluster.nodes()[1].kill().await.unwrap();
            cluster.replaced(1).await.unwrap();
        })
        .await;
    assert!(!outcome.down.is_empty() && outcome.refused > 0, "{outcome:?}");
    let mut known = Vec::new();
    for number in [2, 3, 4] {
        let mut connection = cluster.connection(number).await.unwrap();
        let names: Vec<String> =
            redis::cmd("PUBSUB").arg("SHARDCHANNELS").query_async(&mut connection).await.unwrap();
        known.extend(names.iter().map(|name| channel(name).unwrap()));
    }
    known.retain(|channel| matches!(channel, Channel::Chat(_)));
    let wanted: HashSet<Channel> = more.iter().chain(&traffic.channels).copied().collect();
    assert_eq!(known.len(), wanted.len(), "each has one home");
    assert_eq!(known.into_iter().collect::<HashSet<_>>(), wanted);
}
