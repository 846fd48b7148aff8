//! What a batch of commands does to the chats it locked: repeats found, rights checked, numbers
//! given, events made. Pure: the facts come in, what to write goes out.

use super::tally::Tally;
use crate::{
    audit::{Action as Act, Entry},
    chats::{
        access::MemberRole,
        ordinals::Ordinals,
        stored::{Deletion, Stored},
    },
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use protocol::{
    account::Role,
    chat::{Change, ChatType, Event, Message, UserRef},
    code::Code,
    command::{Action, Command, Receipt},
    id::{ChatId, Seq, UserId},
    refusal::Refusal,
    time::Timestamp,
};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, HashMap, HashSet};

/// A chat that exists, locked.
#[derive(Clone, Copy, Debug)]
pub struct Chat {
    pub chat_type: ChatType,
    pub last_seq: Seq,
    pub ordinals: Ordinals,
    /// Somebody is marked dormant in it.
    pub has_dormant: bool,
    /// Has a row in `statistics`.
    pub counted: bool,
}

/// What a command's sender is, in the chat, and has sent before with the same key.
#[derive(Clone, Debug)]
pub struct Fact {
    /// `None`: no such user.
    pub user: Option<Sender>,
    pub member: Option<MemberRole>,
    pub barred: Option<Barred>,
    pub repeated: Option<Repeated>,
}

/// Why somebody may not write in a chat that others like it may write in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Barred {
    /// From a room.
    Banned,
    /// By the other one of a private chat.
    Silenced,
}

#[derive(Clone, Debug)]
pub struct Sender {
    pub username: String,
    pub role: Role,
    pub blocked: bool,
    /// Has no account.
    pub guest: bool,
    /// A guest under a name that somebody has registered since.
    pub name_taken: bool,
}

/// An earlier message with the same idempotency key.
#[derive(Clone, Debug)]
pub struct Repeated {
    pub id: Seq,
    pub text: String,
    pub reply_to: Option<Seq>,
    pub timestamp: Timestamp,
    /// Edited or deleted since: its first text is not known any more.
    pub changed: bool,
}

/// The state of the batch while its commands are decided one after the other.
pub struct Plan {
    now: Timestamp,
    chats: HashMap<ChatId, Chat>,
    /// Messages that commands name or made, in their latest state.
    messages: HashMap<(ChatId, Seq), Stored>,
    /// Idempotency keys used in this batch.
    keys: HashMap<(ChatId, UserId, String), Repeated>,
    /// Edits that had an id, made before or in this batch.
    edits: HashMap<EditKey, Edited>,
    done: Done,
}

/// What an edit with an id is known by: chat, message, and the [`fingerprint`] of id and text.
pub type EditKey = (ChatId, Seq, String);

/// When an edit was made, and the event it made.
#[derive(Clone, Copy, Debug)]
pub struct Edited {
    pub seq: Seq,
    pub timestamp: Timestamp,
}

/// What the batch did.
#[derive(Default)]
pub struct Done {
    pub chats: BTreeMap<ChatId, ChatDone>,
    /// New messages as first sent, with their ordinals where these are known.
    pub sent: Vec<(ChatId, Message, Option<i64>)>,
    /// Messages edited or deleted, new ones included, in their latest state.
    pub changed: Vec<Stored>,
    /// Edits that had an id.
    pub edits: Vec<(EditKey, Seq)>,
    /// Events of commands that were repeated, by their messages' present state: perhaps nobody was told
    /// when they were carried out first.
    pub again: Vec<(ChatId, Event)>,
    /// What only an administrator could do.
    pub by_admin: Vec<Entry<'static>>,
}

/// What the batch did to one chat.
pub struct ChatDone {
    /// The chat's newest event before and after the batch.
    pub before: Seq,
    pub last_seq: Seq,
    /// After the batch.
    pub ordinals: Ordinals,
    /// Messages more or fewer.
    pub messages: i64,
    pub has_dormant: bool,
    /// For its statistics, where they are kept.
    pub tally: Option<Tally>,
    pub events: Vec<Event>,
}

