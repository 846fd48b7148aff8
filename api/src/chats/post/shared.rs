//! Batches of several callers that share one call of `post_plain`. Whatever is odd about such a batch, its callers
//! go on alone, as if they had never met: what one of them asks for costs the others one more trip, and never an
//! answer.

use super::{
    Outcome, PostServer,
    plain::{self, PlainBatch, Short},
    plan::Decision,
};
use crate::{
    db::Db,
    error::{Error, Result},
    news,
    post_queue::{PostEnd, QueueWriter, QueuedPost},
    state::Api,
};
use platform::telemetry::trace::{Kind, Span};
use protocol::{
    code::Code,
    command::Command,
    encoded_run::{EncodedRun, SlicedRun},
    id::ChatId,
};
use std::collections::BTreeMap;

/// Stores plain messages together with those of others who come at the same time. A caller that goes away does not
/// stop it.
pub(super) async fn store(server: PostServer<'_>, commands: &[&Command]) -> Result<PostEnd> {
    let Db::Postgres(..) = server.db() else { return Ok(PostEnd::Declined) };
    if !plain::are_plain(commands) {
        plain::count("long");
        return Ok(PostEnd::Declined);
    }
    let Some(queued) = server.posts().join(commands) else { return Ok(PostEnd::Alone) };
    if let Some(writer) = queued.writer {
        let PostServer { api, place } = server;
        api.lifecycle.spawn(write(api.clone(), place, writer));
    }
    // Nobody answers when the writer panicked, or the process is stopped hard.
    queued.end.await.map_err(|_| Error::unavailable())?
}

/// Stores what waits until nothing does.
async fn write(api: Api, place: usize, mut writer: QueueWriter) {
    let server = PostServer { api: &api, place };
    while let Some(calls) = writer.next() {
        let causes = calls.iter().filter_map(|call| call.cause);
        let mut span = Span::following("transaction", Kind::Internal, causes);
        let commands: Vec<&Command> = calls.iter().flat_map(|call| &call.commands).collect();
        span.number("commands", commands.len() as i64);
        span.number("calls", calls.len() as i64);
        let stored = span.around(store_together(server, &commands)).await;
        if let Err(error) = &stored {
            span.fail(error.code.as_str());
        }
        span.end();
        finish(server, calls, stored);
    }
}

async fn store_together(
    server: PostServer<'_>,
    commands: &[&Command],
) -> Result<(Short, Vec<EncodedRun>)> {
    let Some(batch) = PlainBatch::of(commands) else { return Ok((Short::Declined, Vec::new())) };
    let (short, news) = plain::attempt(server.db(), batch, server.posts().patience()).await?;
    Ok((short, news::publish(server.api, news)))
}

/// Tells each caller its part.
fn finish(
    server: PostServer<'_>,
    calls: Vec<QueuedPost>,
    stored: Result<(Short, Vec<EncodedRun>)>,
) {
    let alone = calls.len() == 1;
    let end = match stored {
        Ok((Short::Stored(results), runs)) => {
            plain::count("short");
            let parts = split(&calls, results, runs);
            for (call, (results, runs)) in calls.into_iter().zip(parts) {
                call.finish(Ok(PostEnd::Stored(results, runs)));
            }
            return;
        }
        Ok((Short::Declined, _)) if alone => {
            plain::count("both");
            || Ok(PostEnd::Declined)
        }
        Ok((Short::Held, _)) => {
            plain::count("apart");
            let commands = calls.iter().flat_map(|call| &call.commands);
            server.posts().keep_apart(commands.map(|command| command.chat_id));
            || Ok(PostEnd::Alone)
        }
        Ok((Short::Declined, _)) => {
            plain::count("apart");
            || Ok(PostEnd::Alone)
        }
        // The database answered: it is one of the calls that it cannot take.
        Err(error) if error.code == Code::Internal && !alone => {
            plain::count("apart");
            || Ok(PostEnd::Alone)
        }
        Err(error) => {
            calls.into_iter().for_each(|call| call.finish(Err(error.clone())));
            return;
        }
    };
    calls.into_iter().for_each(|call| call.finish(end()));
}

/// Each call's results and events. In each chat, the events stand in the order of the commands that made them.
fn split(calls: &[QueuedPost], results: Vec<Decision>, runs: Vec<EncodedRun>) -> Vec<Outcome> {
    if calls.len() == 1 {
        return vec![(results, runs)];
    }
    let mut results = results.into_iter();
    let sliced = runs.iter().filter_map(|run| SlicedRun::read(run.payload()));
    let mut runs: BTreeMap<ChatId, SlicedRun<'_>> =
        sliced.map(|run| (run.head.chat_id, run)).collect();
    let part = |call: &QueuedPost| {
        let mut counts: BTreeMap<ChatId, usize> = BTreeMap::new();
        for command in &call.commands {
            *counts.entry(command.chat_id).or_default() += 1;
        }
        let own =
            counts.into_iter().filter_map(|(chat_id, count)| runs.get_mut(&chat_id)?.take(count));
        let own = own.collect();
        (results.by_ref().take(call.commands.len()).collect(), own)
    };
    calls.iter().map(part).collect()
}
