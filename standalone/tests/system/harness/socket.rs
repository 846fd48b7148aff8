//! One WebSocket, frame by frame and with nothing done by itself: for tests of what exactly is sent,
//! and for bad input. Frames are the native protocol's; those of other dialects are texts here and
//! JSON in a `DialectSocket`. A well-behaved native client is a `Device`. Whatever the server sends, in any
//! test, must be what the AsyncAPI document says.

use super::wait::{DEADLINE, within};
use crate::asyncapi::{Channel, document};
use futures_util::{Sink as _, SinkExt, StreamExt};
use protocol::{
    close::Close,
    frames::{ClientFrame, Resume, ServerFrame},
};
use std::{
    collections::VecDeque,
    future::poll_fn,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{
        self, Message,
        client::IntoClientRequest,
        http::{HeaderName, HeaderValue},
    },
};

/// How to open a socket: the node's address, the path, and headers.
#[derive(Clone, Debug)]
pub struct Dial {
    node: SocketAddr,
    path: String,
    headers: Vec<(HeaderName, String)>,
    receive_buffer: Option<u32>,
}

impl Dial {
    /// The native protocol at a node or the load balancer.
    pub fn new(node: SocketAddr) -> Self {
        Self { node, path: "/gateway".to_owned(), headers: Vec::new(), receive_buffer: None }
    }

    /// Another path: another dialect.
    pub fn at(mut self, path: &str) -> Self {
        path.clone_into(&mut self.path);
        self
    }

    pub fn query(mut self, query: &str) -> Self {
        self.path = format!("{}?{query}", self.path);
        self
    }

    pub fn header(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Lets the kernel take in only so much for a client that does not read.
    pub fn receive_buffer(mut self, bytes: u32) -> Self {
        self.receive_buffer = Some(bytes);
        self
    }

    /// Opens the socket; an error when there is nobody, or an answer other than the upgrade.
    pub async fn open(&self) -> Result<Socket, tungstenite::Error> {
        let tcp = TcpSocket::new_v4()?;
        if let Some(bytes) = self.receive_buffer {
            tcp.set_recv_buffer_size(bytes)?;
        }
        let tcp = tcp.connect(self.node).await?;
        tcp.set_nodelay(true)?;
        let mut request = format!("ws://{}{}", self.node, self.path).into_client_request()?;
        for (name, value) in &self.headers {
            request.headers_mut().insert(name, HeaderValue::from_str(value)?);
        }
        let (stream, _) = client_async(request, tcp).await?;
        let (channel, early) = (document().at(&self.path), VecDeque::new());
        Ok(Socket { stream, channel, early })
    }
}

/// What a socket brought, as it came.
#[derive(Debug)]
pub enum SocketEvent {
    Text(String),
    /// The server's close frame: code and reason.
    Closed(u16, String),
    /// The connection ended without a word.
    Gone,
}

/// What a socket of the native protocol brought.
#[derive(Debug)]
pub enum Got {
    Frame(Box<ServerFrame>),
    /// The server's close frame: code and reason.
    Closed(u16, String),
    /// The connection ended without a word.
    Gone,
}

/// An open WebSocket.
#[derive(Debug)]
pub struct Socket {
    stream: WebSocketStream<TcpStream>,
    /// What the document says of this path; nothing for a path without a WebSocket.
    channel: Option<&'static Channel>,
    /// What came while it wrote; to be heard first.
    early: VecDeque<tungstenite::Result<Message>>,
}

impl Socket {
    /// Sends a frame. That the server is gone is seen by the next read, not here.
    pub async fn say(&mut self, frame: &ClientFrame) {
        self.say_text(serde_json::to_string(frame).expect("frames encode")).await;
    }

    /// Sends any text.
    pub async fn say_text(&mut self, text: impl Into<String>) {
        self.say_message(Message::text(text.into())).await;
    }

    /// Sends any WebSocket message.
    pub async fn say_message(&mut self, message: Message) {
        let _ = self.stream.send(message).await;
    }

    /// Sends all these texts at once, and reads meanwhile: each side may wait for the other to take
    /// something in.
    pub async fn say_all(&mut self, texts: impl IntoIterator<Item = String>) {
        let mut texts = texts.into_iter();
        // That the server is gone is seen by the next read, as ever.
        let _ = poll_fn(|cx| self.poll_say_all(cx, &mut texts)).await;
    }

