//! An api in memory: chats with members and events. Each kind of call is answered, held, refused, or takes
//! effect and gets no answer. It checks nothing: what an api refuses is the real one's business.

use crate::{
    backend::Unavailable,
    scripted::{Script, Scripted},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::{Signer as _, SigningKey};
use parking_lot::Mutex;
use platform::token::{Claims, ISSUER, Jwk, Jwks};
use protocol::{
    account::{Account, Role},
    calls::{
        ChangedFound, DormantMarked, EventsFound, GuestsFound, Opened, PeersFound, Posted, Range,
        RangeFound, SessionRefusal, SessionView, Viewed,
    },
    chat::{Change, ChatType, ChatView, Event, Message, UserRef},
    code::Code,
    command::{Action, Command, Receipt},
    id::{ChatId, Seq, SessionId, UserId},
    refusal::Refusal,
    relay::ChatEvents,
    time::Timestamp,
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};
use tokio::sync::watch;

/// The name of the database.
pub const EPOCH: &str = "epoch";

/// The most events of one range.
const PAGE: usize = 10;

/// What becomes of one kind of call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Answers,
    /// It takes effect and is answered when this is over.
    Holds,
    /// It takes effect, and nobody answers.
    Silent,
    Refuses,
}

/// The api that a test's gateway asks.
pub struct Api {
    pub script: Arc<Scripted>,
    world: Arc<Mutex<World>>,
    modes: Arc<watch::Sender<HashMap<&'static str, Mode>>>,
}

#[derive(Default)]
struct World {
    chats: BTreeMap<ChatId, Chat>,
    ended: HashMap<SessionId, SessionRefusal>,
    changed: Option<ChangedFound>,
    busy: HashSet<ChatId>,
    poison: Option<String>,
    calls: HashMap<&'static str, Vec<String>>,
}

struct Chat {
    chat_type: ChatType,
    members: BTreeSet<UserId>,
    events: Vec<Event>,
}

impl Api {
    pub(super) fn new() -> Self {
        let api = Self {
            script: Arc::default(),
            world: Arc::default(),
            modes: Arc::new(watch::Sender::new(HashMap::new())),
        };
        let script = Arc::clone(&api.script);
        api.carries_out("open", &script.open, |world, call| {
            world.log("open", call.sessions.iter().map(|session| session.user_id.to_string()));
            let sessions =
                call.sessions.iter().map(|session| match world.ended.get(&session.session_id) {
                    Some(refusal) => Err(*refusal),
                    None => Ok(world.session(session.user_id)),
                });
            Ok(Opened { epoch: EPOCH.to_owned(), sessions: sessions.collect() })
        });
        api.carries_out("post", &script.post, |world, call| {
            world.log("post", call.commands.iter().map(|command| text(command).to_owned()));
            if call.commands.iter().any(|command| world.poison.as_deref() == Some(text(command))) {
                return Err(Unavailable::Refused("poison".to_owned()));
            }
            let (mut results, mut events) = (Vec::new(), Vec::new());
            for command in &call.commands {
                results.push(world.post(command, &mut events));
            }
            Ok(Posted { results, events })
        });
        api.carries_out("read", &script.mark_read, |world, call| {
            let mark = |mark: &protocol::calls::ReadMark| {
                format!("{}#{} by {}", mark.chat_id, mark.message_id.0, mark.user_id)
            };
            world.log("read", call.marks.iter().map(mark));
            Ok(())
        });
        api.carries_out("events", &script.events, |world, call| {
            let range = |range: &Range| format!("{} after {}", range.chat_id, range.after.0);
            world.log("events", call.ranges.iter().map(range));
            Ok(EventsFound {
                ranges: call.ranges.iter().map(|range| world.range(*range)).collect(),
            })
        });
        api.carries_out("view", &script.view, |world, call| {
            let asked = call.chats.iter();
            let asked: Vec<String> =
                asked.map(|pair| format!("{} for {}", pair.chat_id, pair.user_id)).collect();
            world.log("view", asked.into_iter());
            let chats = call.chats.iter().map(|pair| world.view(pair.user_id, pair.chat_id));
            Ok(Viewed { chats: chats.collect() })
        });
        api.carries_out("dormant", &script.dormant, |world, call| {
            world.log("dormant", call.chats.iter().map(|pair| pair.chat_id.to_string()));
            let is_member = |chat, user| {
                world.chats.get(chat).is_some_and(|chat: &Chat| chat.members.contains(user))
            };
            let members = call.chats.iter().map(|pair| is_member(&pair.chat_id, &pair.user_id));
            Ok(DormantMarked { members: members.collect() })
        });
        api.carries_out("changed", &script.changed, |world, call| {
            let since = call.since.map(|since| format!("since {}", since.0));
            let since = since.unwrap_or_else(|| "the first time".to_owned());
            world.log("changed", std::iter::once(since));
            Ok(world.changed.take().unwrap_or_default())
        });
        api.carries_out("peers", &script.peers, |_, call| {
            Ok(PeersFound { chats: vec![Ok(super::GROUP); call.pairs.len()] })
        });
        api.carries_out("guests", &script.guests, |_, call| {
            let guests = call
                .names
                .iter()
                .map(|name| Ok(UserRef { id: UserId(99), username: name.clone(), guest: true }));
            Ok(GuestsFound { guests: guests.collect() })
        });
        api.carries_out("jwks", &script.jwks, |_, ()| Ok(Jwks { keys: vec![jwk()] }));
        api
    }

