//! An api of sockets alone: the test says what it answers, byte for byte.

use gateway::backend::{http::HttpBackend, stream::StreamBackend};
use platform::{
    lifecycle::Lifecycle,
    settings::Secret,
    stream::{StreamReader, StreamWriter, split},
};
use protocol::{
    calls::{Post, Posted},
    chat::{Change, Event, Message, UserRef},
    command::{Action, Command, Receipt},
    encoded_run::EncodedRun,
    id::{ChatId, Seq, UserId},
    limits::MAX_CALL_BYTES,
    relay::ChatEvents,
    stream::{
        self, FrameHead, FrameKind,
        post::{PostBody, PostedBody},
    },
    time::Timestamp,
};
use std::net::SocketAddr;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

pub struct FakeApi(TcpListener);

impl FakeApi {
    pub async fn start() -> Self {
        Self(TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap())
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.0.local_addr().unwrap())
    }

    /// The next connection, with its first request.
    pub async fn asked(&self) -> Asked {
        let (mut socket, _) = self.0.accept().await.unwrap();
        let head = head(&mut socket).await;
        Asked { socket, head }
    }

    /// The next connection, which has to ask for a stream.
    pub async fn stream(&self) -> FakeStream {
        let asked = self.asked().await;
        assert!(asked.is_upgrade(), "{}", asked.head);
        asked.upgraded().await
    }
}

async fn head(socket: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap().to_lowercase()
}

/// A request that has no answer yet.
pub struct Asked {
    pub socket: TcpStream,
    pub head: String,
}

impl Asked {
    pub fn is_upgrade(&self) -> bool {
        self.head.starts_with("get /internal/stream http/1.1\r\n")
    }

    pub async fn answer(&mut self, status: &str, body: &str) {
        let length = body.len();
        let text = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}");
        self.socket.write_all(text.as_bytes()).await.unwrap();
    }

    /// Answers calls of post by HTTP, as long as any come.
    pub async fn answer_posts(mut self) {
        loop {
            assert!(self.head.starts_with("post /internal/post http/1.1\r\n"), "{}", self.head);
            let length = self.head.split_once("content-length: ").unwrap().1;
            let length = length.split_once("\r\n").unwrap().0.parse().unwrap();
            let mut body = vec![0; length];
            self.socket.read_exact(&mut body).await.unwrap();
            let post: Post = serde_json::from_slice(&body).unwrap();
            self.answer("200 OK", &serde_json::to_string(&posted(&post)).unwrap()).await;
            self.head = head(&mut self.socket).await;
        }
    }

    pub async fn upgraded(mut self) -> FakeStream {
        let head = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: switchboard-stream\r\n\r\n";
        self.socket.write_all(head.as_bytes()).await.unwrap();
        let (reader, writer) = split(self.socket, &[], MAX_CALL_BYTES);
        FakeStream { reader, writer }
    }
}

/// The api's end of a stream.
pub struct FakeStream {
    pub reader: StreamReader,
    pub writer: StreamWriter,
}

impl FakeStream {
    /// The next call: its number and its body.
    pub async fn call(&mut self) -> (u64, Vec<u8>) {
        let (head, body) = self.reader.read().await.unwrap().expect("a call");
        assert_eq!(head.kind, FrameKind::Post);
        (head.call, body.into())
    }

    pub async fn answer(&self, (call, body): &(u64, Vec<u8>)) {
        self.writer.write(&answer(*call, body)).await.unwrap();
    }

    pub async fn answers_next(&mut self) {
        let call = self.call().await;
        self.answer(&call).await;
    }

    pub async fn says_goodbye(&self) {
        self.writer.write(&stream::frame(FrameKind::Goodbye, 0, &()).unwrap()).await.unwrap();
    }

    /// Nothing comes before the gateway ends the stream.
    pub async fn expect_end(&mut self) {
        assert!(!matches!(self.reader.read().await, Ok(Some(_))));
    }
}

/// The frame of the answer.
pub fn answer(call: u64, body: &[u8]) -> Vec<u8> {
    let request: PostBody<'_> = stream::read(body).unwrap();
    let posted = posted(&request.call());
    stream::frame(FrameKind::Posted, call, &PostedBody::new(&posted)).unwrap()
}

/// Only a head.
pub fn bare_head(kind: FrameKind, call: u64, body_bytes: u32) -> Vec<u8> {
    let mut bytes = stream::frame(kind, call, &()).unwrap();
    bytes[..4].copy_from_slice(&body_bytes.to_be_bytes());
    assert!(FrameHead::read(bytes[..].try_into().unwrap()).is_some());
    bytes
}

/// The answer to a call: each text is a message whose number is the text.
pub fn posted(post: &Post) -> Posted {
    let mut posted = Posted { results: Vec::new(), events: Vec::new() };
    for Command { user_id, chat_id, action } in &post.commands {
        let Action::Send { client_message_id, text, reply_to } = action else {
            panic!("{action:?}")
        };
        let (seq, timestamp) = (Seq(text.parse().unwrap()), Timestamp(5));
        posted.results.push(Ok(Receipt { message_id: seq, seq, timestamp, repeated: false }));
        let message = Message {
            id: seq,
            sender: UserRef::registered(*user_id, "ann"),
            text: text.clone(),
            timestamp,
            client_message_id: Some(client_message_id.clone()),
            reply_to: *reply_to,
            edited_at: None,
        };
        let events = vec![Event { seq, change: Change::Message(message) }];
        let run = ChatEvents { chat_id: *chat_id, events, published_ms: 7, traceparent: None };
        posted.events.push(EncodedRun::of(&run).unwrap());
    }
    posted
}

/// A call with one message of this number.
pub fn post(number: i64) -> Post {
    let (client_message_id, text) = (number.to_string(), number.to_string());
    let action = Action::Send { client_message_id, text, reply_to: None };
    let command = Command { user_id: UserId(1), chat_id: ChatId(2), action };
    Post { commands: vec![command], impatient: true }
}

/// A gateway's backend on these apis.
pub fn backend(urls: &[String]) -> StreamBackend {
    let urls: Vec<_> = urls.iter().map(|url| url.parse().unwrap()).collect();
    let secret = Secret::new("the secret of these tests");
    let http = HttpBackend::new(urls.iter(), &secret).unwrap();
    StreamBackend::new(http, &Lifecycle::new())
}
