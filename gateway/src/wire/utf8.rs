//! A text that arrives in pieces and is checked as it arrives. A piece may end inside a character.

use std::str;

/// The largest step in bytes by which memory grows for later pieces. A text holds no more than this beyond its
/// bytes, and a client that sends single bytes still costs few copies.
const GROWTH: usize = 4096;

/// The bytes received so far. An empty text owns no heap memory.
#[derive(Debug, Default)]
pub(crate) struct Utf8 {
    bytes: Vec<u8>,
    /// The number of bytes that are known to be valid, whole characters.
    valid: usize,
}

/// No further bytes can make the text valid UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Invalid;

impl Utf8 {
    /// Appends a piece and returns it, to be unmasked.
    pub(super) fn append(&mut self, piece: &[u8]) -> &mut [u8] {
        let before = self.bytes.len();
        if self.bytes.capacity() - before < piece.len() {
            self.bytes.reserve_exact(piece.len().max(before.min(GROWTH)));
        }
        self.bytes.extend_from_slice(piece);
        &mut self.bytes[before..]
    }

    /// True if the text can still become valid UTF-8. Checks only the bytes since the last check.
    pub(super) fn check(&mut self) -> Result<(), Invalid> {
        match str::from_utf8(&self.bytes[self.valid..]) {
            Ok(_) => self.valid = self.bytes.len(),
            // An error without a length is a character whose end has not arrived.
            Err(error) if error.error_len().is_none() => self.valid += error.valid_up_to(),
            Err(_) => return Err(Invalid),
        }
        Ok(())
    }

    /// The whole text.
    pub(super) fn finish(self) -> Result<String, Invalid> {
        String::from_utf8(self.bytes).map_err(|_| Invalid)
    }

    /// The memory it holds, in bytes.
    pub(super) fn memory(&self) -> usize {
        self.bytes.capacity()
    }
}
