//! The bus: one process's immediate messages to the others, on the channels of [`protocol::relay`]. Two kinds
//! share one contract: within this process, and over Redis. The bus stores nothing and delivers at most once.
//! Code that keeps state fresh by bus messages repairs that state from the api, and the bus says when to
//! suspect it.

pub mod local;
mod metric;
mod partitions;
mod queue;
pub mod redis;

pub use self::{local::LocalBus, metric::METRICS, partitions::Partitions, redis::RedisBus};

use crate::{lifecycle::Lifecycle, redis::RedisConfig};
use bytes::Bytes;
use protocol::{id::NodeId, relay::Channel};
use std::future::Future;

/// A handle to publish and subscribe with; clones share everything. One publisher's messages on one
/// channel arrive in the order of its calls, as long as the channel's partition is up; nothing is promised across
/// channels.
#[derive(Clone)]
pub enum Bus {
    /// Within this process.
    Local(LocalBus),
    /// Over Redis pub/sub, to every process on the same servers.
    Redis(RedisBus),
}

/// An event for a subscriber.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BusEvent {
    /// A process, perhaps this one, published on a channel that the subscriber wants or just wanted.
    Message {
        /// The channel that it was published on.
        channel: Channel,
        /// As published.
        payload: Bytes,
    },
    /// Channels of these partitions are heard, for the first time or again. Messages before this may have been lost,
    /// so the subscriber must check all state that it keeps by them. From now on none that its publisher could send is
    /// lost without another `Down`.
    Up(Partitions),
    /// Channels of these partitions are not heard. Every `Down` of a partition follows an `Up` of it, and another
    /// `Up` follows it at some time.
    Down(Partitions),
}

impl Bus {
    /// A bus within this process. Each subscriber has a bounded queue; one that is too slow for it
    /// loses messages and hears `Down`, `Up`.
    pub fn local() -> Bus {
        Bus::Local(LocalBus::new())
    }

    /// A bus over Redis. It connects in the background and never gives up, so an unreachable server is no error.
    /// `node` names this process's probe channel. Needs a Tokio runtime.
    pub fn redis(config: RedisConfig, node: NodeId, lifecycle: &Lifecycle) -> Bus {
        Bus::Redis(RedisBus::new(config, node, lifecycle))
    }

    /// Tells every subscriber of the channel. Never blocks; a full queue or a lost connection drops
    /// the message and counts it (`bus_dropped_total`).
    pub fn publish(&self, channel: Channel, payload: Bytes) {
        match self {
            Bus::Local(bus) => bus.publish(channel, payload),
            Bus::Redis(bus) => bus.publish(channel, payload),
        }
    }

    /// Starts a subscription that wants no channel yet. Over Redis it has its own connection to each server, so a
    /// process should make one. `on_event` runs on the task that reads and must neither block nor wait. If it is too slow, the
    /// sender's buffer overflows, which leads to `Down` and `Up`. Needs a Tokio runtime.
    pub fn subscriber(&self, on_event: impl Fn(BusEvent) + Send + Sync + 'static) -> Subscriber {
        match self {
            Bus::Local(bus) => Subscriber(SubscriberKind::Local(bus.subscriber(on_event))),
            Bus::Redis(bus) => Subscriber(SubscriberKind::Redis(bus.subscriber(on_event))),
        }
    }
}

/// The wanted channels of one subscription. Dropping it ends the subscription.
pub struct Subscriber(SubscriberKind);

enum SubscriberKind {
    Local(local::LocalSubscriber),
    Redis(redis::RedisSubscriber),
}

impl Subscriber {
    /// Wants these channels from now on. Repeats are harmless, and the future may be dropped. It resolves when all
    /// messages published from then on arrive. While a channel's partition is down it resolves without it, and the
    /// next `Up` has that meaning. If a connection dies meanwhile, it resolves when that is noticed, within seconds.
    pub fn add(&self, channels: &[Channel]) -> impl Future<Output = ()> + Send + use<> {
        let confirmed = match &self.0 {
            SubscriberKind::Local(subscriber) => {
                subscriber.add(channels);
                Vec::new()
            }
            SubscriberKind::Redis(subscriber) => subscriber.add(channels),
        };
        async move {
            for confirmed in confirmed {
                // An error means that the connection or the subscription ended: at once, then.
                let _ = confirmed.await;
            }
        }
    }

    /// Stops wanting these channels. Messages on their way may still arrive until a later `add` has resolved.
    pub fn remove(&self, channels: &[Channel]) {
        match &self.0 {
            SubscriberKind::Local(subscriber) => subscriber.remove(channels),
            SubscriberKind::Redis(subscriber) => subscriber.remove(channels),
        }
    }

    /// Whether messages on this channel arrive, if it is wanted: true between `Up` and `Down` of its partition.
    pub fn hears(&self, channel: Channel) -> bool {
        match &self.0 {
            SubscriberKind::Local(_) => true,
            SubscriberKind::Redis(subscriber) => subscriber.hears(channel.partition()),
        }
    }

    /// The partitions that are down.
    pub fn down(&self) -> Partitions {
        match &self.0 {
            SubscriberKind::Local(_) => Partitions::default(),
            SubscriberKind::Redis(subscriber) => subscriber.down(),
        }
    }

    /// Says that a message on these channels did not arrive, though they are wanted and their partitions are up. Over
    /// Redis the servers are told once more that the channels are wanted, which does no harm where the doubt is
    /// wrong, and the doubts are counted (`bus_deaf_channels_total`). A server of many such channels is connected to
    /// anew.
    pub fn doubt(&self, channels: &[Channel]) {
        match &self.0 {
            SubscriberKind::Local(_) => {}
            SubscriberKind::Redis(subscriber) => subscriber.doubt(channels),
        }
    }
}
