//! A frame's way to its answer: where that goes, in turn where the dialect's answers name no frame, and
//! how many frames of a connection are not answered yet. Each frame has one [`Answer`]; whoever holds
//! it owes it.

use crate::{
    conn::Conn,
    frame::Frame,
    outbox::Worth,
    turns::{Turn, Turns},
};
use futures_util::task::AtomicWaker;
use shared::protocol::ServerFrame;
use std::{
    future::poll_fn,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering::SeqCst},
    },
    task::Poll,
};

/// The most frames of a connection that are not answered; more are left unread until some are. Above
/// the burst of a connection (200), so it is met only when the api is behind, and low enough that
/// one connection's answers in waiting are a few KiB.
pub const MAX_UNANSWERED: u32 = 256;

/// The frames of one connection that are not answered yet.
#[derive(Debug)]
pub struct Unanswered {
    count: AtomicU32,
    leaving: AtomicBool,
    /// The connection's task, when it waits for [`Progress`].
    waker: AtomicWaker,
    /// Where the dialect's answers name no frame.
    turns: Option<Box<Mutex<Turns<Frame>>>>,
}

/// What a connection's frames are about to come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// They are read and answered.
    Open,
    /// As many as may be are not answered: no more are read now.
    Full,
    /// The node lets the connection go: no more are read, those that were are to be answered.
    Leaving,
    /// And they have been.
    Left,
}

impl Unanswered {
    /// `in_order`: answers leave in the order of their frames.
    pub fn new(in_order: bool) -> Self {
        Self {
            count: AtomicU32::new(0),
            leaving: AtomicBool::new(false),
            waker: AtomicWaker::new(),
            turns: in_order.then(Box::default),
        }
    }

    /// From now on nothing more is to be read. The connection's task takes it from there.
    pub fn leave(&self) {
        self.leaving.store(true, SeqCst);
        self.waker.wake();
    }

    /// How far the connection is. For its own task, which alone makes it go back to reading.
    pub fn progress(&self) -> Progress {
        // In one order with the stores of others, who look at both after they changed one.
        match (self.leaving.load(SeqCst), self.count()) {
            (true, 0) => Progress::Left,
            (true, _) => Progress::Leaving,
            (false, MAX_UNANSWERED..) => Progress::Full,
            (false, _) => Progress::Open,
        }
    }

