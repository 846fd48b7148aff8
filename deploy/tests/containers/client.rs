//! A client as docs/protocol.md asks for one: it resumes from its cursor, sends again under the same id
//! what was not acknowledged, and comes back when its connection ends. It speaks JSON and shares no code
//! with the server.

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::{collections::VecDeque, time::Duration};
use tokio::{
    net::TcpStream,
    time::{Instant, sleep, timeout, timeout_at},
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Error, Message},
};

/// How long it tries to come back, and how long an answer may take: far beyond a drain of 25 s.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A user with one connection at a time.
pub struct Client {
    pub name: String,
    front: String,
    token: String,
    chat: i64,
    epoch: Option<String>,
    /// The newest `seq` it has seen of the chat.
    pub cursor: i64,
    socket: Option<WebSocketStream<TcpStream>>,
    /// What it sent and has no answer to: id and text.
    waiting: VecDeque<(String, String)>,
    /// What the server promised to keep: `seq` and text.
    pub acknowledged: Vec<(i64, String)>,
    /// What came, in this order: `seq` and text.
    pub heard: Vec<(i64, String)>,
    /// How often it connected.
    pub connections: usize,
}

impl Client {
    /// Registers; connected is it later.
    pub async fn register(front: &str, name: &str) -> (Self, i64) {
        let body = json!({ "username": name, "password": "correct horse battery" });
        let answer = post(front, "/register", None, &body).await;
        let client = Self {
            name: name.to_owned(),
            front: front.to_owned(),
            token: answer["access_token"].as_str().expect("a token").to_owned(),
            chat: 0,
            epoch: None,
            cursor: 0,
            socket: None,
            waiting: VecDeque::new(),
            acknowledged: Vec::new(),
            heard: Vec::new(),
            connections: 0,
        };
        (client, answer["id"].as_i64().expect("an id"))
    }

    /// Makes a group with these users.
    pub async fn group(&self, others: &[i64]) -> i64 {
        let body = json!({ "name": "containers", "chat_type": "group", "member_ids": others });
        let chat = post(&self.front, "/chats", Some(&self.token), &body).await;
        chat["id"].as_i64().expect("an id")
    }

    /// From now on it is about this chat; connects.
    pub async fn enter(&mut self, chat: i64) {
        self.chat = chat;
        self.come_back().await;
    }

    /// What the server has of the chat, oldest first: `seq` of the message and text.
    pub async fn history(&self) -> Vec<(i64, String)> {
        let mut all: Vec<(i64, String)> = Vec::new();
        loop {
            let after = all.last().map_or(0, |(id, _)| *id);
            let path = format!("/chats/{}/messages?after={after}&limit=100", self.chat);
            let request = reqwest::Client::new().get(format!("http://{}{path}", self.front));
            let answer = request.bearer_auth(&self.token).send().await.expect("an answer");
            let page: Vec<Value> = answer.json().await.expect("messages");
            if page.is_empty() {
                return all;
            }
            all.extend(page.iter().map(|message| {
                let text = message["text"].as_str().expect("a text");
                (message["id"].as_i64().expect("an id"), text.to_owned())
            }));
        }
    }

    /// Sends a message and goes on; the acknowledgement is seen when it comes.
    pub async fn send(&mut self, text: &str) {
        let id = uuid::Uuid::new_v4().to_string();
        self.waiting.push_back((id.clone(), text.to_owned()));
        self.say(self.frame(&id, text)).await;
    }

