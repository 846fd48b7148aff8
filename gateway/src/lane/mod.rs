//! A lane to the backend: few calls in flight, and whatever arrives meanwhile is the next batch. So
//! batches grow with the load, and an idle lane adds no delay. Where there may be more calls than one,
//! the next goes beside one that is slow; with one call in flight order is kept. What cannot be answered is no harm to what stands beside or behind it: see
//! `caller.rs` and `aside.rs`.

mod aside;
mod caller;
pub mod question;
#[cfg(test)]
mod tests;
mod worker;

pub use caller::{Attempt, Call, Reply, call};
pub use question::Question;

use crate::{backend::Unavailable, config::LaneConfig};
use caller::Caller;
use shared::{
    lifecycle::Lifecycle,
    telemetry::trace::{self, Traceparent},
};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use tokio::{sync::mpsc, time::Instant};
use worker::Worker;

/// What to do with an item's answer. Called once, on the lane's task: it must not block.
pub type Done<A> = Box<dyn FnOnce(Result<A, Unavailable>) + Send>;

/// The handle to a lane. Clones share it; the lane's task ends when the process does.
pub struct Lane<Q, A> {
    name: &'static str,
    config: LaneConfig,
    queue: mpsc::Sender<Item<Q, A>>,
    load: Arc<Load>,
}

impl<Q, A> Clone for Lane<Q, A> {
    fn clone(&self) -> Self {
        let (queue, load) = (self.queue.clone(), Arc::clone(&self.load));
        Self { name: self.name, config: self.config, queue, load }
    }
}

/// The lane has as many items waiting as it may: come back a little later.
#[derive(Debug, thiserror::Error)]
#[error("too many requests are waiting")]
pub struct Full;

impl<Q: Question, A: Send + 'static> Lane<Q, A> {
    /// Starts a lane; `name` is its label in metrics.
    pub fn start(
        name: &'static str,
        config: LaneConfig,
        call: Call<Q, A>,
        lifecycle: &Lifecycle,
    ) -> Self {
        let (queue, waiting) = mpsc::channel(config.max_items);
        let caller = Caller { name, call, give_up_after: config.give_up_after };
        lifecycle.spawn_background(Worker::new(config, caller, waiting).run());
        Self { name, config, queue, load: Arc::default() }
    }

    /// Puts an item at the end of the lane; `done` gets its answer. Never blocks. A lane that is full
    /// is counted.
    pub fn submit(&self, question: Q, done: Done<A>) -> Result<(), Full> {
        let full = |Full| {
            metrics::counter!("gateway_lane_full_total", "lane" => self.name).increment(1);
            Full
        };
        let held = Held::take(&self.load, question.bytes(), &self.config).map_err(full)?;
        let (since, cause) = (Instant::now(), trace::current());
        let asker = Asker { held, done, since, cause };
        self.queue.try_send(Item { question, asker }).map_err(|_| full(Full))
    }

    /// Puts an item at the end of the lane and waits for its answer.
    pub async fn ask(&self, question: Q) -> Result<A, Unavailable> {
        let (answer, answered) = tokio::sync::oneshot::channel();
        let done = Box::new(move |result| {
            // Whoever asked may have gone meanwhile.
            let _ = answer.send(result);
        });
        self.submit(question, done).map_err(|full| Unavailable::NotAnswered(full.to_string()))?;
        let stopping = || Err(Unavailable::NotAnswered("stopping".to_owned()));
        answered.await.unwrap_or_else(|_| stopping())
    }
}

struct Item<Q, A> {
    question: Q,
    asker: Asker<A>,
}

/// Who waits for an item's answer, and since when.
struct Asker<A> {
    held: Held,
    done: Done<A>,
    since: Instant,
    /// The span that the item belongs to, where that is recorded.
    cause: Option<Traceparent>,
}

impl<Q, A> Item<Q, A> {
    fn finish(self, answer: Result<A, Unavailable>) {
        (self.asker.done)(answer);
    }
}

/// How much a lane holds.
#[derive(Debug, Default)]
struct Load {
    items: AtomicUsize,
    bytes: AtomicUsize,
}

/// An item's part of the load, from its submission to its answer.
#[derive(Debug)]
struct Held {
    load: Arc<Load>,
    bytes: usize,
}

impl Held {
    fn take(load: &Arc<Load>, bytes: usize, config: &LaneConfig) -> Result<Self, Full> {
        let items = load.items.fetch_add(1, Ordering::Relaxed) + 1;
        let all = load.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        // From here on it is given back when dropped.
        let held = Self { load: Arc::clone(load), bytes };
        if items > config.max_items || all > config.max_bytes { Err(Full) } else { Ok(held) }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.load.items.fetch_sub(1, Ordering::Relaxed);
        self.load.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
