//! One server's link of a subscription: its connection, made again for ever, told everything that the server has of
//! what is wanted, and proven to deliver by probes that this node publishes to itself. It does not know what messages
//! mean.

use super::{
    super::{
        Partitions,
        metric::{self, LinkRole},
    },
    lost::Lost,
    placed::Routes,
    placement::ServerAddress,
    pushes::Pushes,
    tell::Teller,
    wanted::{Changes, OnEvent, Wanted},
};
use crate::redis::{RedisConnection, RedisLimits, Server};
use bytes::Bytes;
use protocol::{id::NodeId, relay::Channel};
use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};
use tokio::time::{self, Instant, MissedTickBehavior};

pub(super) struct ServerLink {
    pub(super) address: ServerAddress,
    pub(super) server: Server,
    pub(super) node: NodeId,
    pub(super) limits: RedisLimits,
    pub(super) routes: Arc<Routes>,
    pub(super) on_event: OnEvent,
    pub(super) wanted: Arc<Wanted>,
    /// The number of probes of all links, so that a late probe is not taken for a newer one.
    pub(super) probes: Arc<AtomicU64>,
}

impl ServerLink {
    pub(super) async fn run(self) {
        let mut backoff = self.limits.backoff();
        let mut connected_before = false;
        let mut complained = false;
        loop {
            let pushes = Arc::new(Pushes::default());
            let on_push = Arc::clone(&pushes).handler(self.node, Arc::clone(&self.on_event));
            // Redis sends answers and messages in one order, so the answer of a subscription that is far behind
            // comes late. Such a subscription is slow and not dead.
            let patience = self.limits.probe_patience;
            let lost = match self.server.connect(&self.limits, patience, on_push).await {
                Ok(connected) => {
                    if connected_before {
                        metric::count_reconnect(LinkRole::Subscribe);
                    }
                    connected_before = true;
                    self.serve(connected, &pushes).await
                }
                Err(error) => error.into(),
            };
            // Before `Down`: nothing of the old connection may be heard after it.
            pushes.mute();
            if self.wanted.lost(&self.address) {
                backoff.reset();
                complained = false;
            }
            // The server may no longer be part of a cluster.
            self.routes.doubt();
            if complained {
                tracing::debug!(server = %self.address, error = %lost, "still no subscription to Redis");
            } else {
                tracing::warn!(server = %self.address, error = %lost, "lost the subscription to Redis; connecting again");
                complained = true;
            }
            self.server.pause(&self.limits, backoff.pause(rand::random())).await;
        }
    }

    /// Uses the connection until it is lost.
    async fn serve(&self, connected: RedisConnection, pushes: &Pushes) -> Lost {
        let RedisConnection { connection, watch } = connected;
        let (naming, batch) = (self.routes.naming, self.limits.subscribe_batch.max(1));
        let teller = || Teller { connection: connection.clone(), naming, pushes, batch };
        tokio::select! {
            lost = self.follow(teller(), pushes) => lost,
            lost = self.prove(teller(), pushes) => lost,
            error = watch.run() => error.into(),
            () = pushes.wait_for_end() => Lost::Closed,
        }
    }

    /// Subscribes to all of the server's share, and then follows the changes.
    async fn follow(&self, mut teller: Teller<'_>, pushes: &Pushes) -> Lost {
        let first = self.wanted.begin(&self.address);
        // A server that hangs is noticed by its first answer. The later ones may be behind messages.
        let probe = self.tell_first(&mut teller, &first.subscribe);
        match time::timeout(self.limits.response_timeout, probe).await {
            Ok(Ok(_)) => {}
            Ok(Err(lost)) => return lost,
            Err(_) => return Lost::Deaf,
        }
        let channels = first.subscribe.len();
        let mut result = self.tell(&mut teller, first).await;
        tracing::info!(server = %self.address, channels, "subscribed to Redis");
        let mut backoff = self.limits.backoff();
        let mut retry_at = None;
        loop {
            match result {
                Ok(refused) if !refused.is_empty() => {
                    self.routes.doubt();
                    retry_at.get_or_insert_with(|| Instant::now() + backoff.pause(rand::random()));
                }
                Ok(_) => {}
                Err(lost) => return lost,
            }
            result = tokio::select! {
                changes = self.wanted.changes(&self.address) => match changes {
                    Ok(changes) => self.tell(&mut teller, changes).await,
                    Err(suspect) => return suspect.into(),
                },
                fallen = pushes.wait_for_fallen() => {
                    self.wanted.fell(&self.address, &fallen);
                    Ok(fallen)
                }
                () = due(retry_at) => {
                    retry_at = None;
                    self.wanted.retry(&self.address);
                    Ok(Partitions::default())
                }
            };
        }
    }

