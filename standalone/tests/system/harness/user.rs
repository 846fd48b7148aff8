//! A registered user and what it does over REST. Every call that a test does not expect to be
//! refused must succeed.

use super::{
    device::Device,
    dialect_socket::DialectSocket,
    rest::{Answer, Rest},
    socket::{Dial, Socket},
    system::System,
};
use protocol::id::{ChatId, Seq, UserId};
use reqwest::header::AUTHORIZATION;
use serde_json::{Value, json};
use std::net::SocketAddr;

/// Every test user's password.
pub const PASSWORD: &str = "correct horse battery";

/// A message as somebody reported it: the server in an `ack`, the stored history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentMessage {
    pub chat: ChatId,
    pub id: Seq,
    pub sender: UserId,
    /// The sender's idempotency key.
    pub key: String,
    pub text: String,
}

/// A signed-in user. Clones are the same session.
#[derive(Clone)]
pub struct User {
    pub id: UserId,
    pub username: String,
    pub token: String,
    pub refresh_token: String,
    pub rest: Rest,
    system: System,
}

impl User {
    /// Reads who it is and its tokens from the answer to a registration or login.
    pub fn signed_in(system: &System, answer: &Value) -> Self {
        let text = |field: &str| match &answer[field] {
            Value::String(text) => text.clone(),
            other => panic!("{field} is {other} in {answer}"),
        };
        let token = text("access_token");
        Self {
            id: UserId(answer["id"].as_i64().expect("a numeric id")),
            username: text("username"),
            rest: system.rest().with_token(&token),
            refresh_token: text("refresh_token"),
            token,
            system: system.clone(),
        }
    }

    /// Signs in once more: another session of the same user.
    pub async fn sign_in_again(&self) -> User {
        self.system.sign_in(&self.username, PASSWORD).await
    }

    /// A private chat with somebody.
    pub async fn private(&self, other: &User) -> ChatId {
        self.create(json!({ "chat_type": "private", "member_ids": [other.id] })).await
    }

    /// A group with these members besides the user itself.
    pub async fn group(&self, name: &str, others: &[&User]) -> ChatId {
        let members: Vec<UserId> = others.iter().map(|user| user.id).collect();
        self.create(json!({ "name": name, "chat_type": "group", "member_ids": members })).await
    }

    /// A public room.
    pub async fn room(&self, name: &str) -> ChatId {
        self.create(json!({ "name": name, "chat_type": "room", "member_ids": [] })).await
    }

    async fn create(&self, body: Value) -> ChatId {
        let chat = self.rest.post("/chats", body).await.ok();
        ChatId(chat["id"].as_i64().expect("a chat's id"))
    }

    pub async fn join(&self, chat: ChatId) {
        self.rest.post(&format!("/chats/{chat}/join"), json!({})).await.ok();
    }

    pub async fn leave(&self, chat: ChatId) {
        self.rest.post(&format!("/chats/{chat}/leave"), json!({})).await.ok();
    }

    pub async fn add_member(&self, chat: ChatId, user: &User) {
        self.try_add_member(chat, user).await.ok();
    }

    pub async fn try_add_member(&self, chat: ChatId, user: &User) -> Answer {
        self.rest.post(&format!("/chats/{chat}/members"), json!({ "user_id": user.id })).await
    }

    pub async fn remove_member(&self, chat: ChatId, user: &User) {
        self.rest.delete(&format!("/chats/{chat}/members/{}", user.id)).await.ok();
    }

    pub async fn rename(&self, chat: ChatId, name: &str) {
        self.rest.patch(&format!("/chats/{chat}"), json!({ "name": name })).await.ok();
    }

    pub async fn delete_chat(&self, chat: ChatId) {
        self.rest.delete(&format!("/chats/{chat}")).await.ok();
    }

    /// Posts over REST, gives the message's id.
    pub async fn post(&self, chat: ChatId, text: &str) -> Seq {
        let path = format!("/chats/{chat}/messages");
        let message = self.rest.post(&path, json!({ "text": text })).await.ok();
        Seq(message["id"].as_i64().expect("a message's id"))
    }

    /// The chat as `GET /chats/{id}` shows it.
    pub async fn chat(&self, chat: ChatId) -> Value {
        self.rest.get(&format!("/chats/{chat}")).await.ok()
    }

    /// All the chat's messages, oldest first, page by page.
    pub async fn messages(&self, chat: ChatId) -> Vec<SentMessage> {
        let mut all: Vec<SentMessage> = Vec::new();
        loop {
            let after = all.last().map_or(0, |said| said.id.0);
            let path = format!("/chats/{chat}/messages?after={after}&limit=100");
            let page = self.rest.get(&path).await.ok();
            let page = page.as_array().expect("an array of messages");
            if page.is_empty() {
                return all;
            }
            all.extend(page.iter().map(|message| SentMessage {
                chat,
                id: Seq(message["id"].as_i64().expect("an id")),
                sender: UserId(message["sender_id"].as_i64().expect("a sender")),
                key: message["client_message_id"].as_str().unwrap_or_default().to_owned(),
                text: message["text"].as_str().expect("a text").to_owned(),
            }));
        }
    }

    /// The texts alone.
    pub async fn texts(&self, chat: ChatId) -> Vec<String> {
        self.messages(chat).await.into_iter().map(|said| said.text).collect()
    }

    /// A device on whichever node the load balancer chooses.
    pub async fn connect(&self) -> Device {
        Device::connect(self, self.system.front()).await
    }

    /// A device on this gateway; in a single process there is only the one.
    pub async fn connect_to(&self, node: usize) -> Device {
        Device::connect(self, self.system.node(node)).await
    }

    /// A bare socket that has said hello.
    pub async fn socket(&self) -> Socket {
        let mut socket = Dial::new(self.system.front()).open().await.expect("the upgrade");
        socket.hello(Some(&self.token), None).await;
        socket
    }

    /// A window of an older dialect on this gateway, opened with the user's token.
    pub async fn window(&self, node: usize, path: &str) -> DialectSocket {
        self.window_at(self.system.node(node), path).await
    }

    /// The same on whichever gateway the load balancer chooses.
    pub async fn front_window(&self, path: &str) -> DialectSocket {
        self.window_at(self.system.front(), path).await
    }

    async fn window_at(&self, node: SocketAddr, path: &str) -> DialectSocket {
        let dial = Dial::new(node).at(path).header(AUTHORIZATION, format!("Bearer {}", self.token));
        DialectSocket::open(&format!("{} at {path}", self.username), &dial).await
    }

    pub fn system(&self) -> &System {
        &self.system
    }
}
