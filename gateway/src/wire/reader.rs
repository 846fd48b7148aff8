//! Decodes a client's WebSocket frames (RFC 6455) from whatever pieces the kernel delivers. Pure: no socket,
//! no clock. It never answers; the socket decides what to do about a frame.

use crate::wire::utf8::Utf8;
use protocol::close::Close;
use std::mem;

/// The longest header: two bytes, eight of length, four of mask.
const MAX_HEADER: usize = 14;

/// The longest payload of a control frame (RFC 6455, 5.5).
const MAX_CONTROL: u64 = 125;

/// A decoded unit of a client's input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// A complete text message, regardless of its fragmentation.
    Text(String),
    /// A complete binary message. Its bytes were discarded on arrival: the protocol has no binary
    /// messages.
    Binary,
    Ping(Vec<u8>),
    Pong,
    /// A frame without payload that does not complete its message: it carries no data but costs a
    /// parse.
    Empty,
    /// The client closes, with this code.
    Close(Option<u16>),
}

/// One client's frames. While no frame or message is incomplete, it owns no heap memory.
#[derive(Debug)]
pub(super) struct Reader {
    max_message: usize,
    state: State,
    header: [u8; MAX_HEADER],
    /// How much of the header has come.
    header_bytes: u8,
    /// The frame whose header is complete and whose payload is not.
    frame: Option<FrameInProgress>,
    /// The message that began and is not final yet.
    message: Option<Kind>,
    /// The bytes of it so far.
    message_bytes: usize,
    text: Utf8,
    /// The payload so far of a control frame, which may come between two frames of a message.
    control: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Reading,
    /// Only a close frame is still of interest.
    Forgetting,
    /// After a close frame nothing follows; after an error nobody knows where a frame begins.
    Ended,
}

#[derive(Clone, Copy, Debug)]
struct FrameInProgress {
    opcode: Opcode,
    is_final: bool,
    left: u64,
    mask: [u8; 4],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Binary,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opcode {
    Continuation,
    Data(Kind),
    Close,
    Ping,
    Pong,
}

impl Opcode {
    fn new(bits: u8) -> Option<Self> {
        Some(match bits {
            0 => Self::Continuation,
            1 => Self::Data(Kind::Text),
            2 => Self::Data(Kind::Binary),
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return None,
        })
    }

    fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

impl Reader {
    /// A reader for a client whose messages may have up to `max_message` bytes.
    pub(super) fn new(max_message: usize) -> Self {
        Self {
            max_message,
            state: State::Reading,
            header: [0; MAX_HEADER],
            header_bytes: 0,
            frame: None,
            message: None,
            message_bytes: 0,
            text: Utf8::default(),
            control: Vec::new(),
        }
    }

    /// Decodes from the front of `input` up to the end of what it returns; `None` when all of `input`
    /// is used up and nothing is complete. After an error or [`Read::Close`] input is only thrown away.
    ///
    /// Errors: [`Close::ProtocolError`], [`Close::InvalidUtf8`] as soon as no bytes could make the text
    /// valid, [`Close::FrameTooBig`] as soon as a header announces too much.
    pub(super) fn read(&mut self, input: &mut &[u8]) -> Result<Option<Read>, Close> {
        let read = self.next(input);
        if matches!(read, Err(_) | Ok(Some(Read::Close(_)))) {
            self.end();
        }
        read
    }

    /// From here on only a close frame matters: searches these bytes for it. Returns the number of
    /// other frames in them. See [`Reader::has_ended`].
    pub(super) fn forget(&mut self, mut bytes: &[u8]) -> usize {
        if self.state == State::Reading {
            self.state = State::Forgetting;
            self.text = Utf8::default();
        }
        let mut frames = 0;
        while let Ok(Some(_)) = self.read(&mut bytes) {
            frames += 1;
        }
        frames
    }

    /// True if no further input can be a frame.
    pub(super) fn has_ended(&self) -> bool {
        self.state == State::Ended
    }

    /// The memory that an incomplete frame or message holds, in bytes.
    pub(super) fn memory(&self) -> usize {
        self.text.memory() + self.control.capacity()
    }

    fn end(&mut self) {
        self.state = State::Ended;
        self.frame = None;
        self.text = Utf8::default();
        self.control = Vec::new();
    }

    fn next(&mut self, input: &mut &[u8]) -> Result<Option<Read>, Close> {
        if self.has_ended() {
            *input = &[];
            return Ok(None);
        }
        loop {
            let frame = match self.frame {
                Some(frame) => frame,
                None => match self.header(input)? {
                    Some(frame) => frame,
                    None => return Ok(None),
                },
            };
            let here = usize::try_from(frame.left).unwrap_or(usize::MAX).min(input.len());
            let (payload, rest) = input.split_at(here);
            *input = rest;
            let left = frame.left - here as u64;
            self.payload(frame, payload, left == 0)?;
            if left > 0 {
                let mut mask = frame.mask;
                mask.rotate_left(here % 4);
                self.frame = Some(FrameInProgress { left, mask, ..frame });
                return Ok(None);
            }
            self.frame = None;
            if let Some(read) = self.complete(frame, here)? {
                return Ok(Some(read));
            }
        }
    }

