//! What waits to be written to one client: bounded in bytes, never blocking whoever delivers. The
//! connection's task takes everything at once. Also carries the two other things that reach a
//! connection from outside: chats to join and the order to close.

use crate::{frame::Frame, joining::Join};
use shared::{
    close::Close,
    id::{ChatId, Seq},
};
use std::{
    collections::VecDeque,
    future::poll_fn,
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Poll, Waker},
};
use tokio::time::Instant;

/// The most chats that wait to be joined: more than a connection may watch.
const MAX_JOINS: usize = 500;

/// What a frame is worth when the client reads too slowly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worth {
    /// Events, answers: if it cannot be queued, the connection is closed and resumes later.
    Durable,
    /// Typing, presence: left out once the outbox is half full.
    Ephemeral,
}

/// A connection's outbox.
#[derive(Debug)]
pub struct Outbox {
    max_bytes: usize,
    /// Whether it is watched how long frames wait here.
    timed: bool,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    frames: VecDeque<Frame>,
    bytes: usize,
    /// When the first of the frames came, where that is watched.
    since: Option<Instant>,
    reads: Vec<(ChatId, Seq)>,
    joins: Vec<Join>,
    closing: Option<Close>,
    waker: Option<Waker>,
    /// Catch-ups that wait for room: a few at most, on the connection's own task.
    wants_room: Vec<Waker>,
}

/// What a connection took from its outbox.
#[derive(Debug, Default)]
pub struct Taken {
    /// To be written first, in this order.
    pub frames: VecDeque<Frame>,
    /// When the first of them was queued, where that is watched.
    pub since: Option<Instant>,
    /// To be marked as read once the frames are written: each chat's furthest.
    pub reads: Vec<(ChatId, Seq)>,
    pub joins: Vec<Join>,
    /// To be closed for this reason, after the frames.
    pub closing: Option<Close>,
}

impl Outbox {
    /// An empty outbox that holds up to `max_bytes` of text; `timed` watches how long frames wait,
    /// which costs two looks at the clock each time the queue fills and empties.
    pub fn new(max_bytes: usize, timed: bool) -> Self {
        Self { max_bytes, timed, inner: Mutex::default() }
    }

    /// Queues a frame, or drops it by its worth when there is no room: then an ephemeral one is
    /// counted, a durable one closes the connection as a slow consumer.
    pub fn push(&self, frame: Frame, worth: Worth) {
        self.lock().push(frame, worth, self);
    }

    /// Queues durable frames under one lock; returns how many.
    pub fn push_all(&self, frames: impl Iterator<Item = Frame>) -> usize {
        let mut inner = self.lock();
        frames.map(|frame| inner.push(frame, Worth::Durable, self)).count()
    }

    /// Queues a durable frame that is read as soon as it is written.
    pub fn push_to_read(&self, frame: Frame, chat: ChatId, message: Seq) {
        let mut inner = self.lock();
        inner.push(frame, Worth::Durable, self);
        if inner.closing.is_some() {
            return;
        }
        // At most one a chat, and there are only as many as the connection watches.
        match inner.reads.iter_mut().find(|(of, _)| *of == chat) {
            Some((_, furthest)) => *furthest = message.max(*furthest),
            None => inner.reads.push((chat, message)),
        }
    }

    /// Asks the connection to join a chat; with too many to join it starts again instead.
    pub fn join(&self, join: Join) {
        let mut inner = self.lock();
        if inner.joins.len() >= MAX_JOINS {
            return inner.close(Close::Resync);
        }
        inner.joins.push(join);
        inner.wake();
    }

    /// Asks the connection to close after what is queued. The first reason stands.
    pub fn close(&self, close: Close) {
        self.lock().close(close);
    }

    /// Whether catching up may queue more: less than a quarter is in use, so that live events find room.
    pub fn has_room(&self) -> bool {
        self.lock().bytes < self.max_bytes / 4
    }

