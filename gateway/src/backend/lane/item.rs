//! An item of a lane: the request, who waits for its answer, and its part of what the lane may hold.

use crate::{backend::Unavailable, config::LaneConfig};
use protocol::traceparent::Traceparent;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use tokio::time::Instant;

/// What to do with an item's answer. Called once, on the lane's task: it must not block.
pub(crate) type OnAnswer<A> = Box<dyn FnOnce(Result<A, Unavailable>) + Send>;

/// The lane has as many items waiting as it may: come back a little later.
#[derive(Debug, thiserror::Error)]
#[error("too many requests are waiting")]
pub(crate) struct LaneFull;

/// What a lane carries.
pub(super) struct LaneItem<Q, A> {
    pub request: Q,
    pub waiter: Waiter<A>,
}

/// Who waits for an item's answer, and since when.
pub(super) struct Waiter<A> {
    pub share: LoadShare,
    pub done: OnAnswer<A>,
    pub since: Instant,
    /// The span that the item belongs to, where that is recorded.
    pub cause: Option<Traceparent>,
}

impl<Q, A> LaneItem<Q, A> {
    /// Gives whoever waits the answer.
    pub(super) fn finish(self, answer: Result<A, Unavailable>) {
        (self.waiter.done)(answer);
    }
}

/// How much a lane holds.
#[derive(Debug, Default)]
pub(super) struct LaneLoad {
    items: AtomicUsize,
    bytes: AtomicUsize,
}

/// An item's part of the load, from its submission to its answer.
#[derive(Debug)]
pub(super) struct LoadShare {
    load: Arc<LaneLoad>,
    pub bytes: usize,
}

impl LoadShare {
    /// A part for an item of so many bytes, if there is space for it.
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
