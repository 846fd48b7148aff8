//! A new message, or one that was sent before.

use super::{
    Decision,
    batch::Batch,
    facts::{Fact, Repeated},
};
use protocol::{
    chat::{Change, Message, UserRef},
    code::Code,
    command::{Command, Receipt},
    id::Seq,
    refusal::Refusal,
};

/// `key` is the sender's idempotency key.
pub(super) fn send(
    batch: &mut Batch,
    command: &Command,
    key: &str,
    text: &str,
    reply_to: Option<Seq>,
    fact: &Fact,
) -> Decision {
    let chat_id = command.chat_id;
    let chat = batch.chat(chat_id)?;
    let key = (chat_id, command.user_id, key.to_owned());
    // Before anything that may have changed since the first try: what was committed is
    // acknowledged, also to somebody who has left.
    if let Some(first) = batch.keys.get(&key).or(fact.repeated.as_ref()) {
        if !first.changed && (first.text != text || first.reply_to != reply_to) {
            return Err(Refusal::new(
                Code::ClientMessageIdReused,
                "This client message id was used for another message.",
            ));
        }
        let (id, timestamp) = (first.id, first.timestamp);
        if fact.repeated.is_some() {
            batch.again(chat_id, id, Seq(id.0 - 1));
        }
        return Ok(Receipt { message_id: id, seq: id, timestamp, repeated: true });
    }
    let sender = fact.to_write(chat_id, chat.chat_type)?;
    if let Some(id) = reply_to
        && batch.message(chat_id, id).is_none()
    {
        return Err(Refusal::new(
            Code::InvalidReplyTo,
            "The message replied to is not in this chat.",
        ));
    }
    let message = Message {
        id: chat.last_seq.next(),
        sender: UserRef {
            guest: sender.guest,
            ..UserRef::registered(command.user_id, &sender.username)
                .named(&sender.name)
                .pictured(&sender.avatar)
        },
        text: text.to_owned(),
        timestamp: batch.now,
        client_message_id: Some(key.2.clone()),
        reply_to,
        edited_at: None,
    };
    let (id, ordinal) = batch.record(chat_id, 1, Change::Message(message.clone()));
    if let Some(tally) = batch.tally(chat_id) {
        tally.add_message(&message);
    }
    let timestamp = batch.now;
    let first = Repeated { id, text: text.to_owned(), reply_to, timestamp, changed: false };
    batch.keys.insert(key, first);
    batch.add(chat_id, message, ordinal);
    Ok(Receipt { message_id: id, seq: id, timestamp, repeated: false })
}
