//! Calls the api until a batch is answered. A call without an answer is repeated. A refused call is halved
//! until the item that caused the refusal fails alone.

use super::{
    item::{LaneItem, Waiter},
    request::Request,
};
use crate::{
    backend::{Backend, Unavailable},
    config::LaneConfig,
};
use futures_util::future::BoxFuture;
use platform::telemetry::trace::{Kind, Span};
use protocol::id::ChatId;
use std::{collections::HashSet, sync::Arc};
use tokio::time::Instant;

/// One call to the api. It answers with one reply for each request, in the same order.
pub(crate) type Call<Q, A> = Box<
    dyn Fn(Vec<Q>, Attempt) -> BoxFuture<'static, Result<Vec<Reply<A>>, Unavailable>> + Send + Sync,
>;

/// The reply to one item of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reply<A> {
    Answer(A),
    /// Another transaction holds its chat. The item must be repeated before any later item of this chat.
    Busy,
}

/// Whether a batch has been tried before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attempt {
    First,
    /// An earlier call got no answer. It may have taken effect.
    Again,
}

/// How many refusals halve a batch before the rest fails. One bad item among 200 takes eight. The bound
/// keeps an api that refuses everything from getting four hundred calls for each batch.
const MAX_REFUSALS: usize = 32;

/// A lane's call that asks the backend: see [`call`].
pub(crate) fn ask<Q, A, F, Fut>(backend: &Arc<dyn Backend>, function: F) -> Call<Q, A>
where
    F: Fn(&dyn Backend, Vec<Q>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Vec<A>, Unavailable>> + Send + 'static,
{
    let backend = Arc::clone(backend);
    call(move |requests| function(&*backend, requests))
}

/// Makes a function a lane's call. The function treats a repeat like a first call and finds no chat busy.
pub(crate) fn call<Q, A, F, Fut>(function: F) -> Call<Q, A>
where
    F: Fn(Vec<Q>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Vec<A>, Unavailable>> + Send + 'static,
{
    Box::new(move |requests, _| {
        let answer = function(requests);
        Box::pin(async move { Ok(answer.await?.into_iter().map(Reply::Answer).collect()) })
    })
}

/// Makes a lane's calls.
pub(super) struct BatchCaller<Q, A> {
    pub name: &'static str,
    pub call: Call<Q, A>,
    pub config: LaneConfig,
}

impl<Q: Request, A: Send> BatchCaller<Q, A> {
    /// Calls until every item has its answer or found its chat busy. Returns the busy ones, in order.
    pub(super) async fn carry_out(&self, batch: Vec<LaneItem<Q, A>>) -> Vec<LaneItem<Q, A>> {
        metrics::histogram!("gateway_lane_batch_size", "lane" => self.name)
            .record(batch.len() as f64);
        // Items of different traces share a call, which is in that of the first and linked to all.
        let mut span = Span::following(
            self.name,
            Kind::Client,
            batch.iter().filter_map(|item| item.waiter.cause),
        );
        span.number("batch", batch.len() as i64);
        let (busy, answered) = span.around(self.answer_all(batch)).await;
        if !answered {
            span.fail("unavailable");
        }
        span.end();
        busy
    }

    /// The items that found their chats busy, and whether all others were answered.
    async fn answer_all(&self, batch: Vec<LaneItem<Q, A>>) -> (Vec<LaneItem<Q, A>>, bool) {
        let started = Instant::now();
        let mut busy = BusyItems { items: Vec::new(), chats: HashSet::new() };
        let (mut attempt, mut refusals, mut all) = (Attempt::First, 0, true);
        // A stack: the last part is the next one.
        let mut parts = vec![batch];
        while let Some(part) = parts.pop() {
            let part = busy.take_free(part);
            if part.is_empty() {
                continue;
            }
            // Split, so that each call copies the requests alone.
            let (requests, waiters): (Vec<Q>, Vec<Waiter<A>>) =
                part.into_iter().map(|LaneItem { request, waiter }| (request, waiter)).unzip();
            let answer = self.answer(&requests, attempt, started).await;
            let items = requests.into_iter().zip(waiters);
            let items = items.map(|(request, waiter)| LaneItem { request, waiter });
            let error = match answer {
                Ok(replies) => {
                    for (item, reply) in items.zip(replies) {
                        match reply {
                            Reply::Answer(answer) => item.finish(Ok(answer)),
                            Reply::Busy => busy.add(item),
                        }
                    }
                    continue;
                }
                Err(error) => error,
            };
            let mut part: Vec<LaneItem<Q, A>> = items.collect();
            // A call that was refused for its answer may have taken effect, so the next is a repeat.
            attempt = Attempt::Again;
            if let Unavailable::Refused(_) = error {
                refusals += 1;
                if part.len() > 1 && refusals <= MAX_REFUSALS {
                    let second = part.split_off(part.len() / 2);
                    parts.extend([second, part]);
                    continue;
                }
                metrics::counter!("gateway_lane_refused_total", "lane" => self.name)
                    .increment(part.len() as u64);
            } else {
                // The time for all parts is up, so the rest fails too.
                part.extend(parts.drain(..).rev().flatten());
            }
            all = false;
            part.into_iter().for_each(|item| item.finish(Err(error.clone())));
        }
        (busy.items, all)
    }

    /// Repeats one call until it is answered or refused, or until `give_up_after` has passed.
    async fn answer(
        &self,
        requests: &[Q],
        mut attempt: Attempt,
        started: Instant,
    ) -> Result<Vec<Reply<A>>, Unavailable> {
        let mut wait = self.config.first_retry;
        loop {
            let asked_at = Instant::now();
            let answer = (self.call)(requests.to_vec(), attempt).await;
            let error = match answer {
                Ok(replies) if replies.len() == requests.len() => {
                    metrics::histogram!("gateway_backend_duration_seconds", "call" => self.name)
                        .record(asked_at.elapsed());
                    return Ok(replies);
                }
                Ok(_) => Unavailable::Refused("another number of answers".to_owned()),
                Err(error) => error,
            };
            metrics::counter!("gateway_backend_errors_total", "call" => self.name).increment(1);
            let (call, batch) = (self.name, requests.len());
            match error {
                Unavailable::Refused(_) => {
                    tracing::warn!(call, batch, %error, "the api refused a call");
                    return Err(error);
                }
                Unavailable::NotAnswered(_)
                    if started.elapsed() + wait > self.config.give_up_after =>
                {
                    tracing::warn!(call, batch, %error, "the api did not answer for long");
                    return Err(error);
                }
                Unavailable::NotAnswered(_) => {
                    tracing::warn!(call, %error, "the api did not answer, trying again");
                }
            }
            // Full jitter, so that many gateways do not come back together.
            tokio::time::sleep(wait.mul_f64(rand::random_range(0.5..1.0))).await;
            wait = (wait * 2).min(self.config.longest_retry);
            attempt = Attempt::Again;
        }
    }
}

/// The items that found their chats busy, and all later items of these chats.
struct BusyItems<Q, A> {
    items: Vec<LaneItem<Q, A>>,
    chats: HashSet<ChatId>,
}

impl<Q: Request, A> BusyItems<Q, A> {
    fn add(&mut self, item: LaneItem<Q, A>) {
        self.chats.extend(item.request.chat());
        self.items.push(item);
    }

    /// Moves the items of busy chats here and returns the others.
    fn take_free(&mut self, part: Vec<LaneItem<Q, A>>) -> Vec<LaneItem<Q, A>> {
        if self.chats.is_empty() {
            return part;
        }
        let held = |item: &LaneItem<Q, A>| {
            item.request.chat().is_some_and(|chat| self.chats.contains(&chat))
        };
        let (held, free) = part.into_iter().partition(held);
        self.items.extend::<Vec<_>>(held);
        free
    }
}
