//! A frame on its way to clients, as the bytes on the wire. A server does not mask its frames (RFC 6455, 5.1), so
//! all receivers get the same bytes, header included, and the frame is encoded once.

use std::{fmt, str, sync::Arc};

/// One unfragmented WebSocket frame, nearly always of text, or several frames in a row ([`Frame::concat`]). A
/// clone shares the bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame(Arc<[u8]>);

// The first byte of a frame: the final bit and the opcode.
const TEXT: u8 = 0x81;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;

/// The longest header in bytes: two, and eight of length.
const HEADER: usize = 10;

impl Frame {
    /// A text frame; `write` appends the text to its argument.
    pub fn from_writer(write: impl FnOnce(&mut Vec<u8>)) -> Self {
        Self::of(TEXT, write)
    }

    /// A ping, which checks whether the client is alive.
    pub fn ping() -> Self {
        Self::of(PING, |_| {})
    }

    /// The answer to a ping, with the ping's payload.
    pub fn pong(payload: &[u8]) -> Self {
        Self::of(PONG, |bytes| bytes.extend_from_slice(payload))
    }

    /// A close frame: closes the connection, or answers the client's close.
    pub fn close(code: u16, reason: &str) -> Self {
        Self::of(CLOSE, |bytes| {
            bytes.extend_from_slice(&code.to_be_bytes());
            bytes.extend_from_slice(reason.as_bytes());
        })
    }

    fn of(kind: u8, write: impl FnOnce(&mut Vec<u8>)) -> Self {
        // The text comes first, behind space for its header, whose length depends on it.
        let mut bytes = Vec::with_capacity(HEADER + 256);
        bytes.resize(HEADER, 0);
        write(&mut bytes);
        let (header, used) = header(kind, bytes.len() - HEADER);
        bytes[HEADER - used..HEADER].copy_from_slice(&header[..used]);
        Self(bytes[HEADER - used..].into())
    }

    /// Several frames in a row. They are written together, and the client reads separate frames.
    pub fn concat<'a>(frames: impl Iterator<Item = &'a Self>) -> Self {
        let mut bytes = Vec::new();
        frames.for_each(|frame| bytes.extend_from_slice(frame.wire()));
        Self(bytes.into())
    }

    /// The bytes to write to the socket.
    pub fn wire(&self) -> &[u8] {
        &self.0
    }

    /// The number of bytes on the wire and in memory.
    pub fn size(&self) -> usize {
        self.0.len()
    }

    /// The frame's text. Not for concatenated frames.
    pub fn text(&self) -> &str {
        let text = self.0.get(header_length(&self.0)..);
        text.and_then(|text| str::from_utf8(text).ok()).unwrap_or_default()
    }
}

/// The header of a frame of this length, and how many of these bytes it has.
fn header(kind: u8, length: usize) -> ([u8; HEADER], usize) {
    let mut header = [kind, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let used = match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ ..126), _) => {
            header[1] = short;
            2
        }
        (_, Ok(middle)) => {
            header[1] = 126;
            header[2..4].copy_from_slice(&middle.to_be_bytes());
            4
        }
        _ => {
            header[1] = 127;
            header[2..].copy_from_slice(&(length as u64).to_be_bytes());
            HEADER
        }
    };
    (header, used)
}

fn header_length(frame: &[u8]) -> usize {
    match frame.get(1) {
        Some(126) => 4,
        Some(127) => HEADER,
        _ => 2,
    }
}

impl From<&str> for Frame {
    fn from(text: &str) -> Self {
        let (header, used) = header(TEXT, text.len());
        Self([&header[..used], text.as_bytes()].concat().into())
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.text(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio_tungstenite::tungstenite::protocol::{Message, Role, WebSocket};

    impl Frame {
        /// The texts of concatenated frames, as their client reads them.
        pub fn texts(&self) -> Vec<String> {
            let wire = std::io::Cursor::new(self.wire().to_vec());
            let mut client = WebSocket::from_raw_socket(wire, Role::Client, None);
            std::iter::from_fn(|| client.read().ok()?.into_text().ok())
                .map(|text| text.to_string())
                .collect()
        }
    }

    #[test]
    fn frames_that_go_together_are_read_one_by_one() {
        let texts = ["one", "", &"x".repeat(70_000), "é"];
        let frames = texts.map(Frame::from);
        assert_eq!(Frame::concat(frames.iter()).texts(), texts);
    }

    #[test]
    fn clients_read_what_was_written_whatever_its_length() {
        for length in [0, 1, 125, 126, 127, 65_535, 65_536, 70_000] {
            let text = "é".repeat(length / 2) + &"x".repeat(length % 2);
            let frame = Frame::from(text.as_str());
            assert_eq!(frame.text(), text);
            assert_eq!(frame.size(), frame.wire().len());
            let wire = std::io::Cursor::new(frame.wire().to_vec());
            let mut client = WebSocket::from_raw_socket(wire, Role::Client, None);
            assert_eq!(client.read().unwrap(), Message::text(text));
        }
    }
}
