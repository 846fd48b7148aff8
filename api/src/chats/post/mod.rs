//! `post`: many users' commands in one transaction. With PostgreSQL a batch of plain messages is one round trip, see
//! `plain`, and callers that come at once share it, see `shared`. Any other batch takes five: begin, lock the chats,
//! read the facts, insert and number the chats, commit; one more when commands name older messages (edits, deletions,
//! replies, what was sent before), when edits have an id, when messages change, and when there are dormant members;
//! two more when those are woken, and three when statistics are kept of one of the chats. What each command means is
//! decided in `plan`, without the database.

mod lock;
mod plain;
mod plan;
mod shared;
mod sifted;
mod statistics;
mod store;
mod tally;
mod wakes;
mod write;

use crate::{
    audit,
    db::{Db, ServerPart, Tx, joined, people_copy},
    error::{Error, Result},
    news::{self, News},
    post_queue::{PostEnd, PostQueue},
    state::Api,
};
use futures_util::future::join_all;
use lock::{HeldChats, Locked, lock};
use plain::Short;
use plan::{
    Decision,
    batch::{Batch, BatchDone},
    facts::ChatFacts,
};
use platform::telemetry::trace::{Kind, Span};
use protocol::{
    calls::{Post, Posted},
    code::Code,
    command::Command,
    encoded_run::EncodedRun,
    id::{ChatId, UserId},
    refusal::Refusal,
    relay::UserPayload,
};
use sifted::Sifted;
use std::collections::{BTreeSet, HashMap};

/// Carries the commands out in order. A refused command does not hinder the others, nor does a chat
/// that somebody holds when the caller is impatient; an error means that nothing is known of any, and
/// the same call may be made again.
pub async fn post(api: &Api, request: &Post) -> Result<Posted> {
    metrics::histogram!("post_batch_size").record(request.commands.len() as f64);
    let Post { commands, impatient } = request;
    let held = if *impatient { HeldChats::Skip } else { HeldChats::Wait };
    // Those that pass are worth asking the database about.
    let sound = Sifted::new(commands, plan::check);
    let (decided, events) = match sound.passed() {
        [] => Default::default(),
        passed => by_server(api, passed, held).await?,
    };
    let results = sound.join(decided)?;
    count(&results);
    Ok(Posted { results, events })
}

fn count(results: &[Decision]) {
    let (mut committed, mut repeated, mut refused, mut busy) = (0, 0, 0, 0);
    for result in results {
        match result {
            Ok(receipt) if receipt.repeated => repeated += 1,
            Ok(_) => committed += 1,
            Err(Refusal { code: Code::Busy, .. }) => busy += 1,
            Err(_) => refused += 1,
        }
    }
    for (result, count) in
        [("committed", committed), ("repeated", repeated), ("refused", refused), ("busy", busy)]
    {
        if count > 0 {
            metrics::counter!("commands_total", "result" => result).increment(count);
        }
    }
}

/// What came of the commands, and the runs of events that were published.
type Outcome = (Vec<Decision>, Vec<EncodedRun>);

/// A server of chats.
#[derive(Clone, Copy)]
struct PostServer<'a> {
    api: &'a Api,
    /// See [`crate::db::Databases::each`].
    place: usize,
}

impl<'a> PostServer<'a> {
    fn db(self) -> &'a Db {
        &self.api.db.each()[self.place]
    }

    /// Where the calls for its chats meet.
    fn posts(self) -> &'a PostQueue {
        self.api.posts.at(self.place)
    }
}

/// Has each server carry out the commands for its chats, all at the same time. Where one does not answer, the commands
/// for its chats are `busy` to an impatient caller, who keeps those apart and tries them again; for any other caller
/// nothing is known of any command then.
async fn by_server(api: &Api, commands: &[&Command], held: HeldChats) -> Result<Outcome> {
    let mut parts = api.db.split(commands, |command| command.chat_id);
    if let [ServerPart { server, .. }] = parts[..] {
        return carry_out(PostServer { api, place: server }, commands, held).await;
    }
    let ended = parts.iter().map(async |part| {
        // What has been away is not waited for again, which the other parts would do, too.
        if held != HeldChats::Wait && api.db.is_away(part.server) {
            return Err(Error::unavailable());
        }
        carry_out(PostServer { api, place: part.server }, &part.of(commands), held).await
    });
    let ended = join_all(ended).await;
    let one_stands = ended.iter().any(Result::is_ok);
    let (mut decided, mut runs) = (Vec::new(), Vec::new());
    for (part, end) in parts.drain(..).zip(ended) {
        let decisions = match end {
            Ok((decisions, events)) => {
                runs.extend(events);
                decisions
            }
            Err(error)
                if error.code == Code::Unavailable && one_stands && held != HeldChats::Wait =>
            {
                let busy = || Refusal::new(Code::Busy, "The chat is busy. Try again in a moment.");
                (0..part.len()).map(|_| Err(busy())).collect()
            }
            Err(error) => return Err(error),
        };
        decided.push((part, decisions));
    }
    Ok((joined(commands.len(), decided)?, runs))
}

