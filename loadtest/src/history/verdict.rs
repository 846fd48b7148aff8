//! The checker's findings, as reports carry them.

use serde::{Deserialize, Serialize};

/// The verdict on a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Messages that were acknowledged.
    pub acked: u64,
    /// Acknowledged messages that were deleted later.
    pub deleted: u64,
    /// Edits and deletes that were acknowledged.
    pub changed: u64,
    /// Messages in the database: those acknowledged and not deleted, and any whose `ack` got lost.
    pub stored: u64,
    /// Events that devices received. A repeated one counts once.
    pub delivered: u64,
    /// Events that devices should have received. Equal to `delivered` when nothing is wrong.
    pub expected: u64,
    /// Devices that were connected once.
    pub devices: u64,
    /// Devices of those that were not connected in the end. Of them is expected what came until they went.
    pub away: u64,
    /// Events that a device should have received and never did, once for each device.
    pub lost: u64,
    /// Events that a device received again, once for each device.
    pub repeated: u64,
    /// Events that a device received before an earlier one of their chat.
    pub reordered: u64,
    /// Contents, not deliveries: what a thousand devices got alike is one.
    pub altered: u64,
    /// Acknowledged messages that the database does not hold.
    pub not_stored: u64,
    /// Messages that the database holds twice under one idempotency key.
    pub stored_twice: u64,
    /// Connections that the scenario asked for and that were not there: in the end, or for some seconds
    /// before they were to go. Not the checker's to say, nor the next one: the engine adds them, and a
    /// threshold of every run demands that there are none.
    #[serde(default)]
    pub unconnected: u64,
    /// What devices were to send and did not, or had no answer to, when the run had waited long enough.
    #[serde(default)]
    pub unsent: u64,
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
    /// Each kind of fault: its name as thresholds spell it, how often it was found, and what must not
    /// be.
    pub fn faults(&self) -> [(&'static str, u64, &'static str); 7] {
        [
            ("lost", self.lost, "an event that a device should have and never received"),
            ("repeated", self.repeated, "an event that a device received twice"),
            ("reordered", self.reordered, "an event that came before an earlier one of its chat"),
            ("altered", self.altered, "content that differs between devices or the database"),
            ("not_stored", self.not_stored, "acknowledged, and the database does not hold it"),
            ("stored_twice", self.stored_twice, "a message that the database holds twice"),
            ("unrecorded", self.unrecorded, "what the checker had no room for and cannot judge"),
        ]
    }

    /// No fault of any kind, and everything expected was delivered.
    pub fn is_sound(&self) -> bool {
        self.delivered == self.expected && self.faults().iter().all(|(_, found, _)| *found == 0)
    }
}