type Decision = Result<Receipt, Refusal>;

impl Plan {
    /// `chats` are those of the batch that exist; `named` the messages that its commands name or
    /// repeat; `edits` those that it may repeat.
    pub fn new(
        now: Timestamp,
        chats: HashMap<ChatId, Chat>,
        named: Vec<Stored>,
        edits: HashMap<EditKey, Edited>,
    ) -> Self {
        let key = |stored: Stored| ((stored.chat_id, stored.message.id), stored);
        Self {
            now,
            chats,
            messages: named.into_iter().map(key).collect(),
            keys: HashMap::new(),
            edits,
            done: Done::default(),
        }
    }

    /// Decides the next command, in the order of the batch.
    pub fn decide(&mut self, command: &Command, fact: Fact) -> Decision {
        match &command.action {
            Action::Send { client_message_id, text, reply_to } => {
                self.send(command, client_message_id, text, *reply_to, fact)
            }
            Action::Edit { message_id, text, client_edit_id } => {
                let id = client_edit_id.as_deref();
                self.edit(command, *message_id, text, id, fact)
            }
            Action::Delete { message_id } => self.delete(command, *message_id, fact),
        }
    }

    /// What is to be written.
    pub fn finish(mut self) -> Done {
        let mut seen = HashSet::new();
        let changed = std::mem::take(&mut self.done.changed);
        // The last state of each, once.
        for stored in changed.into_iter().rev() {
            if seen.insert((stored.chat_id, stored.message.id)) {
                self.done.changed.push(stored);
            }
        }
        self.done
    }

    fn send(
        &mut self,
        command: &Command,
        key: &str,
        text: &str,
        reply_to: Option<Seq>,
        fact: Fact,
    ) -> Decision {
        let chat_id = command.chat_id;
        let chat = self.chat(chat_id)?;
        let key = (chat_id, command.user_id, key.to_owned());
        // Before anything that may have changed since the first try: what was committed is
        // acknowledged, also to somebody who has left.
        if let Some(first) = self.keys.get(&key).or(fact.repeated.as_ref()) {
            if !first.changed && (first.text != text || first.reply_to != reply_to) {
                return refuse(
                    Code::ClientMessageIdReused,
                    "This client message id was used for another message.",
                );
            }
            let (id, timestamp) = (first.id, first.timestamp);
            if fact.repeated.is_some() {
                self.again(chat_id, id, Seq(id.0 - 1));
            }
            return Ok(Receipt { message_id: id, seq: id, timestamp, repeated: true });
        }
        let sender = may_write(chat_id, chat, &fact)?;
        if let Some(id) = reply_to
            && !self.messages.contains_key(&(chat_id, id))
        {
            return refuse(Code::InvalidReplyTo, "The message replied to is not in this chat.");
        }
        let message = |id| Message {
            id,
            sender: UserRef {
                id: command.user_id,
                username: sender.username.clone(),
                guest: sender.guest,
            },
            text: text.to_owned(),
            timestamp: self.now,
            client_message_id: Some(key.2.clone()),
            reply_to,
            edited_at: None,
        };
        let message = message(chat.last_seq.next());
        let (id, ordinal) = self.record(chat_id, 1, Change::Message(message.clone()));
        if let Some(tally) = self.tally(chat_id) {
            tally.posted(&message);
        }
        self.keys.insert(
            key,
            Repeated { id, text: text.to_owned(), reply_to, timestamp: self.now, changed: false },
        );
        self.done.sent.push((chat_id, message.clone(), ordinal));
        self.messages.insert((chat_id, id), Stored { chat_id, seq: id, message, deleted: None });
        Ok(Receipt { message_id: id, seq: id, timestamp: self.now, repeated: false })
    }

