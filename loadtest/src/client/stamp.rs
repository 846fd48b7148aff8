//! The prefix of every text that the load tester sends: the sender, the number of the text, and its scheduled
//! time. Any receiver, in any process and dialect, reads identity and latency from it: `<run>/<sender
//! device>/<n>/<due in microseconds since the Unix epoch> …`.

use std::fmt::Write;

/// What a text's beginning says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// The sender's [`crate::client::DeviceSpec::number`].
    pub device: u32,
    /// Counts what the sender said and did, from 1.
    pub n: u32,
    pub due_micros: i64,
}

/// What fills a text up to its size, so that no two neighbours are alike and nothing compresses away.
const FILLING: &str = "the quick brown fox jumps over the lazy dog, 0123456789 times; ";

/// The idempotency key: what a stamp begins with.
pub(crate) fn key(run: &str, device: u32, n: u32) -> String {
    format!("{run}/{device}/{n}")
}

/// A text of so many bytes; longer when the stamp is.
pub(crate) fn text(run: &str, stamp: Stamp, bytes: usize) -> String {
    let mut text = String::with_capacity(bytes.max(64));
    // Writing to a string does not fail.
    let _ = write!(text, "{run}/{}/{}/{} ", stamp.device, stamp.n, stamp.due_micros);
    while text.len() < bytes {
        let rest = bytes - text.len();
        text.push_str(&FILLING[..rest.min(FILLING.len())]);
    }
    text
}

impl Stamp {
    /// The stamp of a text of this run; `None` for any other text.
    pub(crate) fn of(run: &str, text: &str) -> Option<Self> {
        let rest = text.strip_prefix(run)?.strip_prefix('/')?;
        let mut parts = rest.splitn(3, '/');
        let (device, n, rest) = (parts.next()?, parts.next()?, parts.next()?);
        let due = rest.split(' ').next()?;
        Some(Self {
            device: device.parse().ok()?,
            n: n.parse().ok()?,
            due_micros: due.parse().ok()?,
        })
    }
}

/// The number in a key of this device's; `None` for any other key.
pub(super) fn number_in(run: &str, device: u32, key: &str) -> Option<u32> {
    let rest = key.strip_prefix(run)?.strip_prefix('/')?;
    let (of, n) = rest.split_once('/')?;
    if of.parse() == Ok(device) { n.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_says_what_it_was_stamped_with() {
        let stamp = Stamp { device: 7, n: 41, due_micros: 1_700_000_000_000_007 };
        for bytes in [0, 30, 128, 4000] {
            let text = text("r1", stamp, bytes);
            assert!(text.len() == bytes || bytes < 40, "{text}");
            assert!(text.starts_with(&format!("{}/", key("r1", 7, 41))));
            assert_eq!(Stamp::of("r1", &text), Some(stamp));
            assert_eq!(Stamp::of("r2", &text), None);
            assert_eq!(Stamp::of("r", &text), None);
        }
        for other in ["", "r1", "r1/", "r1/7/41", "r1/x/41/1 ", "r1/7/41/x ", "hello"] {
            assert_eq!(Stamp::of("r1", other), None, "{other}");
        }
        assert_eq!(number_in("r1", 7, &key("r1", 7, 41)), Some(41));
        for other in ["r1/8/41", "r2/7/41", "r1/7", "r1/7/41/2", "mine"] {
            assert_eq!(number_in("r1", 7, other), None, "{other}");
        }
    }
}
