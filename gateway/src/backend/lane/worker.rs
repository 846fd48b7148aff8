//! A lane's task. It makes batches of the waiting items and moves the items of busy chats beside the lane.

use super::{aside::Aside, caller::BatchCaller, item::LaneItem, request::Request};
use crate::config::LaneConfig;
use futures_util::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use std::sync::Arc;
use tokio::{sync::mpsc, time::Instant};

pub(super) struct Worker<Q, A> {
    config: LaneConfig,
    caller: Arc<BatchCaller<Q, A>>,
    waiting: mpsc::Receiver<LaneItem<Q, A>>,
    /// The item that was taken from the queue and was too large for the last batch.
    next: Option<LaneItem<Q, A>>,
    aside: Aside<Q, A>,
    calls: FuturesUnordered<BoxFuture<'static, CallEnd<Q, A>>>,
    /// The number of calls in flight in the lane, and whether one is beside it.
    in_lane: usize,
    beside: bool,
    /// When the newest call in the lane counts as slow, so that another may start.
    slow_at: Instant,
}

/// Where a call was made, and the items that found their chats busy.
type CallEnd<Q, A> = (Way, Vec<LaneItem<Q, A>>);

/// Where a call was made.
#[derive(Clone, Copy, Debug)]
enum Way {
    InLane,
    Beside,
}

impl<Q: Request, A: Send + 'static> Worker<Q, A> {
    pub(super) fn new(
        config: LaneConfig,
        caller: BatchCaller<Q, A>,
        waiting: mpsc::Receiver<LaneItem<Q, A>>,
    ) -> Self {
        Self {
            config,
            caller: Arc::new(caller),
            waiting,
            next: None,
            aside: Aside::new(),
            calls: FuturesUnordered::new(),
            in_lane: 0,
            beside: false,
            slow_at: Instant::now(),
        }
    }

    /// Runs until no handle is left and every item is answered.
    pub(super) async fn run(mut self) {
        let mut open = true;
        while open || !self.calls.is_empty() {
            tokio::select! {
                // Ended calls come first, so that busy items are put aside before later items of their chats
                // are taken.
                biased;
                Some((way, busy)) = self.calls.next(), if !self.calls.is_empty() => {
                    self.on_call_end(way, busy);
                }
                // Wakes this loop when the call in flight counts as slow, so that another may go beside it.
                () = tokio::time::sleep_until(self.slow_at),
                    if open && self.in_lane < self.config.at_once && !self.may_request() => {}
                batch = collect(&mut self.waiting, &mut self.next, &mut self.aside, &self.config),
                    if open && self.may_request() =>
                {
                    match batch {
                        Some(batch) => self.request(batch),
                        None => open = false,
                    }
                }
            }
        }
    }

    /// Whether another call may start in the lane.
    fn may_request(&self) -> bool {
        self.in_lane == 0 || (self.in_lane < self.config.at_once && Instant::now() >= self.slow_at)
    }

    fn request(&mut self, batch: Vec<LaneItem<Q, A>>) {
        self.in_lane += 1;
        self.slow_at = Instant::now() + self.config.slow_after;
        let caller = Arc::clone(&self.caller);
        self.calls.push(Box::pin(async move { (Way::InLane, caller.carry_out(batch).await) }));
    }

    /// A call has ended. The items in `busy` go beside the lane.
    fn on_call_end(&mut self, way: Way, busy: Vec<LaneItem<Q, A>>) {
        match way {
            Way::InLane => {
                self.in_lane -= 1;
                if !busy.is_empty() {
                    metrics::counter!("gateway_set_aside_total", "lane" => self.caller.name)
                        .increment(busy.len() as u64);
                }
            }
            Way::Beside => self.beside = false,
        }
        self.aside.add(busy, self.config.give_up_after);
        if self.beside {
            return;
        }
        self.aside.drop_empty();
        if self.aside.is_empty() {
            return;
        }
        self.beside = true;
        let (caller, batch) = (Arc::clone(&self.caller), self.aside.batch(&self.config));
        let pause = self.config.busy_pause;
        self.calls.push(Box::pin(async move {
            tokio::time::sleep(pause).await;
            (Way::Beside, caller.carry_out(batch).await)
        }));
    }
}

/// Takes the next batch: waits for the first item, and adds the waiting items within the bounds. `None` when no item
/// can come any more. Can be dropped safely while it waits.
async fn collect<Q: Request, A>(
    waiting: &mut mpsc::Receiver<LaneItem<Q, A>>,
    next: &mut Option<LaneItem<Q, A>>,
    aside: &mut Aside<Q, A>,
    config: &LaneConfig,
) -> Option<Vec<LaneItem<Q, A>>> {
    let first = loop {
        let item = match next.take() {
            Some(item) => item,
            None => waiting.recv().await?,
        };
        if let Some(item) = aside.hold_if_busy(item) {
            break item;
        }
    };
    let mut bytes = first.waiter.share.bytes;
    let mut batch = vec![first];
    while batch.len() < config.max_batch {
        let Ok(item) = waiting.try_recv() else { break };
        let Some(item) = aside.hold_if_busy(item) else { continue };
        bytes += item.waiter.share.bytes;
        if bytes > config.max_batch_bytes {
            *next = Some(item);
            break;
        }
        batch.push(item);
    }
    Some(batch)
}
