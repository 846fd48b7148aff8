//! The servers of one bus, with a publisher for each, and which of them has which partition at the moment.

use super::{
    super::metric::{self, DropReason},
    names::Naming,
    placement::{Placement, ServerAddress},
    publisher::{Publisher, Publishing},
};
use crate::{
    lifecycle::Lifecycle,
    redis::{RedisLimits, Server},
};
use bytes::Bytes;
use protocol::{partition::Partition, relay::Channel};
use std::{collections::HashMap, sync::Arc};
use tokio::sync::{Notify, watch};

/// Where the channels of a bus go. Replaced as a whole.
pub(super) struct PlacedServers {
    pub(super) placement: Placement,
    pub(super) servers: HashMap<ServerAddress, Arc<PlacedServer>>,
    /// The server of each partition once more, because a look-up by its address costs more than the rest of the way
    /// to its queue.
    by_partition: Vec<Option<Arc<PlacedServer>>>,
}

/// One server.
pub(super) struct PlacedServer {
    pub(super) server: Server,
    publisher: Publisher,
}

/// The way of every message to its server.
pub(super) struct Routes {
    pub(super) naming: Naming,
    pub(super) limits: RedisLimits,
    placed: watch::Sender<Arc<PlacedServers>>,
    doubts: Arc<Notify>,
    publishing: Arc<Publishing>,
    lifecycle: Lifecycle,
}

impl Routes {
    pub(super) fn new(
        naming: Naming,
        limits: RedisLimits,
        publishing: &Arc<Publishing>,
        lifecycle: &Lifecycle,
    ) -> Self {
        let nowhere = PlacedServers::new(Placement::nowhere(), HashMap::new());
        Self {
            naming,
            limits,
            placed: watch::Sender::new(Arc::new(nowhere)),
            doubts: Arc::default(),
            publishing: Arc::clone(publishing),
            lifecycle: lifecycle.clone(),
        }
    }

    /// Puts every partition where the placement says. `servers` are those of the placement.
    pub(super) fn place(&self, placement: Placement, servers: Vec<(ServerAddress, Server)>) {
        let before = self.now();
        if before.placement == placement {
            return;
        }
        metric::count_moved(placement.moved_since(&before.placement));
        let count = servers.len().max(1);
        let place = |(address, server): (ServerAddress, Server)| {
            let known = before.servers.get(&address).cloned();
            let placed = known.unwrap_or_else(|| {
                let publisher = Publisher::spawn(
                    server.clone(),
                    self.naming,
                    self.limits,
                    count,
                    Arc::clone(&self.doubts),
                    Arc::clone(&self.publishing),
                    &self.lifecycle,
                );
                Arc::new(PlacedServer { server, publisher })
            });
            (address, placed)
        };
        let servers = servers.into_iter().map(place).collect();
        self.publishing.found();
        self.placed.send_replace(Arc::new(PlacedServers::new(placement, servers)));
    }

    /// Where everything is now.
    pub(super) fn now(&self) -> Arc<PlacedServers> {
        Arc::clone(&self.placed.borrow())
    }

    /// Follows where everything is.
    pub(super) fn watch(&self) -> watch::Receiver<Arc<PlacedServers>> {
        self.placed.subscribe()
    }

    /// Queues the message for its server, or drops and counts it; says which.
    pub(super) fn publish(&self, channel: Channel, payload: Bytes) -> bool {
        let placed = self.placed.borrow();
        match placed.publisher(channel.partition()) {
            Some(publisher) => publisher.publish(channel, payload),
            None => {
                metric::count_dropped(DropReason::NoServer, 1);
                false
            }
        }
    }

    /// Whether a channel is the same server's here and there, by the same name.
    pub(super) fn meet(&self, other: &Self, channel: Channel) -> bool {
        let (here, there) = (self.placed.borrow(), other.placed.borrow());
        let partition = channel.partition();
        self.naming == other.naming
            && here.placement.server(partition) == there.placement.server(partition)
    }

    /// How often messages to a partition's server were lost: as long as it stays the same, nothing queued was.
    pub(super) fn losses(&self, partition: Partition) -> Option<u64> {
        self.placed.borrow().publisher(partition).map(Publisher::losses)
    }

    /// Says that the placement may be out of date.
    pub(super) fn doubt(&self) {
        self.doubts.notify_one();
    }

    /// Waits for [`Routes::doubt`]. For one task.
    pub(super) async fn doubted(&self) {
        self.doubts.notified().await;
    }
}

impl PlacedServers {
    fn new(placement: Placement, servers: HashMap<ServerAddress, Arc<PlacedServer>>) -> Self {
        let server = |partition| servers.get(placement.server(partition)?).cloned();
        let by_partition = Partition::all().map(server).collect();
        Self { placement, servers, by_partition }
    }

    fn publisher(&self, partition: Partition) -> Option<&Publisher> {
        let server = self.by_partition[usize::from(partition.number())].as_ref()?;
        Some(&server.publisher)
    }
}
