//! WebSocket frames of a client: what it writes, and the server's as they lie in a buffer. It allocates
//! only for what it writes.

/// A frame from the server.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    pub opcode: u8,
    pub payload: &'a [u8],
    /// Of the whole frame, header included.
    pub length: usize,
}

pub const TEXT: u8 = 1;
pub const CLOSE: u8 = 8;
pub const PING: u8 = 9;
pub const PONG: u8 = 10;

/// The first frame in `bytes`; `None` when it is not all there yet. The server does not mask, fragment
/// or compress.
pub fn first(bytes: &[u8]) -> Option<Frame<'_>> {
    let (start, size) = match *bytes.get(1)? {
        126 => (4, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
        127 => {
            let size = u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?);
            (10, usize::try_from(size).ok()?)
        }
        size => (2, usize::from(size)),
    };
    let length = start + size;
    Some(Frame { opcode: bytes[0] & 15, payload: bytes.get(start..length)?, length })
}

/// A whole frame, masked with `mask`. At most 65,535 bytes of payload.
pub fn masked(opcode: u8, payload: &[u8], mask: u32) -> Vec<u8> {
    let mask = mask.to_be_bytes();
    let mut frame = Vec::with_capacity(payload.len() + 8);
    frame.push(0x80 | opcode);
    match u8::try_from(payload.len()) {
        Ok(size) if size < 126 => frame.push(0x80 | size),
        _ => {
            frame.push(0x80 | 126);
            frame.extend(u16::try_from(payload.len()).unwrap_or(u16::MAX).to_be_bytes());
        }
    }
    frame.extend(mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// What the JSON frames that count say, at the places where the server writes it: these few fields are
/// read of every delivery, and parsing all of the JSON would cost more than the server's share.
#[derive(Debug, PartialEq, Eq)]
pub enum CountedFrame<'a> {
    Message {
        chat: i64,
        seq: u64,
        rest: &'a [u8],
    },
    Ack,
    Ready,
    CaughtUp,
    Error,
    /// Presence and the like.
    Other,
}

pub fn classify(json: &[u8]) -> CountedFrame<'_> {
    if let Some(rest) = json.strip_prefix(br#"{"chat_id":"#) {
        let (chat, rest) = number(rest);
        let Some(rest) = rest.strip_prefix(br#","seq":"#) else { return CountedFrame::Other };
        let (seq, rest) = number(rest);
        let Some(rest) = rest.strip_prefix(br#","type":"message","#) else {
            return CountedFrame::Other;
        };
        return CountedFrame::Message { chat: chat.cast_signed(), seq, rest };
    }
    let is = |name: &[u8]| {
        json.strip_prefix(br#"{"type":""#)
            .is_some_and(|rest| rest.starts_with(name) && rest.get(name.len()) == Some(&b'"'))
    };
    match () {
        () if is(b"ack") => CountedFrame::Ack,
        () if is(b"ready") => CountedFrame::Ready,
        () if is(b"caught_up") => CountedFrame::CaughtUp,
        () if is(b"error") => CountedFrame::Error,
        () => CountedFrame::Other,
    }
}

/// Its decimal digits at the start of `bytes`, and what follows.
pub fn number(bytes: &[u8]) -> (u64, &[u8]) {
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, rest) = bytes.split_at(digits);
    (number.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')), rest)
}
