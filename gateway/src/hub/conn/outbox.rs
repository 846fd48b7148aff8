//! The frames that wait to be written to one client: bounded in bytes, and never blocking the sender. The
//! connection's task takes all of them at once. The outbox also carries the two other things that reach a
//! connection from outside: chats to join and the order to close.
//!
//! A full outbox does not close the connection. If an event finds no space, its chat detaches the watcher and
//! lets it catch up as its client reads.
//!
//! - `queue.rs`: the frames, their space, and who writes them

pub(crate) mod queue;

use crate::{
    hub::conn::{
        join::{Cause, Join},
        outbox::queue::{FrameQueue, Pushed, Writer},
    },
    wire::{
        frame::Frame,
        output::{Output, Written},
    },
};
use parking_lot::Mutex;
use protocol::{
    close::Close,
    id::{ChatId, Seq},
};
use std::{
    collections::VecDeque,
    future::poll_fn,
    mem,
    task::{Poll, Waker},
};
use tokio::time::Instant;

/// The maximum number of chats that wait to be joined, besides chats that the connection was watching. It is more
/// than a connection may watch.
const MAX_JOINS: usize = 500;

/// Answers may fill the outbox to this multiple of its bound. They answer the client's frames,
/// which are not read while the client does not read, so only a bug can queue this many.
const ANSWERS: usize = 2;

/// What happens to a frame when the client reads too slowly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DropPolicy {
    /// Answers and one-time notices: queued even beyond the bound for events.
    Durable,
    /// Typing and presence: dropped once the outbox is half full.
    Ephemeral,
}

/// A connection's outbox.
#[derive(Debug)]
pub(crate) struct Outbox(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    queue: FrameQueue,
    joins: Vec<Join>,
    closing: Option<Close>,
    waker: Option<Waker>,
    /// Catch-ups that wait for space: at most a few, on the connection's own task.
    wants_space: Vec<Waker>,
}

/// The contents that a connection took from its outbox.
#[derive(Debug, Default)]
pub(crate) struct OutboxBatch {
    /// The frames to write, in this order.
    pub frames: VecDeque<Frame>,
    /// When the first of them was queued, where that is watched.
    pub since: Option<Instant>,
    /// The messages to mark as read once the frames are written: the furthest of each chat.
    pub reads: Vec<(ChatId, Seq)>,
    pub joins: Vec<Join>,
    /// The reason to close after the frames.
    pub closing: Option<Close>,
}

impl Outbox {
    /// An empty outbox that holds up to `max_bytes` of events, including those being written.
    /// `timed` records how long frames wait, which costs two looks at the clock each time the queue
    /// fills and empties.
    pub(crate) fn new(max_bytes: usize, timed: bool) -> Self {
        Self(Mutex::new(Inner {
            queue: FrameQueue::new(max_bytes, timed),
            joins: Vec::new(),
            closing: None,
            waker: None,
            wants_space: Vec::new(),
        }))
    }

    /// Queues a frame. An ephemeral frame without space is dropped and counted.
    pub(crate) fn push(&self, frame: Frame, policy: DropPolicy) {
        self.0.lock().push(frame, policy);
    }

    /// Queues a frame before those that wait, whatever space there is.
    pub(crate) fn push_first(&self, frame: Frame) {
        let mut inner = self.0.lock();
        inner.queue.add_first(frame);
        inner.wake();
    }

    /// Queues events in order under one lock, as far as there is space, or writes them at once. Each item is the
    /// event's frame, or `None` if this client is not shown it, and the message that counts as read once it is
    /// written.
    pub(crate) fn push_events(
        &self,
        events: impl Iterator<Item = (Option<Frame>, Option<(ChatId, Seq)>)>,
        writer: Writer,
    ) -> Pushed {
        let mut inner = self.0.lock();
        if inner.closing.is_some() {
            return Pushed::default();
        }
        let (pushed, written) = inner.queue.push_events(events, writer);
        if written == Written::Some {
            inner.wake();
        }
        pushed
    }

