//! The frames of the streams between gateways and apis, and how a stream begins. It reads no socket.
//!
//! A stream begins as an HTTP/1.1 upgrade of the internal listener, `GET` [`PATH`] with the headers `Upgrade`
//! ([`PROTOCOL`]) and [`VERSION_HEADER`], and the secret of every internal call. The version covers everything
//! here: bodies are not self-describing, so any change of a body is a new version. An api that does not know the
//! version, or no streams at all, refuses the upgrade, and the gateway calls it by HTTP.
//!
//! A frame is a head ([`HEAD_BYTES`]: the length of the body, the number of the call, the kind) and a body. Answers
//! come in any order.
//!
//! - `post.rs`: the bodies of `post`

pub mod post;

use serde::{Deserialize, Serialize};

/// The path of the upgrade.
pub const PATH: &str = "/internal/stream";

/// The value of the header `Upgrade`.
pub const PROTOCOL: &str = "switchboard-stream";

/// The header with the version of the stream.
pub const VERSION_HEADER: &str = "switchboard-stream-version";

/// The only version of the stream.
pub const VERSION: &str = "1";

/// The bytes of a head: 4 for the body's length, 8 for the number of the call, 1 for the kind; big-endian.
pub const HEAD_BYTES: usize = 13;

/// The most calls of one stream that wait for their answers. A gateway has two lanes of commands, with one call each
/// and one more beside it for busy chats, on two streams. The rest is room for calls whose gateway has given up.
pub const MAX_IN_FLIGHT: usize = 16;

/// The kind of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameKind {
    /// A call of `post`: [`post::PostBody`].
    Post = 1,
    /// Its answer: [`post::PostedBody`].
    Posted = 2,
    /// There is no answer to a call: [`FailedBody`].
    Failed = 3,
    /// The api is about to stop. It still answers all calls that it gets before the gateway closes the stream. No
    /// number, no body.
    Goodbye = 4,
}

impl FrameKind {
    fn from_byte(byte: u8) -> Option<Self> {
        [Self::Post, Self::Posted, Self::Failed, Self::Goodbye]
            .into_iter()
            .find(|kind| *kind as u8 == byte)
    }
}

/// The head of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHead {
    /// The kind of the frame.
    pub kind: FrameKind,
    /// The number of the call: the gateway's choice, and unique among the calls that wait on the stream.
    pub call: u64,
    /// The number of bytes that follow.
    pub body_bytes: usize,
}

impl FrameHead {
    /// Reads a head. `None` for an unknown kind.
    pub fn read(bytes: [u8; HEAD_BYTES]) -> Option<Self> {
        let [a, b, c, d, call @ .., kind] = bytes;
        let body_bytes = u32::from_be_bytes([a, b, c, d]) as usize;
        Some(Self { kind: FrameKind::from_byte(kind)?, call: u64::from_be_bytes(call), body_bytes })
    }
}

/// The body of [`FrameKind::Failed`]: the call was not answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedBody<'a> {
    /// The HTTP status that the call would have been answered.
    pub status: u16,
    /// A sentence for the log.
    pub why: &'a str,
}

/// The bytes are no body of their kind, or a value has no encoding.
#[derive(Debug, thiserror::Error)]
#[error("not a body of this kind: {0}")]
pub struct BadBody(String);

/// A whole frame with this body.
pub fn frame(kind: FrameKind, call: u64, body: &impl Serialize) -> Result<Vec<u8>, BadBody> {
    let mut frame = postcard::to_extend(body, vec![0; HEAD_BYTES]).map_err(BadBody::of)?;
    let body_bytes = u32::try_from(frame.len() - HEAD_BYTES).map_err(BadBody::of)?;
    frame[..4].copy_from_slice(&body_bytes.to_be_bytes());
    frame[4..12].copy_from_slice(&call.to_be_bytes());
    frame[12] = kind as u8;
    Ok(frame)
}

/// Reads a body.
pub fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, BadBody> {
    postcard::from_bytes(body).map_err(BadBody::of)
}

impl BadBody {
    fn of(cause: impl std::fmt::Display) -> Self {
        Self(cause.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_as_it_was_written() {
        let failed = FailedBody { status: 503, why: "stopping" };
        let bytes = frame(FrameKind::Failed, 7, &failed).unwrap();
        let (head, body) = bytes.split_first_chunk::<HEAD_BYTES>().unwrap();
        let head = FrameHead::read(*head).unwrap();
        assert_eq!(head, FrameHead { kind: FrameKind::Failed, call: 7, body_bytes: body.len() });
        assert_eq!(read::<FailedBody<'_>>(body).unwrap(), failed);
        assert!(read::<FailedBody<'_>>(&body[..body.len() - 1]).is_err());
        let mut unknown = [0; HEAD_BYTES];
        unknown[12] = 9;
        assert_eq!(FrameHead::read(unknown), None);
        assert_eq!(frame(FrameKind::Goodbye, 0, &()).unwrap().len(), HEAD_BYTES);
    }
}
