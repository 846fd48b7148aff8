//! What a whole process recorded, filled by all its clients at once.

use super::{Log, Record, Told};
use std::sync::Arc;

/// The bounds of a ledger's memory. What is beyond them is not recorded, and the verdict then says
/// that it is incomplete, which is a failure.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Events of all chats, each kept once.
    pub events: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { events: 8_000_000 }
    }
}

/// Everything that the clients of one process recorded. Shared by all of them.
#[derive(Debug)]
pub struct Ledger {}

impl Ledger {
    pub fn new(_limits: Limits) -> Arc<Self> {
        Arc::new(Self {})
    }

    /// The server acknowledged this to its sender, which knows its own key and text.
    pub fn acked(&self, _told: &Told<'_>) {}

    /// A device's log, for all its connections. `device` names it in evidence, such as `u17 #2`.
    pub fn log(self: &Arc<Self>, device: String) -> Log {
        Log::new(Arc::clone(self), device)
    }

    /// Everything recorded by devices whose logs were dropped. To be called when all of them are.
    pub fn record(&self) -> Record {
        Record::default()
    }
}
