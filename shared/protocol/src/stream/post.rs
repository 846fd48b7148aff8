//! The bodies of `post` on a stream. They carry the same as [`Post`] and [`Posted`] do.

use crate::{
    calls::{Post, Posted},
    code::Code,
    command::{Action, Command, Receipt},
    encoded_run::EncodedRun,
    id::{ChatId, Seq, UserId},
    refusal::Refusal,
    time::Timestamp,
    traceparent::Traceparent,
};
use serde::{
    Deserialize, Serialize,
    de::{IntoDeserializer, value::Error as ValueError},
};
use std::borrow::Cow;

#[cfg(test)]
mod tests;

/// A call of `post`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostBody<'a> {
    /// The caller's span, if it is recorded.
    #[serde(deserialize_with = "Traceparent::lenient")]
    pub traceparent: Option<Traceparent>,
    impatient: bool,
    #[serde(borrow)]
    commands: Vec<CommandBody<'a>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct CommandBody<'a> {
    user_id: UserId,
    chat_id: ChatId,
    #[serde(borrow)]
    action: ActionBody<'a>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum ActionBody<'a> {
    Send { client_message_id: &'a str, text: &'a str, reply_to: Option<Seq> },
    Edit { message_id: Seq, text: &'a str, client_edit_id: Option<&'a str> },
    Delete { message_id: Seq },
}

impl<'a> PostBody<'a> {
    /// The body of this call, within this span.
    pub fn new(post: &'a Post, traceparent: Option<Traceparent>) -> Self {
        let commands = post.commands.iter().map(CommandBody::from).collect();
        Self { traceparent, impatient: post.impatient, commands }
    }

    /// The call.
    pub fn call(&self) -> Post {
        let commands = self.commands.iter().map(Command::from).collect();
        Post { commands, impatient: self.impatient }
    }
}

impl<'a> From<&'a Command> for CommandBody<'a> {
    fn from(command: &'a Command) -> Self {
        let action = match &command.action {
            Action::Send { client_message_id, text, reply_to } => {
                ActionBody::Send { client_message_id, text, reply_to: *reply_to }
            }
            Action::Edit { message_id, text, client_edit_id } => ActionBody::Edit {
                message_id: *message_id,
                text,
                client_edit_id: client_edit_id.as_deref(),
            },
            Action::Delete { message_id } => ActionBody::Delete { message_id: *message_id },
        };
        Self { user_id: command.user_id, chat_id: command.chat_id, action }
    }
}

impl From<&CommandBody<'_>> for Command {
    fn from(body: &CommandBody<'_>) -> Self {
        let action = match body.action {
            ActionBody::Send { client_message_id, text, reply_to } => Action::Send {
                client_message_id: client_message_id.to_owned(),
                text: text.to_owned(),
                reply_to,
            },
            ActionBody::Edit { message_id, text, client_edit_id } => Action::Edit {
                message_id,
                text: text.to_owned(),
                client_edit_id: client_edit_id.map(str::to_owned),
            },
            ActionBody::Delete { message_id } => Action::Delete { message_id },
        };
        Self { user_id: body.user_id, chat_id: body.chat_id, action }
    }
}

/// The answer to a call of `post`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostedBody<'a> {
    #[serde(borrow)]
    results: Vec<Result<ReceiptBody, RefusedBody<'a>>>,
    runs: Cow<'a, [EncodedRun]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct ReceiptBody {
    message_id: Seq,
    seq: Seq,
    /// Milliseconds since 1970.
    timestamp: i64,
    repeated: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct RefusedBody<'a> {
    /// As text, because the numbers of codes change from one release to the next.
    code: &'a str,
    message: &'a str,
}

impl<'a> PostedBody<'a> {
    /// The body of this answer.
    pub fn new(posted: &'a Posted) -> Self {
        let results = posted.results.iter().map(|result| match result {
            Ok(receipt) => Ok(ReceiptBody::from(receipt)),
            Err(Refusal { code, message }) => Err(RefusedBody { code: code.as_str(), message }),
        });
        Self { results: results.collect(), runs: Cow::Borrowed(&posted.events) }
    }

    /// The answer.
    pub fn answer(self) -> Posted {
        let results = self.results.iter().map(|result| match result {
            Ok(receipt) => Ok(Receipt::from(receipt)),
            Err(RefusedBody { code, message }) => Err(Refusal::new(code_of(code), *message)),
        });
        Posted { results: results.collect(), events: self.runs.into_owned() }
    }
}

impl From<&Receipt> for ReceiptBody {
    fn from(receipt: &Receipt) -> Self {
        let Receipt { message_id, seq, timestamp: Timestamp(timestamp), repeated } = *receipt;
        Self { message_id, seq, timestamp, repeated }
    }
}

impl From<&ReceiptBody> for Receipt {
    fn from(body: &ReceiptBody) -> Self {
        let ReceiptBody { message_id, seq, timestamp, repeated } = *body;
        Self { message_id, seq, timestamp: Timestamp(timestamp), repeated }
    }
}

/// The code of this text; [`Code::Unknown`] for one that only a newer api knows.
fn code_of(text: &str) -> Code {
    let text: serde::de::value::StrDeserializer<'_, ValueError> = text.into_deserializer();
    Code::deserialize(text).unwrap_or(Code::Unknown)
}
