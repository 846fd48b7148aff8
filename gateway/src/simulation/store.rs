//! The simulated database: chats with members and events, and the rules by which commands change them. The rules are the
//! api's, in few lines (`api/src/chats/post/plan/`); what a range leaves out and what a repeat brings is as there.

use protocol::{
    account::{Account, Role},
    calls::{Range, RangeFound, SessionView, UserChat},
    chat::{Change, ChatSettings, ChatType, ChatView, Event, MemberChange, Message, UserRef},
    code::Code,
    command::{Action, Command, Receipt},
    id::{ChatId, Seq, UserId},
    refusal::Refusal,
    time::Timestamp,
};
use std::collections::{BTreeMap, BTreeSet};

/// The most events of one range: few, so that catching up takes pages.
const PAGE: usize = 4;

/// Everything that is stored.
#[derive(Debug, Default)]
pub(super) struct Store {
    pub chats: BTreeMap<ChatId, StoredChat>,
    /// Whose commands were refused, in which chats: another copy of them may be carried out when the reason is over.
    pub refused: BTreeSet<(ChatId, UserId)>,
    /// Who stopped being a member, and when.
    pub departures: Vec<(UserChat, Timestamp)>,
}

#[derive(Debug, Default)]
pub(super) struct StoredChat {
    /// Each member, and since when.
    pub members: BTreeMap<UserId, Timestamp>,
    pub last_seq: Seq,
    pub changed_at: Timestamp,
    pub messages: BTreeMap<Seq, StoredMessage>,
    /// Changes of members.
    others: BTreeMap<Seq, Change>,
    keys: BTreeMap<(UserId, String), Seq>,
    edits: BTreeSet<(Seq, String, String)>,
}

#[derive(Clone, Debug)]
pub(super) struct StoredMessage {
    pub message: Message,
    /// The place of its last change.
    pub seq: Seq,
    pub deleted_by: Option<UserId>,
}

/// What a device shows of a chat.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Shown {
    /// Each with its text. `None`: deleted.
    pub messages: BTreeMap<Seq, Option<String>>,
    pub members: BTreeSet<UserId>,
}

/// What one command did: its receipt, and the event to tell. A repeated one tells of its message as it is now.
pub(super) type Outcome = Result<(Receipt, Option<Event>), Refusal>;

impl Store {
    /// Carries out a command, at this time.
    pub(super) fn post(&mut self, command: &Command, now: Timestamp) -> Outcome {
        let Command { user_id, chat_id, action } = command;
        let chat = self.chats.get_mut(chat_id).ok_or_else(|| refusal(Code::ChatNotFound))?;
        if let Action::Send { client_message_id, text, .. } = action
            && let Some(&first) = chat.keys.get(&(*user_id, client_message_id.clone()))
        {
            return chat.repeat_send(first, text);
        }
        if !chat.members.contains_key(user_id) {
            self.refused.insert((*chat_id, *user_id));
            return Err(refusal(Code::NotAMember));
        }
        match action {
            Action::Send { client_message_id, text, .. } => {
                Ok(chat.send(*user_id, client_message_id, text, now))
            }
            Action::Edit { message_id, text, client_edit_id } => {
                chat.edit(*user_id, *message_id, text, client_edit_id.as_deref(), now)
            }
            Action::Delete { message_id } => chat.delete(*user_id, *message_id, now),
        }
    }

    /// Somebody joins or leaves. `None`: it is so already.
    pub(super) fn move_member(
        &mut self,
        UserChat { user_id, chat_id }: UserChat,
        change: MemberChange,
        now: Timestamp,
    ) -> Option<Event> {
        let chat = self.chats.get_mut(&chat_id)?;
        let joins = change == MemberChange::Joined;
        if chat.members.contains_key(&user_id) == joins {
            return None;
        }
        if joins {
            chat.members.insert(user_id, now);
        } else {
            chat.members.remove(&user_id);
            self.departures.push((UserChat { user_id, chat_id }, now));
        }
        let change = Change::Member { user: person(user_id), change, by: user_id, timestamp: now };
        let seq = chat.next(now);
        chat.others.insert(seq, change.clone());
        Some(Event { seq, change })
    }

    /// A page of a range, as the api answers it: see [`RangeFound`].
    pub(super) fn range(&self, Range { chat_id, after }: Range) -> Option<RangeFound> {
        let chat = self.chats.get(&chat_id)?;
        let head = chat.last_seq;
        let messages = chat.messages.values().filter(|stored| stored.seq > after);
        let others = chat.others.range(after.next()..);
        let mut events: BTreeMap<Seq, Event> =
            messages.map(|stored| stored.event(after)).map(|event| (event.seq, event)).collect();
        events.extend(others.map(|(&seq, change)| (seq, Event { seq, change: change.clone() })));
        let upto = events.keys().nth(PAGE - 1).copied().filter(|_| events.len() > PAGE);
        let upto = upto.unwrap_or(head);
        // What a page shows at the place of its creation does not come again at the place of its last change.
        let events = events.into_values().filter(|event| event.seq <= upto).collect();
        Some(RangeFound { events, upto, head })
    }

    pub(super) fn view(
        &self,
        UserChat { user_id, chat_id }: UserChat,
    ) -> Result<ChatView, Refusal> {
        let chat = self.chats.get(&chat_id).ok_or_else(|| refusal(Code::ChatNotFound))?;
        if !chat.members.contains_key(&user_id) {
            return Err(refusal(Code::NotAMember));
        }
        Ok(chat.view(chat_id))
    }

