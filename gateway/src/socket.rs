//! One client's WebSocket: frames in, frames out, the closing handshake. Over the bare TCP stream
//! taken out of the HTTP server, with small buffers. It knows nothing of chats.
//!
//! The library reads, answers pings and closes. Frames of text go past it: they are on the wire what
//! they are in memory ([`Frame`]), so that many of them are one copy and one system call.

use crate::{config::Config, frame::Frame};
use futures_util::{SinkExt, StreamExt};
use shared::close::Close;
use std::{cell::RefCell, collections::VecDeque, io, mem, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Bytes, Error, Message, Utf8Bytes,
        error::CapacityError,
        protocol::{CloseFrame, Role, WebSocketConfig},
    },
};

/// Reading: a chat's frames are small, and every connection owns such a buffer for as long as it
/// lives. The library's default of 128 KiB costs 23 times the memory and 4 times the CPU.
const READ_BUFFER_BYTES: usize = 1024;

/// Writing: frames are joined up to here before they go to the kernel, which rarely takes more at once.
const JOINED_BYTES: usize = 64 * 1024;

thread_local! {
    /// Where frames are joined: used between two system calls only, so one a thread is enough.
    static JOINED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// How long a closing client may take to answer.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// What a client may still send after it was told that the socket closes.
const MAX_FORGOTTEN_BYTES: u64 = 1 << 20;

/// What a client sent.
#[derive(Debug)]
pub enum Incoming {
    Text(Utf8Bytes),
    Binary,
    /// A ping (answered already) or a pong: the client lives.
    Sign,
}

/// A server's end of a WebSocket.
#[derive(Debug)]
pub struct Socket {
    stream: WebSocketStream<TcpStream>,
    /// The library may hold an answer to a ping that must not come between two halves of a frame.
    answering: bool,
    /// What the kernel did not take of frames begun.
    unsent: VecDeque<u8>,
}

impl Socket {
    /// Takes over a stream after the upgrade; `read_ahead` is what was read beyond it.
    pub async fn new(stream: TcpStream, read_ahead: Bytes, config: &Config) -> Self {
        let mut settings = WebSocketConfig::default();
        settings.read_buffer_size = READ_BUFFER_BYTES;
        // Pings, pongs and a close: nothing to gather.
        settings.write_buffer_size = 0;
        settings.max_write_buffer_size = 4096;
        settings.max_message_size = Some(config.max_frame_bytes);
        settings.max_frame_size = Some(config.max_frame_bytes);
        let read_ahead = read_ahead.to_vec();
        let stream =
            WebSocketStream::from_partially_read(stream, read_ahead, Role::Server, Some(settings))
                .await;
        Self { stream, answering: false, unsent: VecDeque::new() }
    }

    /// The next frame, or why there will be none. Safe to drop while it waits.
    pub async fn next(&mut self) -> Result<Incoming, Close> {
        match self.stream.next().await {
            Some(Ok(Message::Text(text))) => Ok(Incoming::Text(text)),
            Some(Ok(Message::Binary(_) | Message::Frame(_))) => Ok(Incoming::Binary),
            Some(Ok(Message::Ping(_))) => {
                self.answering = true;
                Ok(Incoming::Sign)
            }
            Some(Ok(Message::Pong(_))) => Ok(Incoming::Sign),
            Some(Ok(Message::Close(_))) | None => Err(Close::ByPeer),
            Some(Err(error)) => Err(reason(&error)),
        }
    }

    /// Writes these frames, all of them in as few pieces as the kernel takes. When it is dropped
    /// before its end, nothing else may be done than [`Socket::close`], which ends the frame begun.
    pub async fn write(&mut self, frames: &mut VecDeque<Frame>) -> Result<(), Close> {
        if mem::take(&mut self.answering) {
            self.stream.flush().await.map_err(|error| reason(&error))?;
        }
        while !frames.is_empty() {
            if !self.write_some(frames)? {
                self.write_unsent().await?;
            }
        }
        Ok(())
    }

    /// Hands the kernel as many of the frames as are joined at once. Whether it took all of that; the
    /// rest is in `unsent`.
    fn write_some(&mut self, frames: &mut VecDeque<Frame>) -> Result<bool, Close> {
        if let [frame] = frames.make_contiguous() {
            let done = self.hand_over(frame.wire());
            frames.clear();
            return done;
        }
        JOINED.with_borrow_mut(|joined| {
            joined.clear();
            while let Some(frame) = frames.front()
                && (joined.is_empty() || joined.len() + frame.size() <= JOINED_BYTES)
            {
                joined.extend_from_slice(frame.wire());
                frames.pop_front();
            }
            self.hand_over(joined)
        })
    }

    fn hand_over(&mut self, bytes: &[u8]) -> Result<bool, Close> {
        let taken = match self.stream.get_ref().try_write(bytes) {
            Ok(taken) => taken,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(_) => return Err(Close::ByPeer),
        };
        self.unsent.extend(&bytes[taken..]);
        Ok(taken == bytes.len())
    }

    async fn write_unsent(&mut self) -> Result<(), Close> {
        while !self.unsent.is_empty() {
            let stream = self.stream.get_mut();
            let taken = stream.write_buf(&mut self.unsent).await;
            taken.map_err(|_| Close::ByPeer)?;
        }
        // A burst does not stay in memory.
        self.unsent = VecDeque::new();
        Ok(())
    }

    /// Asks the client whether it lives.
    pub async fn ping(&mut self) -> Result<(), Close> {
        let ping = Message::Ping(Bytes::new());
        self.stream.send(ping).await.map_err(|error| reason(&error))
    }

    /// Says why and waits a moment for the client's answer, so that it reads the reason and not a reset.
    pub async fn close(mut self, close: Close) {
        let handshake = async {
            if self.write_unsent().await.is_err() {
                return;
            }
            let (code, text, _) = close.row();
            let frame = CloseFrame { code: code.into(), reason: text.into() };
            if self.stream.close(Some(frame)).await.is_err() {
                return;
            }
            while let Some(Ok(_)) = self.stream.next().await {}
            // After a frame that was refused the rest of it is still on its way, and a stream that
            // is dropped with something unread is reset: read and forget it.
            let stream = self.stream.get_mut();
            if stream.shutdown().await.is_ok() {
                let mut rest = stream.take(MAX_FORGOTTEN_BYTES);
                let _ = tokio::io::copy(&mut rest, &mut tokio::io::sink()).await;
            }
        };
        // A client that does not answer in time is not waited for.
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, handshake).await;
    }
}

fn reason(error: &Error) -> Close {
    match error {
        Error::Capacity(CapacityError::MessageTooLong { .. }) => Close::FrameTooBig,
        Error::Protocol(_) | Error::Utf8(_) => Close::Abuse,
        _ => Close::ByPeer,
    }
}
