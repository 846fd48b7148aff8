//! The events that one device received over all its connections: a position per chat, not a list of events.
//! It detects repeated and late events by itself; missing events are found at the end.

use super::{
    Ledger, ReportedEvent,
    fact::{EventFact, digest},
    ledger::ChatEntry,
    record::{DeviceRecord, Mishap, MishapKind, UnnumberedView, WatchedSegment},
    segment::{Segment, SeqArrival},
    timeline::Claim,
};
use protocol::id::{ChatId, Seq, UserId};
use std::sync::Arc;

/// One device's record. Owned by its task; gives itself back to the ledger when dropped.
#[derive(Debug)]
pub struct Log {
    ledger: Arc<Ledger>,
    /// What it watches, by chat: found by halving, in a few comparisons for the few chats of a device.
    watched: Vec<ChatWatch>,
    /// Those it watches through windows without numbers.
    windows: Vec<(Arc<ChatEntry>, UnnumberedView)>,
    record: DeviceRecord,
    away: bool,
}

/// A chat being watched.
#[derive(Debug)]
struct ChatWatch {
    entry: Arc<ChatEntry>,
    segment: Segment,
}

impl Log {
    pub(super) fn new(ledger: Arc<Ledger>, number: u32, device: String) -> Self {
        let record = DeviceRecord::new(number, device);
        Self { ledger, watched: Vec::new(), windows: Vec::new(), record, away: false }
    }

    /// It is connected. One that never is heard nothing, and is none of the verdict's devices.
    pub fn on_connected(&mut self) {
        self.away = false;
        self.record.connected = true;
    }

    /// The chat is live after this place: `ready`, `chat` or `subscribed` said so. Nothing happens
    /// when it is watched already, so that every `ready` can be told whole: one that resumes goes on.
    pub fn watch(&mut self, chat: ChatId, after: Seq) {
        self.on_connected();
        if let Err(at) = self.find(chat) {
            let entry = self.ledger.entry(chat);
            self.watched.insert(at, ChatWatch { entry, segment: Segment::new(after.0) });
        }
    }

    /// The same for a window that tells no numbers ([`Log::on_text_event`]): live from its first message
    /// on; only messages are shown, and none of `not_from`, where a window does not show its own
    /// user's. What is acknowledged 20 s after now or later is expected even when it hears nothing.
    pub fn watch_texts(&mut self, chat: ChatId, not_from: Option<UserId>) {
        self.on_connected();
        if !self.windows.iter().any(|(entry, _)| entry.chat == chat) {
            let window = UnnumberedView {
                since: self.ledger.now(),
                not_from: not_from.map(|user| user.0),
                heard: Vec::new(),
                ended: false,
            };
            self.windows.push((self.ledger.entry(chat), window));
        }
    }

    /// The device watches it no more: `chat_removed`, `unsubscribed`, or a connection ended that cannot
    /// be resumed. A later `watch` begins a new segment; nothing in between is expected.
    pub fn unwatch(&mut self, chat: ChatId) {
        if let Ok(at) = self.find(chat) {
            let watching = self.watched.remove(at);
            self.end(watching);
        }
        if let Some(at) = self.windows.iter().position(|(entry, _)| entry.chat == chat) {
            let (_, mut window) = self.windows.swap_remove(at);
            window.ended = true;
            self.record.windows.push((chat, window));
        }
    }

    /// The connection ended before the run did. Until `watch` or `catching_up`, nothing more is expected.
    /// Not to be told of connections that end because the run is over: who was there to the end is
    /// judged to the end.
    pub fn away(&mut self) {
        self.away = true;
    }

    /// A connection resumed: the chats watched are caught up, each until its `caught_up` or `resync`.
    pub fn catching_up(&mut self) {
        self.on_connected();
        self.watched.iter_mut().for_each(|watching| watching.segment.catching = true);
    }

    /// Everything of the chat up to here has been sent.
    pub fn caught_up(&mut self, chat: ChatId, seq: Seq) {
        let Ok(at) = self.find(chat) else { return };
        let segment = &mut self.watched[at].segment;
        if seq.0 <= segment.last || self.ledger.note() {
            segment.caught_up(seq.0);
        }
    }

