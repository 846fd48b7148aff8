//! The dialects of older clients: each operation of their interfaces as their own clients perform it, over
//! real sockets, on one process and through a cluster with clients on different gateways. A dialect has a
//! file of its own, `chat` two (`chat` and `rooms`); `rules` holds what all of them share, `interop` one chat
//! in all of them. Which client speaks which dialect stands in docs/clients.md; permissions are in `access`.

mod administration;
mod chat;
mod demo;
mod ending;
mod guests;
mod interop;
mod lobby;
mod names;
mod numbers;
mod order;
mod rooms;
mod rules;

use crate::harness::{Answer, Dial, DialectSocket, System, User};
use protocol::id::ChatId;
use reqwest::header::{AUTHORIZATION, COOKIE, ORIGIN};
use serde_json::Value;

/// The lobby, made by the first migration.
pub const LOBBY: ChatId = ChatId(1);

/// The paths of the dialects' sockets, with a user and a chat filled in.
pub struct Paths {
    /// `/ws`
    pub lobby: String,
    /// `/ws/chat`
    pub names: String,
    /// `/ws/{chat_id}`
    pub chat: String,
    /// `/messages/{user_id}`
    pub numbers: String,
}

impl Paths {
    /// Of this user and one of its chats.
    pub fn of(user: &User, chat: ChatId) -> Self {
        Self {
            lobby: "/ws".to_owned(),
            names: "/ws/chat".to_owned(),
            chat: format!("/ws/{chat}"),
            numbers: numbers_path(user),
        }
    }

    pub fn all(&self) -> [&str; 4] {
        [&self.lobby, &self.names, &self.chat, &self.numbers]
    }
}

/// The path of a user's numeric direct messages.
pub fn numbers_path(user: &User) -> String {
    format!("/messages/{}", user.id)
}

/// The session cookie that an answer sets, as a client sends it back.
pub fn cookie(answer: &Answer) -> String {
    let set = answer.headers["set-cookie"].to_str().expect("a readable cookie");
    set.split(';').next().expect("a cookie has a first part").to_owned()
}

/// A socket as a page of this system opens it: with the session cookie.
pub fn page_dial(t: &System, node: usize, path: &str, cookie: &str) -> Dial {
    let node = t.node(node);
    Dial::new(node).at(path).header(COOKIE, cookie).header(ORIGIN, format!("http://{node}"))
}

/// A socket that shows this token.
pub fn bearer_dial(t: &System, node: usize, path: &str, token: &str) -> Dial {
    Dial::new(t.node(node)).at(path).header(AUTHORIZATION, format!("Bearer {token}"))
}

/// Somebody without an account in the lobby, among these.
pub async fn guest_window(t: &System, node: usize, among: &[&str]) -> DialectSocket {
    DialectSocket::open("a guest", &Dial::new(t.node(node)).at("/ws")).await.among(among)
}

/// The code of an error frame, which must have a text for people too.
pub fn code(frame: &Value) -> String {
    assert_eq!(frame["type"], "error", "{frame}");
    assert!(frame["message"].as_str().is_some_and(|text| !text.is_empty()), "{frame}");
    frame["code"].as_str().unwrap_or_else(|| panic!("no code in {frame}")).to_owned()
}

/// A time in every dialect but `numbers`: UTC, RFC 3339, milliseconds, `Z`.
pub fn assert_time(value: &Value) {
    let text = value.as_str().unwrap_or_default();
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    assert_eq!(shape, "0000-00-00T00:00:00.000Z", "{value}");
}

/// A time in the dialect `numbers`: whole Unix seconds, and of these days.
pub fn assert_seconds(value: &Value) {
    let now = protocol::time::Timestamp::now().0 / 1000;
    let seconds = value.as_i64().unwrap_or_else(|| panic!("{value} are no whole seconds"));
    assert!((now - 3600..=now + 60).contains(&seconds), "{seconds}, and now is {now}");
}

/// Sends what is nonsense in every dialect, and reads the error that answers it. It must be what
/// comes next, so nothing else has come.
pub async fn nothing_came(window: &mut DialectSocket) {
    window.socket().say_text("nonsense").await;
    let frame = window.next().await;
    assert!(frame["type"] == "error" || frame["status"] == "error", "{frame}");
}
