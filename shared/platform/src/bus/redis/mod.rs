//! The bus over Redis pub/sub: one connection that publishes, one for each subscription, neither of
//! which ever gives up. Sentinel and Cluster are not spoken.

mod config;
mod link;
mod publisher;
mod subscription;
mod wanted;

pub use self::config::{InvalidRedisUrl, RedisConfig, RedisLimits, pool};
pub(super) use self::subscription::RedisSubscriber;

use self::publisher::Publisher;
use super::{BusEvent, metric};
use crate::lifecycle::Lifecycle;
use bytes::Bytes;
use protocol::{id::NodeId, relay::Channel};
use std::sync::Arc;

/// The bus over one Redis server. Clones share it; with the last one, publishing ends once the
/// queue is empty.
#[derive(Clone)]
pub struct RedisBus(Arc<RedisParts>);

struct RedisParts {
    config: RedisConfig,
    node: NodeId,
    lifecycle: Lifecycle,
    publisher: Arc<Publisher>,
}

impl RedisBus {
    pub(super) fn new(config: RedisConfig, node: NodeId, lifecycle: &Lifecycle) -> Self {
        // Said from the start: a process that subscribes to nothing, an api, has none.
        metric::add_subscriptions(0);
        let publisher = Arc::new(Publisher::spawn(config.clone(), lifecycle));
        Self(Arc::new(RedisParts { config, node, lifecycle: lifecycle.clone(), publisher }))
    }

    pub(super) fn publish(&self, channel: Channel, payload: Bytes) {
        self.0.publisher.publish(channel, payload);
    }

    pub(super) fn subscriber(
        &self,
        on_event: impl Fn(BusEvent) + Send + Sync + 'static,
    ) -> RedisSubscriber {
        RedisSubscriber::spawn(
            self.0.config.clone(),
            self.0.node,
            Arc::clone(&self.0.publisher),
            Arc::new(on_event),
            &self.0.lifecycle,
        )
    }
}
