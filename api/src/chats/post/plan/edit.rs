//! A new text for a message of one's own.

use super::{
    Decision,
    batch::Batch,
    facts::{Edited, Fact, fingerprint},
    message_not_found,
};
use protocol::{
    chat::Change,
    code::Code,
    command::{Command, Receipt},
    id::Seq,
    refusal::Refusal,
};

pub(super) fn edit(
    batch: &mut Batch,
    command: &Command,
    id: Seq,
    text: &str,
    client_edit_id: Option<&str>,
    fact: &Fact,
) -> Decision {
    let chat_id = command.chat_id;
    let chat = batch.chat(chat_id)?;
    fact.to_write(chat_id, chat.chat_type)?;
    let stored = match batch.message(chat_id, id) {
        Some(stored) if stored.deleted.is_none() => stored,
        _ => return Err(message_not_found()),
    };
    if stored.message.sender.id != command.user_id {
        return Err(Refusal::new(Code::NotYours, "Only its sender may edit a message."));
    }
    let key = client_edit_id.map(|edit| (chat_id, id, fingerprint(edit, text)));
    // Whatever the text has become since: this edit was made, and is not made again.
    let before = key.as_ref().and_then(|key| batch.edits.get(key)).copied();
    let so_already = (stored.message.text == text).then(|| Edited {
        seq: stored.seq,
        timestamp: stored.message.edited_at.unwrap_or(stored.message.timestamp),
    });
    if let Some(Edited { seq, timestamp }) = before.or(so_already) {
        batch.again(chat_id, id, id);
        return Ok(Receipt { message_id: id, seq, timestamp, repeated: true });
    }
    let mut stored = stored.clone();
    let before = std::mem::replace(&mut stored.message.text, text.to_owned());
    stored.message.edited_at = Some(batch.now);
    (stored.seq, _) = batch.record(chat_id, 0, Change::Edited(stored.message.clone()));
    if let Some(tally) = batch.tally(chat_id) {
        tally.change_text(&before, text);
    }
    if let Some(key) = key {
        batch.edits.insert(key.clone(), Edited { seq: stored.seq, timestamp: batch.now });
        batch.done.edits.push((key, stored.seq));
    }
    Ok(batch.keep(stored))
}
