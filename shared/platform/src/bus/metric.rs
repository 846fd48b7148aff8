//! The metrics of the bus: names, meanings, and the functions that count.

use crate::metric::{self, Metric, Values};
use metrics::{Counter, counter, gauge};

/// Why a message was dropped; the `reason` label.
#[derive(Clone, Copy, Debug)]
pub(super) enum DropReason {
    /// The publish queue was full.
    QueueFull,
    /// The publishing connection was down, or broke before the server answered.
    Disconnected,
    /// A local subscriber's queue was full.
    SlowSubscriber,
    /// A message came on a channel whose name is not one of ours.
    UnknownChannel,
    /// The server said that another one has the channel, or none.
    Moved,
    /// No server has the channel's partition.
    NoServer,
}

impl DropReason {
    const ALL: [Self; 6] = [
        Self::QueueFull,
        Self::Disconnected,
        Self::SlowSubscriber,
        Self::UnknownChannel,
        Self::Moved,
        Self::NoServer,
    ];

    fn label(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::Disconnected => "disconnected",
            Self::SlowSubscriber => "slow_subscriber",
            Self::UnknownChannel => "unknown_channel",
            Self::Moved => "moved",
            Self::NoServer => "no_server",
        }
    }
}

/// One of the bus's two connections to each Redis server; the `role` label.
#[derive(Clone, Copy, Debug)]
pub(super) enum LinkRole {
    Publish,
    Subscribe,
}

impl LinkRole {
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Subscribe => "subscribe",
        }
    }
}

/// The metrics of the bus. Those of connections and partitions are Redis's only.
pub const METRICS: &[Metric] = &[
    metric::gauge(
        "bus_up",
        ROLE,
        "1 while the bus's Redis connections for this role are up, to all servers",
    ),
    metric::gauge(
        "bus_partitions_up",
        &[],
        "Partitions of the bus that this process hears, of 1,024",
    ),
    metric::counter(
        "bus_moved_partitions_total",
        &[],
        "Times a partition of the bus moved to another Redis server",
    ),
    metric::counter(
        "bus_map_failures_total",
        &[],
        "Times no server of the Redis cluster said who owns which slot",
    ),
    metric::counter(
        "bus_deaf_channels_total",
        &[],
        "Channels subscribed to once more, because a poll found what the bus had not brought",
    ),
    metric::counter("bus_reconnects_total", ROLE, "Times the bus reconnected to Redis"),
    metric::counter(
        "bus_published_total",
        &[],
        "Messages accepted by Redis, or by the in-process bus",
    ),
    metric::counter(
        "bus_dropped_total",
        &[("reason", Values::From(|| DropReason::ALL.map(DropReason::label).to_vec()))],
        "Messages dropped, by reason. Repair recovers their events",
    ),
    metric::counter("bus_received_total", &[], "Messages received from the bus"),
    metric::counter(
        "bus_probe_failures_total",
        &[],
        "Checks of a subscription (PING, self-addressed probe) that got no answer. After each, the bus reconnects",
    ),
    metric::gauge("bus_subscriptions", &[], "Channels that this process subscribes to"),
];

const ROLE: &[metric::Name] = &[("role", Values::These(&["publish", "subscribe"]))];

pub(super) fn set_link_up(role: LinkRole, up: bool) {
    gauge!("bus_up", "role" => role.label()).set(if up { 1.0 } else { 0.0 });
}

pub(super) fn set_partitions_up(count: usize) {
    gauge!("bus_partitions_up").set(count as f64);
}

pub(super) fn count_moved(partitions: usize) {
    counter!("bus_moved_partitions_total").increment(partitions as u64);
}

pub(super) fn count_map_failure() {
    counter!("bus_map_failures_total").increment(1);
}

pub(super) fn count_deaf(channels: usize) {
    counter!("bus_deaf_channels_total").increment(channels as u64);
}

pub(super) fn count_reconnect(role: LinkRole) {
    counter!("bus_reconnects_total", "role" => role.label()).increment(1);
}

pub(super) fn count_published(count: usize) {
    counter!("bus_published_total").increment(count as u64);
}

pub(super) fn count_dropped(reason: DropReason, count: usize) {
    counter!("bus_dropped_total", "reason" => reason.label()).increment(count as u64);
}

pub(super) fn count_received(count: usize) {
    counter!("bus_received_total").increment(count as u64);
}

/// The counter of [`count_received`], for a path on which a look-up for each message would cost more than the
/// message.
pub(super) fn received_counter() -> Counter {
    counter!("bus_received_total")
}

pub(super) fn count_probe_failure() {
    counter!("bus_probe_failures_total").increment(1);
}

pub(super) fn add_subscriptions(count: usize) {
    gauge!("bus_subscriptions").increment(count as f64);
}

pub(super) fn remove_subscriptions(count: usize) {
    gauge!("bus_subscriptions").decrement(count as f64);
}
