//! The `error` frames that three families share. Which command one is about they do not say, except
//! where the family has keys.

use super::{Of, Said};
use serde::Deserialize;
use std::time::Duration;

/// An error frame's fields; what else a frame of type `error` has is for people.
#[derive(Deserialize)]
pub(super) struct Refusal {
    code: String,
    retry_after_ms: Option<u64>,
    client_message_id: Option<String>,
}

impl Refusal {
    /// The refusal, and `otherwise` as what it is about where it says nothing.
    pub(super) fn said(self, otherwise: Of) -> Said {
        Said::Refused {
            of: self.client_message_id.map_or(otherwise, Of::Key),
            code: self.code,
            retry_after: self.retry_after_ms.map(Duration::from_millis),
        }
    }
}
