//! What processes recorded, as data that can be sent and put together.

use super::{Stored, Verdict};
use serde::{Deserialize, Serialize};

/// What the clients of one process recorded, or of several.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Record {}

impl Record {
    /// Adds what another process recorded. Where they differ on what an event said, it is altered.
    pub fn merge(&mut self, _other: Self) {}

    /// Holds everything against everything.
    pub fn check(&self, _stored: &Stored) -> Verdict {
        Verdict::default()
    }
}
