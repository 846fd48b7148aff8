//! The records of processes, as data that can be sent and merged. [`super::check`] judges them.

use super::{segment::Segment, timeline::Timeline};
use protocol::id::{ChatId, Seq};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};

/// What the clients of one process recorded, or of several.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Record {
    pub(super) timelines: BTreeMap<ChatId, Timeline>,
    pub(super) devices: Vec<DeviceRecord>,
    /// Devices have numbers below this one.
    numbers: u32,
    /// For each process: which variant was the first one there, where it is not the first one here.
    pub(super) processes: Vec<Odd>,
    pub(super) unrecorded: u64,
}

/// Variants by chat and place.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Odd(pub BTreeMap<ChatId, BTreeMap<i64, u8>>);

/// A device.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct DeviceRecord {
    pub number: u32,
    pub name: String,
    /// The place of its process in [`Record::processes`].
    pub process: usize,
    pub segments: Vec<WatchedSegment>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<(ChatId, UnnumberedView)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mishaps: Vec<Mishap>,
    pub resyncs: u64,
    /// It was connected once.
    pub connected: bool,
    /// It was not connected in the end.
    pub away: bool,
}

/// A watched segment of a chat.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct WatchedSegment {
    pub chat: ChatId,
    #[serde(flatten)]
    pub segment: Segment,
}

/// What a window showed whose dialect has no sequence numbers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct UnnumberedView {
    /// In milliseconds since the ledger was opened.
    pub since: u32,
    pub not_from: Option<i64>,
    /// The texts' digests in the order of arrival.
    pub heard: Vec<u64>,
    pub ended: bool,
}

/// Something that a device found wrong by itself.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Mishap {
    pub kind: MishapKind,
    pub chat: ChatId,
    pub seq: i64,
    /// The newest place that it had.
    pub after: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum MishapKind {
    Repeated,
    Reordered,
    /// An event of a chat that it does not watch.
    Foreign,
}

impl DeviceRecord {
    pub(super) fn new(number: u32, name: String) -> Self {
        Self { number, name, ..Self::default() }
    }
}

impl Record {
    /// What one process recorded.
    pub(super) fn of_process(
        timelines: BTreeMap<ChatId, Timeline>,
        devices: Vec<DeviceRecord>,
        numbers: u32,
        unrecorded: u64,
    ) -> Self {
        Self { timelines, devices, numbers, processes: vec![Odd::default()], unrecorded }
    }

    /// For each chat the place that nothing before is of interest: what is stored has to be read from
    /// there on.
    pub fn starts(&self) -> BTreeMap<ChatId, Seq> {
        let first = |timeline: &Timeline| timeline.places().next().map(|seq| seq - 1);
        let told =
            self.timelines.iter().filter_map(|(chat, timeline)| Some((*chat, first(timeline)?)));
        let watched = self.devices.iter().flat_map(|device| &device.segments);
        let watched = watched.map(|watched| (watched.chat, watched.segment.start));
        let mut starts: BTreeMap<ChatId, Seq> = BTreeMap::new();
        for (chat, start) in told.chain(watched) {
            let known = starts.entry(chat).or_insert(Seq(start));
            *known = Seq(start).min(*known);
        }
        starts
    }

    /// Adds what another process recorded. Where they differ on what an event said, both are kept, for
    /// [`Record::check`] to find.
    pub fn merge(&mut self, other: Self) {
        let (offset, process) = (self.numbers, self.processes.len());
        let mut moved: HashMap<(ChatId, i64), Vec<Option<u8>>> = HashMap::new();
        for (chat, mut theirs) in other.timelines {
            theirs.renumber(offset);
            let ours = self.timelines.entry(chat).or_default();
            for seq in theirs.places() {
                let variants: Vec<Option<u8>> =
                    theirs.claims(seq).map(|claim| ours.enter(seq, *claim)).collect();
                self.unrecorded += variants.iter().filter(|to| to.is_none()).count() as u64;
                if (0..).zip(&variants).any(|(from, to)| *to != Some(from)) {
                    moved.insert((chat, seq), variants);
                }
            }
        }
        let to = |chat: ChatId, seq: i64, from: u8| match moved.get(&(chat, seq)) {
            Some(variants) => variants.get(usize::from(from)).copied().flatten().unwrap_or(from),
            None => from,
        };
        for mut odd in other.processes {
            for (chat, places) in &mut odd.0 {
                places.iter_mut().for_each(|(seq, variant)| *variant = to(*chat, *seq, *variant));
            }
            for &(chat, seq) in moved.keys() {
                odd.0.entry(chat).or_default().entry(seq).or_insert_with(|| to(chat, seq, 0));
            }
            self.processes.push(odd);
        }
        for mut device in other.devices {
            device.number += offset;
            device.process += process;
            for WatchedSegment { chat, segment } in &mut device.segments {
                segment
                    .odd
                    .iter_mut()
                    .for_each(|(seq, variant)| *variant = to(*chat, *seq, *variant));
            }
            self.devices.push(device);
        }
        self.numbers += other.numbers;
        self.unrecorded += other.unrecorded;
    }
}
