//! The refusal of one item in the answer to a batch. The other items are not affected.

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
    /// A refusal with its own sentence, if the code's sentence says too little.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

impl From<Code> for Refusal {
    fn from(code: Code) -> Self {
        Self::new(code, code.sentence())
    }
}