    /// Has the calls of one kind answered from the world, as their mode says.
    fn carries_out<Q: Send + 'static, A: Send + 'static>(
        &self,
        name: &'static str,
        script: &Script<Q, A>,
        answer: fn(&mut World, Q) -> Result<A, Unavailable>,
    ) {
        let (world, modes) = (Arc::clone(&self.world), Arc::clone(&self.modes));
        script.does(move |call| {
            let mode = |modes: &HashMap<&str, Mode>| *modes.get(name).unwrap_or(&Mode::Answers);
            let answer = match mode(&modes.borrow()) {
                Mode::Refuses => Err(Unavailable::Refused("no such words".to_owned())),
                _ => answer(&mut world.lock(), call),
            };
            let mut modes = modes.subscribe();
            async move {
                let _ = modes.wait_for(|modes| mode(modes) != Mode::Holds).await;
                match mode(&modes.borrow()) {
                    Mode::Silent => Err(Unavailable::NotAnswered("it is silent".to_owned())),
                    _ => answer,
                }
            }
        });
    }

    /// From now on the calls of this kind end so; those that are held, too.
    pub fn set(&self, call: &'static str, mode: Mode) {
        self.modes.send_modify(|modes| {
            modes.insert(call, mode);
        });
    }

    /// What was asked since the last look, one line a call.
    pub fn asked(&self, call: &'static str) -> Vec<String> {
        self.world.lock().calls.remove(call).unwrap_or_default()
    }

    /// There is a group of these members.
    pub fn opens(&self, chat: ChatId, members: &[UserId]) {
        self.makes(chat, ChatType::Group, members);
    }

    /// There is a chat of this kind.
    pub fn makes(&self, chat: ChatId, chat_type: ChatType, members: &[UserId]) {
        let members = members.iter().copied().collect();
        let events = Vec::new();
        self.world.lock().chats.insert(chat, Chat { chat_type, members, events });
    }

    /// A chat is deleted.
    pub fn deletes(&self, chat: ChatId) {
        self.world.lock().chats.remove(&chat);
    }

    pub fn adds(&self, chat: ChatId, user: UserId) {
        self.world.lock().chat(chat).members.insert(user);
    }

    pub fn removes(&self, chat: ChatId, user: UserId) {
        self.world.lock().chat(chat).members.remove(&user);
    }

    /// A message is committed; nobody hears of it.
    pub fn commits(&self, chat: ChatId, text: &str) -> Event {
        self.world.lock().commit(chat, super::BOB, None, text)
    }

    /// So many messages, whose texts are their numbers.
    pub fn commits_many(&self, chat: ChatId, count: usize) {
        (1..=count).for_each(|number| drop(self.commits(chat, &number.to_string())));
    }

    /// A session is over.
    pub fn ends(&self, user: UserId, refusal: SessionRefusal) {
        self.world.lock().ended.insert(super::session(user), refusal);
    }

    /// What the next poll is told.
    pub fn changes(&self, changed: ChangedFound) {
        self.world.lock().changed = Some(changed);
    }

    /// Somebody else holds this chat, or nobody does.
    pub fn set_busy(&self, chats: &[ChatId]) {
        self.world.lock().busy = chats.iter().copied().collect();
    }

    /// A batch with this text cannot be carried out.
    pub fn chokes_on(&self, text: &str) {
        self.world.lock().poison = Some(text.to_owned());
    }
}

impl World {
    fn log(&mut self, call: &'static str, items: impl Iterator<Item = String>) {
        let line: Vec<String> = items.collect();
        self.calls.entry(call).or_default().push(line.join(", "));
    }