    pub(super) fn session(&self, user: UserId) -> SessionView {
        let mut chats: Vec<(&ChatId, &StoredChat)> =
            self.chats.iter().filter(|(_, chat)| chat.members.contains_key(&user)).collect();
        chats.sort_by_key(|(id, chat)| (std::cmp::Reverse(chat.changed_at), **id));
        let UserRef { username, .. } = person(user);
        let name = username.clone();
        SessionView {
            user: Account { id: user, username, name, avatar: None, role: Role::User },
            chats: chats.into_iter().map(|(id, chat)| chat.view(*id)).collect(),
        }
    }
}

impl StoredChat {
    pub(super) fn of(members: BTreeMap<UserId, Timestamp>) -> Self {
        Self { members, ..Self::default() }
    }

    fn next(&mut self, now: Timestamp) -> Seq {
        self.last_seq = self.last_seq.next();
        // A commit that took long may come after one that began later.
        self.changed_at = self.changed_at.max(now);
        self.last_seq
    }

    fn send(
        &mut self,
        user: UserId,
        key: &str,
        text: &str,
        now: Timestamp,
    ) -> (Receipt, Option<Event>) {
        let id = self.next(now);
        let message = Message {
            id,
            sender: person(user),
            text: text.to_owned(),
            timestamp: now,
            client_message_id: Some(key.to_owned()),
            reply_to: None,
            edited_at: None,
        };
        self.keys.insert((user, key.to_owned()), id);
        let event = Event { seq: id, change: Change::Message(message.clone()) };
        self.messages.insert(id, StoredMessage { message, seq: id, deleted_by: None });
        (Receipt { message_id: id, seq: id, timestamp: now, repeated: false }, Some(event))
    }

    fn repeat_send(&self, first: Seq, text: &str) -> Outcome {
        let stored = self.messages.get(&first).ok_or_else(not_found)?;
        if stored.seq == first && stored.message.text != text {
            return Err(refusal(Code::ClientMessageIdReused));
        }
        let timestamp = stored.message.timestamp;
        let receipt = Receipt { message_id: first, seq: first, timestamp, repeated: true };
        Ok((receipt, Some(stored.event(Seq(first.0 - 1)))))
    }

    fn edit(
        &mut self,
        user: UserId,
        id: Seq,
        text: &str,
        key: Option<&str>,
        now: Timestamp,
    ) -> Outcome {
        let stored = self.messages.get(&id).filter(|stored| stored.deleted_by.is_none());
        let stored = stored.ok_or_else(not_found)?;
        if stored.message.sender.id != user {
            return Err(refusal(Code::NotYours));
        }
        let key = key.map(|key| (id, key.to_owned(), text.to_owned()));
        if stored.message.text == text || key.as_ref().is_some_and(|key| self.edits.contains(key)) {
            return Ok(stored.again(id));
        }
        self.edits.extend(key);
        let seq = self.next(now);
        let stored = self.messages.get_mut(&id).ok_or_else(not_found)?;
        stored.seq = seq;
        text.clone_into(&mut stored.message.text);
        stored.message.edited_at = Some(now);
        Ok(stored.changed(now))
    }

    fn delete(&mut self, user: UserId, id: Seq, now: Timestamp) -> Outcome {
        let stored = self.messages.get(&id).ok_or_else(not_found)?;
        if stored.message.sender.id != user {
            return Err(refusal(Code::NotYours));
        }
        if stored.deleted_by.is_some() {
            return Ok(stored.again(id));
        }
        let seq = self.next(now);
        let stored = self.messages.get_mut(&id).ok_or_else(not_found)?;
        stored.seq = seq;
        stored.message.text.clear();
        stored.deleted_by = Some(user);
        Ok(stored.changed(now))
    }

    fn view(&self, id: ChatId) -> ChatView {
        ChatView {
            id,
            name: "a chat".to_owned(),
            chat_type: ChatType::Group,
            seq: self.last_seq,
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

impl StoredMessage {
    /// What shows this message to somebody who has seen everything up to `after`.
    fn event(&self, after: Seq) -> Event {
        let created_later = self.message.id > after;
        let seq = if created_later { self.message.id } else { self.seq };
        let change = match self.deleted_by {
            Some(by) => {
                Change::Deleted { id: self.message.id, by, timestamp: self.message.timestamp }
            }
            None if created_later => Change::Message(self.message.clone()),
            None => Change::Edited(self.message.clone()),
        };
        Event { seq, change }
    }

    fn again(&self, id: Seq) -> (Receipt, Option<Event>) {
        let (seq, timestamp) = (self.seq, self.message.timestamp);
        let event = Some(self.event(id)).filter(|event| event.seq > id);
        (Receipt { message_id: id, seq, timestamp, repeated: true }, event)
    }

    fn changed(&self, now: Timestamp) -> (Receipt, Option<Event>) {
        let id = self.message.id;
        let receipt = Receipt { message_id: id, seq: self.seq, timestamp: now, repeated: false };
        (receipt, Some(self.event(id)))
    }
}

/// A user as others see it.
pub(super) fn person(user: UserId) -> UserRef {
    UserRef::registered(user, format!("user{user}"))
}

fn not_found() -> Refusal {
    refusal(Code::MessageNotFound)
}

fn refusal(code: Code) -> Refusal {
    Refusal { code, message: String::new() }
}

impl StoredChat {
    /// What REST would tell of it now.
    pub(super) fn shown(&self) -> Shown {
        let text = |stored: &StoredMessage| {
            stored.deleted_by.is_none().then(|| stored.message.text.clone())
        };
        Shown {
            messages: self.messages.iter().map(|(id, stored)| (*id, text(stored))).collect(),
            members: self.members.keys().copied().collect(),
        }
    }

    /// The message that a sender sent with this key.
    pub(super) fn sent(&self, user: UserId, key: &str) -> Option<Seq> {
        self.keys.get(&(user, key.to_owned())).copied()
    }
}
