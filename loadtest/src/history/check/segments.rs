//! Checks that a device received everything it watched, once and in order.

use super::{
    course::{Course, EventRole},
    findings::{FaultKind, Findings, describe_ack},
};
use crate::history::{
    fact::EventFact,
    record::{DeviceRecord, Mishap, MishapKind, Record, WatchedSegment},
    segment::{Hole, Segment},
};
use protocol::id::ChatId;

/// The result of one segment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sum {
    pub delivered: u64,
    pub expected: u64,
    pub skipped: u64,
}

/// Why a place that did not arrive may be missing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum HoleCause {
    Lost,
    /// Something newer of the same message arrived, or was due.
    Superseded,
}

/// What the device found wrong by itself.
pub(super) fn tell_mishap(device: &DeviceRecord, mishap: &Mishap, findings: &mut Findings<'_>) {
    let Mishap { kind, chat, seq, after } = *mishap;
    let who = findings.device(device.number);
    match kind {
        MishapKind::Repeated => findings.add(FaultKind::Repeated, || {
            format!("{who} got event {seq} of chat {chat} again, having everything up to {after}")
        }),
        MishapKind::Reordered => findings.add(FaultKind::Reordered, || {
            format!("{who} got event {seq} of chat {chat} after event {after}")
        }),
        MishapKind::Foreign => findings.add(FaultKind::Altered, || {
            format!("{who} got event {seq} of chat {chat}, which it does not watch")
        }),
    }
}

/// Judges one segment.
pub(super) fn check(
    record: &Record,
    device: &DeviceRecord,
    watched: &WatchedSegment,
    course: &Course<'_>,
    findings: &mut Findings<'_>,
) -> Sum {
    let WatchedSegment { chat, segment } = watched;
    let end = if segment.ended { segment.last } else { course.head().max(segment.last) };
    let mut sum = Sum {
        delivered: segment.heard,
        expected: course.between(segment.start, end).len() as u64,
        skipped: 0,
    };
    let tail = Hole { from: segment.last + 1, to: end, live: !segment.catching };
    let judge = Judge { record, device, chat: *chat, segment, course };
    for hole in segment.holes.iter().chain((tail.from <= tail.to).then_some(&tail)) {
        let known = course.between(hole.from - 1, hole.to);
        for &seq in known {
            match judge.missing(seq, hole) {
                HoleCause::Lost => judge.tell_lost(seq, hole, end, findings),
                HoleCause::Superseded => {
                    sum.expected -= 1;
                    sum.skipped += u64::from(hole.live);
                }
            }
        }
        // Nobody knows these. A change that was superseded before anybody got it looks so; where
        // nothing was ever changed, something is missing.
        if !course.has_changes() {
            let unknown = (hole.from..=hole.to).filter(|seq| known.binary_search(seq).is_err());
            for seq in unknown {
                sum.expected += 1;
                judge.tell_lost(seq, hole, end, findings);
            }
        }
    }
    sum
}

struct Judge<'a> {
    record: &'a Record,
    device: &'a DeviceRecord,
    chat: ChatId,
    segment: &'a Segment,
    course: &'a Course<'a>,
}

impl Judge<'_> {
    fn missing(&self, seq: i64, hole: &Hole) -> HoleCause {
        let superseded = match self.course.role(seq) {
            // A message that is gone need not be shown to whoever was not there.
            EventRole::Creation => self.course.fate(seq).gone && !hole.live,
            EventRole::Change(id) => self.has_newer_state(id, seq),
            EventRole::Other => false,
        };
        if superseded { HoleCause::Superseded } else { HoleCause::Lost }
    }

    /// Whether the device had, or was due, a newer state of the message than the change at this place.
    fn has_newer_state(&self, id: i64, seq: i64) -> bool {
        let fate = self.course.fate(id);
        if fate.last > seq {
            // The later change is judged at its own place.
            return true;
        }
        if id <= self.segment.start {
            return false;
        }
        match self.segment.hole(id) {
            Some(hole) => fate.gone && !hole.live,
            None if id > self.segment.last => false,
            // It was created before the device's eyes: perhaps in its latest state already.
            None => match self.shown(id) {
                Some(EventFact::Deleted { .. }) => true,
                Some(EventFact::Message { text, .. }) => {
                    !fate.gone && fate.edited.is_some_and(|(_, last)| last == text)
                }
                _ => false,
            },
        }
    }

    /// What the device was shown at this place.
    fn shown(&self, seq: i64) -> Option<EventFact> {
        let own = self.segment.odd.iter().find(|(place, _)| *place == seq).map(|(_, odd)| *odd);
        let of_process = || {
            let odd = self.record.processes.get(self.device.process)?;
            odd.0.get(&self.chat)?.get(&seq).copied()
        };
        let variant = own.or_else(of_process).unwrap_or(0);
        self.course.timeline.claims(seq).nth(usize::from(variant)).map(|claim| claim.fact)
    }

    fn tell_lost(&self, seq: i64, hole: &Hole, end: i64, findings: &mut Findings<'_>) {
        let who = findings.device(self.device.number);
        findings.add(FaultKind::Lost, || {
            let what = match self.course.role(seq) {
                EventRole::Creation => format!("message {seq}"),
                EventRole::Change(id) => format!("the change of message {id}, event {seq},"),
                EventRole::Other => format!("event {seq}"),
            };
            let acked = self.course.acked(seq).map(|claim| format!(", {}", describe_ack(claim)));
            let around = match (hole.from - 1, hole.to) {
                (before, to) if to == end && hole.from > self.segment.last => {
                    format!("it got nothing after {before}")
                }
                (before, to) if before == self.segment.start => {
                    format!("it began after {before} and then got {}", to + 1)
                }
                (before, to) => format!("it got {before} and then {}", to + 1),
            };
            format!(
                "{who} never got {what} of chat {}{}; {around}",
                self.chat,
                acked.unwrap_or_default()
            )
        });
    }
}
