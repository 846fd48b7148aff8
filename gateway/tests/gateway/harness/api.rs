//! An api in memory: chats with members and events. Each kind of call is answered, held, refused, or takes
//! effect and gets no answer. It checks nothing: what an api refuses is the real one's business.

use super::{
    tokens::jwk,
    world::{Chat, World, text},
};
use crate::{
    backend::Unavailable,
    scripted::{Script, Scripted},
};
use parking_lot::Mutex;
use platform::token::Jwks;
use protocol::{
    calls::{
        ChangedFound, DormantMarked, EventsFound, GuestsFound, Opened, PeersFound, Posted, Range,
        SessionRefusal, Viewed,
    },
    chat::{ChatType, Event},
    id::{ChatId, UserId},
};
use std::{collections::HashMap, sync::Arc};
use tokio::sync::watch;

/// The name of the database.
pub const EPOCH: &str = "epoch";

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

impl Api {
    pub fn new() -> Self {
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
                    None => Ok(world.session(session.user_id, session.shows)),
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
        api.carries_out("guests", &script.guests, |world, call| {
            let guests = call.names.into_iter().map(|name| Ok(world.guest(name)));
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
    pub fn take_calls(&self, call: &'static str) -> Vec<String> {
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
