//! Collects faults: counts all of them, and describes the first few of each kind in words.

use crate::history::{record::DeviceRecord, timeline::Claim};
use std::collections::{BTreeMap, HashMap};

/// The kinds of faults, the gravest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum FaultKind {
    NotStored,
    Lost,
    StoredTwice,
    Altered,
    Repeated,
    Reordered,
}

/// So many of each kind are told in words: more of the same teach nothing.
const TOLD: usize = 5;

/// The faults found so far.
pub(super) struct Findings<'a> {
    counts: BTreeMap<FaultKind, u64>,
    told: BTreeMap<FaultKind, Vec<String>>,
    names: HashMap<u32, &'a str>,
}

impl<'a> Findings<'a> {
    pub(super) fn new(devices: &'a [DeviceRecord]) -> Self {
        let names = devices.iter().map(|device| (device.number, device.name.as_str())).collect();
        Self { counts: BTreeMap::new(), told: BTreeMap::new(), names }
    }

    /// Counts a fault. The words are asked for only when they are wanted.
    pub(super) fn add(&mut self, kind: FaultKind, evidence: impl FnOnce() -> String) {
        *self.counts.entry(kind).or_default() += 1;
        let told = self.told.entry(kind).or_default();
        if told.len() < TOLD {
            told.push(evidence());
        }
    }

    pub(super) fn count(&self, kind: FaultKind) -> u64 {
        self.counts.get(&kind).copied().unwrap_or(0)
    }

    /// All evidence, the shortest of each kind first.
    pub(super) fn evidence(self) -> Vec<String> {
        let sorted = |(kind, mut told): (FaultKind, Vec<String>)| {
            told.sort_by_key(String::len);
            told.into_iter().map(move |words| format!("{}: {words}", kind.name()))
        };
        self.told.into_iter().flat_map(sorted).collect()
    }

    pub(super) fn device(&self, number: u32) -> String {
        match self.names.get(&number) {
            Some(name) => format!("device {number} ({name})"),
            None => format!("device {number}"),
        }
    }

    /// Who said so.
    pub(super) fn teller(&self, claim: &Claim) -> String {
        match claim.by {
            Some(number) if claim.acked.is_none() => self.device(number),
            _ => "its sender".to_owned(),
        }
    }
}

impl FaultKind {
    fn name(self) -> &'static str {
        match self {
            Self::NotStored => "not stored",
            Self::Lost => "lost",
            Self::StoredTwice => "stored twice",
            Self::Altered => "altered",
            Self::Repeated => "repeated",
            Self::Reordered => "reordered",
        }
    }
}

/// To whom and when an event was acknowledged.
pub(super) fn describe_ack(claim: &Claim) -> String {
    use crate::history::fact::EventFact;
    let at = claim.acked.map(|millis| format!(" at {:.2} s", f64::from(millis) / 1000.0));
    let at = at.unwrap_or_default();
    match claim.fact {
        EventFact::Message { sender, .. } => format!("acknowledged to user {sender}{at}"),
        _ => format!("acknowledged{at}"),
    }
}
