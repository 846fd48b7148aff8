//! The decisions of a batch as tables, without a database. Here are the chat, the people and the commands that
//! they share.

mod effects;
mod repeats;
mod rights;

use super::{
    batch::{Batch, BatchDone},
    check, decide,
    facts::{Barred, ChatFacts, Edited, Fact, Repeated, Sender, fingerprint},
};
use crate::{
    audit::{AuditAction, AuditEntry},
    chats::{
        access::MemberRole,
        ordinals::Ordinals,
        stored::{Deletion, MessageRecord},
    },
};
use protocol::{
    account::Role,
    chat::{Change, ChatType, Message, UserRef},
    code::Code,
    command::{Action, Command, Receipt},
    id::{ChatId, Seq, UserId},
    limits::MAX_TEXT_CHARS,
    refusal::Refusal,
    time::Timestamp,
};
use std::collections::HashMap;

const CHAT: ChatId = ChatId(7);
const ANN: UserId = UserId(1);
const BOB: UserId = UserId(2);
const NOW: Timestamp = Timestamp(5_000);
const EARLIER: Timestamp = Timestamp(3_000);

/// Ann's message 3 and Bob's message 4, in chats that have had ten events and four messages.
const OF_ANN: Seq = Seq(3);
const OF_BOB: Seq = Seq(4);

fn chat(chat_type: ChatType) -> ChatFacts {
    let ordinals = Ordinals { sent_count: 4, sent_seq: Seq(10), newest: 4 };
    ChatFacts { chat_type, last_seq: Seq(10), ordinals, has_dormant: false, counted: true }
}

fn stored(chat_id: ChatId, id: Seq, sender: UserId) -> MessageRecord {
    let message = Message {
        id,
        sender: UserRef::registered(sender, "somebody"),
        text: "before".to_owned(),
        timestamp: EARLIER,
        client_message_id: Some(format!("old-{id}")),
        reply_to: None,
        edited_at: None,
    };
    MessageRecord { chat_id, seq: id, message, deleted: None }
}

fn batch_in(chat_id: ChatId, chat: ChatFacts) -> Batch {
    let named = vec![stored(chat_id, OF_ANN, ANN), stored(chat_id, OF_BOB, BOB)];
    Batch::new(NOW, [(chat_id, chat)].into(), named, HashMap::new())
}

fn group() -> Batch {
    batch_in(CHAT, chat(ChatType::Group))
}

/// A member without any rights.
fn member() -> Fact {
    let user = Sender {
        avatar: String::new(),
        username: "ann".to_owned(),
        name: "ann".to_owned(),
        role: Role::User,
        blocked: false,
        guest: false,
        name_taken: false,
    };
    Fact { user: Some(user), member: Some(MemberRole::Member), barred: None, repeated: None }
}

/// A member about whom one thing is different.
fn but(change: impl FnOnce(&mut Fact)) -> Fact {
    let mut fact = member();
    change(&mut fact);
    fact
}

fn but_user(change: impl FnOnce(&mut Sender)) -> Fact {
    but(|fact| change(fact.user.as_mut().unwrap()))
}

fn admin() -> Fact {
    but_user(|user| user.role = Role::Admin)
}

fn by_ann(chat_id: ChatId, action: Action) -> Command {
    Command { user_id: ANN, chat_id, action }
}

fn send_as(key: &str, text: &str, reply_to: Option<Seq>) -> Command {
    let (client_message_id, text) = (key.to_owned(), text.to_owned());
    by_ann(CHAT, Action::Send { client_message_id, text, reply_to })
}

fn send(key: &str, text: &str) -> Command {
    send_as(key, text, None)
}

fn edit(message_id: Seq, text: &str, id: Option<&str>) -> Command {
    let (text, client_edit_id) = (text.to_owned(), id.map(str::to_owned));
    by_ann(CHAT, Action::Edit { message_id, text, client_edit_id })
}

fn delete(message_id: Seq) -> Command {
    by_ann(CHAT, Action::Delete { message_id })
}

fn code(decision: Result<Receipt, Refusal>) -> Option<Code> {
    decision.err().map(|refusal| refusal.code)
}

/// A command that made this event.
fn made(message_id: Seq, seq: i64) -> Result<Receipt, Refusal> {
    Ok(Receipt { message_id, seq: Seq(seq), timestamp: NOW, repeated: false })
}

/// A command that was carried out before.
fn repeated(message_id: Seq, seq: i64, timestamp: Timestamp) -> Result<Receipt, Refusal> {
    Ok(Receipt { message_id, seq: Seq(seq), timestamp, repeated: true })
}

fn assert_nothing_written(done: &BatchDone) {
    assert!(done.chats.is_empty() && done.sent.is_empty() && done.changed.is_empty());
    assert!(done.edits.is_empty() && done.by_admin.is_empty());
}
