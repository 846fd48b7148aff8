//! One subscription: a link to each server that has partitions, made and ended as the partitions move.

use super::{
    super::Partitions,
    RedisBus, RedisParts,
    link::ServerLink,
    placed::Routes,
    placement::ServerAddress,
    wanted::{OnEvent, Wanted},
};
use crate::lifecycle::Lifecycle;
use protocol::{id::NodeId, partition::Partition, relay::Channel};
use std::{
    collections::HashMap,
    sync::{Arc, atomic::AtomicU64},
};
use tokio::{sync::oneshot, time::Instant};
use tokio_util::sync::{CancellationToken, DropGuard};

/// The handle of one subscription. Dropping it closes the connections.
pub(in super::super) struct RedisSubscriber {
    wanted: Arc<Wanted>,
    /// Probes are published on it, and a cluster's servers are asked for by it.
    _bus: RedisBus,
    _ended: DropGuard,
}

impl RedisSubscriber {
    pub(super) fn spawn(bus: &RedisBus, on_event: OnEvent) -> Self {
        let RedisParts { node, routes, lifecycle, .. } = &*bus.0;
        let node = *node;
        let wanted = Arc::new(Wanted::new(node, Arc::clone(&on_event)));
        let ended = CancellationToken::new();
        let links = Links {
            node,
            routes: Arc::clone(routes),
            on_event,
            wanted: Arc::clone(&wanted),
            probes: Arc::default(),
            lifecycle: lifecycle.clone(),
            running: HashMap::new(),
        };
        let running = ended.clone().run_until_cancelled_owned(links.run());
        lifecycle.spawn_background(async move {
            running.await;
        });
        Self { wanted, _bus: bus.clone(), _ended: ended.drop_guard() }
    }

    pub(in super::super) fn add(&self, channels: &[Channel]) -> Vec<oneshot::Receiver<()>> {
        self.wanted.add(channels)
    }

    pub(in super::super) fn remove(&self, channels: &[Channel]) {
        self.wanted.remove(channels);
    }

    pub(in super::super) fn doubt(&self, channels: &[Channel]) {
        self.wanted.doubt(channels, Instant::now());
    }

    pub(in super::super) fn hears(&self, partition: Partition) -> bool {
        self.wanted.hears(partition)
    }

    pub(in super::super) fn down(&self) -> Partitions {
        self.wanted.down()
    }
}

impl Drop for RedisSubscriber {
    fn drop(&mut self) {
        self.wanted.clear();
    }
}

struct Links {
    node: NodeId,
    routes: Arc<Routes>,
    on_event: OnEvent,
    wanted: Arc<Wanted>,
    probes: Arc<AtomicU64>,
    lifecycle: Lifecycle,
    /// Each ends when its guard is dropped.
    running: HashMap<ServerAddress, DropGuard>,
}

impl Links {
    async fn run(mut self) {
        let mut watch = self.routes.watch();
        loop {
            let placed = Arc::clone(&watch.borrow_and_update());
            self.wanted.place(&placed.placement);
            self.running.retain(|address, _| placed.servers.contains_key(address));
            for (address, server) in &placed.servers {
                if !self.running.contains_key(address) {
                    let link = ServerLink {
                        address: Arc::clone(address),
                        server: server.server.clone(),
                        node: self.node,
                        limits: self.routes.limits,
                        routes: Arc::clone(&self.routes),
                        on_event: Arc::clone(&self.on_event),
                        wanted: Arc::clone(&self.wanted),
                        probes: Arc::clone(&self.probes),
                    };
                    let ended = CancellationToken::new();
                    let running = ended.clone().run_until_cancelled_owned(link.run());
                    self.lifecycle.spawn_background(async move {
                        running.await;
                    });
                    self.running.insert(Arc::clone(address), ended.drop_guard());
                }
            }
            // The routes live as long as this does.
            let _ = watch.changed().await;
        }
    }
}
