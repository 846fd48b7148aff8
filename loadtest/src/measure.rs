//! What is counted and timed in a run: the units that clients record, that agents send to their
//! coordinator and that add up without loss. Types only; recording at speed is [`crate::recorder`]'s.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What is timed, always from the moment it was meant to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Op {
    /// From the start of the TCP connection to `ready`, of a connection that knows nothing.
    Connect,
    /// The same of one that comes back, to the last `caught_up`.
    Resume,
    /// From the intended send to the `ack`.
    Ack,
    /// From the intended send to the arrival at one device.
    Delivery,
    /// A page of history over REST.
    History,
    /// How late the generator itself began what it was to do.
    Lag,
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Count {
    /// Messages, edits and deletes that went out; a repeat under the same id is not counted again.
    Sent,
    Acked,
    /// Numbered events that arrived at a device.
    Delivered,
    /// Typing, presence and read marks that arrived.
    Ephemeral,
    /// Bytes of WebSocket frames, headers included.
    BytesIn,
    BytesOut,
    /// Connections that became ready, resumed ones included.
    Connected,
    /// Connections that ended without being meant to.
    Dropped,
    /// What was due and was not even begun, because there was nobody to do it.
    Skipped,
    /// Pages of history read.
    Pages,
}

/// A stretch of the run, of one second in short runs and of some in long ones.
#[derive(Clone, Debug, Default)]
pub struct Slice {
    /// Connections that are ready, at its end.
    pub connections: u64,
    pub counts: BTreeMap<Count, u64>,
    pub latencies: BTreeMap<Op, Latency>,
    /// Errors by what the server or the network said, such as `rate_limited` or `connect: refused`. At
    /// most 50 kinds; the rest is `other`.
    pub errors: BTreeMap<String, u64>,
    /// Closes by code and reason, such as `1013 slow_consumer`. At most 50 kinds; the rest is `other`.
    pub closes: BTreeMap<String, u64>,
}

/// Microseconds from 1 to one hour, to 2 significant digits: 1 % is finer than any run repeats, and a
/// histogram stays below 10 KiB.
#[derive(Clone, Debug)]
pub struct Latency(pub Histogram<u64>);

impl Default for Latency {
    fn default() -> Self {
        Self(Histogram::new_with_bounds(1, Self::MAX_MICROS, 2).unwrap_or_else(|_| unreachable!()))
    }
}

impl Latency {
    const MAX_MICROS: u64 = 3_600_000_000;

    /// Records one; what is longer than the range counts as its end.
    pub fn record(&mut self, micros: u64) {
        self.0.saturating_record(micros.clamp(1, Self::MAX_MICROS));
    }

    /// Adds another one's records without loss.
    pub fn add(&mut self, other: &Self) {
        // Both have the same range, which is the only way that adding fails.
        let _ = self.0.add(&other.0);
    }
}
