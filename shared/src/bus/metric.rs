//! The bus's metrics: every name once, with what it means.

use metrics::{Counter, counter, describe_counter, describe_gauge, gauge};

/// Why a message was dropped; the `reason` label.
#[derive(Clone, Copy, Debug)]
pub(super) enum Dropped {
    /// The publish queue was full.
    QueueFull,
    /// The publishing connection was down, or broke before the server answered.
    Disconnected,
    /// A local subscriber's queue was full.
    SlowSubscriber,
    /// A message came on a channel whose name is not one of ours.
    UnknownChannel,
}

impl Dropped {
    const ALL: [Self; 4] =
        [Self::QueueFull, Self::Disconnected, Self::SlowSubscriber, Self::UnknownChannel];

    fn label(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::Disconnected => "disconnected",
            Self::SlowSubscriber => "slow_subscriber",
            Self::UnknownChannel => "unknown_channel",
        }
    }
}

/// One of the bus's two connections to Redis; the `role` label.
#[derive(Clone, Copy, Debug)]
pub(super) enum Role {
    Publish,
    Subscribe,
}

impl Role {
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Subscribe => "subscribe",
        }
    }
}

/// Names and explains the bus's metrics and sets them to 0, so that a dashboard shows a line before
/// the first event. Once per process, after the recorder is installed and before a bus is made.
pub fn describe_metrics() {
    describe_gauge!("redis_up", "1 while the bus's connection to Redis for this role stands");
    describe_counter!("redis_reconnects_total", "Times the bus connected to Redis again");
    describe_counter!(
        "bus_published_total",
        "Messages that Redis, or the bus of the only process, took"
    );
    describe_counter!("bus_dropped_total", "Messages dropped, by reason; all are repairable");
    describe_counter!("bus_received_total", "Messages received from the bus");
    describe_counter!(
        "bus_probe_failures_total",
        "Proofs (PING, self-addressed probe) missed by a subscription, each followed by a new connection"
    );
    describe_gauge!("bus_subscriptions", "Channels that this process wants to hear");
    for role in [Role::Publish, Role::Subscribe] {
        up(role, false);
        counter!("redis_reconnects_total", "role" => role.label()).absolute(0);
    }
    for reason in Dropped::ALL {
        dropped(reason, 0);
    }
    published(0);
    received(0);
    counter!("bus_probe_failures_total").absolute(0);
    gauge!("bus_subscriptions").set(0.0);
}

pub(super) fn up(role: Role, up: bool) {
    gauge!("redis_up", "role" => role.label()).set(if up { 1.0 } else { 0.0 });
}

pub(super) fn reconnected(role: Role) {
    counter!("redis_reconnects_total", "role" => role.label()).increment(1);
}

pub(super) fn published(count: usize) {
    counter!("bus_published_total").increment(count as u64);
}

pub(super) fn dropped(reason: Dropped, count: usize) {
    counter!("bus_dropped_total", "reason" => reason.label()).increment(count as u64);
}

pub(super) fn received(count: usize) {
    counter!("bus_received_total").increment(count as u64);
}

/// For where a look-up each message would cost more than the message.
pub(super) fn received_counter() -> Counter {
    counter!("bus_received_total")
}

pub(super) fn probe_failed() {
    counter!("bus_probe_failures_total").increment(1);
}

pub(super) fn subscriptions_grew(count: usize) {
    gauge!("bus_subscriptions").increment(count as f64);
}

pub(super) fn subscriptions_shrank(count: usize) {
    gauge!("bus_subscriptions").decrement(count as f64);
}
