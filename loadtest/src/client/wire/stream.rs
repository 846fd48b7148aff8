//! One connection's stream: reading into the thread's buffer, writing what the kernel takes. It keeps
//! bytes of its own only while a frame is half read or half written.

use super::WireError;
use crate::client::target::TargetTls;
use std::{
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpSocket, TcpStream},
};
use tokio_rustls::client::TlsStream;

/// What a WebSocket goes over.
#[derive(Debug)]
pub(crate) enum Transport {
    Plain(TcpStream),
    /// Boxed, because it is many times as large, and most runs have none.
    Tls(Box<TlsStream<TcpStream>>),
}

/// Opens a TCP connection. `source` is the address to come from; `receive` the kernel's receive
/// buffer in bytes, for clients that read slowly. With `tls`, what is returned has agreed on it.
pub(crate) async fn connect(
    to: SocketAddr,
    source: Option<IpAddr>,
    receive: Option<u32>,
    tls: Option<&TargetTls>,
) -> Result<Transport, WireError> {
    let stream = open(to, source, receive).await;
    let stream = stream.map_err(|error| WireError::Connect(error.kind()))?;
    let Some(TargetTls { connector, name }) = tls else { return Ok(Transport::Plain(stream)) };
    let agreed = connector.connect(name.clone(), stream).await;
    let stream = agreed.map_err(|why| WireError::Tls(why.to_string()))?;
    Ok(Transport::Tls(Box::new(stream)))
}

async fn open(
    to: SocketAddr,
    source: Option<IpAddr>,
    receive: Option<u32>,
) -> io::Result<TcpStream> {
    let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(bytes) = receive {
        socket.set_recv_buffer_size(bytes)?;
    }
    if let Some(source) = source {
        socket.bind(SocketAddr::new(source, 0))?;
    }
    let stream = socket.connect(to).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// A WebSocket's stream.
#[derive(Debug)]
pub(crate) struct WireStream {
    stream: Transport,
    /// The beginning of a frame whose rest has not come yet.
    partial: Vec<u8>,
    /// What the kernel has not taken yet.
    unsent: Vec<u8>,
}

/// What a read brought.
#[derive(Debug)]
pub(crate) struct ReadBytes {
    /// The buffer's bytes up to here are to be parsed: those kept from the last read come first.
    pub filled: usize,
    /// Those of this read.
    pub fresh: usize,
}

impl WireStream {
    pub(crate) fn new(stream: Transport, read_ahead: Vec<u8>) -> Self {
        Self { stream, partial: read_ahead, unsent: Vec::new() }
    }

    /// Bytes that came with the handshake's answer, when there are any.
    pub(crate) fn take_partial(&mut self) -> Option<Vec<u8>> {
        (!self.partial.is_empty()).then(|| std::mem::take(&mut self.partial))
    }

    /// Reads once, at most `limit` bytes, into a buffer that nobody else uses meanwhile. What is left
    /// over of it is to be given back by [`WireStream::keep`]. Zero fresh bytes: the server is gone.
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut Vec<u8>,
        limit: usize,
    ) -> Poll<Result<ReadBytes, WireError>> {
        let kept = self.partial.len();
        if buffer.len() < kept + limit {
            // Only ever for a frame larger than the buffer: at most to twice the largest frame.
            buffer.resize(kept + limit, 0);
        }
        let mut room = ReadBuf::new(&mut buffer[kept..kept + limit]);
        // Unlike `try_read` this knows that a short read has emptied the socket, so that waiting
        // again costs no further system call.
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut room))?;
        let fresh = room.filled().len();
        if kept > 0 {
            buffer[..kept].copy_from_slice(&self.partial);
            self.partial = Vec::new();
        }
        Poll::Ready(Ok(ReadBytes { filled: kept + fresh, fresh }))
    }

    /// Keeps the beginning of a frame for the next read.
    pub(crate) fn keep(&mut self, rest: &[u8]) {
        self.partial = rest.to_vec();
    }

    /// What is to be written next; [`WireStream::poll_flush`] writes it.
    pub(crate) fn unsent(&mut self) -> &mut Vec<u8> {
        &mut self.unsent
    }

    /// Writes as much as the kernel takes. Ready when nothing is left.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), WireError>> {
        while !self.unsent.is_empty() {
            let taken = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.unsent))?;
            if taken == self.unsent.len() {
                // A burst's room is not kept: there are thousands of these.
                self.unsent = Vec::new();
            } else {
                self.unsent.drain(..taken);
            }
        }
        // TLS may still hold some of it. Plain TCP has nothing to do here.
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