    /// Waits until [`Outbox::has_room`]. On the connection's task only: while that writes, nobody
    /// else goes on here, so the client's reading sets the pace.
    pub async fn room(&self) {
        poll_fn(|context| {
            let mut inner = self.lock();
            if inner.bytes < self.max_bytes / 4 {
                return Poll::Ready(());
            }
            inner.wants_room.push(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Takes everything, waiting until there is something. `scratch` is an emptied queue whose
    /// memory is used again. For the connection's task only.
    pub async fn take(&self, scratch: VecDeque<Frame>) -> Taken {
        let mut scratch = Some(scratch);
        poll_fn(|context| {
            let mut inner = self.lock();
            if inner.frames.is_empty() && inner.joins.is_empty() && inner.closing.is_none() {
                inner.waker = Some(context.waker().clone());
                return Poll::Pending;
            }
            let empty = scratch.take().unwrap_or_default();
            inner.bytes = 0;
            mem::take(&mut inner.wants_room).into_iter().for_each(Waker::wake);
            Poll::Ready(Taken {
                frames: mem::replace(&mut inner.frames, empty),
                since: inner.since.take(),
                reads: mem::take(&mut inner.reads),
                joins: mem::take(&mut inner.joins),
                closing: inner.closing,
            })
        })
        .await
    }

    /// Waits for the order to close, whatever is queued. For the connection's task, while a write
    /// does not get on.
    pub async fn closing(&self) -> Close {
        poll_fn(|context| {
            let mut inner = self.lock();
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

    /// Waits for an answer that a frame needs, unless the connection is to close meanwhile. For the
    /// connection's task.
    pub async fn unless_closing<T>(&self, answer: impl Future<Output = T>) -> Result<T, Close> {
        tokio::select! {
            answer = answer => Ok(answer),
            close = self.closing() => Err(close),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn push(&mut self, frame: Frame, worth: Worth, of: &Outbox) {
        if self.closing.is_some() {
            return;
        }
        let limit = match worth {
            Worth::Durable => of.max_bytes,
            Worth::Ephemeral => of.max_bytes / 2,
        };
        if self.bytes + frame.size() <= limit {
            self.bytes += frame.size();
            if of.timed && self.frames.is_empty() {
                self.since = Some(Instant::now());
            }
            self.frames.push_back(frame);
            self.wake();
            return;
        }
        match worth {
            Worth::Ephemeral => {
                metrics::counter!("gateway_dropped_frames_total", "reason" => "outbox_half_full")
                    .increment(1);
            }
            Worth::Durable => {
                // What is queued would arrive with a hole behind it; the client resumes instead.
                self.frames = VecDeque::new();
                self.reads = Vec::new();
                self.bytes = 0;
                self.close(Close::SlowConsumer);
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
mod tests {
    use super::*;

    fn take(outbox: &Outbox) -> Option<Taken> {
        futures_util::FutureExt::now_or_never(outbox.take(VecDeque::new()))
    }

    #[test]
    fn everything_queued_is_taken_at_once_and_in_order() {
        let outbox = Outbox::new(100, false);
        assert!(take(&outbox).is_none());
        for text in ["a", "b", "c"] {
            outbox.push(text.into(), Worth::Durable);
        }
        let taken = take(&outbox).unwrap();
        assert_eq!(taken.frames, ["a", "b", "c"].map(Frame::from));
        assert_eq!(taken.closing, None);
        assert!(take(&outbox).is_none());
    }

    #[test]
    fn ephemeral_frames_go_first_and_a_durable_one_too_many_closes() {
        let outbox = Outbox::new(14, false);
        outbox.push("12345".into(), Worth::Durable);
        outbox.push("x".into(), Worth::Ephemeral);
        outbox.push("67890".into(), Worth::Durable);
        assert_eq!(take(&outbox).unwrap().frames, ["12345", "67890"].map(Frame::from));

        outbox.push("1234567890".into(), Worth::Durable);
        outbox.push("!".into(), Worth::Durable);
        outbox.push("late".into(), Worth::Durable);
        let taken = take(&outbox).unwrap();
        assert!(taken.frames.is_empty(), "nothing with a hole behind it");
        assert_eq!(taken.closing, Some(Close::SlowConsumer));
    }

    #[test]
    fn what_is_read_when_written_goes_with_its_frames() {
        let outbox = Outbox::new(10, false);
        for (text, chat, message) in [("a", 1, 4), ("b", 2, 9), ("c", 1, 5)] {
            outbox.push_to_read(text.into(), ChatId(chat), Seq(message));
        }
        let taken = take(&outbox).unwrap();
        assert_eq!(taken.frames.len(), 3);
        assert_eq!(taken.reads, [(ChatId(1), Seq(5)), (ChatId(2), Seq(9))]);
        outbox.push_to_read("1234567890".into(), ChatId(1), Seq(6));
        outbox.push_to_read("!".into(), ChatId(1), Seq(7));
        let taken = take(&outbox).unwrap();
        assert_eq!(taken.closing, Some(Close::SlowConsumer));
        assert!(taken.reads.is_empty(), "what is not written is not read");
    }

    #[tokio::test]
    async fn catching_up_waits_for_room() {
        let outbox = Outbox::new(8, false);
        outbox.push("1234".into(), Worth::Durable);
        let room = outbox.room();
        tokio::pin!(room);
        assert!(futures_util::poll!(&mut room).is_pending());
        let _ = outbox.take(VecDeque::new()).await;
        room.await;
    }
}
