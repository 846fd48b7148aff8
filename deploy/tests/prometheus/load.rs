//! The load: people who chat by every means, and the trouble that any fleet sees, so that each metric
//! has something to say. It never ends by itself and asserts nothing: what it led to is read from
//! Prometheus.

use crate::client::{Client, Dial, Gone};
use futures_util::future::{join, join_all};
use protocol::{
    frames::{ClientFrame, Resume},
    id::{ChatId, Seq},
    limits::MAX_TEXT_CHARS,
};
use reqwest::Method;
use serde_json::{Value, json};
use std::{collections::HashMap, net::SocketAddr, time::Duration};

const PEOPLE: usize = 6;
const PASSWORD: &str = "correct horse battery";
/// Between two things that a person does: many for a person, few for two cores.
const THINK: Duration = Duration::from_millis(80);
/// A person does so many things on one connection before it opens another one.
const THINGS: usize = 20;
/// What it looks at then.
const PAGES: usize = 5;
/// More than a connection may send within the seconds that a busy machine takes for it: 200 at once
/// and 50 a second, see `AccountConfig::frames` of the gateway.
const TOO_MANY_FRAMES: usize = 600;
/// What is sent past the client that does not read, in bytes: more than the gateway's queue for one
/// connection and the kernel's buffers take.
const MORE_THAN_ANY_QUEUE: usize = 3 * 1024 * 1024;
/// It reads nothing for longer than the kernel may take nothing for it: `Config::write_timeout` of the
/// gateway.
const STALLED: Duration = Duration::from_secs(25);

pub struct Load {
    http: reqwest::Client,
    /// The load balancer.
    front: SocketAddr,
    /// A gateway, for clients that do not read: a balancer would read for them for a while.
    gateway: SocketAddr,
    people: Vec<Person>,
    chat: ChatId,
    /// Where clients that do not read are written to.
    flooded: ChatId,
}

struct Person {
    username: String,
    token: String,
}

impl Load {
    /// Registers the people and makes their chats.
    pub async fn new(front: SocketAddr, gateway: SocketAddr) -> Self {
        let mut load = Self {
            http: reqwest::Client::new(),
            front,
            gateway,
            people: Vec::new(),
            chat: ChatId::LOBBY,
            flooded: ChatId::LOBBY,
        };
        let mut ids = Vec::new();
        for number in 0..PEOPLE {
            let username = format!("person_{number}");
            let body = json!({ "username": username, "password": PASSWORD });
            let answer = load.rest(Method::POST, "/register", None, Some(body)).await;
            ids.push(answer["id"].clone());
            let token = answer["access_token"].as_str().expect("a token").to_owned();
            load.people.push(Person { username, token });
        }
        load.chat = load.group("load", &ids[1..]).await;
        load.flooded = load.group("flood", &ids[1..2]).await;
        load
    }

    async fn group(&self, name: &str, members: &[Value]) -> ChatId {
        let body = json!({ "name": name, "chat_type": "group", "member_ids": members });
        let chat = self.rest(Method::POST, "/chats", Some(&self.people[0]), Some(body)).await;
        ChatId(chat["id"].as_i64().expect("a chat's id"))
    }

    /// Goes on until it is dropped.
    pub async fn run(&self) {
        join(join_all(self.people.iter().map(|person| self.live(person))), self.trouble()).await;
    }

    /// One person: connects, does things, reconnects where it stopped.
    async fn live(&self, person: &Person) {
        let mut dial = Dial::new(self.front, &person.token);
        loop {
            tokio::time::sleep(THINK).await;
            let Ok(mut client) = dial.open().await else { continue };
            for _ in 0..THINGS {
                if self.talk(&mut client).await.is_err() {
                    break;
                }
                tokio::time::sleep(THINK).await;
            }
            dial.resume = Some(client.track);
            self.browse(person).await;
        }
    }

