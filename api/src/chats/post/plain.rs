//! The short way of `post`, PostgreSQL only: a batch of plain messages is stored by one call of a function,
//! `post_one` or `post_plain`, which commits with its statement. It is one trip instead of six, and half of the
//! database's work.
//!
//! A message is plain when nothing about it needs a rule of `plan`: it was not sent before, what it replies to
//! was there before the batch, its sender has an account and may write, and its chat exists, is numbered and not
//! counted, and has no dormant members. The functions take that for granted and decline the whole batch where it was
//! wrong. Then the batch goes the long way, so no refusal is decided twice.

use super::{PostServer, plan::Decision};
use crate::{
    db::{Db, DbError, Warm, column},
    error::{Error, Result},
    news::{self, News},
};
use protocol::{
    chat::{Change, Event, Message, UserRef},
    command::{Action, Command, Receipt},
    encoded_run::EncodedRun,
    id::{ChatId, Seq, UserId},
    time::Timestamp,
};
use sqlx::{Arguments as _, PgPool, error::BoxDynError, postgres::PgArguments};
use std::{collections::BTreeMap, time::Duration};

/// What became of a batch on the short way.
pub(super) enum Short {
    /// It is committed.
    Stored(Vec<Decision>),
    /// Nothing is stored: it goes the long way.
    Declined,
    /// Nothing is stored: another transaction holds a chat.
    Held,
}

/// Whether nothing about the commands says that they are odd. Statistics are kept of the lobby, and guests write
/// there.
pub(super) fn are_plain(commands: &[&Command]) -> bool {
    commands.iter().all(|command| {
        command.chat_id != ChatId::LOBBY && matches!(command.action, Action::Send { .. })
    })
}

/// Stores one caller's batch, and tells the gateways if it is committed. One that is declined costs both ways and no
/// more: whatever made it odd is still so, or is decided on the long way, so this one is never tried again.
pub(super) async fn store(
    server: PostServer<'_>,
    commands: &[&Command],
) -> Result<(Short, Vec<EncodedRun>)> {
    let Some(batch) = PlainBatch::of(commands) else { return Ok((Short::Declined, Vec::new())) };
    let (db, patience) = (server.db().clone(), server.posts().patience());
    let stored =
        news::commit_by(server.api, async move { attempt(&db, batch, patience).await }).await?;
    count(match &stored {
        (Short::Stored(_), _) => "short",
        _ => "both",
    });
    Ok(stored)
}

/// Commits a batch, for a task that nobody drops. The news are still to be published.
pub(super) async fn attempt(
    db: &Db,
    batch: PlainBatch,
    patience: Duration,
) -> Result<(Short, News)> {
    let Db::Postgres(pool, warm, ..) = db else { return Ok((Short::Declined, News::default())) };
    let short = match run(pool, warm, batch.call(patience)?).await {
        Ok(Some(confirmed)) => {
            let (results, news) = batch.tell(confirmed)?;
            return Ok((Short::Stored(results), news));
        }
        Ok(None) | Err(DbError::Declined) => Short::Declined,
        // It was sent before.
        Err(error) if error.violates(REPEATED) => Short::Declined,
        Err(DbError::Held(_)) => Short::Held,
        Err(error) => return Err(error.into()),
    };
    Ok((short, News::default()))
}

/// The key that a message which was sent before violates.
const REPEATED: &str = "messages_chat_id_sender_id_client_message_id";

pub(super) fn count(way: &'static str) {
    metrics::counter!("post_batches_total", "way" => way).increment(1);
}

/// What the functions answer.
struct Confirmed {
    sent_at: i64,
    /// Each chat's newest event.
    last_seqs: Vec<i64>,
    /// Of each message's sender.
    usernames: Vec<String>,
    /// The display name of each message's sender.
    names: Vec<String>,
    /// What each message's sender names as its picture.
    avatars: Vec<String>,
}

/// A call of one of the functions.
struct PlainCall {
    sql: &'static str,
    arguments: PgArguments,
}

/// The functions' columns, which are all NULL when they decline.
type FunctionAnswer =
    (Option<i64>, Option<Vec<i64>>, Option<Vec<String>>, Option<Vec<String>>, Option<Vec<String>>);

/// `None`: it is declined.
async fn run(pool: &PgPool, warm: &Warm, call: PlainCall) -> Result<Option<Confirmed>, DbError> {
    let mut conn = warm.take(pool).await?;
    let call = sqlx::query_scalar_with(call.sql, call.arguments);
    // It returns when the statement is committed, and not with the row, which comes before that.
    let answer: FunctionAnswer = call.fetch_one(&mut **conn).await?;
    warm.keep(pool, conn);
    Ok(match answer {
        (Some(sent_at), Some(last_seqs), Some(usernames), Some(names), Some(avatars)) => {
            Some(Confirmed { sent_at, last_seqs, usernames, names, avatars })
        }
        _ => None,
    })
}

/// Messages of which the database need only be told.
pub(super) struct PlainBatch {
    /// In the order of their ids.
    chats: Vec<PlainChat>,
    /// In the order of the batch.
    messages: Vec<PlainMessage>,
}

struct PlainChat {
    id: i64,
    messages: i64,
}

struct PlainMessage {
    chat_id: i64,
    /// Of the chat among the batch's, from 1 on.
    place: i64,
    /// Among the batch's messages in the chat, from 1 on.
    number: i64,
    sender_id: i64,
    key: String,
    text: String,
    reply_to: Option<i64>,
}

/// A sender's newest message in a chat.
struct PlainSeen {
    chat_id: i64,
    user_id: i64,
    place: i64,
    number: i64,
}

