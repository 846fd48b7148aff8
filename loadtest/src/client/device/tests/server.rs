//! A server that does what its test says: WebSockets are handed to the test, refresh tokens exchanged.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinSet,
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream, accept_async,
    tungstenite::{Message, protocol::CloseFrame},
};

const PATIENCE: Duration = Duration::from_secs(10);

/// An access token that expires then, in Unix seconds.
pub(super) fn token(name: &str, exp: i64) -> String {
    let claims = BASE64_URL_SAFE_NO_PAD.encode(json!({ "exp": exp }).to_string());
    format!("{name}.{claims}.x")
}

pub(super) struct Server {
    address: SocketAddr,
    lines: mpsc::Receiver<ServerSocket>,
    refreshed: Arc<Mutex<Vec<String>>>,
    _tasks: JoinSet<()>,
}

/// The server's end of one connection.
pub(super) struct ServerSocket(WebSocketStream<TcpStream>);

impl Server {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, lines) = mpsc::channel(16);
        let refreshed = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = JoinSet::new();
        let exchanged = Arc::clone(&refreshed);
        tasks.spawn(async move {
            let mut calls = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let mut first = [0];
                stream.peek(&mut first).await.unwrap();
                if first == *b"P" {
                    calls.spawn(exchange(stream, Arc::clone(&exchanged)));
                } else if let Ok(socket) = accept_async(stream).await {
                    sender.send(ServerSocket(socket)).await.unwrap();
                }
            }
        });
        Self { address, lines, refreshed, _tasks: tasks }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The next connection.
    pub(super) async fn next(&mut self) -> ServerSocket {
        timeout(PATIENCE, self.lines.recv()).await.expect("a connection").unwrap()
    }

    /// The refresh tokens that were exchanged.
    pub(super) fn refreshed(&self) -> Vec<String> {
        self.refreshed.lock().unwrap().clone()
    }
}

impl ServerSocket {
    pub(super) async fn hear(&mut self) -> Value {
        loop {
            let heard = timeout(PATIENCE, self.0.next()).await.expect("a frame");
            if let Message::Text(text) = heard.unwrap().unwrap() {
                return serde_json::from_str(&text).unwrap();
            }
        }
    }

    pub(super) async fn say(&mut self, frame: Value) {
        self.0.send(Message::text(frame.to_string())).await.unwrap();
    }

    /// Pings and waits for the answer.
    pub(super) async fn ping(&mut self) {
        self.0.send(Message::Ping("are you there".into())).await.unwrap();
        let pong = timeout(PATIENCE, self.0.next()).await.expect("a pong");
        assert_eq!(pong.unwrap().unwrap(), Message::Pong("are you there".into()));
    }

    pub(super) async fn end(&mut self, code: u16, reason: &'static str) {
        let frame = CloseFrame { code: code.into(), reason: reason.into() };
        self.0.close(Some(frame)).await.unwrap();
    }

    /// The code of the client's close.
    pub(super) async fn close(&mut self) -> Option<u16> {
        let heard = timeout(PATIENCE, self.0.next()).await.expect("a close");
        match heard {
            Some(Ok(Message::Close(Some(frame)))) => Some(frame.code.into()),
            _ => None,
        }
    }
}

/// Answers `POST /token/refresh`: the n-th answer is the n-th token, good for three seconds at
/// first and for long from the second on.
async fn exchange(mut stream: TcpStream, exchanged: Arc<Mutex<Vec<String>>>) {
    let mut request = Vec::new();
    let body = loop {
        stream.read_buf(&mut request).await.unwrap();
        let text = String::from_utf8_lossy(&request).into_owned();
        if let Some((_, body)) = text.split_once("\r\n\r\n")
            && let Ok(body) = serde_json::from_str::<Value>(body)
        {
            break body;
        }
    };
    let number = {
        let mut exchanged = exchanged.lock().unwrap();
        exchanged.push(body["refresh_token"].as_str().unwrap().to_owned());
        exchanged.len()
    };
    let life = if number == 1 { 3 } else { 900 };
    let grant = json!({ "access_token": format!("token {number}"), "expires_in": life,
                        "refresh_token": format!("refresh {number}") })
    .to_string();
    let head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length:";
    stream.write_all(format!("{head} {}\r\n\r\n{grant}", grant.len()).as_bytes()).await.unwrap();
}
