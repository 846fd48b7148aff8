//! A reported event, small enough to keep every event of a run: digests instead of texts.

use super::{ReportedContent, ReportedEvent};
use serde::{Deserialize, Serialize};
use std::hash::{DefaultHasher, Hasher};

/// The same text has the same digest in all processes of one build. Two different ones that are
/// compared have the same by chance once in 2^64; two of a million texts of one chat once in 2^25 runs.
pub(super) fn digest(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(text.as_bytes());
    hasher.finish()
}

/// An event's content. A key's digest is zero where none was told: it then agrees with any.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum EventFact {
    #[serde(rename = "m")]
    Message { id: i64, sender: i64, key: u64, text: u64 },
    #[serde(rename = "e")]
    Edited { id: i64, text: u64 },
    #[serde(rename = "d")]
    Deleted { id: i64 },
    #[serde(rename = "o")]
    Other,
}

impl EventFact {
    /// Whether both say the same, as far as both know.
    pub(super) fn agrees(&self, other: &Self) -> bool {
        match (*self, *other) {
            (
                Self::Message { id, sender, key, text },
                Self::Message { id: i, sender: s, key: k, text: t },
            ) => (id, sender, text) == (i, s, t) && (key == k || key == 0 || k == 0),
            (one, other) => one == other,
        }
    }

    /// The message that it is about.
    pub(super) fn id(&self) -> Option<i64> {
        match self {
            Self::Message { id, .. } | Self::Edited { id, .. } | Self::Deleted { id } => Some(*id),
            Self::Other => None,
        }
    }
}

impl From<&ReportedEvent<'_>> for EventFact {
    fn from(told: &ReportedEvent<'_>) -> Self {
        match told.what {
            ReportedContent::Message { id, sender, key, text } => Self::Message {
                id: id.0,
                sender: sender.0,
                key: if key.is_empty() { 0 } else { digest(key) },
                text: digest(text),
            },
            ReportedContent::Edited { id, text } => Self::Edited { id: id.0, text: digest(text) },
            ReportedContent::Deleted { id } => Self::Deleted { id: id.0 },
            ReportedContent::Other => Self::Other,
        }
    }
}
