//! One item's refusal in the answer to a batch: the items beside it stand.

use crate::code::Code;
use serde::{Deserialize, Serialize};

/// A command was not carried out and will not be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The stable reason.
    pub code: Code,
    /// A sentence for people.
    pub message: String,
}
