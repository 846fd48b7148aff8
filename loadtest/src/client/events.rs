//! A thread's memory of the frames that its devices received. All members of a room receive the same bytes,
//! so only the first copy is parsed, and the others are recognized by comparing bytes. It never takes one
//! frame for another, because it compares all bytes; the hash only says where to look.

use super::{
    Stamp,
    dialect::{Content, Observation},
};
use protocol::id::{ChatId, Seq};

/// Frames are remembered in sets of a few, the set being the one that the hash says. One place for each
/// hash would not do: of a thousand frames that devices are at just now, two hundred would push out one
/// another again and again, and each time be parsed.
const SETS: usize = 2048;
const WAYS: usize = 4;

/// Larger frames are parsed each time, so that the memory stays below 16 MiB a thread and dialect.
const MAX_FRAME_BYTES: usize = 2048;

/// The bytes that are hashed: the beginning, where numbered events have their chat and place and the
/// others their text's stamp, and the end.
const HEAD_BYTES: usize = 96;
const TAIL_BYTES: usize = 32;

/// Recognises frames.
#[derive(Debug)]
pub(super) struct Frames {
    sets: Vec<CacheSet>,
}

#[derive(Debug, Default)]
struct CacheSet {
    slots: [Option<CacheEntry>; WAYS],
    /// The one that is given to the next frame.
    oldest: u8,
}

#[derive(Debug)]
struct CacheEntry {
    /// The rest of the hash: looked at before the bytes are.
    tag: u32,
    bytes: Box<[u8]>,
    known: RememberedFrame,
}

/// What a frame that was seen before is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RememberedFrame {
    Event {
        chat: ChatId,
        place: EventKey,
        /// It is a new message with this id.
        message: Option<Seq>,
        stamp: Option<Stamp>,
    },
    Ephemeral,
}

/// By what the history checker knows an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum EventKey {
    Seq(Seq),
    Text(Box<str>),
}

impl From<Observation> for RememberedFrame {
    fn from(observation: Observation) -> Self {
        let Observation { chat, what, message, stamp } = observation;
        let place = match what {
            Content::Numbered(event) => EventKey::Seq(event.event.seq),
            Content::Text(text) => EventKey::Text(text),
        };
        Self::Event { chat, place, message, stamp }
    }
}

impl Frames {
    /// Remembers nothing yet and takes no memory until it does.
    pub(super) fn new() -> Self {
        Self { sets: Vec::new() }
    }

    /// What these bytes are, when they were seen before.
    #[inline]
    pub(super) fn find(&self, bytes: &[u8]) -> Option<&RememberedFrame> {
        let (set, tag) = place(bytes);
        let slots = self.sets.get(set)?.slots.iter().flatten();
        let mut alike = slots.filter(|slot| slot.tag == tag && *slot.bytes == *bytes);
        alike.next().map(|slot| &slot.known)
    }

    /// Remembers them, which were not found, in place of another frame when it must.
    pub(super) fn remember(&mut self, bytes: &[u8], known: RememberedFrame) {
        if bytes.len() > MAX_FRAME_BYTES {
            return;
        }
        if self.sets.is_empty() {
            self.sets.resize_with(SETS, CacheSet::default);
        }
        let (set, tag) = place(bytes);
        let CacheSet { slots, oldest } = &mut self.sets[set];
        slots[usize::from(*oldest)] = Some(CacheEntry { tag, bytes: bytes.into(), known });
        *oldest = (*oldest + 1) % WAYS as u8;
    }
}

/// Where a frame is remembered, and what else of its hash tells it from others there: a multiplying
/// hash over some of its bytes, eight at a time.
#[inline]
fn place(bytes: &[u8]) -> (usize, u32) {
    /// Odd and without a pattern: 2^64 divided by the golden ratio.
    const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;
    let mix = |hash: u64, word: u64| (hash ^ word).wrapping_mul(FACTOR).rotate_left(29);
    let (head, _) = bytes.split_at(bytes.len().min(HEAD_BYTES));
    let (_, tail) = bytes.split_at(bytes.len().saturating_sub(TAIL_BYTES));
    let (head_words, head_rest) = head.as_chunks::<8>();
    let (tail_words, _) = tail.as_chunks::<8>();
    let mut hash = bytes.len() as u64;
    for word in head_words.iter().chain(tail_words) {
        hash = mix(hash, u64::from_le_bytes(*word));
    }
    for byte in head_rest {
        hash = mix(hash, u64::from(*byte));
    }
    // The high bits have seen all bytes.
    let hash = hash.wrapping_mul(FACTOR);
    ((hash >> 48) as usize % SETS, hash as u32 ^ (hash >> 16) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn event(seq: i64) -> RememberedFrame {
        let place = EventKey::Seq(Seq(seq));
        RememberedFrame::Event { chat: ChatId(1), place, message: Some(Seq(seq)), stamp: None }
    }

    fn frame(seq: i64) -> Vec<u8> {
        let text = "x".repeat(100);
        format!(r#"{{"type":"message","chat_id":12,"seq":{seq},"text":"{text}"}}"#).into_bytes()
    }

    #[test]
    fn neighbours_are_remembered_beside_each_other() {
        let mut frames = Frames::new();
        for seq in 0..1000 {
            frames.remember(&frame(seq), event(seq));
        }
        let found = (0..1000).filter(|seq| frames.find(&frame(*seq)) == Some(&event(*seq))).count();
        assert_eq!(found, 1000);
    }

    #[test]
    fn frames_alike_where_they_are_hashed_are_told_apart() {
        let mut frames = Frames::new();
        let mut one = vec![b'a'; 300];
        frames.remember(&one, event(1));
        one[200] = b'b';
        assert_eq!((place(&one), frames.find(&one)), (place(&[b'a'; 300]), None));
        frames.remember(&vec![0; MAX_FRAME_BYTES + 1], event(2));
        assert_eq!(frames.find(&vec![0; MAX_FRAME_BYTES + 1]), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever was remembered, what is found is what was remembered of these very bytes.
        #[test]
        fn no_frame_is_taken_for_another(
            frames in proptest::collection::vec(proptest::collection::vec(0u8..3, 0..12), 1..80),
        ) {
            let mut memory = Frames::new();
            for (at, bytes) in frames.iter().enumerate() {
                if memory.find(bytes).is_none() {
                    memory.remember(bytes, event(at as i64));
                }
                for other in &frames[..=at] {
                    let first = frames.iter().position(|frame| frame == other).unwrap();
                    if let Some(found) = memory.find(other) {
                        prop_assert_eq!(found, &event(first as i64));
                    }
                }
            }
        }
    }
}