    async fn tell_first(
        &self,
        teller: &mut Teller<'_>,
        channels: &[Channel],
    ) -> Result<Partitions, Lost> {
        teller.tell(&channels[..channels.len().min(1)], &[]).await
    }

    async fn tell(&self, teller: &mut Teller<'_>, changes: Changes) -> Result<Partitions, Lost> {
        let refused = teller.tell(&changes.subscribe, &changes.unsubscribe).await?;
        self.wanted.told(&self.address, &changes.rising, &refused);
        for waiting in changes.waiting {
            // The caller may have stopped waiting.
            let _ = waiting.send(());
        }
        Ok(refused)
    }

    /// Proves again and again that the connection answers and delivers, until it does not.
    async fn prove(&self, mut teller: Teller<'_>, pushes: &Pushes) -> Lost {
        let limits = self.limits;
        let mut next = time::interval(limits.probe_every);
        next.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            next.tick().await;
            let probe = self.send_probe();
            let answered = AtomicBool::new(false);
            let mut proof = pin!(async {
                teller.ping().await?;
                answered.store(true, Ordering::Relaxed);
                if let Some(probe) = &probe {
                    pushes.wait_for_probe(probe.number).await;
                }
                Ok::<(), Lost>(())
            });
            let latest = Instant::now() + limits.probe_patience;
            let mut count = pushes.count();
            loop {
                match time::timeout(limits.probe_timeout, &mut proof).await {
                    Ok(Ok(())) => break,
                    Ok(Err(lost)) => return lost,
                    Err(_) => {}
                }
                // The probe may be lost on its way, so its absence says nothing about this connection.
                if answered.load(Ordering::Relaxed) && !self.should_have_come(probe.as_ref()) {
                    break;
                }
                // While other messages arrive, the proof may be behind them. A new connection would only add
                // to the load.
                let before = std::mem::replace(&mut count, pushes.count());
                if before == count || Instant::now() >= latest {
                    metric::count_probe_failure();
                    return Lost::Deaf;
                }
            }
        }
    }

    /// Publishes a probe to this very subscription the way everything is published. `None` when it is not heard, or
    /// when the publisher cannot take the probe, which says nothing about the subscription.
    fn send_probe(&self) -> Option<Probe> {
        let channel = self.wanted.probe(&self.address)?;
        let losses = self.routes.losses(channel.partition());
        let number = self.probes.fetch_add(1, Ordering::Relaxed) + 1;
        let payload = Bytes::copy_from_slice(&number.to_be_bytes());
        self.routes.publish(channel, payload).then_some(Probe { channel, number, losses })
    }

    /// Whether nothing says that the probe was lost, or that its channel belongs to another link by now.
    fn should_have_come(&self, probe: Option<&Probe>) -> bool {
        probe.is_some_and(|probe| {
            self.wanted.probe(&self.address) == Some(probe.channel)
                && self.routes.losses(probe.channel.partition()) == probe.losses
        })
    }
}

/// A probe on its way.
struct Probe {
    channel: Channel,
    number: u64,
    /// What its publisher had lost before.
    losses: Option<u64>,
}

/// Never, if there is no such time.
async fn due(at: Option<Instant>) {
    match at {
        Some(at) => time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
