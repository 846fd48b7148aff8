//! What the checker found.

use crate::report::Truth;

/// The verdict on a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Messages that were acknowledged, how many of them were deleted later, and the edits and deletes
    /// that were acknowledged.
    pub acked: u64,
    pub deleted: u64,
    pub changed: u64,
    /// Messages in the database: those acknowledged and not deleted, and any whose `ack` got lost.
    pub stored: u64,
    /// Events that devices received, each once, and that they should have. Equal when nothing is wrong.
    pub delivered: u64,
    pub expected: u64,
    pub devices: u64,
    /// Devices that were not connected in the end. Of them is expected what came until they went.
    pub away: u64,
    pub lost: u64,
    pub repeated: u64,
    pub reordered: u64,
    /// Contents, not deliveries: what a thousand devices got alike is one.
    pub altered: u64,
    pub not_stored: u64,
    pub stored_twice: u64,
    /// How often a device was told that it cannot be caught up.
    pub resyncs: u64,
    /// Changes that a device was not sent outside of a catch-up because later ones superseded them, as
    /// happens when a gateway fills a gap from the database. No fault: the device ends up right.
    pub skipped: u64,
    /// What was not recorded because a bound was reached: then nothing is certain.
    pub unrecorded: u64,
    /// The first faults of each kind with the shortest evidence, in words.
    pub evidence: Vec<String>,
}

impl Verdict {
    /// Nothing is wrong, and everything was recorded.
    pub fn is_sound(&self) -> bool {
        let faults = self.lost
            + self.repeated
            + self.reordered
            + self.altered
            + self.not_stored
            + self.stored_twice;
        faults == 0 && self.unrecorded == 0 && self.delivered == self.expected
    }
}

impl From<Verdict> for Truth {
    fn from(verdict: Verdict) -> Self {
        Self {
            acked: verdict.acked,
            deleted: verdict.deleted,
            stored: verdict.stored,
            delivered: verdict.delivered,
            expected: verdict.expected,
            devices: verdict.devices,
            lost: verdict.lost,
            repeated: verdict.repeated,
            reordered: verdict.reordered,
            altered: verdict.altered,
            not_stored: verdict.not_stored,
            stored_twice: verdict.stored_twice,
            resyncs: verdict.resyncs,
            away: verdict.away,
            skipped: verdict.skipped,
            unrecorded: verdict.unrecorded,
            evidence: verdict.evidence,
        }
    }
}
