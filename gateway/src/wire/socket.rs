//! One client's WebSocket over the bare TCP stream that the HTTP server gave up: frames in, frames out, and the
//! closing handshake. It knows nothing of chats. `Reader` decodes the bytes.
//!
//! A frame has the same bytes on the wire as in memory ([`Frame`]), so writing many of them takes one copy
//! and one system call. An idle connection owns no buffer: the thread has the memory in which bytes are read and
//! frames joined, and a connection keeps incomplete data only.

use crate::{
    config::Config,
    wire::{
        credit::Loan,
        frame::Frame,
        reader::{Read, Reader},
    },
};
use platform::limit::{Bucket, Rate};
use protocol::close::Close;
use std::{
    cell::RefCell,
    collections::VecDeque,
    future::poll_fn,
    io, mem,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWriteExt, ReadBuf},
    net::TcpStream,
    time::{Instant, timeout},
};
use tokio_tungstenite::tungstenite::Bytes;

/// The maximum number of bytes that one system call reads. The largest frame that clients may send takes seven
/// calls, and nearly all others one.
const READ_BYTES: usize = 8 * 1024;

/// The maximum number of bytes that are joined for one write. The kernel rarely takes more at once.
const JOINED_BYTES: usize = 64 * 1024;

thread_local! {
    /// The bytes that were read. They are used within one poll only, so one buffer for each thread is enough.
    static INPUT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    /// The joined frames, used within one write only.
    static JOINED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// How long the closing handshake may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// The number of bytes that a client may still send after the server's close. A large frame that was refused by
/// its header is on its way, and a client whose stream is reset does not read why.
const MAX_FORGOTTEN_BYTES: usize = 2 << 20;

/// The number of frames that a client may still send then, more than any permitted burst. The bytes alone do not
/// bound the cost: two megabytes may be 350,000 pings, which cost a thousand times as much as one large frame.
const MAX_FORGOTTEN_FRAMES: usize = 1_000;

/// The next input from the client.
#[derive(Debug)]
pub enum Incoming {
    /// A whole text message, however many fragments it came in.
    Text(String),
    /// A binary message. Its content is dropped, since no dialect has binary messages.
    Binary,
    /// A frame without content, such as a ping or a pong: the client is alive. See [`Socket::owes_pong`].
    Sign,
}

/// A server's end of a WebSocket.
#[derive(Debug)]
pub struct Socket {
    stream: TcpStream,
    reader: Reader,
    /// Input that was read beyond the last returned frame, if any.
    rest: Vec<u8>,
    /// The number of its bytes that are decoded.
    decoded: usize,
    /// The rate limit for frames without content: pings, pongs, empty fragments.
    signs: Bucket,
    sign_rate: Rate,
    since: Instant,
    /// The answer to the client's newest ping, which is the only one that matters (RFC 6455, 5.5.3).
    pong: Option<Frame>,
    /// The rest of begun frames that the kernel did not accept.
    unsent: VecDeque<u8>,
    /// The client's close frame, once received.
    closed_by_client: Option<ClosedByClient>,
    /// Covers incomplete frames while the client is unidentified.
    loan: Option<Box<Loan>>,
}

#[derive(Clone, Copy, Debug)]
struct ClosedByClient {
    code: Option<u16>,
}

/// The result of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// The kernel took everything.
    All,
    /// The kernel has no space now: go on with [`Socket::write`].
    Some,
}

impl Socket {
    /// Takes over a stream after the upgrade. `read_ahead` has the bytes that were read beyond the request. `loan`
    /// covers incomplete frames until [`Socket::on_client_known`].
    pub fn new(stream: TcpStream, read_ahead: &Bytes, config: &Config, loan: Loan) -> Self {
        Self {
            stream,
            reader: Reader::new(config.max_frame_bytes),
            rest: read_ahead.to_vec(),
            decoded: 0,
            signs: Bucket::default(),
            sign_rate: config.signs,
            since: Instant::now(),
            pong: None,
            unsent: VecDeque::new(),
            closed_by_client: None,
            loan: Some(Box::new(loan)),
        }
    }

