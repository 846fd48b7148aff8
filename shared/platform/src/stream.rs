//! The frames of a stream between a gateway and an api ([`protocol::stream`]) on a socket: reads and writes them whole
//! and within bounds. It knows neither calls nor deadlines.

use bytes::{Buf, Bytes, BytesMut};
use protocol::stream::{FrameHead, HEAD_BYTES};
use std::io;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::Mutex,
};
use tokio_util::sync::CancellationToken;

/// What is read at once at least: a call of a few short messages and its head.
const READ_BYTES: usize = 4 * 1024;

/// The ends of a stream on this socket. `read_ahead` was read from it before; a body has at most `max_body` bytes.
pub fn split(
    socket: TcpStream,
    read_ahead: &[u8],
    max_body: usize,
) -> (StreamReader, StreamWriter) {
    let (read, write) = socket.into_split();
    let reader = StreamReader { socket: read, buffer: read_ahead.into(), max_body };
    (reader, StreamWriter { socket: Mutex::new(write), broken: CancellationToken::new() })
}

/// Reads a stream's frames.
#[derive(Debug)]
pub struct StreamReader {
    socket: OwnedReadHalf,
    buffer: BytesMut,
    max_body: usize,
}

/// Why a stream cannot be read any further.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The socket failed, or ended within a frame.
    #[error("the stream broke: {0}")]
    Broken(#[from] io::Error),
    /// The head announces a body over the limit.
    #[error("a frame of {} bytes is too long", .0.body_bytes)]
    TooLong(FrameHead),
    /// The head is of no kind that this version has.
    #[error("a frame of an unknown kind")]
    UnknownKind,
}

impl StreamReader {
    /// The next frame; `None` at the end of the stream. Dropping it while it waits loses nothing.
    pub async fn read(&mut self) -> Result<Option<(FrameHead, Bytes)>, StreamError> {
        loop {
            if let Some(frame) = self.take()? {
                return Ok(Some(frame));
            }
            self.buffer.reserve(READ_BYTES);
            if self.socket.read_buf(&mut self.buffer).await? == 0 {
                return match self.buffer.is_empty() {
                    true => Ok(None),
                    false => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                };
            }
        }
    }

    /// The frame at the front of what was read, if it is whole.
    fn take(&mut self) -> Result<Option<(FrameHead, Bytes)>, StreamError> {
        let Some(head) = self.buffer.first_chunk::<HEAD_BYTES>() else { return Ok(None) };
        let head = FrameHead::read(*head).ok_or(StreamError::UnknownKind)?;
        if head.body_bytes > self.max_body {
            return Err(StreamError::TooLong(head));
        }
        if self.buffer.len() < HEAD_BYTES + head.body_bytes {
            return Ok(None);
        }
        self.buffer.advance(HEAD_BYTES);
        Ok(Some((head, self.buffer.split_to(head.body_bytes).freeze())))
    }
}

/// Writes a stream's frames, one after the other, for whoever has one. The callers bound how long they wait.
#[derive(Debug)]
pub struct StreamWriter {
    socket: Mutex<OwnedWriteHalf>,
    broken: CancellationToken,
}

impl StreamWriter {
    /// Writes a frame. A write that fails, or that is dropped in the middle of a frame, breaks the stream.
    pub async fn write(&self, frame: &[u8]) -> io::Result<()> {
        let mut socket = self.socket.lock().await;
        if self.broken.is_cancelled() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let unless_written = self.broken.clone().drop_guard();
        socket.write_all(frame).await?;
        unless_written.disarm();
        Ok(())
    }

    /// Gives the stream up: nothing can be written any more, and [`StreamWriter::broken`] ends.
    pub fn give_up(&self) {
        self.broken.cancel();
    }

    /// Waits until the stream is broken or given up.
    pub async fn broken(&self) {
        self.broken.cancelled().await;
    }

    /// Tells the other side that no frame follows.
    pub async fn finish(&self) {
        // A peer that is gone needs no goodbye.
        let _ = self.socket.lock().await.shutdown().await;
    }
}