async fn carry_out(
    server: PostServer<'_>,
    commands: &[&Command],
    mut held: HeldChats,
) -> Result<Outcome> {
    let ways = match shared::store(server, commands).await? {
        PostEnd::Stored(results, runs) => return Ok((results, runs)),
        PostEnd::Alone if held == HeldChats::Skip && server.posts().are_busy(commands) => {
            held = HeldChats::SkipAtOnce;
            Ways::Long
        }
        PostEnd::Alone => Ways::Both,
        PostEnd::Declined => Ways::Long,
    };
    let mut span = Span::child("transaction", Kind::Internal);
    span.number("commands", commands.len() as i64);
    let stored = span.around(transact(server, commands, ways, held)).await;
    if let Err(error) = &stored {
        span.fail(error.code.as_str());
    }
    span.end();
    stored
}

/// The ways that are left for a batch.
#[derive(Clone, Copy)]
enum Ways {
    Both,
    Long,
}

/// Stores what the commands do and tells the gateways.
async fn transact(
    server: PostServer<'_>,
    commands: &[&Command],
    ways: Ways,
    held: HeldChats,
) -> Result<Outcome> {
    if let Ways::Both = ways
        && let (Short::Stored(results), runs) = plain::store(server, commands).await?
    {
        server.posts().found_free(commands);
        return Ok((results, runs));
    }
    // The short way declines where a sender is not there.
    let senders: BTreeSet<i64> = commands.iter().map(|command| command.user_id.0).collect();
    let senders: Vec<i64> = senders.into_iter().collect();
    people_copy::await_people(&server.api.db, server.db(), &senders).await?;
    let Locked { mut tx, chats, busy } = lock(server, commands, held).await?;
    match busy.is_empty() {
        true => server.posts().found_free(commands),
        false => server.posts().found_busy(&busy),
    }
    let free = Sifted::new(commands.iter().copied(), |command| match busy.get(&command.chat_id) {
        Some(_) => Err(Refusal::new(Code::Busy, "The chat is busy. Try again in a moment.")),
        None => Ok(()),
    });
    let (decided, done) = match free.passed() {
        [] => Default::default(),
        passed => decide(&mut tx, chats, passed).await?,
    };
    let results = free.join(decided)?;
    let runs = if done.chats.is_empty() {
        // Nothing to commit, but perhaps something to say once more.
        tx.rollback().await?;
        news::publish(server.api, tell(done, Vec::new()))
    } else {
        let sleepers = wakes::wake(&mut tx, &done).await?;
        news::commit(server.api, tx, tell(done, sleepers)).await?
    };
    Ok((results, runs))
}

/// What gateways are told: what was done before and is asked for again, what was done, and who of the
/// dormant members is to wake for it (chat, user).
fn tell(done: BatchDone, sleepers: Vec<(i64, i64)>) -> News {
    let mut news = News::default();
    let wake = |(chat, user)| {
        let chat_id = ChatId(chat);
        let after = done.chats.get(&chat_id).map(|chat| chat.before).unwrap_or_default();
        (UserId(user), UserPayload::Wake { chat_id, after })
    };
    let wakes: Vec<_> = sleepers.into_iter().map(wake).collect();
    for (chat, event) in done.again {
        news.events(chat, vec![event]);
    }
    for (chat, done) in done.chats {
        news.events(chat, done.events);
    }
    for (user, wake) in wakes {
        news.for_user(user, wake);
    }
    news
}

/// Decides and writes.
async fn decide(
    tx: &mut Tx,
    chats: HashMap<ChatId, ChatFacts>,
    commands: &[&Command],
) -> Result<(Vec<Decision>, BatchDone)> {
    let (now, facts) = store::facts(tx, commands).await?;
    let named = store::named_messages(tx, commands, &facts).await?;
    let edits = store::earlier_edits(tx, commands).await?;
    let mut batch = Batch::new(now, chats, named, edits);
    let decided = commands.iter().zip(&facts);
    let decided = decided.map(|(command, fact)| plan::decide(&mut batch, command, fact)).collect();
    let done = batch.finish();
    if !done.chats.is_empty() {
        write::write(tx, now, &done).await?;
        audit::record(tx, &done.by_admin).await?;
        statistics::write(tx, &done).await?;
    }
    Ok((decided, done))
}
