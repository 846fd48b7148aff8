//! One client's WebSocket: frames in, frames out, the closing handshake. Over the bare TCP stream
//! taken out of the HTTP server, with small buffers. It knows nothing of chats.
//!
//! The library reads, answers pings and closes. Frames of text go past it: they are on the wire what
//! they are in memory ([`Frame`]), so that many of them are one copy and one system call.

use crate::{config::Config, frame::Frame};
use futures_util::{SinkExt, StreamExt};
use shared::close::Close;
use std::{
    cell::RefCell, collections::VecDeque, future::poll_fn, io, mem, task::ready, time::Duration,
};
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
/// lives. It grows for a larger frame. The library's default of 128 KiB costs 23 times the memory and
/// 4 times the CPU.
const READ_BUFFER_BYTES: usize = 512;

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
    /// Nothing is left to read of what the kernel has told of.
    dry: bool,
}

/// How far a write got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    All,
    /// The kernel has no room now: go on with [`Socket::write`].
    Some,
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
        Self { stream, answering: false, unsent: VecDeque::new(), dry: false }
    }

    /// The next frame, or why there will be none. Safe to drop while it waits.
    pub async fn next(&mut self) -> Result<Incoming, Close> {
        match self.message().await {
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

    /// What the library reads next. It clears its buffer before each try, so it is asked only when
    /// there is something to read.
    async fn message(&mut self) -> Option<Result<Message, Error>> {
        poll_fn(|context| {
            loop {
                if self.dry {
                    ready!(self.stream.get_ref().poll_read_ready(context))?;
                }
                let next = self.stream.poll_next_unpin(context);
                self.dry = next.is_pending();
                if next.is_ready() {
                    return next;
                }
            }
        })
        .await
    }

    /// Writes these frames, all of them in as few pieces as the kernel takes. When it is dropped
    /// before its end, nothing else may be done than [`Socket::close`], which ends the frame begun.
    pub async fn write(&mut self, frames: &mut VecDeque<Frame>) -> Result<(), Close> {
        if mem::take(&mut self.answering) {
            self.stream.flush().await.map_err(|error| reason(&error))?;
        }
        self.write_unsent().await?;
        while self.write_now(frames)? == Written::Some {
            self.write_unsent().await?;
        }
        Ok(())
    }

    /// Writes as many of these frames as go without waiting.
    pub fn write_now(&mut self, frames: &mut VecDeque<Frame>) -> Result<Written, Close> {
        if self.answering {
            return Ok(Written::Some);
        }
        while !frames.is_empty() {
            if self.write_some(frames)? == Written::Some {
                return Ok(Written::Some);
            }
        }
        Ok(Written::All)
    }

    /// Hands the kernel as many of the frames as are joined at once. What it does not take of them
    /// is in `unsent`.
    fn write_some(&mut self, frames: &mut VecDeque<Frame>) -> Result<Written, Close> {
        if let ([frame], []) = frames.as_slices() {
            let written = self.hand_over(frame.wire());
            frames.clear();
            return written;
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

    fn hand_over(&mut self, bytes: &[u8]) -> Result<Written, Close> {
        let taken = match self.stream.get_ref().try_write(bytes) {
            Ok(taken) => taken,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(_) => return Err(Close::ByPeer),
        };
        if taken == bytes.len() {
            return Ok(Written::All);
        }
        self.unsent.extend(&bytes[taken..]);
        Ok(Written::Some)
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

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use tokio::net::TcpListener;

    type Client = WebSocketStream<TcpStream>;

    /// A server's end, and a client that is connected to it.
    async fn pair() -> (Socket, Client) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        let server = Socket::new(server, Bytes::new(), &Config::default()).await;
        (server, WebSocketStream::from_raw_socket(client, Role::Client, None).await)
    }

    /// More than the kernel holds between the two, in frames that are joined and in large ones.
    fn many() -> VecDeque<Frame> {
        let text = |n: usize| {
            format!("{n}{}", "x".repeat(if n.is_multiple_of(50) { 90_000 } else { 200 }))
        };
        (0..10_000).map(|n| Frame::from(text(n).as_str())).collect()
    }

    async fn next(client: &mut Client) -> Message {
        client.next().await.unwrap().unwrap()
    }

    #[tokio::test]
    async fn a_client_gets_every_frame_whole_however_slowly_it_reads() {
        let (mut server, mut client) = pair().await;
        let mut frames = many();
        assert_eq!(server.write_now(&mut frames), Ok(Written::Some), "too much for the kernel");
        let reading = async {
            for frame in many() {
                assert_eq!(next(&mut client).await, Message::text(frame.text()));
            }
        };
        let (written, ()) = tokio::join!(server.write(&mut frames), reading);
        assert_eq!(written, Ok(()));
        assert_eq!(server.write_now(&mut VecDeque::from(["end".into()])), Ok(Written::All));
        assert_eq!(next(&mut client).await, Message::text("end"));
    }

    #[tokio::test]
    async fn a_write_given_up_ends_its_frame_before_the_close() {
        let (mut server, mut client) = pair().await;
        let mut frames = many();
        assert!(server.write(&mut frames).now_or_never().is_none(), "too much for the kernel");
        let reading = async {
            for frame in many() {
                match next(&mut client).await {
                    Message::Close(close) => return close.unwrap().reason.to_string(),
                    message => assert_eq!(message, Message::text(frame.text())),
                }
            }
            panic!("not closed");
        };
        let ((), reason) = tokio::join!(server.close(Close::SlowConsumer), reading);
        assert_eq!(reason, Close::SlowConsumer.reason());
    }

    #[tokio::test]
    async fn a_ping_is_answered_between_frames_and_frames_read_together_all_arrive() {
        let (mut server, mut client) = pair().await;
        for n in 0..3 {
            client.feed(Message::text(n.to_string())).await.unwrap();
            client.feed(Message::Ping(Bytes::new())).await.unwrap();
        }
        client.flush().await.unwrap();
        for n in 0..3 {
            let Ok(Incoming::Text(text)) = server.next().await else { panic!("no text") };
            assert_eq!(text.as_str(), n.to_string());
            assert!(matches!(server.next().await, Ok(Incoming::Sign)));
            server.write(&mut VecDeque::from(["answer".into()])).await.unwrap();
            assert_eq!(next(&mut client).await, Message::Pong(Bytes::new()));
            assert_eq!(next(&mut client).await, Message::text("answer"));
        }
    }
}
