//! One device: a task that owns one connection at a time, for as long as nobody tells it to leave.

use super::{Account, dialect::Window};
use std::sync::Arc;

/// What a device is.
#[derive(Clone, Debug)]
pub struct DeviceSpec {
    /// Unique in the run, over all agents: part of every key.
    pub number: u32,
    pub account: Arc<Account>,
    pub window: Window,
    /// Reads at most so many bytes a second.
    pub slow: Option<u64>,
}
