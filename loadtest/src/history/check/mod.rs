//! The judgment: compares what was acknowledged, what each device received and what is stored. It judges
//! chats one by one, and devices by their position rather than event by event.

mod content;
mod course;
mod findings;
mod segments;
mod windows;

use super::{Record, StoredChats, Verdict, fact::EventFact};
use course::Course;
use findings::{FaultKind, Findings};
use protocol::id::ChatId;
use segments::Sum;
use std::collections::BTreeMap;
use windows::Texts;

impl Record {
    /// Holds everything against everything.
    pub fn check(&self, stored: &StoredChats) -> Verdict {
        let empty = super::timeline::Timeline::default();
        let chats = self.timelines.keys().chain(stored.0.keys());
        let courses: BTreeMap<ChatId, Course<'_>> = chats
            .map(|chat| {
                let timeline = self.timelines.get(chat).unwrap_or(&empty);
                (*chat, Course::new(timeline, stored.0.get(chat)))
            })
            .collect();
        let mut findings = Findings::new(&self.devices);
        let mut verdict = Verdict {
            devices: self.devices.iter().filter(|device| device.connected).count() as u64,
            stored: stored.0.values().map(|chat| chat.messages.len() as u64).sum(),
            unrecorded: self.unrecorded,
            ..Verdict::default()
        };
        for (chat, course) in &courses {
            content::check(*chat, course, &mut findings);
            count_acked(course, &mut verdict);
        }
        self.check_devices(&courses, &mut findings, &mut verdict);
        verdict.lost = findings.count(FaultKind::Lost);
        verdict.repeated = findings.count(FaultKind::Repeated);
        verdict.reordered = findings.count(FaultKind::Reordered);
        verdict.altered = findings.count(FaultKind::Altered);
        verdict.not_stored = findings.count(FaultKind::NotStored);
        verdict.stored_twice = findings.count(FaultKind::StoredTwice);
        verdict.evidence = findings.evidence();
        if verdict.unrecorded > 0 {
            let count = verdict.unrecorded;
            let words = "incomplete: beyond the bounds of memory, nothing is known of";
            verdict.evidence.insert(0, format!("{words} {count} observations"));
        }
        verdict
    }

    fn check_devices<'a>(
        &'a self,
        courses: &BTreeMap<ChatId, Course<'a>>,
        findings: &mut Findings<'a>,
        verdict: &mut Verdict,
    ) {
        let mut texts: BTreeMap<ChatId, Texts> = BTreeMap::new();
        for device in &self.devices {
            verdict.resyncs += device.resyncs;
            verdict.away += u64::from(device.away);
            for mishap in &device.mishaps {
                segments::tell_mishap(device, mishap, findings);
            }
            for watched in &device.segments {
                let Some(course) = courses.get(&watched.chat) else { continue };
                verdict.add(segments::check(self, device, watched, course, findings));
            }
            for (chat, window) in &device.windows {
                let Some(course) = courses.get(chat) else { continue };
                let texts = texts.entry(*chat).or_insert_with(|| Texts::new(course));
                verdict.add(windows::check(device, *chat, window, (course, texts), findings));
            }
        }
    }
}

/// What senders were promised in a chat.
fn count_acked(course: &Course<'_>, verdict: &mut Verdict) {
    for claim in course.known.iter().filter_map(|seq| course.acked(*seq)) {
        match claim.fact {
            EventFact::Message { id, .. } => {
                verdict.acked += 1;
                verdict.deleted += u64::from(course.fate(id).gone);
            }
            _ => verdict.changed += 1,
        }
    }
}

impl Verdict {
    fn add(&mut self, sum: Sum) {
        self.delivered += sum.delivered;
        self.expected += sum.expected;
        self.skipped += sum.skipped;
    }
}
