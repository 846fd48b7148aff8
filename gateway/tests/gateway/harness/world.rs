//! The chats that a test's api knows: their members and events, and what it answers of them.

use protocol::{
    account::{Account, Role},
    calls::{ChangedFound, Range, RangeFound, SessionRefusal, SessionView, Shows},
    chat::{Change, ChatSettings, ChatType, ChatView, Event, Message, UserRef},
    code::Code,
    command::{Action, Command, Receipt},
    encoded_run::EncodedRun,
    id::{ChatId, Seq, SessionId, UserId},
    refusal::Refusal,
    relay::ChatEvents,
    time::Timestamp,
};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// The most events of one range.
const PAGE: usize = 10;

const FIRST_GUEST: i64 = 100;

#[derive(Default)]
pub(super) struct World {
    pub(super) chats: BTreeMap<ChatId, Chat>,
    pub(super) ended: HashMap<SessionId, SessionRefusal>,
    pub(super) changed: Option<ChangedFound>,
    pub(super) busy: HashSet<ChatId>,
    pub(super) poison: Option<String>,
    /// Names that guests took, in order.
    pub(super) guests: Vec<String>,
    pub(super) calls: HashMap<&'static str, Vec<String>>,
}

pub(super) struct Chat {
    pub(super) chat_type: ChatType,
    pub(super) members: BTreeSet<UserId>,
    pub(super) events: Vec<Event>,
}

impl World {
    pub(super) fn log(&mut self, call: &'static str, items: impl Iterator<Item = String>) {
        let line: Vec<String> = items.collect();
        self.calls.entry(call).or_default().push(line.join(", "));
    }

    pub(super) fn chat(&mut self, chat: ChatId) -> &mut Chat {
        self.chats.get_mut(&chat).expect("a chat that the test made")
    }

    pub(super) fn session(&self, user: UserId, shows: Shows) -> SessionView {
        let shown = |id: ChatId, chat: &Chat| match shows {
            Shows::All => true,
            Shows::Private => chat.chat_type == ChatType::Private,
            Shows::One(one) => one == id,
            Shows::Nothing => false,
        };
        let mine = self
            .chats
            .iter()
            .filter(|(id, chat)| chat.members.contains(&user) && shown(**id, chat));
        let chats = mine.map(|(id, chat)| chat.view(*id)).collect();
        let username = username(user);
        let name = username.clone();
        SessionView {
            user: Account { id: user, username, name, avatar: None, role: Role::User },
            chats,
        }
    }

    pub(super) fn view(&self, user: UserId, id: ChatId) -> Result<ChatView, Refusal> {
        let chat = self.chats.get(&id).ok_or_else(|| refusal(Code::ChatNotFound))?;
        if chat.chat_type != ChatType::Room && !chat.members.contains(&user) {
            return Err(refusal(Code::NotAMember));
        }
        Ok(chat.view(id))
    }

    /// A guest's name has one id, whoever takes it.
    pub(super) fn guest(&mut self, username: String) -> UserRef {
        let known = self.guests.iter().position(|name| *name == username);
        let place = known.unwrap_or_else(|| {
            self.guests.push(username.clone());
            self.guests.len() - 1
        });
        let id = UserId(FIRST_GUEST + i64::try_from(place).unwrap());
        UserRef { guest: true, ..UserRef::registered(id, username) }
    }

    pub(super) fn range(&self, Range { chat_id, after }: Range) -> Option<RangeFound> {
        let chat = self.chats.get(&chat_id)?;
        let events: Vec<Event> =
            chat.events.iter().filter(|event| event.seq > after).take(PAGE).cloned().collect();
        let upto = events.last().map_or(after, |event| event.seq);
        Some(RangeFound { events, upto, head: chat.head() })
    }

    pub(super) fn commit(
        &mut self,
        chat: ChatId,
        by: UserId,
        id: Option<String>,
        text: &str,
    ) -> Event {
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

    pub(super) fn post(
        &mut self,
        command: &Command,
        events: &mut Vec<EncodedRun>,
    ) -> Result<Receipt, Refusal> {
        let chat_id = command.chat_id;
        if self.busy.contains(&chat_id) {
            return Err(refusal(Code::Busy));
        }
        self.view(command.user_id, chat_id)?;
        let Action::Send { client_message_id, text, .. } = &command.action else {
            return Err(refusal(Code::MessageNotFound));
        };
        let stored = self.chat(chat_id).events.iter().find_map(|event| {
            let Change::Message(message) = &event.change else { return None };
            let is_repeat = message.sender.id == command.user_id
                && message.client_message_id.as_ref() == Some(client_message_id);
            is_repeat.then_some((event, message))
        });
        let (repeated, event) = match stored {
            Some((_, message)) if message.text != *text => {
                return Err(refusal(Code::ClientMessageIdReused));
            }
            Some((event, _)) => (true, event.clone()),
            None => {
                let id = Some(client_message_id.clone());
                (false, self.commit(chat_id, command.user_id, id, text))
            }
        };
        let seq = event.seq;
        let events_of = vec![event];
        let run = ChatEvents { chat_id, events: events_of, published_ms: 0, traceparent: None };
        events.push(EncodedRun::of(&run).expect("it has an encoding"));
        Ok(Receipt { message_id: seq, seq, timestamp: Timestamp(0), repeated })
    }
}

impl Chat {
    fn head(&self) -> Seq {
        self.events.last().map_or(Seq::ZERO, |event| event.seq)
    }

    pub(super) fn view(&self, id: ChatId) -> ChatView {
        ChatView {
            id,
            name: "a chat".to_owned(),
            chat_type: self.chat_type,
            seq: self.head(),
            last_read: Seq::ZERO,
            unread: 0,
            invited_by: None,
            last_message: None,
            peer: None,
            member_count: self.members.len() as i64,
            settings: ChatSettings::default(),
        }
    }
}

pub(super) fn text(command: &Command) -> &str {
    match &command.action {
        Action::Send { text, .. } | Action::Edit { text, .. } => text,
        Action::Delete { .. } => "",
    }
}

pub(super) fn username(user: UserId) -> String {
    format!("user{user}")
}

fn refusal(code: Code) -> Refusal {
    Refusal { code, message: String::new() }
}