    /// Removes the stranger's budget: from here on the client's own limits suffice.
    pub fn on_client_known(&mut self) {
        self.loan = None;
    }

    /// The next frame, or the reason why there will be none. Can be dropped safely while it waits.
    /// Of many pings, the last one is reported when no other frame is available.
    pub async fn next(&mut self) -> Result<Incoming, Close> {
        poll_fn(|context| self.poll_next(context)).await
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Incoming, Close>> {
        let mut has_sign = false;
        loop {
            let read = match self.read_rest()? {
                Some(read) => read,
                None if has_sign => return Poll::Ready(Ok(Incoming::Sign)),
                None => match ready!(self.poll_read(context))? {
                    Some(read) => read,
                    None => continue,
                },
            };
            match read {
                Read::Text(text) => return Poll::Ready(Ok(Incoming::Text(text))),
                Read::Binary => return Poll::Ready(Ok(Incoming::Binary)),
                Read::Close(code) => {
                    self.closed_by_client = Some(ClosedByClient { code });
                    return Poll::Ready(Err(Close::ByPeer));
                }
                Read::Ping(payload) => self.pong = Some(Frame::pong(&payload)),
                Read::Pong | Read::Empty => {}
            }
            let now = self.since.elapsed();
            self.signs.try_take(&self.sign_rate, now, 1).map_err(|_| Close::Abuse)?;
            has_sign = true;
        }
    }

    /// Decodes the next unit of the bytes that were read before.
    fn read_rest(&mut self) -> Result<Option<Read>, Close> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let mut input = &self.rest[self.decoded..];
        let read = self.reader.read(&mut input);
        if input.is_empty() {
            (self.rest, self.decoded) = (Vec::new(), 0);
        } else {
            self.decoded = self.rest.len() - input.len();
        }
        self.paid_for(read)
    }

    /// Reads once from the kernel. Returns the first unit in the bytes, if one is complete.
    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Read>, Close>> {
        let Self { stream, reader, rest, .. } = self;
        let read = poll_input(stream, context, |mut input| {
            // A read of no bytes is the end of the client's side.
            if input.is_empty() {
                return Err(Close::ByPeer);
            }
            let read = reader.read(&mut input);
            *rest = input.to_vec();
            read
        });
        // A broken connection counts as one that the client ended.
        let read = ready!(read).unwrap_or(Err(Close::ByPeer));
        Poll::Ready(self.paid_for(read))
    }

    /// Passes `read` on if the loan covers the memory of incomplete frames.
    fn paid_for(&mut self, read: Result<Option<Read>, Close>) -> Result<Option<Read>, Close> {
        if let Some(loan) = &mut self.loan
            && !loan.try_cover(self.reader.memory())
        {
            metrics::counter!("gateway_strangers_refused_total").increment(1);
            return Err(Close::Overloaded);
        }
        read
    }

    /// Whether a ping waits for its answer. The next write includes the answer.
    pub fn owes_pong(&self) -> bool {
        self.pong.is_some()
    }

    /// Writes all of these frames, in as few pieces as the kernel accepts. A client for which the
    /// kernel accepts nothing for `patience` is a slow consumer. If the future is dropped before it
    /// ends, only [`Socket::close`] may follow, which ends the begun frame.
    pub async fn write(
        &mut self,
        frames: &mut VecDeque<Frame>,
        patience: Duration,
    ) -> Result<(), Close> {
        self.write_unsent(patience).await?;
        while self.write_now(frames)? == Written::Some {
            self.write_unsent(patience).await?;
        }
        Ok(())
    }

