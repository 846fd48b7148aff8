//! A lane to the backend: one call in flight, and whatever arrives meanwhile is the next batch. So
//! batches grow with the load, an idle lane adds no delay, and order is kept, with no timer.

use crate::backend::Unavailable;
use futures_util::future::BoxFuture;
use shared::{
    lifecycle::Lifecycle,
    telemetry::trace::{self, Kind, Span, Traceparent},
};
use std::time::Duration;
use tokio::{sync::mpsc, time::Instant};

/// The numbers of a lane.
#[derive(Clone, Copy, Debug)]
pub struct LaneConfig {
    /// The most items in one call.
    pub max_batch: usize,
    /// The most bytes in one call, by the items' own measure.
    pub max_batch_bytes: usize,
    /// The most items that wait. One more is refused at once.
    pub max_waiting: usize,
    /// How long a batch is tried for before its items fail.
    pub give_up_after: Duration,
}

/// What to do with an item's answer. Called once, on the lane's task: it must not block.
pub type Done<A> = Box<dyn FnOnce(Result<A, Unavailable>) + Send>;

/// One call: the items in order, to answers in the same order.
pub type Call<Q, A> =
    Box<dyn Fn(Vec<Q>, Attempt) -> BoxFuture<'static, Result<Vec<A>, Unavailable>> + Send + Sync>;

/// Whether a batch has been tried before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    First,
    /// An earlier call got no answer, and may have taken effect all the same.
    Again,
}

/// The handle to a lane. Clones share it; the lane's task ends when the process does.
pub struct Lane<Q, A> {
    queue: mpsc::Sender<Item<Q, A>>,
}

impl<Q, A> Clone for Lane<Q, A> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone() }
    }
}

struct Item<Q, A> {
    question: Q,
    bytes: usize,
    done: Done<A>,
    /// The span that the item belongs to, where that is recorded.
    cause: Option<Traceparent>,
}

/// The lane has as many items waiting as it may: come back a little later.
#[derive(Debug, thiserror::Error)]
#[error("too many requests are waiting")]
pub struct Full;

impl<Q, A> Lane<Q, A>
where
    Q: Clone + Send + 'static,
    A: Send + 'static,
{
    /// Starts a lane; `name` is its label in metrics.
    pub fn start(
        name: &'static str,
        config: LaneConfig,
        call: Call<Q, A>,
        lifecycle: &Lifecycle,
    ) -> Self {
        let (queue, waiting) = mpsc::channel(config.max_waiting);
        let caller = Caller { name, call, give_up_after: config.give_up_after };
        lifecycle.spawn_background(Worker { config, caller, waiting, next: None }.run());
        Self { queue }
    }

    /// Puts an item at the end of the lane; `done` gets its answer. Never blocks.
    pub fn submit(&self, question: Q, bytes: usize, done: Done<A>) -> Result<(), Full> {
        let cause = trace::current();
        self.queue.try_send(Item { question, bytes, done, cause }).map_err(|_| Full)
    }

    /// Puts an item at the end of the lane and waits for its answer.
    pub async fn ask(&self, question: Q) -> Result<A, Unavailable> {
        let (answer, answered) = tokio::sync::oneshot::channel();
        let done = Box::new(move |result| {
            // Whoever asked may have gone meanwhile.
            let _ = answer.send(result);
        });
        self.submit(question, 0, done).map_err(|full| Unavailable(full.to_string()))?;
        answered.await.unwrap_or_else(|_| Err(Unavailable("stopping".to_owned())))
    }
}

struct Worker<Q, A> {
    config: LaneConfig,
    caller: Caller<Q, A>,
    waiting: mpsc::Receiver<Item<Q, A>>,
    /// Taken from the queue and too large for the batch before.
    next: Option<Item<Q, A>>,
}

impl<Q: Clone + Send + 'static, A: Send + 'static> Worker<Q, A> {
    async fn run(mut self) {
        while let Some(batch) = self.collect().await {
            metrics::histogram!("gateway_lane_batch_size", "lane" => self.caller.name)
                .record(batch.len() as f64);
            // Items of different traces share a call, which is in that of the first and linked to all.
            let causes = batch.iter().filter_map(|item| item.cause);
            let mut span = Span::caused(self.caller.name, Kind::Client, causes);
            span.number("batch", batch.len() as i64);
            let (questions, dones): (Vec<Q>, Vec<Done<A>>) =
                batch.into_iter().map(|item| (item.question, item.done)).unzip();
            let asked = dones.len();
            let answer = span.around(self.caller.answer(questions)).await;
            if answer.is_err() {
                span.fail("unavailable");
            }
            span.end();
            match answer {
                Ok(answers) if answers.len() == asked => {
                    dones.into_iter().zip(answers).for_each(|(done, answer)| done(Ok(answer)));
                }
                Ok(_) => fail(dones, &Unavailable("another number of answers".to_owned())),
                Err(error) => fail(dones, &error),
            }
        }
    }

