//! Somebody without a browser: what a story needs besides the people whose screens it looks at.

use crate::{
    harness::PASSWORD,
    server::{Server, until},
};
use futures_util::{StreamExt, stream};
use parking_lot::Mutex;
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

/// A signed-in user who does everything over REST.
#[derive(Clone)]
pub(crate) struct Writer {
    http: Client,
    url: String,
    token: String,
}

impl Writer {
    /// A new account, and a member of the lobby.
    pub(crate) async fn register(server: &Server, name: &str) -> Self {
        let mut writer = Self { http: Client::new(), url: server.url(), token: String::new() };
        let body = json!({ "username": name, "password": PASSWORD });
        let account = writer.ask(Method::POST, "register", body).await;
        account["access_token"].as_str().unwrap().clone_into(&mut writer.token);
        writer.ask(Method::POST, "chats/1/join", Value::Null).await;
        writer
    }

    /// Asks for what must be granted; the answer's body.
    pub(crate) async fn ask(&self, method: Method, path: &str, body: Value) -> Value {
        let (status, text) = self.answer(method, path, &body).await;
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or_default()
    }

    async fn answer(&self, method: Method, path: &str, body: &Value) -> (StatusCode, String) {
        let mut request = self.http.request(method, format!("{}{path}", self.url));
        if !self.token.is_empty() {
            request = request.bearer_auth(&self.token);
        }
        if *body != Value::Null {
            request = request.json(body);
        }
        let answer = request.send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        self.ask(Method::GET, path, Value::Null).await
    }

    /// Posts a message and returns its id.
    pub(crate) async fn say(&self, chat: i64, text: &str) -> i64 {
        self.post(chat, json!({ "text": text })).await
    }

    pub(crate) async fn reply(&self, chat: i64, text: &str, to: i64) -> i64 {
        self.post(chat, json!({ "text": text, "reply_to": to })).await
    }

    /// Posts this many messages, in any order.
    pub(crate) async fn say_many(&self, chat: i64, count: usize) {
        let say = async |n: usize| self.say(chat, &format!("one of many, {n}")).await;
        stream::iter(0..count).map(say).buffer_unordered(24).for_each(async |_| ()).await;
    }

    /// How many messages of a chat have this text, among the newest 100.
    pub(crate) async fn count(&self, chat: i64, text: &str) -> usize {
        let page = self.get(&format!("chats/{chat}/messages?limit=100")).await;
        page.as_array().unwrap().iter().filter(|message| message["text"] == text).count()
    }

    async fn post(&self, chat: i64, mut body: Value) -> i64 {
        let path = format!("chats/{chat}/messages");
        // So that it may be sent again: a machine that is busy with other tests refuses some of thousands.
        body["client_message_id"] = json!(Uuid::new_v4());
        let taken = Mutex::default();
        until("a message is taken", async || {
            let (status, text) = self.answer(Method::POST, &path, &body).await;
            let is_refused = status == StatusCode::SERVICE_UNAVAILABLE;
            *taken.lock() = (status, text);
            !is_refused
        })
        .await;
        let (status, text) = taken.into_inner();
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str::<Value>(&text).unwrap()["id"].as_i64().unwrap()
    }
}