    /// Writes as many of these frames as fit without waiting, and the answer to a ping before them.
    pub fn write_now(&mut self, frames: &mut VecDeque<Frame>) -> Result<Written, Close> {
        if let Some(pong) = self.pong.take() {
            frames.push_front(pong);
        }
        while !frames.is_empty() {
            if self.write_some(frames)? == Written::Some {
                return Ok(Written::Some);
            }
        }
        Ok(Written::All)
    }

    /// Joins as many frames as fit and hands them to the kernel. Bytes that the kernel does not take go to
    /// `unsent`.
    fn write_some(&mut self, frames: &mut VecDeque<Frame>) -> Result<Written, Close> {
        // A single frame needs no copy.
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
        let taken = match self.stream.try_write(bytes) {
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

    async fn write_unsent(&mut self, patience: Duration) -> Result<(), Close> {
        while !self.unsent.is_empty() {
            let taken = timeout(patience, self.stream.write_buf(&mut self.unsent)).await;
            taken.map_err(|_| Close::SlowConsumer)?.map_err(|_| Close::ByPeer)?;
        }
        // Frees the memory of a burst.
        self.unsent = VecDeque::new();
        Ok(())
    }

    /// Sends the reason, or answers the client's own close frame. Then waits a moment for the client, so that it
    /// reads the close and not a reset. Ignores frames that still arrive.
    pub async fn close(mut self, close: Close) {
        let closing = timeout(CLOSE_TIMEOUT, self.shake_hands(close)).await;
        if !matches!(closing, Ok(Ok(()))) {
            // The client will not read the bytes that the kernel still holds for it. Free them, too.
            let _ = self.stream.set_zero_linger();
        }
    }

    /// Returns an error if the client is gone or violates the closing handshake.
    async fn shake_hands(&mut self, close: Close) -> io::Result<()> {
        let frame = match (close, self.closed_by_client) {
            (Close::ByPeer, Some(ClosedByClient { code })) => {
                Frame::close(code.unwrap_or(close.code()), "")
            }
            (Close::ByPeer, None) => return Err(io::ErrorKind::ConnectionReset.into()),
            _ => Frame::close(close.code(), close.reason()),
        };
        let rest = mem::take(&mut self.rest);
        let mut frames = self.reader.forget(rest.get(self.decoded..).unwrap_or_default());
        self.stream.write_all_buf(&mut self.unsent).await?;
        self.stream.write_all(frame.wire()).await?;
        let (mut forgotten, mut is_shut) = (0, false);
        loop {
            // First wait for the client's close frame, then end our side, and read until the client ends its
            // own. Dropping a stream with unread bytes would reset it.
            if self.reader.has_ended() && !mem::replace(&mut is_shut, true) {
                self.stream.shutdown().await?;
            }
            let Self { stream, reader, .. } = self;
            let bytes = poll_fn(|context| {
                poll_input(stream, context, |input| {
                    frames += reader.forget(input);
                    input.len()
                })
            })
            .await?;
            forgotten += bytes;
            match bytes {
                0 => return Ok(()),
                _ if forgotten > MAX_FORGOTTEN_BYTES || frames > MAX_FORGOTTEN_FRAMES => {
                    return Err(io::ErrorKind::QuotaExceeded.into());
                }
                _ => {}
            }
        }
    }
}

/// Reads once and passes the bytes to `take`. There are none if the client's side has ended.
fn poll_input<T>(
    stream: &mut TcpStream,
    context: &mut Context<'_>,
    take: impl FnOnce(&[u8]) -> T,
) -> Poll<io::Result<T>> {
    INPUT.with_borrow_mut(|input| {
        input.resize(READ_BYTES, 0);
        let mut buffer = ReadBuf::new(input);
        // Not `try_read`: after a read that does not fill the buffer, `poll_read` knows that nothing is left
        // and saves the next system call.
        ready!(Pin::new(stream).poll_read(context, &mut buffer))?;
        Poll::Ready(Ok(take(buffer.filled())))
    })
}

#[cfg(test)]
mod tests;
