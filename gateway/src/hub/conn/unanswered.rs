//! Counts a connection's frames that have no answer yet, tells the connection's task what follows from the
//! count, and holds the turns in which answers leave if the dialect's answers name no frame. It knows no
//! connection.

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

/// The most frames of a connection that are not answered; more are left unread until some are. Above
/// the burst of a connection (200), so it is met only when the api is behind, and low enough that
/// one connection's answers in waiting are a few KiB.
pub(crate) const MAX_UNANSWERED: u32 = 256;

/// The frames of one connection that are not answered yet.
#[derive(Debug)]
pub(crate) struct Unanswered {
    count: AtomicU32,
    draining: AtomicBool,
    /// The connection's task, when it waits for [`Intake`].
    waker: AtomicWaker,
    /// Where the dialect's answers name no frame.
    turns: Option<Box<Mutex<Turns<Frame>>>>,
}

/// Whether a connection's next frames are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Intake {
    /// They are.
    Open,
    /// As many as may be are not answered: no more are read now.
    Full,
    /// The node lets the connection go: no more are read, those that were are to be answered.
    Draining,
    /// The same, and all have been answered.
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

    /// The node lets the connection go: nothing more is read. The connection's task takes it from there.
    pub(crate) fn drain(&self) {
        self.draining.store(true, SeqCst);
        self.waker.wake();
    }

    /// Whether to read on. For the connection's task, which alone goes back to reading.
    pub(crate) fn intake(&self) -> Intake {
        // In one order with the stores of others, who look at both after they changed one.
        match (self.draining.load(SeqCst), self.count()) {
            (true, 0) => Intake::Drained,
            (true, _) => Intake::Draining,
            (false, MAX_UNANSWERED..) => Intake::Full,
            (false, _) => Intake::Open,
        }
    }

    /// Waits until it is no longer as `known`. For the connection's task only.
    pub(crate) async fn changes_from(&self, known: Intake) {
        poll_fn(|context| {
            self.waker.register(context.waker());
            if self.intake() == known { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
    }

    /// Waits for the order to drain. For the connection's task, while it opens.
    pub(crate) async fn drain_order(&self) {
        poll_fn(|context| {
            self.waker.register(context.waker());
            if self.draining.load(SeqCst) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u32 {
        self.count.load(SeqCst)
    }

    /// A frame was read: its turn, where answers have turns.
    pub(crate) fn begin(&self) -> Option<Turn> {
        self.count.fetch_add(1, SeqCst);
        let turns = self.turns.as_ref()?;
        Some(turns.lock().take())
    }

    /// Gives an answer to `push`, and those behind it that waited for it; `None` is nothing to say.
    pub(crate) fn give(
        &self,
        turn: Option<Turn>,
        frame: Option<Frame>,
        mut push: impl FnMut(Frame),
    ) {
        match (turn, &self.turns) {
            (Some(turn), Some(turns)) => {
                // Pushed under the lock: what is released next is pushed behind it.
                let mut turns = turns.lock();
                turns.fill(turn, frame, push);
            }
            _ => frame.into_iter().for_each(&mut push),
        }
    }

    /// A frame was answered. Called after [`Unanswered::give`]: whoever waits for all answers finds
    /// them queued.
    pub(crate) fn end(&self) {
        let before = self.count.fetch_sub(1, SeqCst);
        if before == MAX_UNANSWERED || (before == 1 && self.draining.load(SeqCst)) {
            self.waker.wake();
        }
    }
}
