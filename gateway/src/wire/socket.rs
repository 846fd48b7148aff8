//! One client's WebSocket: frames in, frames out, and the closing handshake, over the bare TCP stream taken
//! out of the HTTP server. It knows nothing of chats; `Reader` decodes the bytes.
//!
//! A frame has the same bytes on the wire as in memory ([`Frame`]), so writing many of them takes one copy
//! and one system call. An idle connection owns no buffer: frames are read and joined in memory of the
//! thread, and only incomplete data is kept.

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

/// Reading: what one system call takes in at most. The largest frame that clients may send takes
/// seven, nearly all others one.
const READ_BYTES: usize = 8 * 1024;

/// Writing: frames are joined up to here before they go to the kernel, which rarely takes more at once.
const JOINED_BYTES: usize = 64 * 1024;

thread_local! {
    /// Where bytes are read to: used within one poll only, so one a thread is enough.
    static INPUT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    /// Where frames are joined: used between two system calls only.
    static JOINED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// How long closing may take, until the client has closed, too.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// What a client may still send after it was told that the socket closes: a large frame that was
/// refused by its header is on its way, and a client that is reset does not read why.
const MAX_FORGOTTEN_BYTES: usize = 2 << 20;

/// The same in frames, more than any burst that is allowed: two megabytes of pings are 350,000, and
/// cost a thousand times what one large frame does.
const MAX_FORGOTTEN_FRAMES: usize = 1_000;

/// The next input from the client.
#[derive(Debug)]
pub enum Incoming {
    /// A whole text message, however many fragments it came in.
    Text(String),
    /// A binary message, whose content is dropped: no dialect has any.
    Binary,
    /// A ping or a pong: the client lives. See [`Socket::owes_pong`].
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
    /// Takes over a stream after the upgrade; `read_ahead` is what was read beyond it, `loan` pays for
    /// incomplete frames until [`Socket::on_client_known`].
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

    /// Decodes what was read before.
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

    /// Reads once from the kernel; the first frame in it, if one is complete.
    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Read>, Close>> {
        let Self { stream, reader, rest, .. } = self;
        let read = poll_input(stream, context, |mut input| {
            if input.is_empty() {
                return Err(Close::ByPeer);
            }
            let read = reader.read(&mut input);
            *rest = input.to_vec();
            read
        });
        // A connection that broke is gone like one that ended.
        let read = ready!(read).unwrap_or(Err(Close::ByPeer));
        Poll::Ready(self.paid_for(read))
    }

    /// Whether what is incomplete may stay in memory.
    fn paid_for(&mut self, read: Result<Option<Read>, Close>) -> Result<Option<Read>, Close> {
        if let Some(loan) = &mut self.loan
            && !loan.try_cover(self.reader.memory())
        {
            metrics::counter!("gateway_strangers_refused_total").increment(1);
            return Err(Close::Overloaded);
        }
        read
    }

    /// Whether a ping waits for its answer, which goes with whatever is written next.
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

    /// Hands the kernel as many frames as are joined at once. The rest goes to `unsent`.
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
        // A burst does not stay in memory.
        self.unsent = VecDeque::new();
        Ok(())
    }

    /// Sends the reason, or answers the client's own close frame; then waits a moment for the
    /// client, so that it reads the close and not a reset. Ignores frames that still arrive.
    pub async fn close(mut self, close: Close) {
        let closing = timeout(CLOSE_TIMEOUT, self.shake_hands(close)).await;
        if !matches!(closing, Ok(Ok(()))) {
            // Nobody is there to read what the kernel still holds for it: let go of that, too.
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
            // The client's answer first, where one can come; then the end of our side, to which it
            // answers with the end of its own. A stream dropped with something unread is reset.
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

/// Reads once and passes the bytes to `take`: none if the client's side has ended.
fn poll_input<T>(
    stream: &mut TcpStream,
    context: &mut Context<'_>,
    take: impl FnOnce(&[u8]) -> T,
) -> Poll<io::Result<T>> {
    INPUT.with_borrow_mut(|input| {
        input.resize(READ_BYTES, 0);
        let mut buffer = ReadBuf::new(input);
        // Not `try_read`: this one knows that a buffer which is not filled was the last of it, so that
        // nothing is asked twice.
        ready!(Pin::new(stream).poll_read(context, &mut buffer))?;
        Poll::Ready(Ok(take(buffer.filled())))
    })
}

#[cfg(test)]
mod tests;