    /// Asks the connection to join a chat. Excess invitations are left to the polls, which find
    /// them again within seconds.
    pub(crate) fn join(&self, join: Join) {
        let mut inner = self.0.lock();
        // A lagging chat always finds space: no poll would find it again, and the connection watches a bounded
        // number of chats.
        if inner.joins.len() >= MAX_JOINS && join.cause != Cause::Lagged {
            metrics::counter!("gateway_invitations_put_off_total").increment(1);
            return;
        }
        inner.joins.push(join);
        inner.wake();
    }

    /// Asks the connection to close after the queued frames. The first reason wins.
    pub(crate) fn close(&self, close: Close) {
        self.0.lock().close(close);
    }

    /// True if catching up may queue more: less than a quarter is in use, so that live events find
    /// space.
    pub(crate) fn has_space(&self) -> bool {
        self.0.lock().queue.has_space()
    }

    /// Waits until [`Outbox::has_space`]. For the connection's task only: while it writes, the waiting joins
    /// do not run, so the client's reading sets the pace.
    pub(crate) async fn wait_for_space(&self) {
        poll_fn(|context| {
            let mut inner = self.0.lock();
            if inner.queue.has_space() {
                return Poll::Ready(());
            }
            inner.wants_space.push(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Lets whoever delivers events write from the next [`Outbox::take`] on. For the connection's task: when it opens
    /// and after each of its own writes.
    pub(crate) fn put_output(&self, output: Box<Output>) {
        self.0.lock().queue.put_output(output);
    }

    /// Takes the writing half, so that nobody else writes. `None` if it is not here. For the connection's task only.
    pub(crate) fn take_output(&self) -> Option<Box<Output>> {
        self.0.lock().queue.take_output()
    }

    /// Takes everything; waits until there is something. The call means that the frames taken before have been
    /// written. For the connection's task only.
    pub(crate) fn take(&self) -> impl Future<Output = OutboxBatch> {
        poll_fn(|context| {
            let mut inner = self.0.lock();
            if inner.queue.on_written() {
                mem::take(&mut inner.wants_space).into_iter().for_each(Waker::wake);
            }
            if inner.is_done() {
                inner.waker = Some(context.waker().clone());
                return Poll::Pending;
            }
            let (joins, closing) = (mem::take(&mut inner.joins), inner.closing);
            Poll::Ready(OutboxBatch { joins, closing, ..inner.queue.take() })
        })
    }

    /// True if the connection must close. Then nothing more is queued.
    pub(crate) fn is_closing(&self) -> bool {
        self.0.lock().closing.is_some()
    }

    /// Waits for the order to close, whatever is queued. For the connection's task, while it waits for
    /// something else.
    pub(crate) async fn close_order(&self) -> Close {
        poll_fn(|context| {
            let mut inner = self.0.lock();
            match inner.closing {
                Some(close) => Poll::Ready(close),
                None => {
                    inner.waker = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }

    /// Waits for an answer. Fails as soon as the connection must close. For the connection's task.
    pub(crate) async fn unless_closing<T>(
        &self,
        answer: impl Future<Output = T>,
    ) -> Result<T, Close> {
        tokio::select! {
            // Biased, as elsewhere too, so that a simulation of the same seed does the same again.
            biased;
            answer = answer => Ok(answer),
            close = self.close_order() => Err(close),
        }
    }
}

impl Inner {
    /// Whether there is nothing to do for the connection's task.
    fn is_done(&self) -> bool {
        self.queue.is_done() && self.joins.is_empty() && self.closing.is_none()
    }

    fn push(&mut self, frame: Frame, policy: DropPolicy) {
        if self.closing.is_some() {
            return;
        }
        let (after, max_bytes) = (self.queue.used() + frame.size(), self.queue.max_bytes());
        match policy {
            DropPolicy::Ephemeral if after > max_bytes / 2 => {
                metrics::counter!("gateway_dropped_frames_total", "reason" => "outbox_half_full")
                    .increment(1);
            }
            // A dropped answer would leave a hole, so nothing of the queue is sent, and the client resumes.
            DropPolicy::Durable if after > max_bytes * ANSWERS => {
                self.queue.clear();
                self.close(Close::SlowConsumer);
            }
            DropPolicy::Durable | DropPolicy::Ephemeral => {
                self.queue.add(frame);
                self.wake();
            }
        }
    }

    fn close(&mut self, close: Close) {
        if self.closing.is_none() {
            self.closing = Some(close);
            self.wake();
        }
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests;