    /// Waits until the progress is another one. For the connection's task only.
    pub async fn moves_on_from(&self, known: Progress) {
        poll_fn(|context| {
            self.waker.register(context.waker());
            if self.progress() == known { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
    }

    /// Waits for the order to leave. For the connection's task, while it opens.
    pub async fn leaving(&self) {
        poll_fn(|context| {
            self.waker.register(context.waker());
            if self.leaving.load(SeqCst) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// How many there are.
    pub fn count(&self) -> u32 {
        self.count.load(SeqCst)
    }

    fn begin(&self) -> Option<Turn> {
        self.count.fetch_add(1, SeqCst);
        let turns = self.turns.as_ref()?;
        Some(turns.lock().unwrap_or_else(PoisonError::into_inner).take())
    }

    fn end(&self) {
        let before = self.count.fetch_sub(1, SeqCst);
        if before == MAX_UNANSWERED || (before == 1 && self.leaving.load(SeqCst)) {
            self.waker.wake();
        }
    }
}

/// The answer to one frame, to be sent once. Dropped unsent, the frame is answered with nothing: those
/// behind it do not wait for ever, whoever forgot it.
#[derive(Debug)]
pub struct Answer {
    conn: Arc<Conn>,
    turn: Option<Turn>,
}

impl Answer {
    /// Of the frame that this connection has just read.
    pub fn of(conn: &Arc<Conn>) -> Self {
        Self { turn: conn.unanswered.begin(), conn: Arc::clone(conn) }
    }

    /// Answers with this, as far as the dialect has words for it.
    pub fn send(mut self, frame: &ServerFrame) {
        let frame = self.conn.encode(frame);
        self.give(frame);
    }

    /// For two who may both answer.
    pub fn shared(self) -> SharedAnswer {
        SharedAnswer(Arc::new(Mutex::new(Some(self))))
    }

    fn give(&mut self, frame: Option<Frame>) {
        let outbox = &self.conn.outbox;
        match (self.turn.take(), &self.conn.unanswered.turns) {
            (Some(turn), Some(turns)) => {
                // Queued under the lock: what is released next queues behind it.
                let mut turns = turns.lock().unwrap_or_else(PoisonError::into_inner);
                turns.fill(turn, frame, |frame| outbox.push(frame, Worth::Durable));
            }
            _ => frame.into_iter().for_each(|frame| outbox.push(frame, Worth::Durable)),
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if self.turn.is_some() {
            self.give(None);
        }
        // Last: who waits for all answers finds them queued.
        self.conn.unanswered.end();
    }
}

/// An answer that the first of two gives.
#[derive(Clone, Debug)]
pub struct SharedAnswer(Arc<Mutex<Option<Answer>>>);

impl SharedAnswer {
    /// Answers, unless the other one did.
    pub fn send(&self, frame: &ServerFrame) {
        let answer = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(answer) = answer {
            answer.send(frame);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        conn::{ConnId, Owner},
        dialect::{Window, refusal},
    };
    use futures_util::FutureExt;
    use shared::{
        chat::UserRef,
        id::{SessionId, UserId},
    };

    fn conn(window: Window) -> Arc<Conn> {
        let user = UserRef::registered(UserId(4), "bob");
        let owner = Owner::User { user, session: SessionId(uuid::Uuid::nil()) };
        Arc::new(Conn::new(ConnId(1), owner, window, 10_000))
    }

    /// The codes of the errors in the outbox.
    fn told(conn: &Conn) -> Vec<String> {
        let taken = conn.outbox.take(Default::default()).now_or_never().unwrap_or_default();
        let code = |frame: &Frame| {
            let frame: serde_json::Value = serde_json::from_str(frame.text()).unwrap();
            frame["code"].as_str().unwrap().to_owned()
        };
        taken.frames.iter().map(code).collect()
    }

    fn error(code: &str) -> ServerFrame {
        refusal(None, code, "No.")
    }

    #[test]
    fn answers_without_ids_wait_for_those_before_them_and_others_do_not() {
        for window in [Window::Names, Window::Numbers(UserId(4)), Window::Lobby] {
            let conn = conn(window);
            let [first, forgotten, last] = [(); 3].map(|()| Answer::of(&conn));
            last.send(&error("c"));
            assert!(told(&conn).is_empty(), "{window:?}");
            first.send(&error("a"));
            assert_eq!(told(&conn), ["a"], "{window:?}");
            drop(forgotten);
            assert_eq!(told(&conn), ["c"], "{window:?}");
            assert_eq!(conn.unanswered.count(), 0);
        }
        let native = conn(Window::Native);
        let [first, last] = [(); 2].map(|()| Answer::of(&native));
        last.send(&error("b"));
        first.send(&error("a"));
        assert_eq!(told(&native), ["b", "a"]);
    }

    #[test]
    fn of_two_who_may_answer_the_first_does() {
        let conn = conn(Window::Names);
        let one = Answer::of(&conn).shared();
        let other = one.clone();
        drop(one);
        assert_eq!(conn.unanswered.count(), 1);
        let again = other.clone();
        other.send(&error("a"));
        again.send(&error("b"));
        assert_eq!((told(&conn), conn.unanswered.count()), (vec!["a".to_owned()], 0));
    }

    #[test]
    fn the_connections_task_is_woken_when_it_may_read_again_and_when_it_may_go() {
        let conn = conn(Window::Native);
        let unanswered = &conn.unanswered;
        let (waker, woken) = counting_waker();
        let mut context = std::task::Context::from_waker(&waker);
        let mut answers: Vec<Answer> = (0..MAX_UNANSWERED).map(|_| Answer::of(&conn)).collect();
        assert_eq!(unanswered.progress(), Progress::Full);
        let mut full = Box::pin(unanswered.moves_on_from(Progress::Full));
        assert!(full.poll_unpin(&mut context).is_pending());
        answers.pop();
        assert_eq!((woken(), unanswered.progress()), (1, Progress::Open));

        let mut open = Box::pin(unanswered.moves_on_from(Progress::Open));
        assert!(open.poll_unpin(&mut context).is_pending());
        answers.truncate(2);
        assert_eq!(woken(), 1, "nothing to be done");
        unanswered.leave();
        assert_eq!((woken(), unanswered.progress()), (2, Progress::Leaving));

        let mut leaving = Box::pin(unanswered.moves_on_from(Progress::Leaving));
        assert!(leaving.poll_unpin(&mut context).is_pending());
        answers.pop();
        assert_eq!(woken(), 2);
        answers.pop();
        assert_eq!((woken(), unanswered.progress()), (3, Progress::Left));
    }

    /// A waker and how often it was woken.
    fn counting_waker() -> (std::task::Waker, impl Fn() -> usize) {
        struct Count(std::sync::atomic::AtomicUsize);
        impl std::task::Wake for Count {
            fn wake(self: Arc<Self>) {
                self.0.fetch_add(1, SeqCst);
            }
        }
        let count = Arc::new(Count(Default::default()));
        (Arc::clone(&count).into(), move || count.0.load(SeqCst))
    }
}
