//! An item of a lane: the request, the waiter for its answer, and its share of what the lane may hold.

use crate::{backend::Unavailable, config::LaneConfig};
use protocol::traceparent::Traceparent;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use tokio::time::Instant;

/// Receives an item's answer. Called once, on the lane's task, so it must not block.
pub(crate) type OnAnswer<A> = Box<dyn FnOnce(Result<A, Unavailable>) + Send>;

/// The lane holds as many items or bytes as it may. A later try may succeed.
#[derive(Debug, thiserror::Error)]
#[error("too many requests are waiting")]
pub(crate) struct LaneFull;

/// One request in a lane.
pub(super) struct LaneItem<Q, A> {
    pub request: Q,
    pub waiter: Waiter<A>,
}

/// The waiter for an item's answer.
pub(super) struct Waiter<A> {
    pub share: LoadShare,
    pub done: OnAnswer<A>,
    pub since: Instant,
    /// The span that the item belongs to, if its trace is recorded.
    pub cause: Option<Traceparent>,
}

impl<Q, A> LaneItem<Q, A> {
    /// Gives the answer to the waiter and frees the item's share of the load.
    pub(super) fn finish(self, answer: Result<A, Unavailable>) {
        (self.waiter.done)(answer);
    }
}

/// The items and bytes that a lane holds.
#[derive(Debug, Default)]
pub(super) struct LaneLoad {
    items: AtomicUsize,
    bytes: AtomicUsize,
}

/// An item's share of the load, held from its submission to its answer.
#[derive(Debug)]
pub(super) struct LoadShare {
    load: Arc<LaneLoad>,
    pub bytes: usize,
}

impl LoadShare {
    /// Takes a share for an item of `bytes`, if the lane has space for it.
    pub(super) fn take(
        load: &Arc<LaneLoad>,
        bytes: usize,
        config: &LaneConfig,
    ) -> Result<Self, LaneFull> {
        let items = load.items.fetch_add(1, Ordering::Relaxed) + 1;
        let all = load.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        // From here on it is given back when dropped.
        let share = Self { load: Arc::clone(load), bytes };
        if items > config.max_items || all > config.max_bytes { Err(LaneFull) } else { Ok(share) }
    }
}

impl Drop for LoadShare {
    fn drop(&mut self) {
        self.load.items.fetch_sub(1, Ordering::Relaxed);
        self.load.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
