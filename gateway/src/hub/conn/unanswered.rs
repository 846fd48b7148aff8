//! Counts a connection's frames that have no answer yet, and tells the connection's task whether to read on. Holds
//! the turns of the answers if the dialect's answers do not name their frames. It knows no connection.

use crate::{
    hub::conn::turns::{Turn, Turns},
    wire::frame::Frame,
};
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use std::{
    future::poll_fn,
    sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst},
    task::Poll,
};

/// The maximum number of a connection's frames without an answer. Further frames are left unread until some are
/// answered. The number is above the burst of a connection (200), so only a slow api leads to it, and low
/// enough that one connection's waiting answers take a few KiB.
pub(crate) const MAX_UNANSWERED: u32 = 256;

/// The frames of one connection that are not answered yet.
#[derive(Debug)]
pub(crate) struct Unanswered {
    count: AtomicU32,
    draining: AtomicBool,
    /// Wakes the connection's task, which waits for a change of [`Intake`].
    waker: AtomicWaker,
    /// The turns of the answers, if the dialect's answers do not name their frames.
    turns: Option<Box<Mutex<Turns<Frame>>>>,
}

/// Whether a connection's next frames are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Intake {
    /// Frames are read.
    Open,
    /// [`MAX_UNANSWERED`] frames have no answer. No frame is read until one of them has.
    Full,
    /// The node drains. No frame is read, but frames that were read are answered.
    Draining,
    /// The node drains, and all frames have been answered.
    Drained,
}

impl Unanswered {
    /// `in_order`: answers leave in the order of their frames.
    pub(crate) fn new(in_order: bool) -> Self {
        Self {
            count: AtomicU32::new(0),
            draining: AtomicBool::new(false),
            waker: AtomicWaker::new(),
            turns: in_order.then(Box::default),
        }
    }

    /// Stops the reading, because the node drains. The connection's task does the rest.
    pub(crate) fn drain(&self) {
        self.draining.store(true, SeqCst);
        self.waker.wake();
    }

    /// Whether to read the next frame. For the connection's task.
    pub(crate) fn intake(&self) -> Intake {
        // All accesses are SeqCst and so have one order: whoever makes the last change sees the other one, and
        // wakes the task.
        match (self.draining.load(SeqCst), self.count()) {
            (true, 0) => Intake::Drained,
            (true, _) => Intake::Draining,
            (false, MAX_UNANSWERED..) => Intake::Full,
            (false, _) => Intake::Open,
        }
    }

    /// Waits until [`Unanswered::intake`] differs from `known`. For the connection's task only.
    pub(crate) fn changes_from(&self, known: Intake) -> impl Future<Output = ()> {
        poll_fn(move |context| {
            // Before the look: a change in between wakes the task.
            self.waker.register(context.waker());
            if self.intake() == known { Poll::Pending } else { Poll::Ready(()) }
        })
    }

    /// Waits for the order to drain. For the connection's task, while it opens.
    pub(crate) async fn drain_order(&self) {
        poll_fn(|context| {
            self.waker.register(context.waker());
            if self.draining.load(SeqCst) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// The number of frames without an answer.
    pub(crate) fn count(&self) -> u32 {
        self.count.load(SeqCst)
    }

    /// Counts a frame that was read. Returns its turn, if answers have turns.
    pub(crate) fn begin(&self) -> Option<Turn> {
        self.count.fetch_add(1, SeqCst);
        let turns = self.turns.as_ref()?;
        Some(turns.lock().take())
    }

    /// Gives `push` an answer and the answers that waited behind it. `frame` is `None` if the client gets no
    /// answer.
    pub(crate) fn give(
        &self,
        turn: Option<Turn>,
        frame: Option<Frame>,
        mut push: impl FnMut(Frame),
    ) {
        match (turn, &self.turns) {
            (Some(turn), Some(turns)) => {
                // `push` runs under the lock, so that answers released by another task come behind these.
                let mut turns = turns.lock();
                turns.fill(turn, frame, push);
            }
            _ => frame.into_iter().for_each(&mut push),
        }
    }

    /// Counts a frame as answered. Called after [`Unanswered::give`], so that a task that waits for all answers
    /// finds them queued.
    pub(crate) fn end(&self) {
        let before = self.count.fetch_sub(1, SeqCst);
        if before == MAX_UNANSWERED || (before == 1 && self.draining.load(SeqCst)) {
            self.waker.wake();
        }
    }
}
