//! Counting and timing at speed: each thread that records has a shard of its own, and once a second
//! somebody drains all of them into one [`Slice`]. It does not know what the figures mean.

use crate::measure::{Count, Latency, Op, Slice};
use parking_lot::{Mutex, MutexGuard};
use std::{collections::BTreeMap, sync::Arc};

/// Kinds of errors, and of closes, that are told apart; what comes beyond is counted as `other`.
const MAX_KINDS: usize = 50;

const COUNTS: [Count; 10] = [
    Count::Sent,
    Count::Acked,
    Count::Delivered,
    Count::Ephemeral,
    Count::BytesIn,
    Count::BytesOut,
    Count::Connected,
    Count::Dropped,
    Count::Skipped,
    Count::Pages,
];

const OPS: [Op; 6] = [Op::Connect, Op::Resume, Op::Ack, Op::Delivery, Op::History, Op::Lag];

/// What is recorded, by everybody. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recorder {
    shards: Arc<Mutex<Vec<Shard>>>,
}

/// One thread's part. Its lock is taken once for a whole batch of events and is contended only while
/// a drain takes what is in it, which is some microseconds a second.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shard {
    counters: Arc<Mutex<Counters>>,
}

/// The figures since the last drain.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    counts: [u64; COUNTS.len()],
    latencies: [Latency; OPS.len()],
    errors: BTreeMap<String, u64>,
    closes: BTreeMap<String, u64>,
    /// Connections that are ready: not taken out by a drain. One may end on another thread's shard
    /// than it began on, so only the sum of all means something.
    connections: i64,
}

impl Recorder {
    /// A further shard. Shards are never given back: take one for each thread, not for each device.
    pub(crate) fn shard(&self) -> Shard {
        let shard = Shard::default();
        self.shards.lock().push(shard.clone());
        shard
    }

    /// Everything recorded since the last drain, by all shards. Nothing is counted in two slices and
    /// nothing in none.
    pub(crate) fn drain(&self) -> Slice {
        let mut slice = Slice::default();
        let mut connections = 0;
        // The list first, then each shard. Nobody takes them the other way round.
        for shard in self.shards.lock().iter() {
            let mut counters = shard.lock();
            connections += counters.connections;
            counters.drain_into(&mut slice);
        }
        slice.connections = u64::try_from(connections).unwrap_or(0);
        slice
    }
}

impl Shard {
    /// For a batch of records; do not keep it over an await.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Counters> {
        self.counters.lock()
    }
}

impl Counters {
    pub(crate) fn count(&mut self, count: Count, by: u64) {
        self.counts[count as usize] += by;
    }

    pub(crate) fn time(&mut self, op: Op, micros: u64) {
        self.latencies[op as usize].record(micros);
    }

    /// An error by what the server or the network said.
    pub(crate) fn error(&mut self, kind: &str) {
        add(&mut self.errors, kind, 1);
    }

    /// A close that the server made, as `1013 slow_consumer`.
    pub(crate) fn close(&mut self, kind: &str) {
        add(&mut self.closes, kind, 1);
    }

    /// A connection became ready.
    pub(crate) fn connected(&mut self) {
        self.count(Count::Connected, 1);
        self.connections += 1;
    }

    /// A connection that was ready ended.
    pub(crate) fn disconnected(&mut self) {
        self.connections -= 1;
    }

    fn drain_into(&mut self, slice: &mut Slice) {
        for count in COUNTS {
            let number = std::mem::take(&mut self.counts[count as usize]);
            if number > 0 {
                *slice.counts.entry(count).or_default() += number;
            }
        }
        for op in OPS {
            let latency = &mut self.latencies[op as usize];
            if !latency.0.is_empty() {
                slice.latencies.entry(op).or_default().add(latency);
                latency.0.reset();
            }
        }
        for (kind, number) in std::mem::take(&mut self.errors) {
            add(&mut slice.errors, &kind, number);
        }
        for (kind, number) in std::mem::take(&mut self.closes) {
            add(&mut slice.closes, &kind, number);
        }
    }
}

fn add(kinds: &mut BTreeMap<String, u64>, kind: &str, number: u64) {
    if let Some(count) = kinds.get_mut(kind) {
        *count += number;
    } else {
        let kind = if kinds.len() < MAX_KINDS { kind } else { "other" };
        *kinds.entry(kind.to_owned()).or_default() += number;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_in_the_order_of_the_enums() {
        for (place, count) in COUNTS.into_iter().enumerate() {
            assert_eq!(count as usize, place);
        }
        for (place, op) in OPS.into_iter().enumerate() {
            assert_eq!(op as usize, place);
        }
    }

    #[test]
    fn many_threads_and_drains_add_up_to_recording_at_once() {
        const EACH: u64 = 5_000;
        let (recorder, at_once) = (Recorder::default(), Recorder::default());
        let mut sum = Latency::default();
        let mut counted = 0;
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let shard = recorder.shard();
                scope.spawn(move || {
                    for number in 0..EACH {
                        let mut counters = shard.lock();
                        counters.count(Count::Delivered, 1);
                        counters.time(Op::Delivery, number * 7919 % 100_000 + thread);
                    }
                });
            }
            for _ in 0..50 {
                let slice = recorder.drain();
                counted += slice.counts.get(&Count::Delivered).copied().unwrap_or(0);
                slice.latencies.get(&Op::Delivery).inspect(|latency| sum.add(latency));
            }
        });
        let rest = recorder.drain();
        counted += rest.counts.get(&Count::Delivered).copied().unwrap_or(0);
        rest.latencies.get(&Op::Delivery).inspect(|latency| sum.add(latency));
        let single = at_once.shard();
        for thread in 0..4 {
            for number in 0..EACH {
                single.lock().time(Op::Delivery, number * 7919 % 100_000 + thread);
            }
        }
        assert_eq!(counted, 4 * EACH);
        assert_eq!(sum.0, at_once.drain().latencies[&Op::Delivery].0);
        assert!(recorder.drain().counts.is_empty());
    }

    #[test]
    fn kinds_are_bounded_and_connections_stay() {
        let recorder = Recorder::default();
        let (one, other) = (recorder.shard(), recorder.shard());
        one.lock().connected();
        one.lock().connected();
        other.lock().disconnected();
        for kind in 0..200 {
            one.lock().error(&format!("e{kind}"));
            one.lock().close("1013 slow_consumer");
        }
        let slice = recorder.drain();
        assert_eq!((slice.connections, recorder.drain().connections), (1, 1));
        assert_eq!(slice.errors.len(), MAX_KINDS + 1);
        assert_eq!(slice.errors["other"], 150);
        assert_eq!(slice.closes["1013 slow_consumer"], 200);
    }
}
