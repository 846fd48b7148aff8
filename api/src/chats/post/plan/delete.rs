//! A message's text goes, its place stays. Its sender may delete it, the chat's owner and administrators; what
//! only an administrator could do is noted for the log.

use super::{Decision, batch::Batch, facts::Fact, message_not_found};
use crate::{
    audit::{AuditAction, AuditEntry},
    chats::{access::MemberRole, stored::Deletion},
};
use protocol::{
    account::Role,
    chat::Change,
    code::Code,
    command::{Command, Receipt},
    id::Seq,
    refusal::Refusal,
};

pub(super) fn delete(batch: &mut Batch, command: &Command, id: Seq, fact: &Fact) -> Decision {
    let chat_id = command.chat_id;
    let chat = batch.chat(chat_id)?;
    let to_write = fact.to_write(chat_id, chat.chat_type);
    let may_write = to_write.is_ok();
    let is_admin = fact.user.as_ref().is_some_and(|user| user.role == Role::Admin && !user.blocked);
    if !is_admin {
        to_write?;
    }
    let stored = batch.message(chat_id, id).ok_or_else(message_not_found)?;
    let is_own = stored.message.sender.id == command.user_id;
    let may_delete = may_write && (is_own || fact.member == Some(MemberRole::Owner));
    if !may_delete && !is_admin {
        return Err(Refusal::new(
            Code::NotYours,
            "Only its sender, the chat's owner and administrators may delete a message.",
        ));
    }
    if let Some(Deletion { at, .. }) = stored.deleted {
        let seq = stored.seq;
        batch.again(chat_id, id, id);
        return Ok(Receipt { message_id: id, seq, timestamp: at, repeated: true });
    }
    let mut stored = stored.clone();
    if !may_delete {
        let entry = AuditEntry::of(command.user_id, AuditAction::DeleteMessage);
        let entry = entry.on_user(stored.message.sender.id).in_chat(chat_id).on_message(id);
        batch.done.by_admin.push(entry);
    }
    let deletion = Deletion { by: command.user_id, at: batch.now };
    let change = Change::Deleted { id, by: deletion.by, timestamp: deletion.at };
    (stored.seq, _) = batch.record(chat_id, -1, change);
    if let Some(tally) = batch.tally(chat_id) {
        tally.remove_message(&stored.message);
    }
    stored.message.text.clear();
    stored.deleted = Some(deletion);
    Ok(batch.keep(stored))
}
