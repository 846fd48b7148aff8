//! Whatever pieces bytes come in, and whatever bytes.

use super::*;
use proptest::prelude::*;

const MAX_MESSAGE: usize = 20_000;

/// A message in fragments, or a control frame.
#[derive(Clone, Debug)]
enum Said {
    Text(String, Vec<usize>),
    Binary(Vec<u8>, Vec<usize>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
}

fn said() -> impl Strategy<Value = Said> {
    let cuts = || prop::collection::vec(0usize..400, 0..4);
    let short = || prop::collection::vec(any::<u8>(), 0..126);
    prop_oneof![
        ("\\PC{0,200}", cuts()).prop_map(|(text, cuts)| Said::Text(text, cuts)),
        (100usize..6_000, cuts()).prop_map(|(n, cuts)| Said::Text("ж€x🦀".repeat(n / 10), cuts)),
        (prop::collection::vec(any::<u8>(), 0..400), cuts())
            .prop_map(|(bytes, cuts)| Said::Binary(bytes, cuts)),
        short().prop_map(Said::Ping),
        short().prop_map(Said::Pong),
    ]
}

fn frame(wire: &mut Vec<u8>, first: u8, payload: &[u8], mask: [u8; 4]) {
    wire.push(first);
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(short @ ..126), _) => wire.push(0x80 | short),
        (_, Ok(middle)) => {
            wire.push(0xfe);
            wire.extend(middle.to_be_bytes());
        }
        _ => {
            wire.push(0xff);
            wire.extend((payload.len() as u64).to_be_bytes());
        }
    }
    wire.extend(mask);
    wire.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
}

/// What a client writes for this, and what is read of it.
fn write(said: &Said, wire: &mut Vec<u8>, read: &mut Vec<Read>, mask: [u8; 4]) {
    let (opcode, mut payload, cuts) = match said {
        Said::Ping(payload) => {
            frame(wire, 0x89, payload, mask);
            return read.push(Read::Ping(payload.clone()));
        }
        Said::Pong(payload) => {
            frame(wire, 0x8a, payload, mask);
            return read.push(Read::Pong);
        }
        Said::Text(text, cuts) => (1, text.as_bytes(), cuts),
        Said::Binary(bytes, cuts) => (2, &bytes[..], cuts),
    };
    let mut opcode = opcode;
    for cut in cuts {
        let (piece, rest) = payload.split_at((*cut).min(payload.len()));
        frame(wire, opcode, piece, mask);
        if piece.is_empty() {
            read.push(Read::Empty);
        }
        (opcode, payload) = (0, rest);
    }
    frame(wire, 0x80 | opcode, payload, mask);
    read.push(match said {
        Said::Text(text, _) => Read::Text(text.clone()),
        _ => Read::Binary,
    });
}

/// Reads all of it in pieces of these sizes, over and over.
fn read_in_pieces(
    reader: &mut Reader,
    mut wire: &[u8],
    sizes: &[usize],
) -> (Vec<Read>, Option<Close>) {
    let mut reads = Vec::new();
    for size in sizes.iter().cycle() {
        let (mut piece, rest) = wire.split_at((*size).min(wire.len()));
        wire = rest;
        loop {
            match reader.read(&mut piece) {
                Ok(Some(read)) => reads.push(read),
                Ok(None) => break,
                Err(close) => return (reads, Some(close)),
            }
        }
        assert!(piece.is_empty(), "all of a piece is used up");
        if wire.is_empty() {
            break;
        }
    }
    (reads, None)
}

fn sizes() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(prop_oneof![1usize..20, 1usize..3_000], 1..20)
}

