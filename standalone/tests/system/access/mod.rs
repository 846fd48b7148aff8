//! Who may not do what: a table with a row for every operation of the REST document and every frame
//! of the AsyncAPI document, each a valid call aimed at somebody else's chat, user or message, with the
//! answer that each kind of caller gets. A path or frame without a row fails, and so does a row without
//! a path or frame. Refused calls change nothing, and no answer to anybody tells the secrets.

mod frames;
mod rest;

use crate::harness::{PASSWORD, Rest, System, User, unique};
use protocol::id::{ChatId, Seq};
use serde_json::{Value, json};

in_both_modes!(every_operation_is_refused_as_documented, every_frame_is_refused_as_documented);

async fn every_operation_is_refused_as_documented(t: System) {
    let world = World::new(&t).await;
    rest::run(&world, &[Kind::Stranger, Kind::Removed, Kind::Blocked, Kind::Guest]).await;
}

async fn every_frame_is_refused_as_documented(t: System) {
    let world = World::new(&t).await;
    frames::run(&world, &[Kind::Stranger, Kind::Removed, Kind::Blocked, Kind::Guest]).await;
}

#[tokio::test]
async fn where_guests_are_off_the_anonymous_are_refused() {
    let world = World::new(&System::single(&[("GUESTS", "false")]).await).await;
    rest::run(&world, &[Kind::Anonymous]).await;
    frames::run(&world, &[Kind::Anonymous]).await;
}

/// Who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Signed in, and never had anything to do with it.
    Stranger,
    /// Was a member, wrote a message, was removed.
    Removed,
    /// Is a member, wrote a message, is blocked.
    Blocked,
    /// Nobody, where guests may come into the lobby.
    Guest,
    /// Nobody, where they may not.
    Anonymous,
}

/// For each kind of caller, in the order of [`Kind`].
type Each<T> = [T; 5];

/// What is to be kept from all of them: Ann, her group and her private chat with Bob.
struct World {
    t: System,
    ann: User,
    bob: User,
    stranger: User,
    removed: User,
    blocked: User,
    group: ChatId,
    private: ChatId,
    anns_message: Seq,
    removed_ones_message: Seq,
    blocked_ones_message: Seq,
    /// Texts that no answer may contain.
    secrets: Vec<String>,
}

impl World {
    async fn new(t: &System) -> Self {
        let name = unique("ann");
        let email = format!("{name}@secret.example");
        let body = json!({ "username": name, "email": email, "password": PASSWORD });
        let ann = User::signed_in(t, &t.rest().post("/register", body).await.ok());
        let (bob, stranger) = (t.user("bob").await, t.user("eve").await);
        let (removed, blocked) = (t.user("rex").await, t.user("bea").await);
        let group = ann.group("secret group", &[&bob, &removed, &blocked]).await;
        let private = ann.private(&bob).await;
        let secret = unique("secret");
        ann.post(private, &secret).await;
        let anns_message = ann.post(group, &secret).await;
        let removed_ones_message = removed.post(group, &secret).await;
        let blocked_ones_message = blocked.post(group, &secret).await;
        ann.remove_member(group, &removed).await;
        let path = format!("/blockuser?username={}", blocked.username);
        t.admin().await.rest.post(&path, json!({})).await.ok();
        let secrets = vec![secret, email];
        // One api may hear of the block a moment after the other.
        crate::harness::until_eq("the block to be known", 403, async || {
            let mut worst = 403;
            for rest in t.rests() {
                let answer = rest.with_token(&blocked.token).get("/me").await;
                worst = worst.min(answer.status);
            }
            worst
        })
        .await;
        let t = t.clone();
        Self {
            t,
            ann,
            bob,
            stranger,
            removed,
            blocked,
            group,
            private,
            anns_message,
            removed_ones_message,
            blocked_ones_message,
            secrets,
        }
    }

    fn user(&self, kind: Kind) -> Option<&User> {
        match kind {
            Kind::Stranger => Some(&self.stranger),
            Kind::Removed => Some(&self.removed),
            Kind::Blocked => Some(&self.blocked),
            Kind::Guest | Kind::Anonymous => None,
        }
    }

    fn rest(&self, kind: Kind) -> &Rest {
        self.user(kind).map_or(self.t.rest(), |user| &user.rest)
    }

    /// Fills in what a call names: Ann's things, and `own_…` for the caller's.
    async fn fill(&self, template: &str, kind: Kind, chat: ChatId) -> String {
        let message = match kind {
            Kind::Removed => self.removed_ones_message,
            Kind::Blocked => self.blocked_ones_message,
            Kind::Stranger | Kind::Guest | Kind::Anonymous => self.anns_message,
        };
        let own = self.user(kind);
        let session = match template.contains("{session_id}") {
            true => self.ann.rest.get("/me/sessions").await.ok()[0]["id"].clone(),
            false => Value::Null,
        };
        [
            ("{chat_id}", chat.to_string()),
            ("{message_id}", message.to_string()),
            ("{user_id}", self.ann.id.to_string()),
            ("{sender_id}", self.ann.id.to_string()),
            ("{receiver_id}", self.bob.id.to_string()),
            ("{username}", self.ann.username.clone()),
            ("{session_id}", session.as_str().unwrap_or_default().to_owned()),
            ("{token}", self.ann.token.clone()),
            ("{password}", PASSWORD.to_owned()),
            ("{own_id}", own.map_or(self.ann.id, |user| user.id).to_string()),
            ("{own_name}", own.map_or_else(String::new, |user| user.username.clone())),
        ]
        .iter()
        .fold(template.to_owned(), |text, (name, value)| text.replace(name, value))
    }

    /// All that nobody else may change.
    async fn state(&self) -> Value {
        let mut state = Vec::new();
        for chat in [self.group, self.private] {
            for part in ["", "/members", "/messages?limit=100"] {
                let path = format!("/chats/{chat}{part}");
                state.push(self.ann.rest.get(&path).await.ok());
            }
            state.push(self.bob.chat(chat).await["last_read"].clone());
        }
        let me = self.ann.rest.get("/me").await.ok();
        state.extend(["username", "name", "email", "blocked"].map(|field| me[field].clone()));
        let sessions = self.ann.rest.get("/me/sessions").await.ok();
        state.push(json!(sessions.as_array().map(Vec::len)));
        let mut state = Value::from(state);
        forget_presence(&mut state);
        state
    }

    fn assert_kept(&self, answer: &str, what: &str) {
        let told = self.secrets.iter().find(|secret| answer.contains(secret.as_str()));
        assert!(told.is_none(), "{what} told a secret: {answer}");
    }
}

/// Who is online comes and goes by itself.
fn forget_presence(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.remove("status");
            fields.values_mut().for_each(forget_presence);
        }
        Value::Array(items) => items.iter_mut().for_each(forget_presence),
        _ => {}
    }
}
