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
    state: ReaderState,
    header: [u8; MAX_HEADER],
    /// The number of header bytes that have arrived.
    header_bytes: u8,
    /// The frame with a complete header and an incomplete payload.
    frame: Option<FrameInProgress>,
    /// The kind of the incomplete message.
    message: Option<MessageKind>,
    /// The payload bytes of the incomplete message so far.
    message_bytes: usize,
    text: Utf8,
    /// The payload so far of a control frame. It is separate from `text`, because a control frame may come
    /// between two frames of a message.
    control: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ReaderState {
    Reading,
    /// The server closes: only a close frame still counts.
    Forgetting,
    /// Input is ignored: nothing may follow a close frame, and after an error no frame's beginning is known.
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
enum MessageKind {
    Text,
    Binary,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opcode {
    Continuation,
    Data(MessageKind),
    Close,
    Ping,
    Pong,
}

impl Opcode {
    fn new(bits: u8) -> Option<Self> {
        Some(match bits {
            0 => Self::Continuation,
            1 => Self::Data(MessageKind::Text),
            2 => Self::Data(MessageKind::Binary),
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
    /// A reader for messages of up to `max_message` bytes.
    pub(super) fn new(max_message: usize) -> Self {
        Self {
            max_message,
            state: ReaderState::Reading,
            header: [0; MAX_HEADER],
            header_bytes: 0,
            frame: None,
            message: None,
            message_bytes: 0,
            text: Utf8::default(),
            control: Vec::new(),
        }
    }

    /// Decodes the next unit and removes its bytes from the front of `input`. Returns `None` when `input` is used
    /// up and no unit is complete. After an error or [`Read::Close`] all input is ignored.
    ///
    /// Errors: [`Close::ProtocolError`], [`Close::InvalidUtf8`] as soon as no further bytes can make the text
    /// valid, [`Close::FrameTooBig`] as soon as a header announces too many bytes.
    pub(super) fn read(&mut self, input: &mut &[u8]) -> Result<Option<Read>, Close> {
        let read = self.next(input);
        if matches!(read, Err(_) | Ok(Some(Read::Close(_)))) {
            self.end();
        }
        read
    }

    /// Ignores all frames except a close frame from now on. Searches these bytes for one, and returns the number
    /// of units in them. See [`Reader::has_ended`].
    pub(super) fn forget(&mut self, mut bytes: &[u8]) -> usize {
        if self.state == ReaderState::Reading {
            self.state = ReaderState::Forgetting;
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
        self.state == ReaderState::Ended
    }

    /// The memory that an incomplete frame or message holds, in bytes.
    pub(super) fn memory(&self) -> usize {
        self.text.memory() + self.control.capacity()
    }

    fn end(&mut self) {
        self.state = ReaderState::Ended;
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
                // The next piece of the payload goes on in the middle of the mask.
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

    /// Gathers a header. Returns `None` when `input` ends first.
    fn header(&mut self, input: &mut &[u8]) -> Result<Option<FrameInProgress>, Close> {
        loop {
            let have = usize::from(self.header_bytes);
            let need = match self.header[..have] {
                // Checked before the rest of the header is awaited, which may never come.
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
            // Fits: a header has at most MAX_HEADER bytes.
            self.header_bytes += take as u8;
        }
    }

    /// Checks the first two bytes of a header (RFC 6455, 5.2, 5.4 and 5.5).
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
        // The RFC demands the shortest form of a length, and 0 as its first bit.
        if left < shortest || left >> 63 != 0 {
            return Err(Close::ProtocolError);
        }
        if !opcode.is_control() && self.state == ReaderState::Reading {
            let space = self.max_message - self.message_bytes;
            if left > space as u64 {
                return Err(Close::FrameTooBig);
            }
        }
        let mask = mask.try_into().unwrap_or_default();
        Ok(FrameInProgress { opcode, is_final: head[0] & 0x80 != 0, left, mask })
    }

    /// Handles a piece of a frame's payload.
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
        if self.state != ReaderState::Reading {
            return Ok(());
        }
        self.message_bytes += payload.len();
        if kind == Some(MessageKind::Text) {
            unmask(self.text.append(payload), frame.mask);
            // Not at the end of a message: `complete` checks the text when it becomes a string.
            if !(ends_frame && frame.is_final) {
                self.text.check().map_err(|_| Close::InvalidUtf8)?;
            }
        }
        Ok(())
    }

    /// The unit that a complete frame completes; `None` for a fragment of a message. `last` is the number of
    /// payload bytes in its last piece.
    fn complete(&mut self, frame: FrameInProgress, last: usize) -> Result<Option<Read>, Close> {
        let is_final = frame.is_final;
        Ok(match frame.opcode {
            Opcode::Close => Some(Read::Close(close_code(&mem::take(&mut self.control))?)),
            Opcode::Ping => Some(Read::Ping(mem::take(&mut self.control))),
            Opcode::Pong => Some(Read::Pong),
            Opcode::Continuation | Opcode::Data(_) if is_final => {
                self.message_bytes = 0;
                match self.message.take() {
                    Some(MessageKind::Text) if self.state == ReaderState::Reading => {
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
    // Eight bytes at a time: every byte that clients send passes through here.
    let word = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = bytes.as_chunks_mut::<8>();
    for bytes in words {
        *bytes = (u64::from_ne_bytes(*bytes) ^ word).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(mask.into_iter().cycle()) {
        *byte ^= key;
    }
}

/// The code in a close frame's payload. The payload is empty, or a code with a reason (RFC 6455, 5.5.1).
fn close_code(payload: &[u8]) -> Result<Option<u16>, Close> {
    let Some((code, reason)) = payload.split_first_chunk() else {
        return if payload.is_empty() { Ok(None) } else { Err(Close::ProtocolError) };
    };
    // The codes of RFC 6455, 7.4, and of IANA's registry. 1004 to 1006 and 1015 must not be sent.
    let code = u16::from_be_bytes(*code);
    if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
        return Err(Close::ProtocolError);
    }
    str::from_utf8(reason).map_err(|_| Close::InvalidUtf8)?;
    Ok(Some(code))
}

#[cfg(test)]
mod tests;
