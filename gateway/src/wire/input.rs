//! What comes in from one client: reads the TCP stream and answers with whole messages. It writes nothing; `Output`
//! does. An idle connection owns no buffer: the thread has the memory in which bytes are read, and a connection
//! keeps incomplete data only.

use crate::{
    config::Config,
    wire::{
        credit::Loan,
        frame::Frame,
        reader::{Read, Reader},
        stream::ReadHalf,
    },
};
use platform::limit::{Bucket, Rate};
use protocol::close::Close;
use std::{
    cell::RefCell,
    future::poll_fn,
    io, mem,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::{
    io::{AsyncRead, ReadBuf},
    time::Instant,
};
use tokio_tungstenite::tungstenite::Bytes;

/// The maximum number of bytes that one system call reads. The largest frame that clients may send takes seven
/// calls, and nearly all others one.
const READ_BYTES: usize = 8 * 1024;

thread_local! {
    /// The bytes that were read. They are used within one poll only, so one buffer for each thread is enough.
    static INPUT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The next input from the client.
#[derive(Debug)]
pub enum Incoming {
    /// A whole text message, however many fragments it came in.
    Text(String),
    /// A binary message. Its content is dropped, since no dialect has binary messages.
    Binary,
    /// A frame without content, such as a ping or a pong: the client is alive. See [`Input::owes_pong`].
    Sign,
}

/// The reading half of a [`super::socket::Socket`].
#[derive(Debug)]
pub struct Input {
    half: ReadHalf,
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
    /// The client's close frame, once received.
    closed_by_client: Option<ClosedByClient>,
    /// Covers incomplete frames while the client is unidentified.
    loan: Option<Box<Loan>>,
}

/// The close frame of a client.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClosedByClient {
    pub code: Option<u16>,
}

impl Input {
    /// Reads `read_ahead` first. `loan` covers incomplete frames until [`Input::on_client_known`].
    pub(super) fn new(half: ReadHalf, read_ahead: &Bytes, config: &Config, loan: Loan) -> Self {
        Self {
            half,
            reader: Reader::new(config.max_frame_bytes),
            rest: read_ahead.to_vec(),
            decoded: 0,
            signs: Bucket::default(),
            sign_rate: config.signs,
            since: Instant::now(),
            pong: None,
            closed_by_client: None,
            loan: Some(Box::new(loan)),
        }
    }

    /// Removes the stranger's budget: from here on the client's own limits suffice.
    pub(super) fn on_client_known(&mut self) {
        self.loan = None;
    }

    /// The next frame, or the reason why there will be none. Can be dropped safely while it waits.
    /// Of many pings, the last one is reported when no other frame is available.
    pub fn incoming(&mut self) -> impl Future<Output = Result<Incoming, Close>> {
        poll_fn(|context| self.poll_next(context))
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
        let Self { half, reader, rest, .. } = self;
        let read = poll_input(half, context, |mut input| {
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

    /// Whether a ping waits for its answer.
    pub fn owes_pong(&self) -> bool {
        self.pong.is_some()
    }

    /// The answer to the newest ping, which goes with whatever is written next.
    pub fn take_pong(&mut self) -> Option<Frame> {
        self.pong.take()
    }

    /// The client's close frame, if it sent one.
    pub(super) fn closed_by_client(&self) -> Option<ClosedByClient> {
        self.closed_by_client
    }

    /// Gives up all messages, those that were read included. The number of frames among these bytes.
    pub(super) fn forget(&mut self) -> usize {
        let rest = mem::take(&mut self.rest);
        self.reader.forget(rest.get(self.decoded..).unwrap_or_default())
    }

    /// Reads once after [`Input::forget`]. The bytes that came, none when the client's side has ended, and the
    /// frames among them.
    pub(super) async fn forget_more(&mut self) -> io::Result<Forgotten> {
        let Self { half, reader, .. } = self;
        poll_fn(|context| {
            poll_input(half, context, |input| {
                let frames = reader.forget(input);
                Forgotten { bytes: input.len(), frames }
            })
        })
        .await
    }

    /// Whether the client's close frame was among the bytes that were forgotten.
    pub(super) fn has_ended(&self) -> bool {
        self.reader.has_ended()
    }
}

/// Input that came after the server's close.
#[derive(Clone, Copy, Debug)]
pub(super) struct Forgotten {
    pub bytes: usize,
    pub frames: usize,
}

/// Reads once and passes the bytes to `take`. There are none if the client's side has ended.
fn poll_input<T>(
    half: &mut ReadHalf,
    context: &mut Context<'_>,
    take: impl FnOnce(&[u8]) -> T,
) -> Poll<io::Result<T>> {
    INPUT.with_borrow_mut(|input| {
        input.resize(READ_BYTES, 0);
        let mut buffer = ReadBuf::new(input);
        // Not `try_read`: after a read that does not fill the buffer, `poll_read` knows that nothing is left
        // and saves the next system call.
        ready!(Pin::new(half).poll_read(context, &mut buffer))?;
        Poll::Ready(Ok(take(buffer.filled())))
    })
}

#[cfg(test)]
impl Input {
    /// The bytes of memory that incomplete messages take.
    pub(super) fn memory(&self) -> usize {
        self.reader.memory() + self.rest.capacity()
    }

    pub(super) fn set_loan(&mut self, loan: Loan) {
        self.loan = Some(Box::new(loan));
    }
}