    fn poll_say_all(
        &mut self,
        cx: &mut Context<'_>,
        texts: &mut impl Iterator<Item = String>,
    ) -> Poll<tungstenite::Result<()>> {
        while let Poll::Ready(Some(heard)) = self.stream.poll_next_unpin(cx) {
            self.early.push_back(heard);
        }
        loop {
            ready!(Pin::new(&mut self.stream).poll_ready(cx))?;
            let Some(text) = texts.next() else { break };
            Pin::new(&mut self.stream).start_send(Message::text(text))?;
        }
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// What comes next, in whatever dialect; a text is as documented. Cancel-safe.
    pub async fn hear(&mut self) -> SocketEvent {
        loop {
            let heard = match self.early.pop_front() {
                Some(heard) => Some(heard),
                None => self.stream.next().await,
            };
            match heard {
                Some(Ok(Message::Text(text))) => {
                    match self.channel {
                        Some(channel) => channel.check(&text),
                        None => panic!("{text:?} came on a path that is not in the document"),
                    }
                    return SocketEvent::Text(text.to_string());
                }
                Some(Ok(Message::Close(Some(frame)))) => {
                    return SocketEvent::Closed(frame.code.into(), frame.reason.to_string());
                }
                Some(Ok(Message::Close(None)) | Err(_)) | None => return SocketEvent::Gone,
                Some(Ok(Message::Binary(bytes))) => panic!("the server sent binary {bytes:?}"),
                Some(Ok(_)) => {}
            }
        }
    }

    /// What comes next in the native protocol. Cancel-safe.
    pub async fn next(&mut self) -> Got {
        match self.hear().await {
            SocketEvent::Text(text) => match serde_json::from_str(&text) {
                Ok(frame) => Got::Frame(Box::new(frame)),
                Err(error) => panic!("the server sent {text:?}: {error}"),
            },
            SocketEvent::Closed(code, reason) => Got::Closed(code, reason),
            SocketEvent::Gone => Got::Gone,
        }
    }

    /// The next frame, whatever it is.
    pub async fn frame(&mut self) -> ServerFrame {
        match within(DEADLINE, "a frame", self.next()).await {
            Got::Frame(frame) => *frame,
            other => panic!("waited for a frame and got {other:?}"),
        }
    }

    /// Says hello; the answer must be `ready`.
    pub async fn hello(&mut self, token: Option<&str>, resume: Option<Resume>) -> ServerFrame {
        self.say(&ClientFrame::hello(token.map(str::to_owned), resume)).await;
        let ready = self.frame().await;
        assert!(matches!(ready, ServerFrame::Ready { .. }), "hello was answered with {ready:?}");
        ready
    }

    /// The code of the next `error` frame; other frames are passed over.
    pub async fn error_code(&mut self) -> String {
        loop {
            if let ServerFrame::Error { code, .. } = self.frame().await {
                return code;
            }
        }
    }

    /// Whatever comes, until the server closes; that must be for this reason.
    pub async fn expect_close(&mut self, close: Close) {
        let heard = within(DEADLINE, close.reason(), async {
            loop {
                match self.hear().await {
                    SocketEvent::Text(_) => {}
                    other => return other,
                }
            }
        })
        .await;
        match heard {
            SocketEvent::Closed(code, reason) => {
                assert_eq!((code, reason.as_str()), (close.code(), close.reason()));
            }
            other => panic!("waited for a close with {close:?} and got {other:?}"),
        }
    }

    /// A WebSocket ping is answered with its payload; texts are passed over.
    pub async fn expect_pong(&mut self, payload: &'static str) {
        self.say_message(Message::Ping(payload.into())).await;
        loop {
            match within(DEADLINE, "a pong", self.stream.next()).await {
                Some(Ok(Message::Pong(got))) => return assert_eq!(got, payload),
                Some(Ok(Message::Text(_))) => {}
                other => panic!("waited for a pong and got {other:?}"),
            }
        }
    }

    /// The socket still works: a ping is answered. Returns what came before the answer.
    pub async fn expect_alive(&mut self) -> Vec<ServerFrame> {
        let id = Some(format!("alive-{}", uuid::Uuid::new_v4().simple()));
        self.say(&ClientFrame::Ping { id: id.clone() }).await;
        let mut before = Vec::new();
        loop {
            match self.frame().await {
                ServerFrame::Pong { id: got } if got == id => return before,
                other => before.push(other),
            }
        }
    }
}