    /// Whether everything it sent has been acknowledged.
    pub fn is_settled(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes in what comes until then, coming back where the connection has ended, which may last longer.
    pub async fn live_until(&mut self, end: Instant) {
        loop {
            let Some(socket) = &mut self.socket else {
                self.come_back().await;
                continue;
            };
            match timeout_at(end, socket.next()).await {
                Err(_) => return,
                Ok(Some(Ok(Message::Text(text)))) => {
                    let frame = serde_json::from_str(&text).expect("a frame is JSON");
                    self.take(&frame).await;
                }
                Ok(Some(Ok(Message::Close(_)) | Err(_)) | None) => self.socket = None,
                Ok(Some(Ok(_))) => {}
            }
        }
    }

    async fn take(&mut self, frame: &Value) {
        let seq = frame["seq"].as_i64();
        let text = || frame["text"].as_str().unwrap_or_default().to_owned();
        match frame["type"].as_str().expect("a type") {
            "message" => {
                let seq = seq.expect("a seq");
                // An event that is not above the cursor is to be ignored; here none may come at all.
                self.heard.push((seq, text()));
                self.cursor = self.cursor.max(seq);
            }
            "caught_up" => self.cursor = self.cursor.max(seq.expect("a seq")),
            "ack" => {
                let at = self.waiting.iter().position(|(id, _)| frame["id"] == id.as_str());
                let (_, text) = self.waiting.remove(at.expect("sent")).expect("sent");
                self.acknowledged.push((seq.expect("a seq"), text));
            }
            "error" => {
                let pause = frame["retry_after_ms"].as_u64().unwrap_or(100);
                assert!(
                    ["rate_limited", "overloaded", "unavailable"]
                        .iter()
                        .any(|c| frame["code"] == *c),
                    "{}: {frame}",
                    self.name
                );
                sleep(Duration::from_millis(pause)).await;
                let again = self.waiting.iter().find(|(id, _)| frame["id"] == id.as_str()).cloned();
                let (id, text) = again.expect("sent");
                self.say(self.frame(&id, &text)).await;
            }
            "reconnect" => {
                sleep(Duration::from_millis(frame["after_ms"].as_u64().expect("a delay"))).await;
                self.socket = None;
            }
            "resync" => panic!("{}: a minute away cannot be too long: {frame}", self.name),
            _ => {}
        }
    }

    /// Connects, resuming, as often as it takes.
    async fn come_back(&mut self) {
        let began = Instant::now();
        let mut pause = Duration::from_millis(50);
        loop {
            match timeout(Duration::from_secs(10), self.connect()).await {
                Ok(Ok(())) => return,
                failed => {
                    assert!(began.elapsed() < PATIENCE, "{} cannot connect: {failed:?}", self.name)
                }
            }
            sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(1));
        }
    }

    async fn connect(&mut self) -> Result<(), Error> {
        let tcp = TcpStream::connect(&self.front).await?;
        let (mut socket, _) = client_async(format!("ws://{}/gateway", self.front), tcp).await?;
        let mut hello = json!({ "type": "hello", "token": self.token });
        if let Some(epoch) = &self.epoch {
            hello["resume"] =
                json!({ "epoch": epoch, "cursors": { self.chat.to_string(): self.cursor } });
        }
        socket.send(Message::text(hello.to_string())).await?;
        let ready = loop {
            match socket.next().await {
                Some(Ok(Message::Text(text))) => break text,
                Some(Ok(Message::Ping(_))) => {}
                Some(Ok(other)) => return Err(Error::Io(std::io::Error::other(other.to_string()))),
                Some(Err(error)) => return Err(error),
                None => return Err(Error::ConnectionClosed),
            }
        };
        let ready: Value = serde_json::from_str(&ready).expect("a frame is JSON");
        assert_eq!(ready["type"], "ready", "{}: {ready}", self.name);
        let epoch = ready["epoch"].as_str().expect("an epoch").to_owned();
        if self.epoch.is_none() {
            let chats = ready["chats"].as_array().expect("chats");
            let chat = chats.iter().find(|chat| chat["id"] == self.chat).expect("the chat");
            self.cursor = chat["seq"].as_i64().expect("a seq");
        }
        assert!(self.epoch.as_ref().is_none_or(|known| *known == epoch), "another database");
        self.epoch = Some(epoch);
        self.socket = Some(socket);
        self.connections += 1;
        for (id, text) in self.waiting.clone() {
            self.say(self.frame(&id, &text)).await;
        }
        Ok(())
    }

    fn frame(&self, id: &str, text: &str) -> Value {
        json!({ "type": "send", "id": id, "chat_id": self.chat, "text": text })
    }

    /// That the connection has ended is seen by the next `hear`.
    async fn say(&mut self, frame: Value) {
        if let Some(socket) = &mut self.socket {
            let _ = socket.send(Message::text(frame.to_string())).await;
        }
    }
}

async fn post(front: &str, path: &str, token: Option<&str>, body: &Value) -> Value {
    let mut request = reqwest::Client::new().post(format!("http://{front}{path}")).json(body);
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let answer = request.send().await.expect("an answer");
    assert!(answer.status().is_success(), "{path}: {}", answer.status());
    answer.json().await.expect("JSON")
}
