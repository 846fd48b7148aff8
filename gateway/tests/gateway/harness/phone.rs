//! A client that does as it is told. It reads nothing unless a test listens, and it comes back by itself
//! never.

use super::words::words;
use futures_util::{FutureExt, SinkExt, StreamExt};
use std::{net::SocketAddr, time::Duration};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Error, Message, protocol::CloseFrame},
};

/// What a client's kernel holds of what it does not read.
const RECEIVE_BUFFER: u32 = 16 * 1024;

/// A client's socket.
pub struct Phone {
    socket: WebSocketStream<TcpStream>,
}

impl Phone {
    pub(super) async fn dial(address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(RECEIVE_BUFFER).unwrap();
        let stream = socket.connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (socket, _) = client_async("ws://node.example/gateway", stream).await.unwrap();
        Self { socket }
    }

    /// Sends a frame.
    pub async fn say(&mut self, frame: &str) {
        self.socket.send(Message::text(frame)).await.unwrap();
    }

    /// Posts a message; `id` is its client message id.
    pub async fn send(&mut self, chat: protocol::id::ChatId, id: &str, text: &str) {
        self.say(&format!(r#"{{"type":"send","id":"{id}","chat_id":{chat},"text":"{text}"}}"#))
            .await;
    }

    /// The next thing that it hears, in [`words`]. The socket's end is one, too.
    pub async fn hear(&mut self) -> String {
        // The clock stands, unless the test's patience is over.
        let heard = tokio::time::timeout(Duration::from_millis(1), self.next()).await;
        heard.expect("it heard nothing")
    }

    async fn next(&mut self) -> String {
        loop {
            return match self.socket.next().await {
                Some(Ok(Message::Text(text))) => words(&serde_json::from_str(&text).unwrap()),
                Some(Ok(Message::Close(Some(CloseFrame { code, reason })))) => {
                    format!("close {code} {reason}")
                }
                Some(Ok(Message::Ping(_))) => continue,
                Some(Ok(other)) => panic!("{other:?}"),
                Some(Err(Error::ConnectionClosed)) | None => "gone".to_owned(),
                Some(Err(error)) => format!("gone: {error}"),
            };
        }
    }

    /// What it hears next is exactly this, in this order.
    pub async fn expect<const N: usize>(&mut self, lines: [&str; N]) {
        for (place, line) in lines.iter().enumerate() {
            assert_eq!(self.hear().await, *line, "line {place} of {lines:?}");
        }
    }

    /// The next so many lines, in any order.
    pub async fn expect_in_any_order<const N: usize>(&mut self, mut lines: [&str; N]) {
        let mut heard = Vec::new();
        for _ in 0..N {
            heard.push(self.hear().await);
        }
        heard.sort_unstable();
        lines.sort_unstable();
        assert_eq!(heard, lines);
    }

    /// Hears `ready`, and returns it.
    pub async fn ready(&mut self) -> String {
        let heard = self.hear().await;
        assert!(heard.starts_with("ready"), "{heard}");
        heard
    }

    /// Nothing is on its way to it: what it is answered next is what it asks now.
    pub async fn expect_nothing(&mut self) {
        self.say(r#"{"type":"ping","id":"nothing"}"#).await;
        self.expect(["pong nothing"]).await;
    }

    /// Whether something is there that it has not heard.
    pub fn has_something(&self) -> bool {
        self.socket.get_ref().peek(&mut [0]).now_or_never().is_some()
    }

    /// Everything from now on to a line that begins so.
    pub async fn hear_until(&mut self, last: &str) -> Vec<String> {
        let mut heard = Vec::new();
        loop {
            let line = self.hear().await;
            let found = line.starts_with(last);
            heard.push(line);
            if found {
                return heard;
            }
            assert!(!heard[heard.len() - 1].starts_with("gone"), "{heard:?}");
        }
    }
}
