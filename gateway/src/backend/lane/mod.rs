//! A lane to the backend: few calls in flight, and whatever arrives meanwhile is the next batch. So
//! batches grow with the load, and an idle lane adds no delay. Where there may be more calls than one,
//! the next goes beside one that is slow; with one call in flight order is kept. What cannot be answered is no harm to what stands beside or behind it: see
//! `caller.rs` and `aside.rs`.

mod aside;
mod caller;
mod item;
pub mod request;
#[cfg(test)]
mod tests;
mod worker;

pub use caller::{Attempt, Call, Reply, call};
pub use item::{Done, Full};
pub use request::Request;

use crate::{backend::Unavailable, config::LaneConfig};
use caller::Caller;
use item::{Asker, Held, Item, Load};
use shared::{lifecycle::Lifecycle, telemetry::trace};
use std::sync::Arc;
use tokio::{sync::mpsc, time::Instant};
use worker::Worker;

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

impl<Q: Request, A: Send + 'static> Lane<Q, A> {
    /// Starts a lane; `name` is its label in metrics.
    pub fn start(
        name: &'static str,
        config: LaneConfig,
        call: Call<Q, A>,
        lifecycle: &Lifecycle,
    ) -> Self {
        let (queue, waiting) = mpsc::channel(config.max_items);
        let caller = Caller { name, call, config };
        lifecycle.spawn_background(Worker::new(config, caller, waiting).run());
        Self { name, config, queue, load: Arc::default() }
    }

    /// Puts an item at the end of the lane; `done` gets its answer. Never blocks. A lane that is full
    /// is counted.
    pub fn submit(&self, request: Q, done: Done<A>) -> Result<(), Full> {
        let full = |Full| {
            metrics::counter!("gateway_lane_full_total", "lane" => self.name).increment(1);
            Full
        };
        let held = Held::take(&self.load, request.bytes(), &self.config).map_err(full)?;
        let (since, cause) = (Instant::now(), trace::current());
        let asker = Asker { held, done, since, cause };
        self.queue.try_send(Item { request, asker }).map_err(|_| full(Full))
    }

    /// Puts an item at the end of the lane and waits for its answer.
    pub async fn request(&self, request: Q) -> Result<A, Unavailable> {
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
