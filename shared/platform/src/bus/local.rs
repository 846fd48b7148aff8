//! The bus within one process: a bounded queue and a task for each subscriber, so that a publisher never runs
//! a subscriber's code. It reaches no other process.

use super::{
    BusEvent, Partitions, metric,
    queue::{Limit, Queue},
};
use crate::lifecycle::Lifecycle;
use bytes::Bytes;
use parking_lot::RwLock;
use protocol::relay::Channel;
use std::{collections::HashSet, sync::Arc};

/// What one subscriber may be behind: 65,536 messages, a few seconds of all the traffic that one
/// process can commit, and 64 MiB, which is what that costs at a kilobyte each.
const LIMIT: Limit = Limit { entries: 65_536, bytes: 64 << 20 };

/// Messages handled before other tasks get their turn.
const BATCH: usize = 128;

/// The bus of a single process. Clones share it.
#[derive(Clone)]
pub struct LocalBus {
    subscriptions: Arc<RwLock<Vec<Arc<LocalSubscription>>>>,
    limit: Limit,
    /// Owns the pumps; they end with their subscribers, so nobody needs to stop it.
    pumps: Lifecycle,
}

struct LocalSubscription {
    wanted: RwLock<HashSet<Channel>>,
    queue: Queue,
}

/// One subscriber's place on the bus.
pub(super) struct LocalSubscriber {
    bus: LocalBus,
    subscription: Arc<LocalSubscription>,
}

impl LocalBus {
    pub(super) fn new() -> Self {
        Self { subscriptions: Arc::default(), limit: LIMIT, pumps: Lifecycle::new() }
    }

    pub(super) fn publish(&self, channel: Channel, payload: Bytes) {
        metric::count_published(1);
        let subscriptions = self.subscriptions.read();
        for subscription in subscriptions.iter() {
            let wants = subscription.wanted.read();
            if wants.contains(&channel)
                && subscription.queue.push((channel, payload.clone())).is_err()
            {
                metric::count_dropped(metric::DropReason::SlowSubscriber, 1);
            }
        }
    }

    pub(super) fn subscriber(
        &self,
        on_event: impl Fn(BusEvent) + Send + Sync + 'static,
    ) -> LocalSubscriber {
        let subscription = Arc::new(LocalSubscription {
            wanted: RwLock::default(),
            queue: Queue::new(self.limit),
        });
        self.pumps.spawn(pump(Arc::clone(&subscription), on_event));
        self.subscriptions.write().push(Arc::clone(&subscription));
        LocalSubscriber { bus: self.clone(), subscription }
    }
}

impl LocalSubscriber {
    pub(super) fn add(&self, channels: &[Channel]) {
        let mut wanted = self.subscription.wanted.write();
        let before = wanted.len();
        wanted.extend(channels);
        metric::add_subscriptions(wanted.len() - before);
    }

    pub(super) fn remove(&self, channels: &[Channel]) {
        let mut wanted = self.subscription.wanted.write();
        let before = wanted.len();
        for channel in channels {
            wanted.remove(channel);
        }
        metric::remove_subscriptions(before - wanted.len());
    }
}

impl Drop for LocalSubscriber {
    fn drop(&mut self) {
        self.bus.subscriptions.write().retain(|other| !Arc::ptr_eq(other, &self.subscription));
        let wanted = self.subscription.wanted.read();
        metric::remove_subscriptions(wanted.len());
        self.subscription.queue.clear();
        self.subscription.queue.close();
    }
}

/// Hands one subscriber what is queued for it, until it is dropped.
async fn pump(subscription: Arc<LocalSubscription>, on_event: impl Fn(BusEvent)) {
    on_event(BusEvent::Up(Partitions::all()));
    while let Some(batch) = subscription.queue.take(BATCH).await {
        if batch.overflowed {
            tracing::warn!(
                "a subscriber was too slow for the local bus, which dropped its messages"
            );
            // Before the batch: the lost messages would have come somewhere in it.
            on_event(BusEvent::Down(Partitions::all()));
            on_event(BusEvent::Up(Partitions::all()));
        }
        metric::count_received(batch.entries.len());
        for (channel, payload) in batch.entries {
            on_event(BusEvent::Message { channel, payload });
        }
        // A queue that never empties must not keep the other tasks from running.
        tokio::task::yield_now().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::id::ChatId;
    use std::sync::Mutex;

    #[tokio::test]
    async fn a_subscriber_that_is_too_slow_hears_down_and_up() {
        let mut bus = LocalBus::new();
        bus.limit.entries = 2;
        let heard: Arc<Mutex<Vec<BusEvent>>> = Arc::default();
        let seen = Arc::clone(&heard);
        let subscriber = bus.subscriber(move |event| seen.lock().unwrap().push(event));
        let channel = Channel::Chat(ChatId(1));
        subscriber.add(&[channel]);
        for byte in 0..3u8 {
            // The pump cannot run in between: this test has one thread and has not waited yet.
            bus.publish(channel, Bytes::copy_from_slice(&[byte]));
        }
        while heard.lock().unwrap().len() < 5 {
            tokio::task::yield_now().await;
        }
        let up = || BusEvent::Up(Partitions::all());
        let message = |byte| BusEvent::Message { channel, payload: Bytes::from_static(byte) };
        assert_eq!(
            *heard.lock().unwrap(),
            [up(), BusEvent::Down(Partitions::all()), up(), message(&[0]), message(&[1])]
        );
    }
}
