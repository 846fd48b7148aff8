//! The record of a whole process, filled by all its clients at once. Each event's content is entered once per
//! variant; each device's own [`Log`] says what the device received.

use super::{
    Log, Record, ReportedEvent,
    fact::EventFact,
    record::DeviceRecord,
    timeline::{Claim, Timeline},
};
use parking_lot::{Mutex, RwLock};
use protocol::id::ChatId;
use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Instant,
};

/// The bounds of a ledger's memory. What is beyond them is not recorded, and the verdict then says
/// that it is incomplete, which is a failure.
#[derive(Clone, Copy, Debug)]
pub struct LedgerLimits {
    /// Events of all chats, each kept once in about 100 bytes.
    pub events: usize,
    /// What devices keep besides their places, each in at most 32 bytes: holes, odd variants, faults,
    /// and each message heard by a window that tells no numbers.
    pub notes: usize,
}

impl Default for LedgerLimits {
    /// 400 MB and 512 MB when they are reached: an hour of 1,000 messages a second; 26 minutes of
    /// them in rooms of ten whose members all are windows without numbers.
    fn default() -> Self {
        Self { events: 4_000_000, notes: 16_000_000 }
    }
}

/// Everything that the clients of one process recorded. Shared by all of them.
#[derive(Debug)]
pub struct Ledger {
    opened: Instant,
    limits: LedgerLimits,
    /// Read by each `ack` and each `watch`, written once a chat.
    entries: RwLock<HashMap<ChatId, Arc<ChatEntry>>>,
    events: AtomicUsize,
    notes: AtomicUsize,
    unrecorded: AtomicU64,
    numbers: AtomicU32,
    done: Mutex<Vec<DeviceRecord>>,
}

/// A chat. Devices that watch it hold it, so that they need no look-up.
#[derive(Debug)]
pub(super) struct ChatEntry {
    pub chat: ChatId,
    /// The newest place that is known.
    head: AtomicI64,
    timeline: Mutex<Timeline>,
}

impl Ledger {
    /// An empty ledger. Its clock starts now: everything recorded is timed from this moment.
    pub fn new(limits: LedgerLimits) -> Arc<Self> {
        Arc::new(Self {
            opened: Instant::now(),
            limits,
            entries: RwLock::default(),
            events: AtomicUsize::new(0),
            notes: AtomicUsize::new(0),
            unrecorded: AtomicU64::new(0),
            numbers: AtomicU32::new(0),
            done: Mutex::default(),
        })
    }

    /// The server acknowledged this to its sender, which knows its own key and text.
    pub fn acked(&self, told: &ReportedEvent<'_>) {
        let entry = self.entry(told.chat);
        self.enter(
            &entry,
            told,
            Claim { fact: EventFact::from(told), by: None, acked: Some(self.now()) },
        );
    }

    /// A device's log, for all its connections. `device` names it in evidence, such as `u17 #2`.
    pub fn log(self: &Arc<Self>, device: String) -> Log {
        Log::new(Arc::clone(self), self.numbers.fetch_add(1, Relaxed), device)
    }

    /// Takes everything recorded. To be called once, when all logs are dropped: a log that is dropped
    /// later is in no record.
    pub fn record(&self) -> Record {
        let entries = std::mem::take(&mut *self.entries.write());
        let take = |entry: &ChatEntry| std::mem::take(&mut *entry.timeline.lock());
        let timelines: BTreeMap<ChatId, Timeline> =
            entries.iter().map(|(chat, entry)| (*chat, take(entry))).collect();
        let mut devices = std::mem::take(&mut *self.done.lock());
        devices.sort_by_key(|device| device.number);
        Record::of_process(
            timelines,
            devices,
            self.numbers.load(Relaxed),
            self.unrecorded.load(Relaxed),
        )
    }

    /// The chat's line, made when it is new.
    pub(super) fn entry(&self, chat: ChatId) -> Arc<ChatEntry> {
        let known = self.entries.read().get(&chat).cloned();
        known.unwrap_or_else(|| {
            // Another client may have made it since the look above.
            let mut entries = self.entries.write();
            Arc::clone(entries.entry(chat).or_insert_with(|| {
                let (head, timeline) = (AtomicI64::new(0), Mutex::default());
                Arc::new(ChatEntry { chat, head, timeline })
            }))
        })
    }

    /// Enters what was told. Gives its variant (see [`Timeline::enter`]), `None` beyond the bounds.
    pub(super) fn enter(
        &self,
        entry: &ChatEntry,
        told: &ReportedEvent<'_>,
        claim: Claim,
    ) -> Option<u8> {
        let mut timeline = entry.timeline.lock();
        let is_new = !timeline.knows(told.seq.0);
        // Threads of different chats may pass this at the same time. They exceed the bound by an event
        // each at most, which is harmless.
        let full = is_new && self.events.load(Relaxed) >= self.limits.events;
        let variant = if full { None } else { timeline.enter(told.seq.0, claim) };
        // The counters below belong to the process; the chat is free for other devices.
        drop(timeline);
        match variant {
            Some(_) if is_new => {
                self.events.fetch_add(1, Relaxed);
                entry.head.fetch_max(told.seq.0, Relaxed);
            }
            Some(_) => {}
            None => self.miss(),
        }
        variant
    }

    /// Makes room for something that a device keeps. Whether there was any.
    pub(super) fn note(&self) -> bool {
        let has_room = self.notes.fetch_add(1, Relaxed) < self.limits.notes;
        if !has_room {
            self.miss();
        }
        has_room
    }

    /// Something could not be recorded.
    pub(super) fn miss(&self) {
        self.unrecorded.fetch_add(1, Relaxed);
    }

    /// Milliseconds since the ledger was opened; 49 days are beyond any run.
    pub(super) fn now(&self) -> u32 {
        u32::try_from(self.opened.elapsed().as_millis()).unwrap_or(u32::MAX)
    }

    pub(super) fn finish(&self, device: DeviceRecord) {
        self.done.lock().push(device);
    }
}

impl ChatEntry {
    pub(super) fn head(&self) -> i64 {
        self.head.load(Relaxed)
    }
}
