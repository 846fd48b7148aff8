//! The bus over Redis pub/sub: one server, several that share the partitions, or a cluster with sharded pub/sub.
//!
//! - `placement.rs`: which server has which partition; `names.rs`: what channels are called there
//! - `placed.rs`: the servers as they are now; `map.rs`: asks a cluster for them
//! - `publisher.rs`: one publishing connection a server
//! - `subscriber.rs`: one subscription; `link.rs`: its connection to one server; `wanted/`: what it wants;
//!   `tell.rs`: tells a server; `pushes.rs`: hears it

mod link;
mod map;
mod names;
mod placed;
mod placement;
mod publisher;
mod pushes;
mod subscriber;
mod tell;
mod wanted;

pub(super) use self::subscriber::RedisSubscriber;

use self::{
    names::Naming,
    placed::Routes,
    placement::{Address, Placement},
};
use super::{BusEvent, metric};
use crate::{
    lifecycle::Lifecycle,
    redis::{RedisConfig, Server, Topology},
};
use bytes::Bytes;
use protocol::{id::NodeId, relay::Channel};
use std::sync::Arc;
use tokio_util::sync::{CancellationToken, DropGuard};

/// The bus over Redis. Clones share it; with the last one, publishing ends once the queues are empty.
#[derive(Clone)]
pub struct RedisBus(Arc<RedisParts>);

struct RedisParts {
    node: NodeId,
    lifecycle: Lifecycle,
    routes: Arc<Routes>,
    /// Ends the task that asks a cluster.
    _ended: DropGuard,
}

impl RedisBus {
    pub(super) fn new(config: RedisConfig, node: NodeId, lifecycle: &Lifecycle) -> Self {
        // Said from the start: a process that subscribes to nothing, an api, has none.
        metric::add_subscriptions(0);
        let RedisConfig { topology, limits } = config;
        let naming = match topology {
            Topology::Cluster(_) => Naming::Tagged,
            Topology::One(_) | Topology::Several(_) => Naming::Plain,
        };
        let routes = Arc::new(Routes::new(naming, limits, lifecycle));
        let ended = CancellationToken::new();
        match topology {
            Topology::One(server) => {
                let address = address(&server);
                routes.place(Placement::one(&address), vec![(address, server)]);
            }
            Topology::Several(servers) => {
                let addresses: Vec<Address> = servers.iter().map(address).collect();
                let placement = Placement::several(&addresses);
                routes.place(placement, addresses.into_iter().zip(servers).collect());
            }
            Topology::Cluster(seeds) => {
                let keeping = map::keep(Arc::clone(&routes), seeds);
                let keeping = ended.clone().run_until_cancelled_owned(keeping);
                lifecycle.spawn_background(async move {
                    keeping.await;
                });
            }
        }
        let lifecycle = lifecycle.clone();
        Self(Arc::new(RedisParts { node, lifecycle, routes, _ended: ended.drop_guard() }))
    }

    pub(super) fn publish(&self, channel: Channel, payload: Bytes) {
        self.0.routes.publish(channel, payload);
    }

    pub(super) fn subscriber(
        &self,
        on_event: impl Fn(BusEvent) + Send + Sync + 'static,
    ) -> RedisSubscriber {
        RedisSubscriber::spawn(self, Arc::new(on_event))
    }
}

fn address(server: &Server) -> Address {
    server.to_string().into()
}
