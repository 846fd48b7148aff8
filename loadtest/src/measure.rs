//! The counts and latencies of a run: the units that clients record, that agents send to their coordinator,
//! and that can be summed without loss. Types only; `crate::recorder` records at speed.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hdrhistogram::{
    Histogram,
    serialization::{Deserializer as V2Reader, Serializer as _, V2Serializer},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};
use std::{borrow::Cow, collections::BTreeMap};
use strum::VariantArray;

/// Kinds of errors and of closes that are told apart in one slice. Servers have about 20 of each;
/// whatever invents more shall not fill the memory.
const MAX_KINDS: usize = 50;

/// What is timed, always from the moment it was meant to begin.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    strum::IntoStaticStr,
    strum::VariantArray,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
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
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    strum::IntoStaticStr,
    strum::VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Count {
    /// Messages, edits and deletes that went out; a repeat under the same id is not counted again.
    Sent,
    /// Commands that the server acknowledged.
    Acked,
    /// Numbered events that arrived at a device.
    Delivered,
    /// Typing, presence and read marks that arrived.
    Ephemeral,
    /// Bytes of WebSocket frames that clients received, headers included.
    BytesIn,
    /// The same in the other direction, from clients to servers.
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

impl Op {
    /// Every operation, in the order in which reports list them.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// As reports and thresholds write it; the same as serialized.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

impl Count {
    /// Every count, in the order in which reports list them.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// As reports and thresholds write it; the same as serialized.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// A stretch of the run, of one second in short runs and of some in long ones.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Slice {
    /// Connections that are ready, at its end.
    pub connections: u64,
    /// What happened in it. A count that is missing is zero.
    pub counts: BTreeMap<Count, u64>,
    /// The operations that ended in it.
    pub latencies: BTreeMap<Op, Latency>,
    /// Errors by what the server or the network said, such as `rate_limited` or `connect: refused`. At
    /// most 50 kinds; the rest is `other`.
    pub errors: BTreeMap<String, u64>,
    /// Closes by code and reason, such as `1013 slow_consumer`. At most 50 kinds; the rest is `other`.
    pub closes: BTreeMap<String, u64>,
}

impl Slice {
    /// Adds what another agent measured in the same stretch, without loss: all its connections are
    /// further ones.
    pub fn add_parallel(&mut self, other: &Self) {
        self.connections += other.connections;
        self.sum(other);
    }

    /// Adds the stretch that follows: the connections are those at its end.
    pub fn then(&mut self, later: &Self) {
        self.connections = later.connections;
        self.sum(later);
    }

    fn sum(&mut self, other: &Self) {
        for (count, n) in &other.counts {
            *self.counts.entry(*count).or_default() += n;
        }
        for (op, latency) in &other.latencies {
            self.latencies.entry(*op).or_default().add(latency);
        }
        for (kinds, others) in
            [(&mut self.errors, &other.errors), (&mut self.closes, &other.closes)]
        {
            others.iter().for_each(|(kind, n)| add_kind(kinds, kind, *n));
        }
    }
}

/// Counts an error or a close under its kind, or under `other` when there are too many kinds.
pub fn add_kind(kinds: &mut BTreeMap<String, u64>, kind: &str, n: u64) {
    if let Some(known) = kinds.get_mut(kind) {
        *known += n;
    } else {
        let kind = if kinds.len() < MAX_KINDS - 1 { kind } else { "other" };
        *kinds.entry(kind.to_owned()).or_default() += n;
    }
}

/// Microseconds from 1 to one hour, to 2 significant digits: 1 % is finer than any run repeats, and a
/// histogram stays below 10 KiB. Serialised it is the histogram's own V2 format in base64, which loses
/// nothing and leaves out what is empty.
#[derive(Clone, Debug, PartialEq)]
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

impl Serialize for Latency {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut bytes = Vec::new();
        V2Serializer::new().serialize(&self.0, &mut bytes).map_err(ser::Error::custom)?;
        to.serialize_str(&STANDARD.encode(bytes))
    }
}

impl<'de> Deserialize<'de> for Latency {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(from)?;
        let bytes = STANDARD.decode(text.as_bytes()).map_err(de::Error::custom)?;
        let read = V2Reader::new().deserialize(&mut bytes.as_slice());
        let read: Histogram<u64> = read.map_err(de::Error::custom)?;
        // Adding is without loss, and cannot fail, only for the same range.
        let range = |one: &Histogram<u64>| (one.low(), one.high(), one.sigfig());
        if range(&read) != range(&Self::default().0) {
            return Err(de::Error::custom("a histogram of another range"));
        }
        Ok(Self(read))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histograms_recorded_apart_and_sent_add_up_to_one_recorded_together() {
        let (mut together, mut apart) =
            (Latency::default(), [Latency::default(), Latency::default()]);
        for n in 0..10_000_u64 {
            let micros = n * n % 7_000_000;
            together.record(micros);
            apart[usize::from(n % 3 == 0)].record(micros);
        }
        let mut sum = Latency::default();
        for part in &apart {
            let sent = serde_json::to_string(part).unwrap();
            assert!(sent.len() < 16 << 10, "{} bytes", sent.len());
            sum.add(&serde_json::from_str(&sent).unwrap());
        }
        assert_eq!(sum, together);
        assert_eq!(sum.0.len(), 10_000);
    }

    #[test]
    fn a_histogram_of_another_range_is_refused() {
        let mut bytes = Vec::new();
        let other = Histogram::<u64>::new_with_bounds(1, 1_000, 3).unwrap();
        V2Serializer::new().serialize(&other, &mut bytes).unwrap();
        let text = serde_json::to_string(&STANDARD.encode(bytes)).unwrap();
        let refused = serde_json::from_str::<Latency>(&text).unwrap_err();
        assert!(refused.to_string().contains("another range"), "{refused}");
    }

    #[test]
    fn names_are_as_serialised() {
        for op in Op::ALL.iter().copied() {
            assert_eq!(serde_json::to_value(op).unwrap(), op.name());
        }
        for count in Count::ALL.iter().copied() {
            assert_eq!(serde_json::to_value(count).unwrap(), count.name());
        }
    }
}
