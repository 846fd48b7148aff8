//! Publishing to Redis: a bounded queue and one task that sends whatever it holds as one pipeline,
//! so that batches grow with the load and a channel's order is kept. While the connection is down
//! messages are dropped, not kept: what they say is in the database by then.

use super::super::{
    metric::{self, DropReason, LinkRole},
    queue::{Limit, Queue},
};
use crate::{
    backoff::Backoff,
    lifecycle::Lifecycle,
    redis::{Connected, RedisLimits, Server},
};
use bytes::Bytes;
use protocol::relay::Channel;
use redis::{PushInfo, PushKind, RedisError, aio::MultiplexedConnection};
use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};
use tokio::{sync::Notify, time};

/// The publishing end of the bus. Dropping it lets the task end once the queue is empty.
pub(super) struct Publisher(Arc<Shared>);

struct Shared {
    queue: Queue,
    /// Up, or connecting for the first time: then the queue waits for the outcome.
    accepting: AtomicBool,
    losses: AtomicU64,
}

impl Publisher {
    pub(super) fn spawn(server: Server, limits: RedisLimits, lifecycle: &Lifecycle) -> Self {
        let limit = Limit { entries: limits.publish_entries, bytes: limits.publish_bytes };
        let shared = Arc::new(Shared {
            queue: Queue::new(limit),
            accepting: AtomicBool::new(true),
            losses: AtomicU64::new(0),
        });
        lifecycle.spawn_background(run(Arc::clone(&shared), server, limits));
        Self(shared)
    }

    /// Queues the message, or drops and counts it; says which.
    pub(super) fn publish(&self, channel: Channel, payload: Bytes) -> bool {
        let reason = if !self.0.accepting.load(Ordering::Relaxed) {
            DropReason::Disconnected
        } else if self.0.queue.push((channel, payload)).is_err() {
            DropReason::QueueFull
        } else {
            return true;
        };
        metric::count_dropped(reason, 1);
        false
    }

    /// How often the connection was lost or not made: as long as it stays the same, nothing queued
    /// was dropped.
    pub(super) fn losses(&self) -> u64 {
        self.0.losses.load(Ordering::Relaxed)
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.0.queue.close();
    }
}

/// Connects, publishes until that fails, and again, until the queue is closed.
async fn run(shared: Arc<Shared>, server: Server, limits: RedisLimits) {
    let mut backoff = limits.backoff();
    let mut connected_before = false;
    loop {
        let gone = Arc::new(Notify::new());
        let on_push = {
            let gone = Arc::clone(&gone);
            move |push: PushInfo| {
                if push.kind == PushKind::Disconnection {
                    gone.notify_one();
                }
                Ok::<(), ()>(())
            }
        };
        let error = match server.connect(&limits, limits.response_timeout, on_push).await {
            Ok(Connected { connection, watch }) => {
                if connected_before {
                    metric::count_reconnect(LinkRole::Publish);
                    tracing::info!("publishing to Redis again");
                }
                connected_before = true;
                metric::set_link_up(LinkRole::Publish, true);
                if !shared.accepting.load(Ordering::Relaxed) {
                    // Callers that looked just before the loss may have queued messages. They are old by now.
                    metric::count_dropped(DropReason::Disconnected, shared.queue.clear());
                    shared.accepting.store(true, Ordering::Relaxed);
                }
                tokio::select! {
                    published = publish(&shared, connection, &gone, &limits, &mut backoff) => {
                        match published {
                            Ok(()) => return metric::set_link_up(LinkRole::Publish, false),
                            Err(error) => error,
                        }
                    }
                    error = watch.run() => error,
                }
            }
            Err(error) => error,
        };
        metric::set_link_up(LinkRole::Publish, false);
        shared.losses.fetch_add(1, Ordering::Relaxed);
        if shared.accepting.swap(false, Ordering::Relaxed) {
            tracing::warn!(%error, "cannot publish to Redis; other nodes learn of events by polling");
        } else {
            tracing::debug!(%error, "still cannot publish to Redis");
        }
        metric::count_dropped(DropReason::Disconnected, shared.queue.clear());
        if shared.queue.is_closed() {
            return;
        }
        time::sleep(backoff.pause(rand::random())).await;
    }
}

/// Sends what is queued, in order, one pipeline at a time. `Ok` when the queue is closed.
async fn publish(
    shared: &Shared,
    mut connection: MultiplexedConnection,
    gone: &Notify,
    limits: &RedisLimits,
    backoff: &mut Backoff,
) -> Result<(), RedisError> {
    loop {
        tokio::select! {
            batch = shared.queue.take(limits.publish_batch) => {
                let Some(batch) = batch else { return Ok(()) };
                if batch.entries.is_empty() {
                    continue;
                }
                let mut pipeline = redis::Pipeline::with_capacity(batch.entries.len());
                for (channel, payload) in &batch.entries {
                    pipeline.cmd("PUBLISH").arg(channel.to_string()).arg(&payload[..]).ignore();
                }
                if let Err(error) = pipeline.exec_async(&mut connection).await {
                    metric::count_dropped(DropReason::Disconnected, batch.entries.len());
                    return Err(error);
                }
                metric::count_published(batch.entries.len());
            }
            () = gone.notified() => return Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset).into()),
            // A connection that has lasted so long is a good one, without traffic, too.
            () = time::sleep(limits.probe_every) => {}
        }
        backoff.reset();
    }
}
