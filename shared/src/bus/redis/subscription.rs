//! The subscription's connection: made again for ever, told everything wanted each time, and proven
//! to deliver by probes that this node publishes to itself. It does not know what messages mean.

use super::{
    super::{
        BusEvent,
        metric::{self, Dropped, Role},
    },
    backoff::Backoff,
    config::RedisConfig,
    publisher::Publisher,
    wanted::Wanted,
};
use crate::{id::NodeId, lifecycle::Lifecycle, relay::Channel};
use bytes::Bytes;
use redis::{PushInfo, PushKind, RedisError, Value, aio::MultiplexedConnection};
use std::{
    str,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};
use tokio::{
    sync::{Notify, oneshot},
    time::{self, Instant, MissedTickBehavior},
};
use tokio_util::sync::CancellationToken;

type OnEvent = Arc<dyn Fn(BusEvent) + Send + Sync>;

/// The handle of one subscription. Dropping it closes the connection.
pub(in super::super) struct RedisSubscriber {
    wanted: Arc<Wanted>,
    up: Arc<AtomicBool>,
    ended: CancellationToken,
}

impl RedisSubscriber {
    pub(super) fn spawn(
        config: RedisConfig,
        node: NodeId,
        publisher: Arc<Publisher>,
        on_event: OnEvent,
        lifecycle: &Lifecycle,
    ) -> Self {
        let subscriber =
            Self { wanted: Arc::default(), up: Arc::default(), ended: CancellationToken::new() };
        let supervisor = Supervisor {
            config,
            probe: Channel::Probe(node),
            publisher,
            on_event,
            wanted: Arc::clone(&subscriber.wanted),
            up: Arc::clone(&subscriber.up),
            next_probe: 1,
        };
        let ended = subscriber.ended.clone();
        lifecycle.spawn_background(async move {
            ended.run_until_cancelled_owned(supervisor.run()).await;
            metric::up(Role::Subscribe, false);
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
    #[error("a probe did not come back: the subscription is deaf")]
    Deaf,
}

/// What the reading task of one connection tells the supervisor.
#[derive(Default)]
struct Link {
    gone: Notify,
    /// The number of the last probe that came back.
    probe: AtomicU64,
    probed: Notify,
    /// Given up: a reading task that is still being dropped must say nothing after `Down`.
    muted: AtomicBool,
}

struct Supervisor {
    config: RedisConfig,
    probe: Channel,
    publisher: Arc<Publisher>,
    on_event: OnEvent,
    wanted: Arc<Wanted>,
    up: Arc<AtomicBool>,
    next_probe: u64,
}

impl Supervisor {
    async fn run(mut self) {
        let mut backoff = Backoff::new(&self.config.limits);
        let mut connected_before = false;
        let mut complained = false;
        loop {
            let link = Arc::new(Link::default());
            let on_push = self.on_push(&link);
            let lost = match self.config.connect(on_push).await {
                Ok(connection) => {
                    if connected_before {
                        metric::reconnected(Role::Subscribe);
                    }
                    connected_before = true;
                    self.serve(connection, &link, &mut backoff).await
                }
                Err(error) => error.into(),
            };
            link.muted.store(true, Ordering::Relaxed);
            self.wanted.lost();
            if self.up.swap(false, Ordering::Relaxed) {
                complained = false;
                metric::up(Role::Subscribe, false);
                (self.on_event)(BusEvent::Down);
            }
            if complained {
                tracing::debug!(error = %lost, "Still no subscription to Redis");
            } else {
                tracing::warn!(error = %lost, "No subscription to Redis; connecting again");
                complained = true;
            }
            time::sleep(backoff.pause(rand::random())).await;
        }
    }

    /// Subscribes to everything wanted and then keeps the connection true to it, until it is lost.
    async fn serve(
        &mut self,
        mut connection: MultiplexedConnection,
        link: &Link,
        backoff: &mut Backoff,
    ) -> Lost {
        match self.subscribe_all(&mut connection).await {
            Ok(count) => tracing::info!(count, "Subscribed to Redis"),
            Err(error) => return error.into(),
        }
        backoff.reset();
        self.up.store(true, Ordering::Relaxed);
        metric::up(Role::Subscribe, true);
        (self.on_event)(BusEvent::Up);

        let limits = self.config.limits;
        let mut prove = time::interval(limits.probe_every);
        prove.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut probe: Option<Probe> = None;
        loop {
            let deadline = probe.as_ref().map_or_else(Instant::now, |probe| probe.deadline);
            let result = tokio::select! {
                changes = self.wanted.changes() => {
                    let result =
                        self.apply(&mut connection, &changes.subscribe, &changes.unsubscribe).await;
                    if result.is_ok() {
                        for waiting in changes.waiting {
                            let _ = waiting.send(());
                        }
                    }
                    result
                }
                () = link.gone.notified() => return Lost::Closed,
                () = link.probed.notified() => {
                    let heard = link.probe.load(Ordering::Relaxed);
                    probe = probe.filter(|probe| heard < probe.number);
                    Ok(())
                }
                () = time::sleep_until(deadline), if probe.is_some() => {
                    let heard = link.probe.load(Ordering::Relaxed);
                    // A probe that the publisher may have lost proves nothing.
                    let losses = self.publisher.losses();
                    if probe.take().is_some_and(|sent| heard < sent.number && sent.losses == losses) {
                        metric::probe_failed();
                        return Lost::Deaf;
                    }
                    Ok(())
                }
                _ = prove.tick() => {
                    let alive = redis::cmd("PING").exec_async(&mut connection).await;
                    if probe.is_none() {
                        probe = self.send_probe();
                    }
                    alive
                }
            };
            if let Err(error) = result {
                return error.into();
            }
        }
    }

    async fn subscribe_all(
        &self,
        connection: &mut MultiplexedConnection,
    ) -> Result<usize, RedisError> {
        let mut channels = self.wanted.begin();
        channels.push(self.probe);
        self.apply(connection, &channels, &[]).await?;
        Ok(channels.len() - 1)
    }

    async fn apply(
        &self,
        connection: &mut MultiplexedConnection,
        subscribe: &[Channel],
        unsubscribe: &[Channel],
    ) -> Result<(), RedisError> {
        let batch = self.config.limits.subscribe_batch.max(1);
        for channels in unsubscribe.chunks(batch) {
            // The probe's channel is the supervisor's own, whatever the caller wants.
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

    /// Publishes a probe to this very subscription the way everything is published; `None` when the
    /// publisher cannot take it, which says nothing about the subscription.
    fn send_probe(&mut self) -> Option<Probe> {
        let number = self.next_probe;
        self.next_probe += 1;
        let losses = self.publisher.losses();
        let payload = Bytes::copy_from_slice(&number.to_be_bytes());
        let deadline = Instant::now() + self.config.limits.probe_timeout;
        let queued = self.publisher.publish(self.probe, payload);
        queued.then_some(Probe { number, losses, deadline })
    }

    /// What the connection's reading task does with a push message.
    fn on_push(&self, link: &Arc<Link>) -> impl Fn(PushInfo) -> Result<(), ()> + use<> {
        let link = Arc::clone(link);
        let on_event = Arc::clone(&self.on_event);
        let probe = self.probe;
        let received = metric::received_counter();
        move |push| {
            match push.kind {
                PushKind::Message if !link.muted.load(Ordering::Relaxed) => {
                    match message(push.data) {
                        Some((channel, payload)) if channel == probe => {
                            if let Ok(number) = payload.as_ref().try_into() {
                                link.probe.store(u64::from_be_bytes(number), Ordering::Relaxed);
                                link.probed.notify_one();
                            }
                        }
                        Some((channel, payload)) => {
                            received.increment(1);
                            on_event(BusEvent::Message { channel, payload });
                        }
                        None => metric::dropped(Dropped::UnknownChannel, 1),
                    }
                }
                PushKind::Disconnection => link.gone.notify_one(),
                _ => {}
            }
            Ok(())
        }
    }
}

/// A probe on its way.
struct Probe {
    number: u64,
    /// [`Publisher::losses`] when it was sent.
    losses: u64,
    deadline: Instant,
}

/// The two parts of a `message` push; `None` when the channel is not one of ours.
fn message(data: Vec<Value>) -> Option<(Channel, Bytes)> {
    let [Value::BulkString(name), Value::BulkString(payload)] =
        <[Value; 2]>::try_from(data).ok()?
    else {
        return None;
    };
    let channel = str::from_utf8(&name).ok()?.parse().ok()?;
    Some((channel, Bytes::from(payload)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::ChatId;

    fn push(name: &[u8], payload: &[u8]) -> Vec<Value> {
        vec![Value::BulkString(name.to_vec()), Value::BulkString(payload.to_vec())]
    }

    #[test]
    fn only_whole_messages_on_channels_of_ours_count() {
        let expected = (Channel::Chat(ChatId(7)), Bytes::from_static(b"payload"));
        assert_eq!(message(push(b"chat:7", b"payload")), Some(expected));
        for name in [&b""[..], b"chat:", b"chat:7 ", b"elsewhere", b"chat:\xff"] {
            assert_eq!(message(push(name, b"payload")), None, "{name:?}");
        }
        for part in
            [vec![], vec![Value::Nil], vec![Value::BulkString(b"chat:7".to_vec()), Value::Nil]]
        {
            assert_eq!(message(part), None);
        }
    }
}
