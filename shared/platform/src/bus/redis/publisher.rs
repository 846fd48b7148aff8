//! Publishing to one server: a bounded queue and one task that sends whatever it holds as one pipeline,
//! so that batches grow with the load and a channel's order is kept. While the connection is down
//! messages are dropped, not kept: what they say is in the database by then.

use super::{
    super::{
        metric::{self, DropReason, LinkRole},
        queue::{Limit, Queue},
    },
    names::Naming,
    tell::is_elsewhere,
};
use crate::{
    backoff::Backoff,
    lifecycle::Lifecycle,
    redis::{RedisConnection, RedisLimits, Server},
};
use bytes::Bytes;
use protocol::relay::Channel;
use redis::{
    PushInfo, PushKind, RedisError, Value,
    aio::{ConnectionLike as _, MultiplexedConnection},
};
use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
};
use tokio::{sync::Notify, time};

/// The publishing end of the bus at one server. Dropping it lets the task end once the queue is empty.
pub(super) struct Publisher(Arc<Shared>);

struct Shared {
    server: Server,
    naming: Naming,
    limits: RedisLimits,
    queue: Queue,
    /// Up, or connecting for the first time: then the queue waits for the outcome.
    accepting: AtomicBool,
    losses: AtomicU64,
    /// Told when the server may no longer be the right one.
    doubts: Arc<Notify>,
    publishing: Arc<Publishing>,
}

/// How many of a bus's publishing connections are down.
pub(super) struct Publishing {
    down: AtomicUsize,
    is_placed: AtomicBool,
}

impl Default for Publishing {
    fn default() -> Self {
        metric::set_link_up(LinkRole::Publish, false);
        Self { down: AtomicUsize::new(0), is_placed: AtomicBool::new(false) }
    }
}

impl Publishing {
    /// The bus knows its servers.
    pub(super) fn found(&self) {
        self.is_placed.store(true, Ordering::Relaxed);
        self.show();
    }

    fn goes_down(&self) {
        self.down.fetch_add(1, Ordering::Relaxed);
        self.show();
    }

    fn comes_up(&self) {
        self.down.fetch_sub(1, Ordering::Relaxed);
        self.show();
    }

    fn show(&self) {
        let is_up =
            self.is_placed.load(Ordering::Relaxed) && self.down.load(Ordering::Relaxed) == 0;
        metric::set_link_up(LinkRole::Publish, is_up);
    }
}

impl Publisher {
    /// The queue is one of so many that share the bounds.
    pub(super) fn spawn(
        server: Server,
        naming: Naming,
        limits: RedisLimits,
        queues: usize,
        doubts: Arc<Notify>,
        publishing: Arc<Publishing>,
        lifecycle: &Lifecycle,
    ) -> Self {
        let entries = (limits.publish_entries / queues).max(1);
        let limit = Limit { entries, bytes: (limits.publish_bytes / queues).max(1) };
        publishing.goes_down();
        let shared = Arc::new(Shared {
            server,
            naming,
            limits,
            queue: Queue::new(limit),
            accepting: AtomicBool::new(true),
            losses: AtomicU64::new(0),
            doubts,
            publishing,
        });
        lifecycle.spawn_background(run(Arc::clone(&shared)));
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

    /// How often messages were lost on their way to the server, or the connection was not made: as long as it stays
    /// the same, nothing queued was dropped.
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
async fn run(shared: Arc<Shared>) {
    let Shared { server, limits, queue, publishing, .. } = &*shared;
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
        let error = match server.connect(limits, limits.response_timeout, on_push).await {
            Ok(RedisConnection { connection, watch }) => {
                if connected_before {
                    metric::count_reconnect(LinkRole::Publish);
                    tracing::info!(%server, "publishing to Redis again");
                }
                connected_before = true;
                publishing.comes_up();
                if !shared.accepting.load(Ordering::Relaxed) {
                    // Callers that looked just before the loss may have queued messages. They are old by now.
                    metric::count_dropped(DropReason::Disconnected, queue.clear());
                    shared.accepting.store(true, Ordering::Relaxed);
                }
                let result = tokio::select! {
                    result = publish(&shared, connection, &gone, &mut backoff) => result,
                    error = watch.run() => Err(error),
                };
                match result {
                    Ok(()) => return,
                    Err(error) => {
                        publishing.goes_down();
                        error
                    }
                }
            }
            Err(error) => error,
        };
        shared.losses.fetch_add(1, Ordering::Relaxed);
        shared.doubts.notify_one();
        if shared.accepting.swap(false, Ordering::Relaxed) {
            tracing::warn!(%server, %error, "cannot publish to Redis; other nodes learn of events by polling");
        } else {
            tracing::debug!(%server, %error, "still cannot publish to Redis");
        }
        metric::count_dropped(DropReason::Disconnected, queue.clear());
        if queue.is_closed() {
            return publishing.comes_up();
        }
        server.pause(limits, backoff.pause(rand::random())).await;
    }
}

/// Sends what is queued, in order, one pipeline at a time. `Ok` when the queue is closed.
async fn publish(
    shared: &Shared,
    mut connection: MultiplexedConnection,
    gone: &Notify,
    backoff: &mut Backoff,
) -> Result<(), RedisError> {
    let limits = &shared.limits;
    loop {
        tokio::select! {
            batch = shared.queue.take(limits.publish_batch) => {
                let Some(batch) = batch else { return Ok(()) };
                let count = batch.entries.len();
                if count == 0 {
                    continue;
                }
                let mut pipeline = redis::Pipeline::with_capacity(count);
                for (channel, payload) in &batch.entries {
                    let name = shared.naming.name(*channel);
                    pipeline.cmd(shared.naming.publish()).arg(name).arg(&payload[..]);
                }
                match connection.req_packed_commands(&pipeline, 0, count).await.and_then(moved) {
                    Ok(0) => metric::count_published(count),
                    Ok(moved) => {
                        metric::count_published(count - moved);
                        metric::count_dropped(DropReason::Moved, moved);
                        shared.losses.fetch_add(1, Ordering::Relaxed);
                        shared.doubts.notify_one();
                    }
                    Err(error) => {
                        metric::count_dropped(DropReason::Disconnected, count);
                        return Err(error);
                    }
                }
            }
            () = gone.notified() => return Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset).into()),
            // Only when idle, because the answers to traffic prove the same.
            () = time::sleep(limits.probe_every) => {
                redis::cmd("PING").exec_async(&mut connection).await?;
            }
        }
        backoff.reset();
    }
}

/// How many of the answers say that the server does not have the channel. Any other refusal is an error.
fn moved(answers: Vec<Value>) -> Result<usize, RedisError> {
    let mut moved = 0;
    for answer in answers {
        match answer {
            Value::ServerError(error) if is_elsewhere(&error) => moved += 1,
            Value::ServerError(error) => return Err(error.into()),
            _ => {}
        }
    }
    Ok(moved)
}
