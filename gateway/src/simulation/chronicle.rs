//! What happened in a simulation, in its order: as a number, by which two runs are compared, and for people to read.

use std::{
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

/// What happened so far.
#[derive(Debug, Default)]
pub(super) struct Chronicle {
    hash: DefaultHasher,
    /// The lines, if somebody wants to read them.
    lines: Option<Vec<String>>,
}

impl Chronicle {
    /// One that keeps its lines.
    pub(super) fn to_read() -> Self {
        Self { lines: Some(Vec::new()), ..Self::default() }
    }

    /// Something happened at this time, to somebody.
    pub(super) fn note(&mut self, at: Duration, who: impl fmt::Display + Hash, what: &str) {
        (at, &who, what).hash(&mut self.hash);
        if let Some(lines) = &mut self.lines {
            lines.push(format!("{:>6} ms  {who}: {what}", at.as_millis()));
        }
    }

    /// The same for two runs in which the same happened.
    pub(super) fn digest(&self) -> u64 {
        self.hash.finish()
    }

    pub(super) fn lines(&self) -> String {
        self.lines.as_ref().map(|lines| lines.join("\n")).unwrap_or_default()
    }
}
