//! The progress updates of a run. The live view displays them.

use super::PartSlice;
use crate::report::FaultMark;
use std::{sync::Arc, time::Duration};

/// Called from the engine's own tasks, so it must not block. Cloned freely.
pub type Observer = Arc<dyn Fn(&RunEvent) + Send + Sync>;

/// What just happened.
#[derive(Clone, Debug)]
pub enum RunEvent {
    /// A phase begins, by its place in the scenario.
    Phase(usize),
    /// A second is over, from the beginning of the first phase until everything has settled.
    Second(Arc<PartSlice>),
    /// A fault happened. Its recovery is not known yet.
    Mark(FaultMark),
    /// The last phase is over. Said each second while commands wait for their acknowledgements, and
    /// devices are on their way back or have not received everything.
    Settling {
        /// Commands that have no acknowledgement yet.
        unacked: u64,
        /// Devices that are not connected, or that have not received everything.
        away: u64,
        /// How long the run waits at most from now on.
        left: Duration,
    },
    /// So many chats of all have been read from the database.
    Reading {
        /// Chats that have been read.
        chats: usize,
        /// All chats to be read.
        of: usize,
    },
    /// The history checker is at work.
    Checking,
}
