//! A text that arrives in pieces, checked as it arrives: a character may be cut anywhere.

use std::str;

/// Memory grows in steps of at most this much, so that a text holds no more than this beyond what has
/// come; and enough that a client which sends single bytes costs few copies.
const GROWTH: usize = 4096;

/// The bytes of a text so far. An empty one owns no memory of the heap.
#[derive(Debug, Default)]
pub(crate) struct Utf8 {
    bytes: Vec<u8>,
    /// How much of it is known to be whole characters.
    valid: usize,
}

/// No bytes that could follow would make it UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Invalid;

impl Utf8 {
    /// Appends a piece and gives it, to be unmasked.
    pub(super) fn append(&mut self, piece: &[u8]) -> &mut [u8] {
        let before = self.bytes.len();
        if self.bytes.capacity() - before < piece.len() {
            self.bytes.reserve_exact(piece.len().max(before.min(GROWTH)));
        }
        self.bytes.extend_from_slice(piece);
        &mut self.bytes[before..]
    }

    /// Whether it can still become UTF-8. Looks at what came since the last check only.
    pub(super) fn check(&mut self) -> Result<(), Invalid> {
        match str::from_utf8(&self.bytes[self.valid..]) {
            Ok(_) => self.valid = self.bytes.len(),
            Err(error) if error.error_len().is_none() => self.valid += error.valid_up_to(),
            Err(_) => return Err(Invalid),
        }
        Ok(())
    }

    /// The whole text.
    pub(super) fn finish(self) -> Result<String, Invalid> {
        String::from_utf8(self.bytes).map_err(|_| Invalid)
    }

    /// The memory that it holds, in bytes.
    pub(super) fn held(&self) -> usize {
        self.bytes.capacity()
    }
}
