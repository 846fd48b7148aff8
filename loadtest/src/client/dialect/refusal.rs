//! The `error` frames that three dialects share. They do not say which command they are about, except where
//! the dialect has keys.

use super::{Of, ServerMessage};
use serde::Deserialize;
use std::time::Duration;

/// An error frame's fields; what else a frame of type `error` has is for people.
#[derive(Deserialize)]
pub(super) struct ErrorFrame {
    code: String,
    retry_after_ms: Option<u64>,
    client_message_id: Option<String>,
}

impl ErrorFrame {
    /// The refusal, and `otherwise` as what it is about where it says nothing.
    pub(super) fn into_message(self, otherwise: Of) -> ServerMessage {
        ServerMessage::Refused {
            of: self.client_message_id.map_or(otherwise, Of::Key),
            code: self.code,
            retry_after: self.retry_after_ms.map(Duration::from_millis),
        }
    }
}
