//! Frames as bytes: the server's, which are not masked, parsed without copying; the client's, masked as
//! RFC 6455 5.3 demands. Pure.

use super::WireError;

/// The largest frame taken: `ready` with 200 chats has about 60 KiB.
pub(crate) const MAX_FRAME_BYTES: usize = 1 << 20;

/// A control frame's payload (RFC 6455 5.5).
const MAX_CONTROL_BYTES: usize = 125;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opcode {
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

/// A whole frame in the bytes it was read into.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct WireFrame<'a> {
    pub opcode: Opcode,
    pub payload: &'a [u8],
    /// Its bytes with the header.
    pub length: usize,
}

/// The frame at the beginning of these bytes; `None` while it is not all there.
#[inline]
pub(crate) fn parse(bytes: &[u8]) -> Result<Option<WireFrame<'_>>, WireError> {
    let [first, second, rest @ ..] = bytes else { return Ok(None) };
    let opcode = match first {
        0x81 => Opcode::Text,
        0x82 => Opcode::Binary,
        0x88 => Opcode::Close,
        0x89 => Opcode::Ping,
        0x8A => Opcode::Pong,
        0x00..=0x02 | 0x80 => return Err(WireError::Frame("fragmented")),
        _ => return Err(WireError::Frame("unknown opcode")),
    };
    let (size, header) = match second {
        0..=125 => (usize::from(*second), 2),
        126 => match rest {
            [a, b, ..] => (usize::from(u16::from_be_bytes([*a, *b])), 4),
            _ => return Ok(None),
        },
        127 => match rest.first_chunk::<8>() {
            Some(size) => {
                let size = usize::try_from(u64::from_be_bytes(*size));
                (size.map_err(|_| WireError::Frame("too big"))?, 10)
            }
            None => return Ok(None),
        },
        _ => return Err(WireError::Frame("masked by the server")),
    };
    if size > MAX_FRAME_BYTES {
        return Err(WireError::Frame("too big"));
    }
    if size > MAX_CONTROL_BYTES && !matches!(opcode, Opcode::Text | Opcode::Binary) {
        return Err(WireError::Frame("too big a control frame"));
    }
    let length = header + size;
    Ok(bytes.get(header..length).map(|payload| WireFrame { opcode, payload, length }))
}

/// Appends a client's frame.
pub(crate) fn put(to: &mut Vec<u8>, opcode: Opcode, mask: u32, payload: &[u8]) {
    let first = match opcode {
        Opcode::Text => 0x81,
        Opcode::Binary => 0x82,
        Opcode::Close => 0x88,
        Opcode::Ping => 0x89,
        Opcode::Pong => 0x8A,
    };
    to.reserve(payload.len() + 14);
    to.push(first);
    if payload.len() <= MAX_CONTROL_BYTES {
        to.push(0x80 | payload.len() as u8);
    } else if let Ok(size) = u16::try_from(payload.len()) {
        to.push(0x80 | 126);
        to.extend_from_slice(&size.to_be_bytes());
    } else {
        to.push(0x80 | 127);
        to.extend_from_slice(&(payload.len() as u64).to_be_bytes());
    }
    let mask = mask.to_be_bytes();
    to.extend_from_slice(&mask);
    to.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
}

/// A close frame's payload.
pub(crate) fn close_frame_of(code: u16) -> [u8; 2] {
    code.to_be_bytes()
}

/// What a close frame says: code and reason; 1005 when it says nothing (RFC 6455 7.4.1).
pub(crate) fn close_frame(payload: &[u8]) -> (u16, String) {
    match payload {
        [a, b, reason @ ..] => {
            (u16::from_be_bytes([*a, *b]), String::from_utf8_lossy(reason).into_owned())
        }
        _ => (1005, String::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A server's frame.
    fn served(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![first];
        match payload.len() {
            size @ 0..=125 => bytes.push(size as u8),
            size @ 126..=0xFFFF => {
                bytes.push(126);
                bytes.extend((size as u16).to_be_bytes());
            }
            size => {
                bytes.push(127);
                bytes.extend((size as u64).to_be_bytes());
            }
        }
        bytes.extend(payload);
        bytes
    }

    /// Section 5.7's examples, and what a client sends, undone.
    #[test]
    fn the_rfcs_vectors() {
        let hello = [0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f];
        let frame = WireFrame { opcode: Opcode::Text, payload: b"Hello", length: 7 };
        assert_eq!(parse(&hello).unwrap(), Some(frame));
        let mut masked = Vec::new();
        put(&mut masked, Opcode::Text, 0x37fa_213d, b"Hello");
        assert_eq!(masked, [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]);
        let mut pong = Vec::new();
        put(&mut pong, Opcode::Pong, 0x37fa_213d, b"Hello");
        assert_eq!(pong, [0x8a, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]);
        for (size, header) in [(125, 6), (126, 8), (65_535, 8), (65_536, 14)] {
            let mut long = Vec::new();
            put(&mut long, Opcode::Text, 0, &vec![7; size]);
            assert_eq!(long.len(), size + header);
        }
        assert_eq!(close_frame(&[]), (1005, String::new()));
        assert_eq!(close_frame(b"\x03\xf5slow_consumer"), (1013, "slow_consumer".to_owned()));
    }

    #[test]
    fn what_is_refused() {
        for (bytes, why) in [
            (vec![0x01, 0x05], "fragmented"),
            (vec![0x80, 0x05], "fragmented"),
            (vec![0xC1, 0x05], "unknown opcode"),
            (vec![0x83, 0x00], "unknown opcode"),
            (vec![0x81, 0x85], "masked by the server"),
            (served(0x81, &vec![0; MAX_FRAME_BYTES + 1]), "too big"),
            (vec![0x81, 127, 0xFF, 0, 0, 0, 0, 0, 0, 0], "too big"),
            (served(0x89, &[0; 126]), "too big a control frame"),
        ] {
            match parse(&bytes) {
                Err(WireError::Frame(found)) => assert_eq!(found, why),
                other => panic!("{why}: {other:?}"),
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

        /// However the bytes are cut, the same frames come out.
        #[test]
        fn frames_split_anywhere(
            sizes in proptest::collection::vec(prop_oneof![0usize..200, 60_000usize..70_000], 1..6),
            cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..8),
        ) {
            let payloads: Vec<Vec<u8>> =
                sizes.iter().enumerate().map(|(at, size)| vec![at as u8; *size]).collect();
            let stream: Vec<u8> =
                payloads.iter().flat_map(|payload| served(0x81, payload)).collect();
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len())).collect();
            cuts.push(stream.len());
            cuts.sort_unstable();
            let (mut found, mut held, mut from) = (Vec::new(), Vec::new(), 0);
            for cut in cuts {
                held.extend_from_slice(&stream[from..cut]);
                from = cut;
                let mut at = 0;
                while let Some(frame) = parse(&held[at..]).unwrap() {
                    found.push(frame.payload.to_vec());
                    at += frame.length;
                }
                held.drain(..at);
            }
            prop_assert_eq!(found, payloads);
            prop_assert!(held.is_empty());
        }
    }
}
