//! One device: a task that owns one connection at a time, for as long as nobody tells it to leave.

use super::{Account, dialect::Window};
use std::sync::Arc;
use tokio::time::Instant;

/// What a device is.
#[derive(Clone, Debug)]
pub struct DeviceSpec {
    /// Unique in the run, over all agents: part of every key.
    pub number: u32,
    pub account: Arc<Account>,
    pub window: Window,
    /// Reads at most so many bytes a second.
    pub slow: Option<u64>,
    /// The moment that it was meant to connect at: the first connection's latency counts from there.
    pub due: Instant,
}