// The answer is one value: as a table of one row, PostgreSQL would store it before it gives it out.
const POST_ONE: &str = "SELECT post_one($1, $2, $3, $4, $5, $6)";
const POST_PLAIN: &str =
    "SELECT post_plain($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)";

fn one_call(message: &PlainMessage, patience: &str) -> Result<PlainCall, BoxDynError> {
    let PlainMessage { chat_id, sender_id, key, text, reply_to, .. } = message;
    let mut arguments = PgArguments::default();
    arguments.add(patience)?;
    arguments.add(chat_id)?;
    arguments.add(sender_id)?;
    arguments.add(key)?;
    arguments.add(text)?;
    arguments.add(reply_to)?;
    Ok(PlainCall { sql: POST_ONE, arguments })
}

impl PlainBatch {
    /// `None`: something in it is odd for sure, see [`are_plain`].
    pub(super) fn of(commands: &[&Command]) -> Option<Self> {
        if !are_plain(commands) {
            return None;
        }
        let mut counts: BTreeMap<ChatId, PlainChat> = BTreeMap::new();
        let mut messages = Vec::with_capacity(commands.len());
        for command in commands {
            let Action::Send { client_message_id, text, reply_to } = &command.action else {
                return None;
            };
            let id = command.chat_id.0;
            let chat = counts.entry(command.chat_id).or_insert(PlainChat { id, messages: 0 });
            chat.messages += 1;
            messages.push(PlainMessage {
                chat_id: id,
                place: 0,
                number: chat.messages,
                sender_id: command.user_id.0,
                key: client_message_id.clone(),
                text: text.clone(),
                reply_to: reply_to.map(|id| id.0),
            });
        }
        let chats: Vec<PlainChat> = counts.into_values().collect();
        for message in &mut messages {
            let place = chats.partition_point(|chat| chat.id < message.chat_id) + 1;
            message.place = i64::try_from(place).ok()?;
        }
        Some(Self { chats, messages })
    }

    fn call(&self, patience: Duration) -> Result<PlainCall, DbError> {
        let patience = format!("{}ms", patience.as_millis());
        let call = match self.messages.as_slice() {
            [message] => one_call(message, &patience),
            _ => self.call_of_all(&patience),
        };
        Ok(call.map_err(sqlx::Error::Encode)?)
    }

    fn call_of_all(&self, patience: &str) -> Result<PlainCall, BoxDynError> {
        let Self { chats, messages } = self;
        let seen = self.seen();
        let keys: Vec<&str> = messages.iter().map(|message| message.key.as_str()).collect();
        let texts: Vec<&str> = messages.iter().map(|message| message.text.as_str()).collect();
        let mut arguments = PgArguments::default();
        arguments.add(patience)?;
        arguments.add(column!(chats, id))?;
        arguments.add(column!(chats, messages))?;
        arguments.add(column!(messages, chat_id))?;
        arguments.add(column!(messages, place))?;
        arguments.add(column!(messages, number))?;
        arguments.add(column!(messages, sender_id))?;
        arguments.add(keys)?;
        arguments.add(texts)?;
        arguments.add(column!(messages, reply_to))?;
        arguments.add(column!(seen, chat_id))?;
        arguments.add(column!(seen, user_id))?;
        arguments.add(column!(seen, place))?;
        arguments.add(column!(seen, number))?;
        Ok(PlainCall { sql: POST_PLAIN, arguments })
    }

    /// In the order in which everybody locks members' rows.
    fn seen(&self) -> Vec<PlainSeen> {
        // The last message of each sender stays.
        let last: BTreeMap<(i64, i64), &PlainMessage> = self
            .messages
            .iter()
            .map(|message| ((message.chat_id, message.sender_id), message))
            .collect();
        let seen = last.into_iter().map(|((chat_id, user_id), message)| PlainSeen {
            chat_id,
            user_id,
            place: message.place,
            number: message.number,
        });
        seen.collect()
    }

    /// The receipts, and what gateways are told, by chats in the order of their ids.
    fn tell(self, confirmed: Confirmed) -> Result<(Vec<Decision>, News)> {
        let Self { chats, messages } = self;
        let Confirmed { sent_at, last_seqs, usernames, names, avatars } = confirmed;
        let timestamp = Timestamp(sent_at);
        let senders = [usernames.len(), names.len(), avatars.len()];
        if last_seqs.len() != chats.len() || senders != [messages.len(); 3] {
            tracing::error!("the database did not tell of every message");
            return Err(Error::internal());
        }
        let mut runs: Vec<Vec<Event>> = chats.iter().map(|_| Vec::new()).collect();
        let mut receipts = Vec::with_capacity(messages.len());
        let senders = usernames.into_iter().zip(names).zip(avatars);
        for (message, ((username, name), avatar)) in messages.into_iter().zip(senders) {
            let place = message.place as usize - 1;
            let id = Seq(last_seqs[place] - chats[place].messages + message.number);
            receipts.push(Ok(Receipt { message_id: id, seq: id, timestamp, repeated: false }));
            let message = Message {
                id,
                sender: UserRef::registered(UserId(message.sender_id), username)
                    .named(name)
                    .pictured(avatar),
                text: message.text,
                timestamp,
                client_message_id: Some(message.key),
                reply_to: message.reply_to.map(Seq),
                edited_at: None,
            };
            runs[place].push(Event { seq: id, change: Change::Message(message) });
        }
        let mut news = News::default();
        for (chat, events) in chats.iter().zip(runs) {
            news.events(ChatId(chat.id), events);
        }
        Ok((receipts, news))
    }
}