    /// Gathers a header; `None` when `input` ends before it does.
    fn header(&mut self, input: &mut &[u8]) -> Result<Option<FrameInProgress>, Close> {
        loop {
            let have = usize::from(self.header_bytes);
            let need = match self.header[..have] {
                // Checked as soon as the two bytes are here, whatever they announce.
                [first, second, ..] => {
                    self.check(first, second)?;
                    match second & 0x7f {
                        126 => 8,
                        127 => MAX_HEADER,
                        _ => 6,
                    }
                }
                _ => 2,
            };
            if have >= need && need > 2 {
                self.header_bytes = 0;
                return self.read_header(need).map(Some);
            }
            let take = (need - have).min(input.len());
            if take == 0 {
                return Ok(None);
            }
            let (head, rest) = input.split_at(take);
            self.header[have..have + take].copy_from_slice(head);
            *input = rest;
            // At most MAX_HEADER.
            self.header_bytes += take as u8;
        }
    }

    /// What the first two bytes may be (RFC 6455, 5.2, 5.4 and 5.5).
    fn check(&self, first: u8, second: u8) -> Result<(), Close> {
        let is_final = first & 0x80 != 0;
        let opcode = Opcode::new(first & 0x0f).ok_or(Close::ProtocolError)?;
        let has_reserved_bits = first & 0x70 != 0;
        let is_masked = second & 0x80 != 0;
        let is_in_order = match opcode {
            Opcode::Continuation => self.message.is_some(),
            Opcode::Data(_) => self.message.is_none(),
            _ => is_final && u64::from(second & 0x7f) <= MAX_CONTROL,
        };
        if has_reserved_bits || !is_masked || !is_in_order {
            return Err(Close::ProtocolError);
        }
        Ok(())
    }

    /// The frame that a complete header of `length` bytes announces.
    fn read_header(&mut self, length: usize) -> Result<FrameInProgress, Close> {
        let (head, mask) = self.header[..length].split_at(length - 4);
        let opcode = Opcode::new(head[0] & 0x0f).ok_or(Close::ProtocolError)?;
        let (left, shortest) = match head[2..] {
            [high, low] => (u64::from(u16::from_be_bytes([high, low])), 126),
            [a, b, c, d, e, f, g, h] => (u64::from_be_bytes([a, b, c, d, e, f, g, h]), 1 << 16),
            _ => (u64::from(head[1] & 0x7f), 0),
        };
        // A length takes the fewest bytes possible, and its first bit is 0.
        if left < shortest || left >> 63 != 0 {
            return Err(Close::ProtocolError);
        }
        if !opcode.is_control() && self.state == State::Reading {
            let space = self.max_message - self.message_bytes;
            if left > space as u64 {
                return Err(Close::FrameTooBig);
            }
        }
        let mask = mask.try_into().unwrap_or_default();
        Ok(FrameInProgress { opcode, is_final: head[0] & 0x80 != 0, left, mask })
    }

    /// Takes in what has come of a frame's payload.
    fn payload(
        &mut self,
        frame: FrameInProgress,
        payload: &[u8],
        ends_frame: bool,
    ) -> Result<(), Close> {
        let kind = match frame.opcode {
            Opcode::Continuation => self.message,
            Opcode::Data(kind) => {
                self.message = Some(kind);
                Some(kind)
            }
            Opcode::Close | Opcode::Ping => {
                let before = self.control.len();
                self.control.extend_from_slice(payload);
                unmask(&mut self.control[before..], frame.mask);
                return Ok(());
            }
            Opcode::Pong => return Ok(()),
        };
        if self.state != State::Reading {
            return Ok(());
        }
        self.message_bytes += payload.len();
        if kind == Some(Kind::Text) {
            unmask(self.text.append(payload), frame.mask);
            // The end of a message is checked where it becomes a string.
            if !(ends_frame && frame.is_final) {
                self.text.check().map_err(|_| Close::InvalidUtf8)?;
            }
        }
        Ok(())
    }

    /// The result of a complete frame; `None` for a fragment of a message.
    fn complete(&mut self, frame: FrameInProgress, last: usize) -> Result<Option<Read>, Close> {
        let is_final = frame.is_final;
        Ok(match frame.opcode {
            Opcode::Close => Some(Read::Close(close_code(&mem::take(&mut self.control))?)),
            Opcode::Ping => Some(Read::Ping(mem::take(&mut self.control))),
            Opcode::Pong => Some(Read::Pong),
            Opcode::Continuation | Opcode::Data(_) if is_final => {
                self.message_bytes = 0;
                match self.message.take() {
                    Some(Kind::Text) if self.state == State::Reading => {
                        let text = mem::take(&mut self.text).finish();
                        Some(Read::Text(text.map_err(|_| Close::InvalidUtf8)?))
                    }
                    _ => Some(Read::Binary),
                }
            }
            Opcode::Continuation | Opcode::Data(_) => (last == 0).then_some(Read::Empty),
        })
    }
}

/// Removes the mask (RFC 6455, 5.3). `mask` begins with the byte for the first of these bytes.
fn unmask(bytes: &mut [u8], mask @ [a, b, c, d]: [u8; 4]) {
    let word = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = bytes.as_chunks_mut::<8>();
    for bytes in words {
        *bytes = (u64::from_ne_bytes(*bytes) ^ word).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(mask.into_iter().cycle()) {
        *byte ^= key;
    }
}

/// The code in a close frame's payload, which is empty, or a code and a reason (RFC 6455, 5.5.1).
fn close_code(payload: &[u8]) -> Result<Option<u16>, Close> {
    let Some((code, reason)) = payload.split_first_chunk() else {
        return if payload.is_empty() { Ok(None) } else { Err(Close::ProtocolError) };
    };
    // RFC 6455, 7.4, and IANA's registry; 1004 to 1006 and 1015 never go over the wire.
    let code = u16::from_be_bytes(*code);
    if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
        return Err(Close::ProtocolError);
    }
    str::from_utf8(reason).map_err(|_| Close::InvalidUtf8)?;
    Ok(Some(code))
}

#[cfg(test)]
mod tests;
