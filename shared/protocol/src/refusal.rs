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

impl Refusal {
    /// A refusal with a sentence of its own, where the code's says too little.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

impl From<Code> for Refusal {
    fn from(code: Code) -> Self {
        Self::new(code, code.sentence())
    }
}