    /// The next batch: the first item, and whatever else waits, within the bounds.
    async fn collect(&mut self) -> Option<Vec<Item<Q, A>>> {
        let first = match self.next.take() {
            Some(item) => item,
            None => self.waiting.recv().await?,
        };
        let mut bytes = first.bytes;
        let mut batch = vec![first];
        while batch.len() < self.config.max_batch {
            let Ok(item) = self.waiting.try_recv() else { break };
            bytes += item.bytes;
            if bytes > self.config.max_batch_bytes {
                self.next = Some(item);
                break;
            }
            batch.push(item);
        }
        Some(batch)
    }
}

/// Makes a lane's calls.
struct Caller<Q, A> {
    name: &'static str,
    call: Call<Q, A>,
    give_up_after: Duration,
}

impl<Q: Clone, A> Caller<Q, A> {
    /// Calls until there is an answer or it is too late for one.
    async fn answer(&self, questions: Vec<Q>) -> Result<Vec<A>, Unavailable> {
        let started = Instant::now();
        let mut wait = Duration::from_millis(50);
        let mut attempt = Attempt::First;
        loop {
            let error = match (self.call)(questions.clone(), attempt).await {
                Ok(answers) => {
                    metrics::histogram!("gateway_backend_duration_seconds", "call" => self.name)
                        .record(started.elapsed());
                    return Ok(answers);
                }
                Err(error) => error,
            };
            metrics::counter!("gateway_backend_errors_total", "call" => self.name).increment(1);
            tracing::warn!(call = self.name, %error, "the api did not answer, trying again");
            if started.elapsed() + wait > self.give_up_after {
                return Err(error);
            }
            // Full jitter, so that many gateways do not come back together.
            tokio::time::sleep(wait.mul_f64(rand::random_range(0.5..1.0))).await;
            wait = (wait * 2).min(Duration::from_secs(1));
            attempt = Attempt::Again;
        }
    }
}

fn fail<A>(dones: Vec<Done<A>>, error: &Unavailable) {
    dones.into_iter().for_each(|done| done(Err(error.clone())));
}

/// Wraps a function, to which one attempt is like another, as a lane's call.
pub fn call<Q, A, F, Fut>(function: F) -> Call<Q, A>
where
    F: Fn(Vec<Q>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Vec<A>, Unavailable>> + Send + 'static,
{
    Box::new(move |questions, _| Box::pin(function(questions)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};
    use tokio::sync::Semaphore;

    const CONFIG: LaneConfig = LaneConfig {
        max_batch: 3,
        max_batch_bytes: 100,
        max_waiting: 10,
        give_up_after: Duration::from_secs(5),
    };

    type Batches = Arc<Mutex<Vec<Vec<u32>>>>;

    /// A lane whose calls wait for a permit each; the batches it saw.
    fn lane_of(fail_first: usize) -> (Lane<u32, u32>, Arc<Semaphore>, Batches) {
        let gate = Arc::new(Semaphore::new(0));
        let seen = Batches::default();
        let (open, log) = (Arc::clone(&gate), Arc::clone(&seen));
        let call = call(move |batch: Vec<u32>| {
            let (open, log) = (Arc::clone(&open), Arc::clone(&log));
            async move {
                open.acquire().await.unwrap().forget();
                let mut log = log.lock().unwrap();
                log.push(batch.clone());
                if log.len() <= fail_first {
                    return Err(Unavailable("down".to_owned()));
                }
                Ok(batch.into_iter().map(|n| n * 10).collect())
            }
        });
        (Lane::start("test", CONFIG, call, &Lifecycle::new()), gate, seen)
    }

    #[tokio::test(start_paused = true)]
    async fn what_arrives_during_a_call_is_the_next_batch() {
        let (lane, gate, seen) = lane_of(0);
        let first = lane.ask(1);
        tokio::pin!(first);
        assert!(futures_util::poll!(&mut first).is_pending());
        tokio::task::yield_now().await;
        let (sender, mut answers) = mpsc::channel(9);
        for n in 2..=6 {
            let sender = sender.clone();
            lane.submit(n, 1, Box::new(move |answer| sender.try_send(answer.unwrap()).unwrap()))
                .unwrap();
        }
        gate.add_permits(9);
        assert_eq!(first.await.unwrap(), 10);
        for n in 2..=6 {
            assert_eq!(answers.recv().await, Some(n * 10));
        }
        assert_eq!(*seen.lock().unwrap(), [vec![1], vec![2, 3, 4], vec![5, 6]]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_call_is_repeated_as_it_was() {
        let (lane, gate, seen) = lane_of(2);
        gate.add_permits(9);
        assert_eq!(lane.ask(7).await.unwrap(), 70);
        assert_eq!(*seen.lock().unwrap(), [vec![7], vec![7], vec![7]]);
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_while_the_items_fail_and_a_full_lane_refuses() {
        let (lane, gate, _) = lane_of(usize::MAX);
        gate.add_permits(1000);
        assert!(lane.ask(1).await.is_err());
        let (stuck, _gate, _) = lane_of(0);
        tokio::task::yield_now().await;
        let refused = (0..30).filter(|n| stuck.submit(*n, 1, Box::new(|_| ())).is_err()).count();
        assert!(refused >= 30 - 10 - 3 - 1, "{refused} refused");
    }
}
