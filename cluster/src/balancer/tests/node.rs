//! Nodes for a load balancer's tests, which say who they are and what they were asked, and a client
//! that sees every byte.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// What a node does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// Answers with its name and the request's head; after an upgrade, echoes.
    Serves,
    /// Answers 503, as a gateway without a free place does.
    Full,
    /// Takes the request and ends the connection.
    Vanishes,
}

/// A node that is ready until told otherwise. It stops listening and drops its connections when dropped.
pub(super) struct FakeNode {
    pub(super) address: SocketAddr,
    heard: Arc<Mutex<Vec<String>>>,
    ready: Arc<AtomicBool>,
    _listening: JoinSet<()>,
}

impl FakeNode {
    pub(super) async fn start(name: &'static str, manner: Manner) -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), name, manner).await
    }

    pub(super) async fn start_at(address: SocketAddr, name: &'static str, manner: Manner) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (heard, ready) = (Arc::default(), Arc::new(AtomicBool::new(true)));
        let one = One { name, manner, heard: Arc::clone(&heard), ready: Arc::clone(&ready) };
        let mut listening = JoinSet::new();
        listening.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(one.clone().serve(stream));
            }
        });
        Self { address, heard, ready, _listening: listening }
    }

    /// From now on `/readyz` answers 503.
    pub(super) fn drain(&self) {
        self.ready.store(false, Ordering::Relaxed);
    }

    /// The requests it was sent, but for those about its health.
    pub(super) fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

#[derive(Clone)]
struct One {
    name: &'static str,
    manner: Manner,
    heard: Arc<Mutex<Vec<String>>>,
    ready: Arc<AtomicBool>,
}

impl One {
    async fn serve(self, mut stream: TcpStream) {
        while let Some(request) = read_request(&mut stream).await {
            if request.starts_with("GET /readyz ") {
                let status = if self.ready.load(Ordering::Relaxed) { 200 } else { 503 };
                let answer = format!("HTTP/1.1 {status} x\r\nContent-Length: 0\r\n\r\n");
                let _ = stream.write_all(answer.as_bytes()).await;
                continue;
            }
            self.heard.lock().unwrap().push(request.clone());
            let lower = request.to_lowercase();
            let upgrade = lower.contains("\r\nupgrade: websocket\r\n")
                && lower.contains("\r\nconnection: upgrade\r\n");
            let said = format!("{} {request}", self.name);
            let answer = match self.manner {
                Manner::Vanishes => return,
                Manner::Full => "HTTP/1.1 503 x\r\nRetry-After: 5\r\nContent-Length: 0\r\n\
                                 Connection: close\r\n\r\n"
                    .to_owned(),
                Manner::Serves if upgrade => format!("HTTP/1.1 101 x\r\n{ACCEPTED}\r\n{said}"),
                Manner::Serves => {
                    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{said}", said.len())
                }
            };
            if stream.write_all(answer.as_bytes()).await.is_err() || self.manner == Manner::Full {
                return;
            }
            if upgrade {
                let (mut from, mut to) = stream.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
                return;
            }
        }
    }
}

/// The example of RFC 6455, section 1.3.
pub(super) const UPGRADE: &str = "Upgrade: WebSocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                           Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const ACCEPTED: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\n\
                        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";

/// An answer, and the connection it came on.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// In lower case.
    pub(super) head: String,
    pub(super) body: String,
    stream: TcpStream,
}

impl Answer {
    /// The node that answered.
    pub(super) fn node(&self) -> &str {
        self.body.split(' ').next().unwrap()
    }

    /// Whether what is sent on the open socket comes back.
    pub(super) async fn echoes(&mut self) -> bool {
        let mut back = [0; 4];
        let sent = self.stream.write_all(b"ping").await.is_ok();
        sent && self.stream.read_exact(&mut back).await.is_ok() && &back == b"ping"
    }

    /// Waits until the other side ends the open socket.
    pub(super) async fn ended(&mut self) {
        while self.stream.read_u8().await.is_ok() {}
    }
}

/// One request on a connection of its own: `line` is method and target; `headers` end with a line end.
pub(super) async fn ask(at: SocketAddr, line: &str, headers: &str, body: &str) -> Answer {
    let mut stream = TcpStream::connect(at).await.unwrap();
    let request = format!("{line} HTTP/1.1\r\nHost: {at}\r\n{headers}\r\n{body}");
    stream.write_all(request.as_bytes()).await.unwrap();
    let head = read_head(&mut stream).await.expect("an answer").to_lowercase();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap();
    let body = match status {
        // What follows is the request's head, as the node saw it.
        101 => read_head(&mut stream).await.expect("what the node was asked"),
        _ => read_body(&mut stream, &head).await,
    };
    Answer { status, head, body, stream }
}

/// An upgrade.
pub(super) async fn open(at: SocketAddr) -> Answer {
    ask(at, "GET /gateway?token=secret", UPGRADE, "").await
}

async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let head = read_head(stream).await?;
    read_body(stream, &head.to_lowercase()).await;
    Some(head)
}

/// Up to the empty line; nothing when the connection ends before it.
async fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8_lossy(&head).into_owned())
}

async fn read_body(stream: &mut TcpStream, head: &str) -> String {
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.split('\r').next());
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).await.unwrap_or_default();
    String::from_utf8_lossy(&body).into_owned()
}
