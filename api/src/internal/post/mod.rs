//! `post`: many users' commands in one transaction. Five round trips for a batch of plain
//! messages: begin, lock the chats, read the facts, insert and number the chats, commit; one more when
//! commands name older messages (edits, deletions, replies), when messages change, and when dormant
//! members must be woken; three more when statistics are kept of one of the chats. What each command means is decided in [`plan`], without the database.

mod plan;
mod statistics;
mod store;
mod tally;

pub(crate) use tally::STRETCH;

use super::check_batch;
use crate::{
    Api, audit,
    chats::{announce, rules},
};
use plan::{Done, Plan};
use shared::{
    id::{ChatId, Seq, UserId},
    internal::{Action, Command, Post, Posted, Receipt, Refusal},
    problem::Problem,
    relay::{ChatEvents, ChatPayload, UserPayload},
    telemetry::trace::{Kind, Span},
};
use std::collections::HashMap;

/// Carries the commands out in order. A refused command does not hinder the others; an error means
/// that nothing is known of any, and the same call may be made again.
pub async fn post(api: &Api, request: Post) -> Result<Posted, Problem> {
    check_batch("commands", request.commands.len())?;
    metrics::histogram!("post_batch_size").record(request.commands.len() as f64);
    let commands = request.commands;
    let checked: Vec<Result<(), Refusal>> = commands.iter().map(check).collect();
    // Those worth asking the database about.
    let sound: Vec<&Command> =
        commands.iter().zip(&checked).filter(|(_, ok)| ok.is_ok()).map(|(c, _)| c).collect();
    let (decided, events) =
        if sound.is_empty() { Default::default() } else { carry_out(api, &sound).await? };
    let mut decided = decided.into_iter();
    let results: Vec<Result<Receipt, Refusal>> = checked
        .into_iter()
        .map(|checked| match checked {
            Ok(()) => decided.next().unwrap_or_else(|| unreachable!("one for each sound command")),
            Err(refusal) => Err(refusal),
        })
        .collect();
    count(&results);
    Ok(Posted { results, events })
}

fn count(results: &[Result<Receipt, Refusal>]) {
    let (mut committed, mut repeated, mut refused) = (0, 0, 0);
    for result in results {
        match result {
            Ok(receipt) if receipt.repeated => repeated += 1,
            Ok(_) => committed += 1,
            Err(_) => refused += 1,
        }
    }
    for (result, count) in [("committed", committed), ("repeated", repeated), ("refused", refused)]
    {
        if count > 0 {
            metrics::counter!("commands_total", "result" => result).increment(count);
        }
    }
}

type Outcome = (Vec<Result<Receipt, Refusal>>, Vec<ChatEvents>);

async fn carry_out(api: &Api, commands: &[&Command]) -> Result<Outcome, Problem> {
    let mut span = Span::child("transaction", Kind::Internal);
    span.number("commands", commands.len() as i64);
    let stored = span.around(store(api, commands)).await;
    if let Err(problem) = &stored {
        span.fail(problem.code);
    }
    span.end();
    let Stored { results, done, sleepers } = stored?;
    if done.chats.is_empty() {
        return Ok((results, Vec::new()));
    }
    let span = Span::child("publish", Kind::Producer);
    Ok((results, span.enter(|| publish(api, done, sleepers))))
}

/// What a transaction that was committed did.
struct Stored {
    results: Vec<Result<Receipt, Refusal>>,
    done: Done,
    /// Members for whom a dormant chat changed: the chat's id and theirs.
    sleepers: Vec<(i64, i64)>,
}

async fn store(api: &Api, commands: &[&Command]) -> Result<Stored, Problem> {
    let mut tx = api.db.begin().await?;
    let chats = store::lock_chats(&mut tx, commands).await?;
    let (now, facts) = store::facts(&mut tx, commands).await?;
    let named = store::named_messages(&mut tx, commands).await?;
    let mut plan = Plan::new(now, chats, named);
    let results = commands.iter().zip(facts).map(|(c, fact)| plan.decide(c, fact)).collect();
    let done = plan.finish();
    if done.chats.is_empty() {
        return Ok(Stored { results, done, sleepers: Vec::new() });
    }
    store::write(&mut tx, now, &done).await?;
    audit::record(&mut tx, &done.by_admin).await?;
    statistics::write(&mut tx, &done).await?;
    let sleepers = store::dormant_members(&mut tx, &done).await?;
    tx.commit().await?;
    Ok(Stored { results, done, sleepers })
}

/// Tells the gateways, and gives the events to whoever asked.
fn publish(api: &Api, done: Done, sleepers: Vec<(i64, i64)>) -> Vec<ChatEvents> {
    let ends: HashMap<i64, Seq> = done.chats.iter().map(|(id, c)| (id.0, c.before)).collect();
    let events = done.into_events();
    for run in &events {
        announce::to_chat(&api.bus, run.chat_id, &ChatPayload::Events(run.clone()));
    }
    for (chat, user) in sleepers {
        let after = ends.get(&chat).copied().unwrap_or_default();
        let wake = UserPayload::Wake { chat_id: ChatId(chat), after };
        announce::to_user(&api.bus, UserId(user), &wake);
    }
    events
}

/// What can be said of a command without the database.
fn check(command: &Command) -> Result<(), Refusal> {
    match &command.action {
        Action::Send { client_message_id, text, .. } => {
            rules::check_client_message_id(client_message_id)?;
            rules::check_text(text)
        }
        Action::Edit { text, .. } => rules::check_text(text),
        Action::Delete { .. } => Ok(()),
    }
}
