//! One client's WebSocket over the bare TCP stream that the HTTP server gave up: its two halves, and the closing
//! handshake. It knows nothing of chats.
//!
//! - `input.rs`: reads and decodes frames; `output.rs`: writes frames

use crate::{
    config::Config,
    wire::{
        credit::Loan,
        frame::Frame,
        input::{ClosedByClient, Forgotten, Incoming, Input},
        output::Output,
        stream::{ReadHalf, WriteHalf, halves},
    },
};
use protocol::close::Close;
use std::{collections::VecDeque, io, mem, time::Duration};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::tungstenite::Bytes;

/// How long the closing handshake may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// The number of bytes that a client may still send after the server's close. A large frame that was refused by
/// its header is on its way, and a client whose stream is reset does not read why.
const MAX_FORGOTTEN_BYTES: usize = 2 << 20;

/// The number of frames that a client may still send then, more than any permitted burst. The bytes alone do not
/// bound the cost: two megabytes may be 350,000 pings, which cost a thousand times as much as one large frame.
const MAX_FORGOTTEN_FRAMES: usize = 1_000;

/// A server's end of a WebSocket. The halves are boxed: a future that holds a socket holds two pointers.
#[derive(Debug)]
pub struct Socket {
    pub(crate) input: Box<Input>,
    pub(crate) output: Box<Output>,
}

impl Socket {
    /// Takes over a stream after the upgrade. `read_ahead` has the bytes that were read beyond the request. `loan`
    /// covers incomplete frames until [`Socket::on_client_known`].
    pub fn new(stream: TcpStream, read_ahead: &Bytes, config: &Config, loan: Loan) -> Self {
        Self::over(halves(stream), read_ahead, config, loan)
    }

    fn over(
        (reading, writing): (ReadHalf, WriteHalf),
        read_ahead: &Bytes,
        config: &Config,
        loan: Loan,
    ) -> Self {
        Self {
            input: Box::new(Input::new(reading, read_ahead, config, loan)),
            output: Box::new(Output::new(writing)),
        }
    }

    /// Removes the stranger's budget: from here on the client's own limits suffice.
    pub fn on_client_known(&mut self) {
        self.input.on_client_known();
    }

    /// See [`Input::incoming`].
    pub async fn next(&mut self) -> Result<Incoming, Close> {
        self.input.incoming().await
    }

    /// Writes the answer to a ping, then all of these frames. See [`Output::write`].
    pub async fn write(
        &mut self,
        frames: &mut VecDeque<Frame>,
        patience: Duration,
    ) -> Result<(), Close> {
        if let Some(pong) = self.input.take_pong() {
            frames.push_front(pong);
        }
        self.output.write(frames, patience).await
    }

    /// Sends the reason, or answers the client's own close frame. Then waits a moment for the client, so that it
    /// reads the close and not a reset. Ignores frames that still arrive.
    pub async fn close(mut self, close: Close) {
        let closing = timeout(CLOSE_TIMEOUT, self.shake_hands(close)).await;
        if !matches!(closing, Ok(Ok(()))) {
            // The client will not read the bytes that the kernel still holds for it.
            self.output.reset_on_close();
        }
    }

    /// Returns an error if the client is gone or violates the closing handshake.
    async fn shake_hands(&mut self, close: Close) -> io::Result<()> {
        let frame = match (close, self.input.closed_by_client()) {
            (Close::ByPeer, Some(ClosedByClient { code })) => {
                Frame::close(code.unwrap_or(close.code()), "")
            }
            (Close::ByPeer, None) => return Err(io::ErrorKind::ConnectionReset.into()),
            _ => Frame::close(close.code(), close.reason()),
        };
        let Self { input, output } = self;
        let mut forgotten = Forgotten { bytes: 0, frames: input.forget() };
        output.write_last(&frame).await?;
        let mut is_shut = false;
        loop {
            // First wait for the client's close frame, then end our side, and read until the client ends its
            // own. Dropping a stream with unread bytes would reset it.
            if input.has_ended() && !mem::replace(&mut is_shut, true) {
                output.shutdown().await?;
            }
            let more = input.forget_more().await?;
            forgotten.bytes += more.bytes;
            forgotten.frames += more.frames;
            if more.bytes == 0 {
                return Ok(());
            }
            if forgotten.bytes > MAX_FORGOTTEN_BYTES || forgotten.frames > MAX_FORGOTTEN_FRAMES {
                return Err(io::ErrorKind::QuotaExceeded.into());
            }
        }
    }
}

#[cfg(test)]
impl Socket {
    /// A server's end of a stream in memory, which reads and writes nothing by the kernel.
    pub(crate) fn in_memory(stream: tokio::io::DuplexStream, config: &Config, loan: Loan) -> Self {
        let (reading, writing) = tokio::io::split(stream);
        let halves = (ReadHalf::Memory(reading), WriteHalf::Memory(writing));
        Self::over(halves, &Bytes::new(), config, loan)
    }
}

#[cfg(test)]
mod tests;
