//! The subscription's connection: made again for ever, told everything wanted each time, and proven
//! to deliver by probes that this node publishes to itself. It does not know what messages mean.

use super::{
    super::{
        BusEvent,
        metric::{self, LinkRole},
    },
    link::{Link, OnEvent},
    publisher::Publisher,
    wanted::Wanted,
};
use crate::{
    lifecycle::Lifecycle,
    redis::{Connected, RedisLimits, Server},
};
use bytes::Bytes;
use protocol::{id::NodeId, relay::Channel};
use redis::{RedisError, aio::MultiplexedConnection};
use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};
use tokio::{
    sync::oneshot,
    time::{self, Instant, MissedTickBehavior},
};
use tokio_util::sync::CancellationToken;

/// The handle of one subscription. Dropping it closes the connection.
pub(in super::super) struct RedisSubscriber {
    wanted: Arc<Wanted>,
    up: Arc<AtomicBool>,
    ended: CancellationToken,
}

impl RedisSubscriber {
    pub(super) fn spawn(
        server: Server,
        limits: RedisLimits,
        node: NodeId,
        publisher: Arc<Publisher>,
        on_event: OnEvent,
        lifecycle: &Lifecycle,
    ) -> Self {
        let subscriber =
            Self { wanted: Arc::default(), up: Arc::default(), ended: CancellationToken::new() };
        let supervisor = Supervisor {
            server,
            limits,
            probe: Channel::Probe(node),
            publisher,
            on_event,
            wanted: Arc::clone(&subscriber.wanted),
            up: Arc::clone(&subscriber.up),
            probes: AtomicU64::new(0),
        };
        let ended = subscriber.ended.clone();
        lifecycle.spawn_background(async move {
            ended.run_until_cancelled_owned(supervisor.run()).await;
            metric::set_link_up(LinkRole::Subscribe, false);
        });
        subscriber
    }

    pub(in super::super) fn add(&self, channels: &[Channel]) -> Option<oneshot::Receiver<()>> {
        self.wanted.add(channels)
    }

    pub(in super::super) fn remove(&self, channels: &[Channel]) {
        self.wanted.remove(channels);
    }

    pub(in super::super) fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }
}

impl Drop for RedisSubscriber {
    fn drop(&mut self) {
        self.ended.cancel();
        self.wanted.clear();
    }
}

/// Why a connection is given up.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error(transparent)]
    Redis(#[from] RedisError),
    #[error("the server closed the connection")]
    Closed,
    #[error("a PING or a probe got no answer: the subscription no longer delivers")]
    Deaf,
}

struct Supervisor {
    server: Server,
    limits: RedisLimits,
    probe: Channel,
    publisher: Arc<Publisher>,
    on_event: OnEvent,
    wanted: Arc<Wanted>,
    up: Arc<AtomicBool>,
    /// The number of probes over all connections, so that a late probe is not taken for a newer one.
    probes: AtomicU64,
}

impl Supervisor {
    async fn run(self) {
        let mut backoff = self.limits.backoff();
        let mut connected_before = false;
        let mut complained = false;
        loop {
            let link = Arc::new(Link::default());
            let on_push = Arc::clone(&link).on_push(self.probe, Arc::clone(&self.on_event));
            // Redis sends answers and messages in one order, so the answer of a subscription that is far behind
            // comes late. Such a subscription is slow and not dead.
            let patience = self.limits.probe_patience;
            let lost = match self.server.connect(&self.limits, patience, on_push).await {
                Ok(connected) => {
                    if connected_before {
                        metric::count_reconnect(LinkRole::Subscribe);
                    }
                    connected_before = true;
                    self.serve(connected, &link).await
                }
                Err(error) => error.into(),
            };
            // Before `Down`: nothing of the old connection may be heard after it.
            link.mute();
            self.wanted.lost();
            if self.up.swap(false, Ordering::Relaxed) {
                backoff.reset();
                complained = false;
                metric::set_link_up(LinkRole::Subscribe, false);
                (self.on_event)(BusEvent::Down);
            }
            if complained {
                tracing::debug!(error = %lost, "still no subscription to Redis");
            } else {
                tracing::warn!(error = %lost, "lost the subscription to Redis; connecting again");
                complained = true;
            }
            time::sleep(backoff.pause(rand::random())).await;
        }
    }

