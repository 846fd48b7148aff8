//! The threads that devices live on. Each has a runtime, a reading buffer, a memory of frames and a
//! shard of the recorder to itself, so that nothing is shared between threads on the way of a delivery
//! and no thread wakes another.

use super::{Clock, DeviceHandle, DeviceSpec, Full, Target};
use crate::{history::Ledger, recorder::Recorder};
use std::{io, net::IpAddr, sync::Arc};

/// What all devices of a fleet have in common.
#[derive(Clone, Debug)]
pub struct Options {
    pub target: Target,
    /// Names the run; the beginning of every text and key. Letters, digits and hyphens, 20 at most.
    pub run: String,
    pub seed: u64,
    pub clock: Clock,
    /// Threads; 0 is one for each core.
    pub threads: usize,
    /// Addresses that connections come from, in turn; the system's choice when empty. An address
    /// has about 28,000 ports towards one server.
    pub sources: Vec<IpAddr>,
    pub ledger: Arc<Ledger>,
    pub recorder: Recorder,
}

/// Some threads full of devices.
#[derive(Debug)]
pub struct Fleet {}

impl Fleet {
    /// Starts the threads.
    pub fn start(_options: Options) -> io::Result<Self> {
        Ok(Self {})
    }

    /// Connects a device. It goes on until it is told to leave or the fleet is stopped. Refused when
    /// more devices wait to begin than a process may have files.
    pub fn spawn(&self, _spec: DeviceSpec) -> Result<DeviceHandle, Full> {
        Err(Full)
    }

    /// Closes all devices and waits until all have ended and given their logs back; those that do
    /// not within some seconds are dropped.
    pub async fn stop(self) {}
}
