//! What a batch of commands does to the chats it locked: repeats found, rights checked, numbers
//! given, events made. Pure: the facts come in, what to write goes out.
//!
//! `facts` is what is known beforehand, `batch` what the commands have done so far; `send`, `edit` and
//! `delete` decide one command each.

pub(super) mod batch;
mod delete;
mod edit;
pub(super) mod facts;
mod send;
#[cfg(test)]
mod tests;

use batch::Batch;
use facts::Fact;
use platform::text::{check_client_message_id, check_text};
use protocol::{
    code::Code,
    command::{Action, Command, Receipt},
    refusal::Refusal,
};

/// What becomes of a command.
pub(super) type Decision = Result<Receipt, Refusal>;

/// Refuses what needs no facts to be refused.
pub(super) fn check(command: &Command) -> Result<(), Refusal> {
    match &command.action {
        Action::Send { client_message_id, text, .. } => {
            check_client_message_id(client_message_id)?;
            check_text(text)
        }
        Action::Edit { text, client_edit_id, .. } => {
            client_edit_id.as_deref().map_or(Ok(()), check_client_message_id)?;
            check_text(text)
        }
        Action::Delete { .. } => Ok(()),
    }
}

/// Decides the next command, in the order of the batch.
pub(super) fn decide(batch: &mut Batch, command: &Command, fact: &Fact) -> Decision {
    match &command.action {
        Action::Send { client_message_id, text, reply_to } => {
            send::send(batch, command, client_message_id, text, *reply_to, fact)
        }
        Action::Edit { message_id, text, client_edit_id } => {
            edit::edit(batch, command, *message_id, text, client_edit_id.as_deref(), fact)
        }
        Action::Delete { message_id } => delete::delete(batch, command, *message_id, fact),
    }
}

fn message_not_found() -> Refusal {
    Refusal::new(Code::MessageNotFound, "There is no such message in this chat.")
}