proptest! {
    #[test]
    fn any_pieces_of_valid_frames_are_the_same_messages(
        all in prop::collection::vec((said(), any::<[u8; 4]>()), 1..12),
        sizes in sizes(),
        code in prop::option::of(1000u16..1004),
    ) {
        let (mut wire, mut expected) = (Vec::new(), Vec::new());
        for (said, mask) in &all {
            write(said, &mut wire, &mut expected, *mask);
        }
        let payload = code.map(|code| code.to_be_bytes().to_vec()).unwrap_or_default();
        frame(&mut wire, 0x88, &payload, [7; 4]);
        expected.push(Read::Close(code));
        wire.extend([0xff; 30]);
        let mut reader = Reader::new(MAX_MESSAGE);
        let (reads, close) = read_in_pieces(&mut reader, &wire, &sizes);
        prop_assert_eq!(reads, expected);
        prop_assert_eq!(close, None);
        prop_assert!(reader.has_ended());
        prop_assert_eq!(reader.memory(), 0);
    }

    /// Bytes that may be anything, and ones that are nearly right: no panic, no text that is longer than
    /// allowed, never more memory than what has come (or is allowed) and one step.
    #[test]
    fn any_bytes_hold_no_more_than_came(
        noise in prop::collection::vec(any::<u8>(), 0..200),
        all in prop::collection::vec((said(), any::<[u8; 4]>()), 0..6),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        sizes in sizes(),
        max in 0usize..5_000,
    ) {
        let mut wire = Vec::new();
        for (said, mask) in &all {
            write(said, &mut wire, &mut Vec::new(), *mask);
        }
        wire.extend(noise);
        for (at, byte) in flips {
            if !wire.is_empty() {
                let at = at.index(wire.len());
                wire[at] = byte;
            }
        }
        let mut reader = Reader::new(max);
        let mut came = 0;
        for piece in wire.chunks(sizes[0]) {
            came += piece.len();
            let (reads, close) = read_in_pieces(&mut reader, piece, &[piece.len()]);
            for read in reads {
                if let Read::Text(text) = read {
                    prop_assert!(text.len() <= max);
                }
            }
            prop_assert!(reader.memory() <= came.min(max + 125) + 4096 + 128, "{}", reader.memory());
            if close.is_some() {
                prop_assert!(reader.has_ended());
                prop_assert_eq!(reader.memory(), 0);
            }
        }
        reader.forget(&wire);
        prop_assert!(reader.memory() <= 256, "only a control frame: {}", reader.memory());
    }
}

#[test]
fn an_announced_length_reserves_nothing_and_a_long_frame_leaves_nothing() {
    let mut wire = Vec::new();
    frame(&mut wire, 0x81, &[b'x'; 50_000], [1, 2, 3, 4]);
    let mut reader = Reader::new(52_096);
    assert_eq!(reader.read(&mut &wire[..14]), Ok(None));
    assert!(reader.memory() <= 16, "{}", reader.memory());
    assert_eq!(reader.read(&mut &wire[14..9_000]), Ok(None));
    assert!(reader.memory() <= 9_000 + 4096);
    let Ok(Some(Read::Text(text))) = reader.read(&mut &wire[9_000..]) else { panic!("no text") };
    assert_eq!((text.len(), reader.memory()), (50_000, 0));
    assert!(size_of::<Reader>() <= 144, "{}: each connection has one", size_of::<Reader>());
}

#[test]
fn while_a_close_is_awaited_frames_are_forgotten() {
    let mut wire = Vec::new();
    frame(&mut wire, 0x01, &[b'x'; 300], [1, 2, 3, 4]);
    let mut reader = Reader::new(1_000);
    assert_eq!(reader.read(&mut &wire[..200]), Ok(None));
    reader.forget(&wire[200..]);
    assert_eq!((reader.memory(), reader.has_ended()), (0, false));
    let mut wire = Vec::new();
    frame(&mut wire, 0x80, &[0xff; 5_000], [1, 2, 3, 4]);
    frame(&mut wire, 0x89, b"ping", [1, 2, 3, 4]);
    frame(&mut wire, 0x88, &[], [1, 2, 3, 4]);
    reader.forget(&wire[..6_000.min(wire.len() - 1)]);
    assert!(!reader.has_ended());
    reader.forget(&wire[wire.len() - 1..]);
    assert!(reader.has_ended());
}
