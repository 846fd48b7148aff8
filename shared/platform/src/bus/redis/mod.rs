//! The bus over Redis pub/sub: one connection that publishes, one for each subscription, neither of
//! which ever gives up. One server is spoken to; which one it is, the configuration tells.

mod link;
mod publisher;
mod subscription;
mod wanted;

pub(super) use self::subscription::RedisSubscriber;

use self::publisher::Publisher;
use super::{BusEvent, metric};
use crate::{
    lifecycle::Lifecycle,
    redis::{RedisConfig, Server, Topology},
};
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
        let publisher = Arc::new(Publisher::spawn(server(&config), config.limits, lifecycle));
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
            server(&self.0.config),
            self.0.config.limits,
            self.0.node,
            Arc::clone(&self.0.publisher),
            Arc::new(on_event),
            &self.0.lifecycle,
        )
    }
}

/// All messages go over one server.
fn server(config: &RedisConfig) -> Server {
    match &config.topology {
        Topology::One(server) => server.clone(),
        Topology::Several(servers) => servers[0].clone(),
        Topology::Cluster(seeds) => seeds.servers()[0].clone(),
    }
}