    /// Every kind of frame; somebody else's of the same hear them.
    async fn talk(&self, client: &mut Client) -> Result<(), Gone> {
        let chat_id = self.chat;
        client.say(&ClientFrame::Typing { chat_id }).await?;
        let message_id = client.post(chat_id, "Good morning").await?;
        let id = Some("edit".to_owned());
        let text = "Good evening".to_owned();
        client.say(&ClientFrame::Edit { id: id.clone(), chat_id, message_id, text }).await?;
        client.answer(id).await?;
        client.say(&ClientFrame::Read { chat_id, message_id }).await?;
        if message_id.0 % 4 == 0 {
            let id = Some("delete".to_owned());
            client.say(&ClientFrame::Delete { id: id.clone(), chat_id, message_id }).await?;
            client.answer(id).await?;
        }
        Ok(())
    }

    /// What a page asks over REST.
    async fn browse(&self, person: &Person) {
        let messages = format!("/chats/{}/messages", self.chat);
        for _ in 0..PAGES {
            self.rest(Method::GET, "/chats", Some(person), None).await;
            self.rest(Method::GET, &format!("{messages}?limit=20"), Some(person), None).await;
        }
        self.rest(Method::POST, &messages, Some(person), Some(json!({ "text": "by REST" }))).await;
        self.rest(Method::GET, "/nowhere", Some(person), None).await;
    }

    /// A wrong guess, a session, and its end. Slow on purpose, so much less often than all else.
    async fn sign_in(&self, person: &Person) {
        let sign_in = |password| json!({ "username": person.username, "password": password });
        self.rest(Method::POST, "/login", None, Some(sign_in("a wrong guess"))).await;
        let signed_in = self.rest(Method::POST, "/login", None, Some(sign_in(PASSWORD))).await;
        if let Some(token) = signed_in["access_token"].as_str() {
            let again = Person { username: String::new(), token: token.to_owned() };
            self.rest(Method::POST, "/logout", Some(&again), Some(json!({}))).await;
        }
    }

    /// What no good client does.
    async fn trouble(&self) {
        join(self.stall(), async {
            loop {
                tokio::time::sleep(THINK * 20).await;
                self.sign_in(&self.people[0]).await;
                let _ = Dial::new(self.front, "no token").open().await;
                let mut dial = Dial::new(self.front, &self.people[0].token);
                let epoch = "another database".to_owned();
                let cursors = HashMap::from([(self.chat, Seq(1))]);
                dial.resume = Some(Resume { epoch, cursors });
                let Ok(mut hasty) = dial.open().await else { continue };
                for _ in 0..TOO_MANY_FRAMES {
                    if hasty.say(&ClientFrame::Ping { id: None }).await.is_err() {
                        break;
                    }
                }
            }
        })
        .await;
    }

    /// A client that does not read while its chat is flooded, until it is thrown out. Once: that is
    /// megabytes.
    async fn stall(&self) {
        let mut dial = Dial::new(self.gateway, &self.people[1].token);
        dial.receive_buffer = Some(4096);
        let mut stuck = loop {
            if let Ok(client) = dial.open().await {
                break client;
            }
            tokio::time::sleep(THINK).await;
        };
        let text = "€".repeat(MAX_TEXT_CHARS);
        let mut left = MORE_THAN_ANY_QUEUE / text.len();
        while left > 0 {
            let Ok(mut sender) = Dial::new(self.front, &self.people[0].token).open().await else {
                continue;
            };
            while left > 0 && sender.post(self.flooded, &text).await.is_ok() {
                left -= 1;
            }
        }
        tokio::time::sleep(STALLED).await;
        // Now it reads, up to the close.
        while stuck.hear().await.is_ok() {}
    }

    /// The answer's body; nothing when there was no JSON, or no answer.
    async fn rest(
        &self,
        method: Method,
        path: &str,
        person: Option<&Person>,
        body: Option<Value>,
    ) -> Value {
        let mut request = self.http.request(method, format!("http://{}{path}", self.front));
        if let Some(person) = person {
            request = request.bearer_auth(&person.token);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        match request.send().await {
            Ok(answer) => answer.json().await.unwrap_or_default(),
            Err(_) => Value::Null,
        }
    }
}
