//! The bodies of `post` on a stream. They carry the same as [`Post`] and [`Posted`] do, and less of it: an event that
//! the caller can make from its own command and the receipt is not sent, only which command made it.

use super::BadBody;
use crate::{
    calls::{Post, Posted},
    chat::{Change, Event, Message, UserRef},
    code::Code,
    command::{Action, Command, Receipt},
    id::{ChatId, Seq, UserId},
    refusal::Refusal,
    relay::ChatEvents,
    time::Timestamp,
    traceparent::Traceparent,
};
use serde::{
    Deserialize, Serialize,
    de::{IntoDeserializer, value::Error as ValueError},
};
use std::{borrow::Cow, collections::HashMap};

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
    #[serde(borrow)]
    runs: Vec<RunBody<'a>>,
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

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct RunBody<'a> {
    chat_id: ChatId,
    published_ms: i64,
    #[serde(deserialize_with = "Traceparent::lenient")]
    traceparent: Option<Traceparent>,
    #[serde(borrow)]
    events: Vec<EventBody<'a>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum EventBody<'a> {
    /// The message of the command at this place of the call.
    Made { command: u32, username: &'a str, guest: bool },
    /// Any other event, as JSON.
    Json(#[serde(borrow)] Cow<'a, str>),
}

impl<'a> PostedBody<'a> {
    /// The body of the answer to this call.
    pub fn new(call: &PostBody<'_>, posted: &'a Posted) -> Result<Self, BadBody> {
        let results = posted.results.iter().map(|result| match result {
            Ok(receipt) => Ok(ReceiptBody::from(receipt)),
            Err(Refusal { code, message }) => Err(RefusedBody { code: code.as_str(), message }),
        });
        let results: Vec<_> = results.collect();
        let makers: HashMap<(ChatId, Seq), usize> = call
            .commands
            .iter()
            .zip(&results)
            .enumerate()
            .filter_map(|(place, (command, result))| {
                Some(((command.chat_id, result.as_ref().ok()?.seq), place))
            })
            .collect();
        let event = |chat_id: ChatId, event: &'a Event| {
            let made = makers.get(&(chat_id, event.seq)).and_then(|&place| {
                let receipt = results[place].as_ref().ok()?;
                let sender = call.commands[place].sender_if_made(receipt, event)?;
                Some((u32::try_from(place).ok()?, sender))
            });
            match made {
                Some((command, UserRef { username, guest, .. })) => {
                    Ok(EventBody::Made { command, username, guest: *guest })
                }
                None => serde_json::to_string(event)
                    .map(|json| EventBody::Json(Cow::Owned(json)))
                    .map_err(BadBody::of),
            }
        };
        let runs = posted.events.iter().map(|run| {
            let events = run.events.iter().map(|made| event(run.chat_id, made));
            Ok(RunBody {
                chat_id: run.chat_id,
                published_ms: run.published_ms,
                traceparent: run.traceparent,
                events: events.collect::<Result<_, BadBody>>()?,
            })
        });
        let runs = runs.collect::<Result<_, BadBody>>()?;
        Ok(Self { results, runs })
    }

    /// The answer, read by the caller of this call.
    pub fn answer(&self, call: &PostBody<'_>) -> Result<Posted, BadBody> {
        let results = self.results.iter().map(|result| match result {
            Ok(receipt) => Ok(Receipt::from(receipt)),
            Err(RefusedBody { code, message }) => Err(Refusal::new(code_of(code), *message)),
        });
        let events = self.runs.iter().map(|run| {
            let events = run.events.iter().map(|event| self.event(call, event));
            Ok(ChatEvents {
                chat_id: run.chat_id,
                events: events.collect::<Result<_, BadBody>>()?,
                published_ms: run.published_ms,
                traceparent: run.traceparent,
            })
        });
        Ok(Posted { results: results.collect(), events: events.collect::<Result<_, BadBody>>()? })
    }

    fn event(&self, call: &PostBody<'_>, event: &EventBody<'_>) -> Result<Event, BadBody> {
        let (command, username, guest) = match event {
            EventBody::Made { command, username, guest } => (*command as usize, *username, *guest),
            EventBody::Json(json) => return serde_json::from_str(json).map_err(BadBody::of),
        };
        let receipt = self.results.get(command).and_then(|result| result.as_ref().ok());
        let made = call.commands.get(command).zip(receipt);
        made.and_then(|(command, receipt)| command.message(receipt, username, guest))
            .ok_or_else(|| BadBody::of("an event of no command"))
    }
}

impl CommandBody<'_> {
    /// The message that this command made, by its receipt. Only a send makes one.
    fn message(&self, receipt: &ReceiptBody, username: &str, guest: bool) -> Option<Event> {
        let ActionBody::Send { client_message_id, text, reply_to } = self.action else {
            return None;
        };
        let message = Message {
            id: receipt.message_id,
            sender: UserRef { id: self.user_id, username: username.to_owned(), guest },
            text: text.to_owned(),
            timestamp: Timestamp(receipt.timestamp),
            client_message_id: Some(client_message_id.to_owned()),
            reply_to,
            edited_at: None,
        };
        Some(Event { seq: receipt.seq, change: Change::Message(message) })
    }

    /// The sender of the event, if [`CommandBody::message`] makes exactly this event.
    fn sender_if_made<'e>(&self, receipt: &ReceiptBody, event: &'e Event) -> Option<&'e UserRef> {
        let Event { seq, change: Change::Message(message) } = event else { return None };
        let ActionBody::Send { client_message_id, text: sent, reply_to: named } = self.action
        else {
            return None;
        };
        // With all its fields, so that nobody adds one that is lost here.
        let Message { id, sender, text, timestamp, client_message_id: key, reply_to, edited_at } =
            message;
        let same = *seq == receipt.seq
            && *id == receipt.message_id
            && sender.id == self.user_id
            && text == sent
            && timestamp.0 == receipt.timestamp
            && key.as_deref() == Some(client_message_id)
            && *reply_to == named
            && edited_at.is_none();
        same.then_some(sender)
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