    /// What came before this place cannot be sent: excused, and counted.
    pub fn resync(&mut self, chat: ChatId, seq: Seq) {
        self.record.resyncs += 1;
        let Ok(at) = self.find(chat) else { return };
        let next =
            ChatWatch { entry: Arc::clone(&self.watched[at].entry), segment: Segment::new(seq.0) };
        let before = std::mem::replace(&mut self.watched[at], next);
        self.end(before);
    }

    /// An event arrived. Its content is compared with what others heard. Whether the same bytes may be
    /// told by [`Log::on_event_again`] from now on: not where the same event came with another content
    /// before, as a message does that a catch-up shows in its latest state.
    pub fn on_event(&mut self, told: &ReportedEvent<'_>) -> bool {
        let Ok(at) = self.find(told.chat) else {
            self.mishap(MishapKind::Foreign, told.chat, told.seq.0, 0);
            return false;
        };
        let claim =
            Claim { fact: EventFact::from(told), by: Some(self.record.number), acked: None };
        let Some(variant) = self.ledger.enter(&self.watched[at].entry, told, claim) else {
            return false;
        };
        let is_new = self.step(at, told.chat, told.seq.0);
        if is_new && variant > 0 && self.ledger.note() {
            self.watched[at].segment.odd.push((told.seq.0, variant));
        }
        variant == 0
    }

    /// The same, when the frame's bytes equal those of an event for which [`Log::on_event`] gave true in
    /// this process: no lock and no allocation while events come in order.
    #[inline]
    pub fn on_event_again(&mut self, chat: ChatId, seq: Seq) {
        match self.find(chat) {
            Ok(at) => _ = self.step(at, chat, seq.0),
            Err(_) => self.mishap(MishapKind::Foreign, chat, seq.0, 0),
        }
    }

    /// A message arrived at a window that tells no numbers. It is identified by its text.
    pub fn on_text_event(&mut self, chat: ChatId, text: &str) {
        match self.windows.iter_mut().find(|(entry, _)| entry.chat == chat) {
            Some((_, window)) if self.ledger.note() => window.heard.push(digest(text)),
            Some(_) => {}
            None => self.mishap(MishapKind::Foreign, chat, 0, 0),
        }
    }

    /// Whether it has everything of its chats that this process knows to exist, or is away. Of windows
    /// without numbers nothing is known before the end.
    pub fn is_complete(&self) -> bool {
        let complete =
            |one: &ChatWatch| !one.segment.catching && one.segment.last >= one.entry.head();
        self.away || self.watched.iter().all(complete)
    }

    #[inline]
    fn find(&self, chat: ChatId) -> Result<usize, usize> {
        self.watched.binary_search_by_key(&chat, |watching| watching.entry.chat)
    }

    /// The event at this place arrived. Whether it had not before.
    #[inline]
    fn step(&mut self, at: usize, chat: ChatId, seq: i64) -> bool {
        match self.watched[at].segment.step(seq) {
            SeqArrival::Next => true,
            // The hole is kept even beyond the bounds, which then says that something is missing.
            SeqArrival::Skipping => {
                self.ledger.note();
                true
            }
            SeqArrival::Late { after } => {
                self.mishap(MishapKind::Reordered, chat, seq, after);
                true
            }
            SeqArrival::Repeated => {
                self.mishap(MishapKind::Repeated, chat, seq, self.watched[at].segment.last);
                false
            }
        }
    }

    fn mishap(&mut self, kind: MishapKind, chat: ChatId, seq: i64, after: i64) {
        if self.ledger.note() {
            self.record.mishaps.push(Mishap { kind, chat, seq, after });
        }
    }

    fn end(&mut self, watching: ChatWatch) {
        let segment = Segment { ended: true, ..watching.segment };
        self.record.segments.push(WatchedSegment { chat: watching.entry.chat, segment });
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let mut record = std::mem::take(&mut self.record);
        record.away = self.away;
        for ChatWatch { entry, mut segment } in std::mem::take(&mut self.watched) {
            segment.ended = self.away;
            record.segments.push(WatchedSegment { chat: entry.chat, segment });
        }
        for (entry, mut window) in std::mem::take(&mut self.windows) {
            window.ended = self.away;
            record.windows.push((entry.chat, window));
        }
        self.ledger.finish(record);
    }
}
