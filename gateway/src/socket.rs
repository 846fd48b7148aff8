//! One client's WebSocket: frames in, frames out, the closing handshake. Over the bare TCP stream
//! taken out of the HTTP server, with small buffers. It knows nothing of chats.

use crate::{config::Config, relayed::Frame};
use futures_util::{SinkExt, StreamExt};
use shared::close::Close;
use std::time::Duration;
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

/// Writing: frames are joined up to here before they go to the kernel. About 20 short messages;
/// the buffer grows only on connections that ever had so much to write.
const WRITE_BUFFER_BYTES: usize = 4096;

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
}

impl Socket {
    /// Takes over a stream after the upgrade; `read_ahead` is what was read beyond it.
    pub async fn new(stream: TcpStream, read_ahead: Bytes, config: &Config) -> Self {
        let mut settings = WebSocketConfig::default();
        settings.read_buffer_size = READ_BUFFER_BYTES;
        settings.write_buffer_size = WRITE_BUFFER_BYTES;
        settings.max_write_buffer_size = WRITE_BUFFER_BYTES + 2 * config.max_frame_bytes;
        settings.max_message_size = Some(config.max_frame_bytes);
        settings.max_frame_size = Some(config.max_frame_bytes);
        let read_ahead = read_ahead.to_vec();
        let stream =
            WebSocketStream::from_partially_read(stream, read_ahead, Role::Server, Some(settings))
                .await;
        Self { stream }
    }

    /// The next frame, or why there will be none. Safe to drop while it waits.
    pub async fn next(&mut self) -> Result<Incoming, Close> {
        match self.stream.next().await {
            Some(Ok(Message::Text(text))) => Ok(Incoming::Text(text)),
            Some(Ok(Message::Binary(_) | Message::Frame(_))) => Ok(Incoming::Binary),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(Incoming::Sign),
            Some(Ok(Message::Close(_))) | None => Err(Close::ByPeer),
            Some(Err(error)) => Err(reason(&error)),
        }
    }

    /// Puts a frame behind those not written yet; waits while too many are.
    pub async fn feed(&mut self, frame: Frame) -> Result<(), Close> {
        self.stream.feed(Message::Text(frame)).await.map_err(|error| reason(&error))
    }

    /// Writes what was fed.
    pub async fn flush(&mut self) -> Result<(), Close> {
        self.stream.flush().await.map_err(|error| reason(&error))
    }

    /// Asks the client whether it lives.
    pub async fn ping(&mut self) -> Result<(), Close> {
        let ping = Message::Ping(Bytes::new());
        self.stream.send(ping).await.map_err(|error| reason(&error))
    }

    /// Says why and waits a moment for the client's answer, so that it reads the reason and not a reset.
    pub async fn close(mut self, close: Close) {
        let handshake = async {
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
