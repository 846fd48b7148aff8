//! A lane to the backend. It has few calls in flight and collects what arrives meanwhile into the next batch,
//! so batches grow with the load and an idle lane adds no delay. A lane with one call in flight keeps the
//! order of its items; where more are allowed, the next call starts beside a slow one. A request that cannot
//! be answered does not hold up the requests beside or behind it.
//!
//! - `request.rs`, `item.rs`: what a lane carries, and what each weighs
//! - `worker.rs`: makes batches; `caller.rs`: calls until a batch is answered; `aside.rs`: items of busy chats

mod aside;
mod caller;
mod item;
pub(crate) mod request;
#[cfg(test)]
mod tests;
mod worker;

#[cfg(test)]
use caller::call;
pub(crate) use caller::{Attempt, Call, Reply, ask};
pub(crate) use item::{LaneFull, OnAnswer};
pub(crate) use request::Request;

use crate::{backend::Unavailable, config::LaneConfig};
use caller::BatchCaller;
use item::{LaneItem, LaneLoad, LoadShare, Waiter};
use platform::{lifecycle::Lifecycle, telemetry::trace};
use std::sync::Arc;
use tokio::{sync::mpsc, time::Instant};
use worker::Worker;

/// The handle to a lane. Clones share it; the lane's task ends when the process does.
pub(crate) struct Lane<Q, A> {
    name: &'static str,
    config: LaneConfig,
    queue: mpsc::Sender<LaneItem<Q, A>>,
    load: Arc<LaneLoad>,
}

impl<Q, A> Clone for Lane<Q, A> {
    fn clone(&self) -> Self {
        let (queue, load) = (self.queue.clone(), Arc::clone(&self.load));
        Self { name: self.name, config: self.config, queue, load }
    }
}

impl<Q: Request, A: Send + 'static> Lane<Q, A> {
    /// Starts a lane; `name` is its label in metrics.
    pub(crate) fn start(
        name: &'static str,
        config: LaneConfig,
        call: Call<Q, A>,
        lifecycle: &Lifecycle,
    ) -> Self {
        let (queue, waiting) = mpsc::channel(config.max_items);
        let caller = BatchCaller { name, call, config };
        lifecycle.spawn_background(Worker::new(config, caller, waiting).run());
        Self { name, config, queue, load: Arc::default() }
    }

    /// Puts a request at the end of the lane. `done` gets its answer, on the lane's task. Never blocks.
    /// Counts a refusal by a full lane.
    pub(crate) fn submit(&self, request: Q, done: OnAnswer<A>) -> Result<(), LaneFull> {
        let full = |LaneFull| {
            metrics::counter!("gateway_lane_full_total", "lane" => self.name).increment(1);
            LaneFull
        };
        let share = LoadShare::take(&self.load, request.bytes(), &self.config).map_err(full)?;
        let (since, cause) = (Instant::now(), trace::current());
        let waiter = Waiter { share, done, since, cause };
        // The queue has space for as many items as the load lets in: it is full only when the worker is gone.
        self.queue.try_send(LaneItem { request, waiter }).map_err(|_| full(LaneFull))
    }

    /// Puts a request at the end of the lane and waits for its answer. A full lane counts as no answer.
    pub(crate) async fn request(&self, request: Q) -> Result<A, Unavailable> {
        let (answer, answered) = tokio::sync::oneshot::channel();
        let done = Box::new(move |result| {
            // Whoever asked may have gone meanwhile.
            let _ = answer.send(result);
        });
        self.submit(request, done).map_err(|full| Unavailable::NotAnswered(full.to_string()))?;
        let stopping = || Err(Unavailable::NotAnswered("stopping".to_owned()));
        answered.await.unwrap_or_else(|_| stopping())
    }
}
