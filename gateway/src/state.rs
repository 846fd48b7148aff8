//! A running gateway: its dependencies, its start, and the parts that connections share. `connection/` uses them.

use crate::{
    backend::{Backend, hub_lanes::HubLanes, keys::Keys, lanes::ApiLanes},
    config::Config,
    hub::{self, Hub, conn::ConnIds, strangers::Strangers},
    repair,
    settings::ClientArgs,
    wire::credit::Credit,
};
use platform::{
    bus::Bus,
    lifecycle::Lifecycle,
    limit::Limiter,
    presence::{GatewayReport, NodeKind, Presence, Reporting},
    settings::Origin,
    telemetry::Ready,
};
use protocol::{id::NodeId, relay::Channel};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// A running gateway.
pub struct Gateway {
    pub(crate) hub: Arc<Hub>,
    pub(crate) lanes: Arc<ApiLanes>,
    pub(crate) keys: Arc<Keys>,
    pub(crate) ids: ConnIds,
    pub(crate) limiter: Limiter,
    pub(crate) credit: Arc<Credit>,
    pub(crate) strangers: Arc<Strangers>,
    pub(crate) allowed_origins: Vec<Origin>,
    pub(crate) lifecycle: Lifecycle,
    started: Instant,
    max_connections: usize,
}

/// The dependencies of a gateway.
pub struct Deps {
    /// Names this node to the others; no two running nodes may share one.
    pub node: NodeId,
    /// The api.
    pub backend: Arc<dyn Backend>,
    /// The bus on which the apis and the other gateways publish.
    pub bus: Bus,
    /// The register of the users on all nodes.
    pub presence: Presence,
    /// The limits by address, which all gateways share.
    pub limiter: Limiter,
    /// Owns the gateway's tasks and stops them.
    pub lifecycle: Lifecycle,
}

impl Gateway {
    /// Starts the gateway's tasks. [`crate::upgrade::router`] lets clients in. At the soft stop the gateway closes
    /// all connections, spread over the drain time, and ends.
    pub fn start(deps: Deps, config: Config, args: &ClientArgs) -> Arc<Self> {
        metrics::gauge!("gateway_connections_limit").set(args.max_connections as f64);
        for name in ["gateway_connections", "gateway_rooms", "gateway_draining"] {
            metrics::gauge!(name).set(0.0);
        }
        let Deps { node, backend, bus, presence, limiter, lifecycle } = deps;
        let hub_lanes = HubLanes::start(&backend, config.lanes.query, &lifecycle);
        let hub = Arc::new(Hub::new(
            node,
            config.clone(),
            bus.clone(),
            presence.clone(),
            hub_lanes,
            lifecycle.clone(),
        ));
        // Weak, because the hub owns the subscriber and so this closure.
        let listening = Arc::downgrade(&hub);
        let subscriber = bus.subscriber(move |event| {
            if let Some(hub) = listening.upgrade() {
                hub.on_bus(event);
            }
        });
        // Not awaited: the first poll finds what was published before the subscription stood.
        drop(subscriber.add(&[Channel::Control, Channel::Orders]));
        let _ = hub.subscriber.set(subscriber);
        let credit = Credit::new(config.strangers_bytes, config.strangers_bytes_of_network);
        let delivering = Arc::clone(&hub);
        let on_events = move |run: &_| delivering.on_answered(run);
        let lanes = Arc::new(ApiLanes::start(&backend, &config, &lifecycle, on_events));
        let keys = Arc::new(Keys::new(Arc::clone(&backend)));
        lifecycle.spawn_background(Arc::clone(&keys).keep());
        repair::start(&hub, &backend);
        lifecycle.spawn_background(hub::sweep::run(Arc::clone(&hub)));
        let pacing = Arc::clone(&hub);
        lifecycle.spawn_background(async move { pacing.pace.keep().await });
        let gateway = Arc::new(Self {
            hub,
            lanes,
            keys,
            ids: ConnIds::default(),
            limiter,
            credit,
            strangers: Strangers::new(
                args.max_strangers_per_network,
                args.trusted_proxies.iter().flatten().copied().collect(),
            ),
            allowed_origins: args.allowed_origins.iter().flatten().cloned().collect(),
            lifecycle,
            started: Instant::now(),
            max_connections: args.max_connections,
        });
        gateway.keep_reporting(presence.clone());
        gateway.keep_presence_until_drained(presence, Duration::from_secs(args.drain_seconds));
        gateway
    }

    /// Describes this node every few seconds.
    fn keep_reporting(self: &Arc<Self>, presence: Presence) {
        let gateway = Arc::clone(self);
        let measure = move || {
            Some(GatewayReport {
                connections: gateway.hub.users.connections() as u64,
                max_connections: gateway.max_connections as u64,
                chats: gateway.hub.chats() as u64,
            })
        };
        let reporting = Reporting { node: self.hub.node, kind: NodeKind::Gateway };
        let keeping = reporting.keep(presence, self.lifecycle.clone(), measure);
        self.lifecycle.spawn_background(keeping);
    }

    /// Keeps the presence lease until the soft stop, then drains the node and gives the lease back.
    fn keep_presence_until_drained(self: &Arc<Self>, presence: Presence, drain_time: Duration) {
        let drained = CancellationToken::new();
        let keeping = hub::presence::run(Arc::clone(&self.hub), presence, drained.clone());
        // The process waits for this task, as for the drain below, because it gives the lease back.
        self.lifecycle.spawn(keeping);
        let gateway = Arc::clone(self);
        self.lifecycle.spawn(async move {
            gateway.lifecycle.soft_stop().cancelled().await;
            metrics::gauge!("gateway_draining").set(1.0);
            hub::drain::drain(&gateway.hub, drain_time).await;
            // Only now: this node's users are here until the drain has told them to leave.
            drained.cancel();
        });
    }

    /// Tells the load balancer whether new sockets are welcome.
    pub fn ready(self: &Arc<Self>) -> Ready {
        let gateway = Arc::clone(self);
        Arc::new(move || {
            let gateway = Arc::clone(&gateway);
            Box::pin(async move {
                if gateway.lifecycle.is_stopping() {
                    return Err("stopping".to_owned());
                }
                if !gateway.keys.any() {
                    return Err("the api's public keys are not here yet".to_owned());
                }
                // The last twentieth is left for clients that a balancer sends nevertheless.
                if gateway.hub.users.connections() * 20 > gateway.max_connections * 19 {
                    return Err("full".to_owned());
                }
                // Redis is not asked: without it clients are still served.
                Ok(())
            })
        })
    }

    /// The time since the start: the clock of sessions and rate limits.
    pub(crate) fn uptime(&self) -> Duration {
        self.started.elapsed()
    }
}
