//! The frames that wait to be written to one client: bounded in bytes, and never blocking the sender. The
//! connection's task takes all of them at once. The outbox also carries the two other things that reach a
//! connection from outside: chats to join and the order to close.
//!
//! While the task does not write, the outbox holds the socket's writing half, and whoever delivers events may write
//! them at once. That costs less than to wake the task. It is one system call, which never waits, under a lock that
//! only this connection's frames need. The half has one owner at a time, so all frames keep their order.
//!
//! A full outbox does not close the connection. If an event finds no space, its chat detaches the watcher and
//! lets it catch up as its client reads.

use crate::{
    hub::conn::join::{Cause, Join},
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
    time::Duration,
};
use tokio::time::Instant;

/// The maximum number of chats that wait to be joined, besides chats that the connection was watching. It is more
/// than a connection may watch.
const MAX_JOINS: usize = 500;

/// Answers may fill the outbox to this multiple of its bound. They answer the client's frames,
/// which are not read while the client does not read, so only a bug can queue this many.
const ANSWERS: usize = 2;

/// Events are a burst if they come within this time after others that were written at once. The connection's task
/// writes them, because it joins what has come when it runs: a frame more costs nearly nothing there, and a system
/// call each would cost eight times as much. People who talk to each other make no such bursts.
const BURST: Duration = Duration::from_millis(5);

/// Who writes events to a client whose outbox is empty.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Writer {
    /// Whoever delivers them, at this time, as far as the kernel takes them and no burst is under way.
    Deliverer(Instant),
    /// The connection's task.
    Task,
}

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
    /// The bytes of the frames being written by the connection's task.
    writing: usize,
    /// The writing half, while the connection is open and its task does not write.
    output: Option<Box<Output>>,
    /// When events were last written by whoever delivered them.
    delivered_at: Option<Instant>,
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

    /// Queues events in order under one lock, as far as there is space, or writes them at once. Each item is the
    /// event's frame, or `None` if this client is not shown it, and the message that counts as read once it is
    /// written.
    pub(crate) fn push_events(
        &self,
        events: impl Iterator<Item = (Option<Frame>, Option<(ChatId, Seq)>)>,
        writer: Writer,
    ) -> Pushed {
        let mut inner = self.inner.lock();
        if inner.closing.is_some() {
            return Pushed::default();
        }
        let at_once = inner.may_write(writer);
        let pushed = inner.push_events(events, self);
        if pushed.shown > 0 {
            match at_once {
                Some(now) if inner.reads.is_empty() => inner.write(now),
                // Only the task can mark messages as read.
                _ => inner.wake(),
            }
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

    /// Lets whoever delivers events write from the next [`Outbox::take`] on. For the connection's task: when it opens
    /// and after each of its own writes.
    pub(crate) fn put_output(&self, output: Box<Output>) {
        self.inner.lock().output = Some(output);
    }

    /// Takes the writing half, so that nobody else writes. `None` if it is not here. For the connection's task only.
    pub(crate) fn take_output(&self) -> Option<Box<Output>> {
        let mut inner = self.inner.lock();
        let output = inner.output.take()?;
        inner.writing += output.unsent();
        Some(output)
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
            if inner.is_done() {
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

/// Records how long frames waited to be written.
pub(crate) fn record_wait(since: Instant) {
    metrics::histogram!("gateway_write_wait_seconds").record(since.elapsed());
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
    /// The bytes that wait or are being written, by whomever.
    fn used(&self) -> usize {
        self.bytes + self.writing + self.output.as_ref().map_or(0, |output| output.unsent())
    }

    fn has_space(&self, of: &Outbox) -> bool {
        self.used() < of.max_bytes / 4
    }

    /// Whether there is nothing to do for the connection's task.
    fn is_done(&self) -> bool {
        let is_sent = self.output.as_ref().is_none_or(|output| output.unsent() == 0);
        is_sent && self.frames.is_empty() && self.joins.is_empty() && self.closing.is_none()
    }

    /// Whether there is space for an event. An empty outbox takes any event, or a large one would never leave.
    fn has_space_for(&self, frame: &Frame, of: &Outbox) -> bool {
        let used = self.used();
        used == 0 || used + frame.size() <= of.max_bytes
    }

    fn push(&mut self, frame: Frame, policy: DropPolicy, of: &Outbox) {
        let after = self.used() + frame.size();
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
            DropPolicy::Durable | DropPolicy::Ephemeral => {
                self.add(frame, of);
                self.wake();
            }
        }
    }

    fn push_events(
        &mut self,
        events: impl Iterator<Item = (Option<Frame>, Option<(ChatId, Seq)>)>,
        of: &Outbox,
    ) -> Pushed {
        let mut pushed = Pushed::default();
        for (frame, read) in events {
            if let Some(frame) = frame {
                if !self.has_space_for(&frame, of) {
                    pushed.full = true;
                    return pushed;
                }
                self.add(frame, of);
                pushed.shown += 1;
            }
            if let Some((chat, message)) = read {
                self.read(chat, message);
            }
            pushed.taken += 1;
        }
        pushed
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
    }

    /// The time, if whoever delivers events may write them now: everything before them is written, and no burst
    /// is under way.
    fn may_write(&self, writer: Writer) -> Option<Instant> {
        let Writer::Deliverer(now) = writer else { return None };
        let is_burst = self.delivered_at.is_some_and(|last| now < last + BURST);
        let is_open = self.output.is_some() && self.used() == 0 && self.frames.is_empty();
        (is_open && !is_burst).then_some(now)
    }

    /// Writes the waiting frames, as far as the kernel takes them. The task does the rest.
    fn write(&mut self, now: Instant) {
        let Some(output) = &mut self.output else { return };
        self.delivered_at = Some(now);
        let written = output.write_now(&mut self.frames);
        self.bytes = self.frames.iter().map(Frame::size).sum();
        if written == Ok(Written::All) {
            if let Some(since) = self.since.take() {
                record_wait(since);
            }
        } else {
            // It waits for the kernel, or its own write fails as this one did.
            self.wake();
        }
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
