//! The frames that wait to be written to one client: bounded in bytes, and never blocking the sender. The
//! connection's task takes all of them at once. The outbox also carries the two other things that reach a
//! connection from outside: chats to join and the order to close.
//!
//! A full outbox does not close the connection. If an event finds no space, its chat detaches the watcher and
//! lets it catch up as its client reads.

use crate::{
    hub::conn::join::{Cause, Join},
    wire::frame::Frame,
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
pub(crate) struct Outbox {
    max_bytes: usize,
    /// Record how long frames wait in this outbox.
    timed: bool,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    frames: VecDeque<Frame>,
    /// The bytes of the waiting frames.
    bytes: usize,
    /// The bytes of the frames being written.
    writing: usize,
    /// When the first frame was queued, if sampled.
    since: Option<Instant>,
    reads: Vec<(ChatId, Seq)>,
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
        Self { max_bytes, timed, inner: Mutex::default() }
    }

    /// Queues a frame. An ephemeral frame without space is dropped and counted.
    pub(crate) fn push(&self, frame: Frame, policy: DropPolicy) {
        self.inner.lock().push(frame, policy, self);
    }

    /// Queues events in order under one lock, as far as there is space. Each item is the event's frame, or
    /// `None` if this client is not shown it, and the message that counts as read once it is written.
    pub(crate) fn push_events(
        &self,
        events: impl Iterator<Item = (Option<Frame>, Option<(ChatId, Seq)>)>,
    ) -> Pushed {
        let mut inner = self.inner.lock();
        let mut pushed = Pushed::default();
        if inner.closing.is_some() {
            return pushed;
        }
        for (frame, read) in events {
            if let Some(frame) = frame {
                if !inner.has_space_for(&frame, self) {
                    pushed.full = true;
                    return pushed;
                }
                inner.add(frame, self);
                pushed.shown += 1;
            }
            if let Some((chat, message)) = read {
                inner.read(chat, message);
            }
            pushed.taken += 1;
        }
        pushed
    }

    /// Asks the connection to join a chat. Excess invitations are left to the polls, which find
    /// them again within seconds.
    pub(crate) fn join(&self, join: Join) {
        let mut inner = self.inner.lock();
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
        self.inner.lock().close(close);
    }

    /// True if catching up may queue more: less than a quarter is in use, so that live events find
    /// space.
    pub(crate) fn has_space(&self) -> bool {
        self.inner.lock().has_space(self)
    }

    /// Waits until [`Outbox::has_space`]. For the connection's task only: while it writes, the waiting joins
    /// do not run, so the client's reading sets the pace.
    pub(crate) async fn wait_for_space(&self) {
        poll_fn(|context| {
            let mut inner = self.inner.lock();
            if inner.has_space(self) {
                return Poll::Ready(());
            }
            inner.wants_space.push(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Takes everything; waits until there is something. The call means that the frames taken before have been
    /// written. `scratch` is an empty queue whose memory is used again. For the connection's task only.
    pub(crate) async fn take(&self, scratch: VecDeque<Frame>) -> OutboxBatch {
        let mut scratch = Some(scratch);
        poll_fn(|context| {
            let mut inner = self.inner.lock();
            if mem::take(&mut inner.writing) > 0 {
                mem::take(&mut inner.wants_space).into_iter().for_each(Waker::wake);
            }
            if inner.frames.is_empty() && inner.joins.is_empty() && inner.closing.is_none() {
                inner.waker = Some(context.waker().clone());
                return Poll::Pending;
            }
            let empty = scratch.take().unwrap_or_default();
            inner.writing = mem::take(&mut inner.bytes);
            Poll::Ready(OutboxBatch {
                frames: mem::replace(&mut inner.frames, empty),
                since: inner.since.take(),
                reads: mem::take(&mut inner.reads),
                joins: mem::take(&mut inner.joins),
                closing: inner.closing,
            })
        })
        .await
    }

    /// True if the connection must close. Then nothing more is queued.
    pub(crate) fn is_closing(&self) -> bool {
        self.inner.lock().closing.is_some()
    }

    /// Waits for the order to close, whatever is queued. For the connection's task, while it waits for
    /// something else.
    pub(crate) async fn close_order(&self) -> Close {
        poll_fn(|context| {
            let mut inner = self.inner.lock();
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
            answer = answer => Ok(answer),
            close = self.close_order() => Err(close),
        }
    }
}

/// The result of [`Outbox::push_events`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pushed {
    /// Events that were queued, or that this client is not shown.
    pub taken: usize,
    /// Of those, the ones that were queued.
    pub shown: usize,
    /// The event after those found no space.
    pub full: bool,
}

impl Inner {
    fn has_space(&self, of: &Outbox) -> bool {
        self.bytes + self.writing < of.max_bytes / 4
    }

    /// Whether there is space for an event. An empty outbox takes any event, or a large one would never leave.
    fn has_space_for(&self, frame: &Frame, of: &Outbox) -> bool {
        let used = self.bytes + self.writing;
        used == 0 || used + frame.size() <= of.max_bytes
    }

    fn push(&mut self, frame: Frame, policy: DropPolicy, of: &Outbox) {
        let after = self.bytes + self.writing + frame.size();
        match policy {
            DropPolicy::Ephemeral if after > of.max_bytes / 2 => {
                metrics::counter!("gateway_dropped_frames_total", "reason" => "outbox_half_full")
                    .increment(1);
            }
            // A dropped answer would leave a hole, so nothing of the queue is sent, and the client resumes.
            DropPolicy::Durable if after > of.max_bytes * ANSWERS => {
                self.frames = VecDeque::new();
                self.reads = Vec::new();
                self.bytes = 0;
                self.close(Close::SlowConsumer);
            }
            DropPolicy::Durable | DropPolicy::Ephemeral => self.add(frame, of),
        }
    }

    fn add(&mut self, frame: Frame, of: &Outbox) {
        if self.closing.is_some() {
            return;
        }
        self.bytes += frame.size();
        if of.timed && self.frames.is_empty() {
            self.since = Some(Instant::now());
        }
        self.frames.push_back(frame);
        self.wake();
    }

    fn read(&mut self, chat: ChatId, message: Seq) {
        // One entry for each chat, so there are at most as many as the connection watches.
        match self.reads.iter_mut().find(|(of, _)| *of == chat) {
            Some((_, furthest)) => *furthest = message.max(*furthest),
            None => self.reads.push((chat, message)),
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
