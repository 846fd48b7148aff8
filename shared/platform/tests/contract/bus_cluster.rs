//! A bus over a Redis cluster whose slots move: by hand, by a planned failover, and by the death of a master.

use crate::traffic::{Traffic, channel};
use cluster::RedisCluster;
use platform::{
    bus::{Bus, Partitions},
    lifecycle::Lifecycle,
    redis::RedisConfig,
    settings::Secret,
};
use protocol::{id::NodeId, partition::PARTITIONS, relay::Channel};

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
    assert_eq!(known.len(), traffic.channels.len(), "each has one home");
}