    fn edit(
        &mut self,
        command: &Command,
        id: Seq,
        text: &str,
        client_edit_id: Option<&str>,
        fact: Fact,
    ) -> Decision {
        let chat_id = command.chat_id;
        let chat = self.chat(chat_id)?;
        may_write(chat_id, chat, &fact)?;
        let stored = match self.messages.get(&(chat_id, id)) {
            Some(stored) if stored.deleted.is_none() => stored,
            _ => return message_not_found(),
        };
        if stored.message.sender.id != command.user_id {
            return refuse(Code::NotYours, "Only its sender may edit a message.");
        }
        let key = client_edit_id.map(|edit| (chat_id, id, fingerprint(edit, text)));
        // Whatever the text has become since: this edit was made, and is not made again.
        let before = key.as_ref().and_then(|key| self.edits.get(key)).copied();
        let so_already = (stored.message.text == text).then(|| Edited {
            seq: stored.seq,
            timestamp: stored.message.edited_at.unwrap_or(stored.message.timestamp),
        });
        if let Some(Edited { seq, timestamp }) = before.or(so_already) {
            self.again(chat_id, id, id);
            return Ok(Receipt { message_id: id, seq, timestamp, repeated: true });
        }
        let mut stored = stored.clone();
        let before = std::mem::replace(&mut stored.message.text, text.to_owned());
        stored.message.edited_at = Some(self.now);
        (stored.seq, _) = self.record(chat_id, 0, Change::Edited(stored.message.clone()));
        if let Some(tally) = self.tally(chat_id) {
            tally.edited(&before, text);
        }
        if let Some(key) = key {
            self.edits.insert(key.clone(), Edited { seq: stored.seq, timestamp: self.now });
            self.done.edits.push((key, stored.seq));
        }
        Ok(self.keep(stored))
    }

    fn delete(&mut self, command: &Command, id: Seq, fact: Fact) -> Decision {
        let chat_id = command.chat_id;
        let chat = self.chat(chat_id)?;
        let may_write = may_write(chat_id, chat, &fact).map(|_| ());
        let is_admin =
            fact.user.as_ref().is_some_and(|user| user.role == Role::Admin && !user.blocked);
        if !is_admin {
            may_write.clone()?;
        }
        let Some(stored) = self.messages.get(&(chat_id, id)) else { return message_not_found() };
        let is_own = stored.message.sender.id == command.user_id;
        let may_delete = may_write.is_ok() && (is_own || fact.member == Some(MemberRole::Owner));
        if !may_delete && !is_admin {
            return refuse(
                Code::NotYours,
                "Only its sender, the chat's owner and administrators may delete a message.",
            );
        }
        if let Some(Deletion { at, .. }) = stored.deleted {
            let seq = stored.seq;
            self.again(chat_id, id, id);
            return Ok(Receipt { message_id: id, seq, timestamp: at, repeated: true });
        }
        let mut stored = stored.clone();
        if !may_delete {
            let entry = Entry::of(command.user_id, Act::DeleteMessage);
            let entry = entry.on_user(stored.message.sender.id).in_chat(chat_id).on_message(id);
            self.done.by_admin.push(entry);
        }
        let change = Change::Deleted { id, by: command.user_id, timestamp: self.now };
        (stored.seq, _) = self.record(chat_id, -1, change);
        if let Some(tally) = self.tally(chat_id) {
            tally.deleted(&stored.message);
        }
        stored.message.text.clear();
        stored.deleted = Some(Deletion { by: command.user_id, at: self.now });
        Ok(self.keep(stored))
    }

    /// Tells of a message once more, as to somebody who has seen everything up to `after`. What this
    /// batch did to it is told anyway.
    fn again(&mut self, chat_id: ChatId, id: Seq, after: Seq) {
        let Some(stored) = self.messages.get(&(chat_id, id)) else { return };
        let told = self.done.chats.get(&chat_id).is_some_and(|chat| stored.seq > chat.before);
        let event = stored.clone().into_event(after);
        if !told && event.seq > after {
            self.done.again.push((chat_id, event));
        }
    }

