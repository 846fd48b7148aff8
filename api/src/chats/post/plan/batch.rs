//! What the commands of a batch have done so far, which those behind them see, and what there is to write at
//! the end. It gives numbers and keeps states; which command may do what is for the others to know.

use super::facts::{ChatFacts, EditKey, Edited, Repeated};
use crate::{
    audit::AuditEntry,
    chats::{ordinals::Ordinals, post::tally::Tally, stored::MessageRecord},
};
use protocol::{
    chat::{Change, Event, Message},
    code::Code,
    command::Receipt,
    id::{ChatId, Seq, UserId},
    refusal::Refusal,
    time::Timestamp,
};
use std::collections::{BTreeMap, HashMap, HashSet};

/// The state of the batch while its commands are decided one after the other.
pub(crate) struct Batch {
    pub(super) now: Timestamp,
    chats: HashMap<ChatId, ChatFacts>,
    /// Messages that commands name or made, in their latest state.
    messages: HashMap<(ChatId, Seq), MessageRecord>,
    /// Idempotency keys used in this batch.
    pub(super) keys: HashMap<(ChatId, UserId, String), Repeated>,
    /// Edits that had an id, made before or in this batch.
    pub(super) edits: HashMap<EditKey, Edited>,
    pub(super) done: BatchDone,
}

/// What the batch did.
#[derive(Default)]
pub(crate) struct BatchDone {
    pub chats: BTreeMap<ChatId, ChatDone>,
    /// New messages as first sent, with their ordinals where these are known.
    pub sent: Vec<(ChatId, Message, Option<i64>)>,
    /// Messages edited or deleted, new ones included, in their latest state.
    pub changed: Vec<MessageRecord>,
    /// Edits that had an id.
    pub edits: Vec<(EditKey, Seq)>,
    /// Events of commands that were repeated, by their messages' present state: perhaps nobody was told
    /// when they were carried out first.
    pub again: Vec<(ChatId, Event)>,
    /// What only an administrator could do.
    pub by_admin: Vec<AuditEntry<'static>>,
}

/// What the batch did to one chat.
pub(crate) struct ChatDone {
    /// The chat's newest event before and after the batch.
    pub before: Seq,
    pub last_seq: Seq,
    /// As they are after the batch.
    pub ordinals: Ordinals,
    /// Messages sent minus messages deleted.
    pub messages: i64,
    pub has_dormant: bool,
    /// For its statistics, where they are kept.
    pub tally: Option<Tally>,
    pub events: Vec<Event>,
}

impl Batch {
    /// `chats` are those of the batch that exist; `named` the messages that its commands name or
    /// repeat; `edits` those that it may repeat.
    pub(crate) fn new(
        now: Timestamp,
        chats: HashMap<ChatId, ChatFacts>,
        named: Vec<MessageRecord>,
        edits: HashMap<EditKey, Edited>,
    ) -> Self {
        let key = |stored: MessageRecord| ((stored.chat_id, stored.message.id), stored);
        let messages = named.into_iter().map(key).collect();
        Self { now, chats, messages, keys: HashMap::new(), edits, done: BatchDone::default() }
    }

    /// What is to be written.
    pub(crate) fn finish(mut self) -> BatchDone {
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

    pub(super) fn chat(&self, id: ChatId) -> Result<ChatFacts, Refusal> {
        Ok(self.chats.get(&id).copied().ok_or(Code::ChatNotFound)?)
    }

    /// A message that commands name or made.
    pub(super) fn message(&self, chat_id: ChatId, id: Seq) -> Option<&MessageRecord> {
        self.messages.get(&(chat_id, id))
    }

    /// Tells of a message once more, as to somebody who has seen everything up to `after`. What this
    /// batch did to it is told anyway.
    pub(super) fn again(&mut self, chat_id: ChatId, id: Seq, after: Seq) {
        let Some(stored) = self.messages.get(&(chat_id, id)) else { return };
        let told = self.done.chats.get(&chat_id).is_some_and(|chat| stored.seq > chat.before);
        let event = stored.clone().into_event(after);
        if !told && event.seq > after {
            self.done.again.push((chat_id, event));
        }
    }

    /// Gives the event the chat's next place, and the message that it makes its ordinal.
    pub(super) fn record(
        &mut self,
        chat_id: ChatId,
        messages: i64,
        change: Change,
    ) -> (Seq, Option<i64>) {
        let Some(chat) = self.chats.get_mut(&chat_id) else { return (Seq::ZERO, None) };
        let before = chat.last_seq;
        let seq = before.next();
        let ordinal = match change {
            Change::Message(_) => chat.ordinals.advance_by_message(before),
            _ => {
                chat.ordinals.advance(before);
                None
            }
        };
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
    pub(super) fn tally(&mut self, chat_id: ChatId) -> Option<&mut Tally> {
        self.done.chats.get_mut(&chat_id)?.tally.as_mut()
    }

    /// Keeps a new message for the commands that follow and for writing.
    pub(super) fn add(&mut self, chat_id: ChatId, message: Message, ordinal: Option<i64>) {
        let seq = message.id;
        self.done.sent.push((chat_id, message.clone(), ordinal));
        self.messages
            .insert((chat_id, seq), MessageRecord { chat_id, seq, message, deleted: None });
    }

    /// Keeps a changed message for the commands that follow and for writing.
    pub(super) fn keep(&mut self, stored: MessageRecord) -> Receipt {
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