    fn chat(&mut self, chat: ChatId) -> &mut Chat {
        self.chats.get_mut(&chat).expect("a chat that the test made")
    }

    fn session(&self, user: UserId) -> SessionView {
        let mine = self.chats.iter().filter(|(_, chat)| chat.members.contains(&user));
        let chats = mine.map(|(id, chat)| chat.view(*id)).collect();
        let username = username(user);
        let name = username.clone();
        SessionView { user: Account { id: user, username, name, role: Role::User }, chats }
    }

    fn view(&self, user: UserId, id: ChatId) -> Result<ChatView, Refusal> {
        let chat = self.chats.get(&id).ok_or_else(|| refusal(Code::ChatNotFound))?;
        if chat.chat_type != ChatType::Room && !chat.members.contains(&user) {
            return Err(refusal(Code::NotAMember));
        }
        Ok(chat.view(id))
    }

    fn range(&self, Range { chat_id, after }: Range) -> Option<RangeFound> {
        let chat = self.chats.get(&chat_id)?;
        let events: Vec<Event> =
            chat.events.iter().filter(|event| event.seq > after).take(PAGE).cloned().collect();
        let upto = events.last().map_or(after, |event| event.seq);
        Some(RangeFound { events, upto, head: chat.head() })
    }

    fn commit(&mut self, chat: ChatId, by: UserId, id: Option<String>, text: &str) -> Event {
        let chat = self.chat(chat);
        let seq = chat.head().next();
        let message = Message {
            id: seq,
            sender: UserRef::registered(by, username(by)),
            text: text.to_owned(),
            timestamp: Timestamp(0),
            client_message_id: id,
            reply_to: None,
            edited_at: None,
        };
        let event = Event { seq, change: Change::Message(message) };
        chat.events.push(event.clone());
        event
    }

    fn post(
        &mut self,
        command: &Command,
        events: &mut Vec<ChatEvents>,
    ) -> Result<Receipt, Refusal> {
        let chat_id = command.chat_id;
        if self.busy.contains(&chat_id) {
            return Err(refusal(Code::Busy));
        }
        self.view(command.user_id, chat_id)?;
        let Action::Send { client_message_id, text, .. } = &command.action else {
            return Err(refusal(Code::MessageNotFound));
        };
        let stored = self.chat(chat_id).events.iter().find(|event| {
            let Change::Message(message) = &event.change else { return false };
            message.client_message_id.as_ref() == Some(client_message_id)
        });
        let (repeated, event) = match stored {
            Some(event) => (true, event.clone()),
            None => {
                let id = Some(client_message_id.clone());
                (false, self.commit(chat_id, command.user_id, id, text))
            }
        };
        let seq = event.seq;
        let events_of = vec![event];
        events.push(ChatEvents { chat_id, events: events_of, published_ms: 0, traceparent: None });
        Ok(Receipt { message_id: seq, seq, timestamp: Timestamp(0), repeated })
    }
}

impl Chat {
    fn head(&self) -> Seq {
        self.events.last().map_or(Seq::ZERO, |event| event.seq)
    }

    fn view(&self, id: ChatId) -> ChatView {
        ChatView {
            id,
            name: "a chat".to_owned(),
            chat_type: self.chat_type,
            seq: self.head(),
            last_read: Seq::ZERO,
            unread: 0,
            invited_by: None,
        }
    }
}

fn text(command: &Command) -> &str {
    match &command.action {
        Action::Send { text, .. } | Action::Edit { text, .. } => text,
        Action::Delete { .. } => "",
    }
}

fn username(user: UserId) -> String {
    format!("user{user}")
}

fn refusal(code: Code) -> Refusal {
    Refusal { code, message: String::new() }
}

fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

fn jwk() -> Jwk {
    Jwk::ed25519(key().verifying_key().as_bytes())
}

/// A token of the user's session.
pub fn token(user: UserId) -> String {
    let now = Timestamp::now().unix_seconds();
    let claims = Claims {
        sub: user,
        sid: super::session(user),
        name: username(user),
        role: Role::User,
        iat: now,
        exp: now + 900,
        iss: ISSUER.to_owned(),
    };
    let head = serde_json::json!({ "alg": "EdDSA", "kid": jwk().kid });
    let part = |json: Vec<u8>| URL_SAFE_NO_PAD.encode(json);
    let head = part(serde_json::to_vec(&head).unwrap());
    let signed = format!("{head}.{}", part(serde_json::to_vec(&claims).unwrap()));
    let signature = URL_SAFE_NO_PAD.encode(key().sign(signed.as_bytes()).to_bytes());
    format!("{signed}.{signature}")
}
