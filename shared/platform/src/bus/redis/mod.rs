//! The bus over Redis pub/sub: one server, several that share the partitions, or a cluster with sharded pub/sub.
//!
//! - `placement.rs`: which server has which partition; `names.rs`: what channels are called there
//! - `placed.rs`: the servers as they are now; `map.rs`: asks a cluster for them
//! - `publisher.rs`: one publishing connection a server
//! - `subscriber.rs`: one subscription; `link.rs`: its connection to one server; `wanted/`: what it wants;
//!   `tell.rs`: tells a server; `pushes.rs`: hears it

mod link;
mod lost;
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
    placement::{Placement, ServerAddress},
    publisher::Publishing,
};
use super::{BusEvent, metric};
use crate::{
    lifecycle::Lifecycle,
    redis::{RedisConfig, RedisLimits, Server, Topology},
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
    /// Where everything is published, too.
    also: Option<Arc<Routes>>,
    /// Ends the tasks that ask clusters.
    _ended: DropGuard,
}

impl RedisBus {
    pub(super) fn new(config: RedisConfig, node: NodeId, lifecycle: &Lifecycle) -> Self {
        // Said from the start: a process that subscribes to nothing, an api, has none.
        metric::add_subscriptions(0);
        metric::set_partitions_up(0);
        let RedisConfig { topology, also, limits } = config;
        let (ended, publishing) = (CancellationToken::new(), Arc::default());
        let open = |topology| open(topology, limits, &publishing, &ended, lifecycle);
        let (routes, also) = (open(topology), also.map(open));
        let lifecycle = lifecycle.clone();
        Self(Arc::new(RedisParts { node, lifecycle, routes, also, _ended: ended.drop_guard() }))
    }

    pub(super) fn publish(&self, channel: Channel, payload: Bytes) {
        if let Some(also) = self.0.also.as_ref().filter(|also| !also.meet(&self.0.routes, channel))
        {
            also.publish(channel, payload.clone());
        }
        self.0.routes.publish(channel, payload);
    }

    pub(super) fn subscriber(
        &self,
        on_event: impl Fn(BusEvent) + Send + Sync + 'static,
    ) -> RedisSubscriber {
        RedisSubscriber::spawn(self, Arc::new(on_event))
    }
}

/// Finds the servers of a topology, at once or with the help of a task.
fn open(
    topology: Topology,
    limits: RedisLimits,
    publishing: &Arc<Publishing>,
    ended: &CancellationToken,
    lifecycle: &Lifecycle,
) -> Arc<Routes> {
    let naming = match topology {
        Topology::Cluster(_) => Naming::Tagged,
        Topology::One(_) | Topology::Several(_) => Naming::Plain,
    };
    let routes = Arc::new(Routes::new(naming, limits, publishing, lifecycle));
    match topology {
        Topology::One(server) => {
            let address = address(&server);
            routes.place(Placement::one(&address), vec![(address, server)]);
        }
        Topology::Several(servers) => {
            let addresses: Vec<ServerAddress> = servers.iter().map(address).collect();
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
    routes
}

fn address(server: &Server) -> ServerAddress {
    server.to_string().into()
}