    /// Uses the connection until it is lost.
    async fn serve(&self, connected: Connected, link: &Link) -> Lost {
        let Connected { connection, watch } = connected;
        let mut first = connection.clone();
        let probe = [self.probe];
        let subscribed = self.tell(&mut first, &probe, &[]);
        match time::timeout(self.limits.response_timeout, subscribed).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return error.into(),
            Err(_) => return Lost::Deaf,
        }
        tokio::select! {
            error = self.follow(connection.clone()) => error.into(),
            lost = self.prove(connection, link) => lost,
            error = watch.run() => error.into(),
            () = link.wait_for_end() => Lost::Closed,
        }
    }

    /// Subscribes to all wanted channels, and then follows the changes.
    async fn follow(&self, mut connection: MultiplexedConnection) -> RedisError {
        let channels = self.wanted.begin();
        if let Err(error) = self.tell(&mut connection, &channels, &[]).await {
            return error;
        }
        tracing::info!(channels = channels.len(), "subscribed to Redis");
        // The list can be long, and this function runs as long as the connection.
        drop(channels);
        self.up.store(true, Ordering::Relaxed);
        metric::set_link_up(LinkRole::Subscribe, true);
        (self.on_event)(BusEvent::Up);
        loop {
            let changes = self.wanted.changes().await;
            let told = self.tell(&mut connection, &changes.subscribe, &changes.unsubscribe).await;
            if let Err(error) = told {
                return error;
            }
            for waiting in changes.waiting {
                // The caller may have stopped waiting.
                let _ = waiting.send(());
            }
        }
    }

    async fn tell(
        &self,
        connection: &mut MultiplexedConnection,
        subscribe: &[Channel],
        unsubscribe: &[Channel],
    ) -> Result<(), RedisError> {
        let batch = self.limits.subscribe_batch.max(1);
        for channels in unsubscribe.chunks(batch) {
            // The supervisor needs the probe's channel even if the caller does not want it.
            let names = channels.iter().filter(|channel| **channel != self.probe);
            let names: Vec<String> = names.map(ToString::to_string).collect();
            if !names.is_empty() {
                connection.unsubscribe(&names[..]).await?;
            }
        }
        for channels in subscribe.chunks(batch) {
            let names: Vec<String> = channels.iter().map(ToString::to_string).collect();
            connection.subscribe(&names[..]).await?;
        }
        Ok(())
    }

    /// Proves again and again that the connection answers and delivers, until it does not.
    async fn prove(&self, mut connection: MultiplexedConnection, link: &Link) -> Lost {
        let limits = self.limits;
        let mut next = time::interval(limits.probe_every);
        next.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            next.tick().await;
            let losses = self.publisher.losses();
            let probe = self.send_probe();
            let answered = AtomicBool::new(false);
            let mut proof = pin!(async {
                redis::cmd("PING").exec_async(&mut connection).await?;
                answered.store(true, Ordering::Relaxed);
                if let Some(number) = probe {
                    link.wait_for_probe(number).await;
                }
                Ok::<(), RedisError>(())
            });
            let latest = Instant::now() + limits.probe_patience;
            let mut pushes = link.pushes();
            loop {
                match time::timeout(limits.probe_timeout, &mut proof).await {
                    Ok(Ok(())) => break,
                    Ok(Err(error)) => return error.into(),
                    Err(_) => {}
                }
                // The publisher may have lost the probe, so its absence says nothing about this connection.
                if answered.load(Ordering::Relaxed) && losses != self.publisher.losses() {
                    break;
                }
                // While other messages arrive, the proof may be behind them. A new connection would only add
                // to the load.
                let before = std::mem::replace(&mut pushes, link.pushes());
                if before == pushes || Instant::now() >= latest {
                    metric::count_probe_failure();
                    return Lost::Deaf;
                }
            }
        }
    }

    /// Publishes a probe to this very subscription the way everything is published, and returns its
    /// number; `None` when the publisher cannot take it, which says nothing about the subscription.
    fn send_probe(&self) -> Option<u64> {
        let number = self.probes.fetch_add(1, Ordering::Relaxed) + 1;
        let payload = Bytes::copy_from_slice(&number.to_be_bytes());
        self.publisher.publish(self.probe, payload).then_some(number)
    }
}