    fn chat(&self, id: ChatId) -> Result<Chat, Refusal> {
        self.chats.get(&id).copied().ok_or_else(|| Refusal {
            code: Code::ChatNotFound,
            message: "There is no such chat.".to_owned(),
        })
    }

    /// Gives the event the chat's next place, and the message that it makes its ordinal.
    fn record(&mut self, chat_id: ChatId, messages: i64, change: Change) -> (Seq, Option<i64>) {
        let Some(chat) = self.chats.get_mut(&chat_id) else { return (Seq::ZERO, None) };
        let before = chat.last_seq;
        let seq = before.next();
        let ordinal = chat.ordinals.advance(before, matches!(change, Change::Message(_)));
        chat.last_seq = seq;
        let ordinals = chat.ordinals;
        let (has_dormant, counted, now) = (chat.has_dormant, chat.counted, self.now);
        let done = self.done.chats.entry(chat_id).or_insert_with(|| ChatDone {
            before,
            last_seq: seq,
            ordinals,
            messages: 0,
            has_dormant,
            tally: counted.then(|| Tally::new(now)),
            events: Vec::new(),
        });
        done.last_seq = seq;
        done.ordinals = ordinals;
        done.messages += messages;
        done.events.push(Event { seq, change });
        (seq, ordinal)
    }

    /// The statistics of a chat that something was recorded in, where they are kept.
    fn tally(&mut self, chat_id: ChatId) -> Option<&mut Tally> {
        self.done.chats.get_mut(&chat_id)?.tally.as_mut()
    }

    /// Keeps a changed message for the commands that follow and for writing.
    fn keep(&mut self, stored: Stored) -> Receipt {
        let receipt = Receipt {
            message_id: stored.message.id,
            seq: stored.seq,
            timestamp: self.now,
            repeated: false,
        };
        let by_key = (
            stored.chat_id,
            stored.message.sender.id,
            stored.message.client_message_id.clone().unwrap_or_default(),
        );
        if let Some(first) = self.keys.get_mut(&by_key) {
            first.changed = true;
        }
        self.done.changed.push(stored.clone());
        self.messages.insert((stored.chat_id, stored.message.id), stored);
        receipt
    }
}

/// What tells an edit from others of the same message: clients may count their ids anew in each
/// connection, so the text belongs to it.
pub fn fingerprint(client_edit_id: &str, text: &str) -> String {
    let hash = Sha256::new().chain_update(client_edit_id).chain_update([0]).chain_update(text);
    URL_SAFE_NO_PAD.encode(&hash.finalize()[..16])
}

/// Members, and everybody in a room; guests in the lobby only; nobody who is blocked, by an administrator or by
/// the other one of a private chat, or banned from the room.
fn may_write(chat_id: ChatId, chat: Chat, fact: &Fact) -> Result<&Sender, Refusal> {
    let sender = fact.user.as_ref().filter(|user| !user.blocked).ok_or_else(|| Refusal {
        code: Code::Blocked,
        message: "This account is blocked.".to_owned(),
    })?;
    if sender.name_taken {
        return refuse(
            Code::UsernameTaken,
            "Somebody has registered this name. Choose another one.",
        );
    }
    if sender.guest && chat_id != ChatId::LOBBY {
        return refuse(Code::NotAMember, "Guests write in the lobby only.");
    }
    if fact.member.is_none() && chat.chat_type != ChatType::Room {
        return refuse(Code::NotAMember, "You are not a member of this chat.");
    }
    match fact.barred {
        Some(Barred::Banned) => {
            return refuse(Code::Banned, "You are banned from this room.");
        }
        Some(Barred::Silenced) => {
            return refuse(Code::BlockedByRecipient, "This user does not want to hear from you.");
        }
        None => {}
    }
    Ok(sender)
}

fn refuse<T>(code: Code, message: &str) -> Result<T, Refusal> {
    Err(Refusal { code, message: message.to_owned() })
}

fn message_not_found<T>() -> Result<T, Refusal> {
    refuse(Code::MessageNotFound, "There is no such message in this chat.")
}
