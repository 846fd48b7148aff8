//! The client's end of a WebSocket (RFC 6455) over TCP, with TLS or without, made for thousands of connections that
//! mostly listen: frames are parsed where they were read, in a buffer that all connections of a thread
//! share, and a connection holds bytes of its own only while a frame is half there. It joins no
//! fragmented messages and speaks no extensions: the deployment uses neither, and a load tester that met
//! them should say so.

mod frame;
mod handshake;
mod stream;

pub(super) use frame::{Opcode, WireFrame, close_frame, close_frame_of, parse, put};
pub(super) use handshake::shake_hands;
pub(super) use stream::{WireStream, connect};

/// Why a connection ended that nobody closed, as [`crate::recorder::Counters::error`] counts it.
#[derive(Debug, thiserror::Error)]
pub(super) enum WireError {
    #[error("connect: {0}")]
    Connect(std::io::ErrorKind),
    #[error("TLS: {0}")]
    Tls(String),
    #[error("handshake: status {0}")]
    Status(u16),
    #[error("handshake: the answer does not accept a WebSocket")]
    NotAWebSocket,
    #[error("socket: {0}")]
    Io(std::io::ErrorKind),
    #[error("frames: {0}")]
    Frame(&'static str),
    #[error("no answer in time")]
    Timeout,
}

impl From<std::io::Error> for WireError {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error.kind())
    }
}
