//! The answer that a client's frame needs. Each frame has one [`Answer`], and the holder must send it.
//! `unanswered.rs` counts the frames without an answer.

use crate::{
    hub::conn::{Conn, outbox::DropPolicy, turns::Turn},
    wire::frame::Frame,
};
use parking_lot::Mutex;
use protocol::frames::ServerFrame;
use std::sync::Arc;

/// The answer to one frame. It is sent once. If it is dropped unsent, the frame counts as answered, so that later
/// answers do not wait for ever.
#[derive(Debug)]
pub(crate) struct Answer {
    conn: Arc<Conn>,
    turn: Option<Turn>,
}

impl Answer {
    /// The answer to the frame that this connection has just read.
    pub(crate) fn of(conn: &Arc<Conn>) -> Self {
        Self { turn: conn.unanswered.begin(), conn: Arc::clone(conn) }
    }

    /// Sends this frame, unless the dialect has no words for it.
    pub(crate) fn send(mut self, frame: &ServerFrame) {
        let frame = self.conn.encode(frame);
        self.give(frame);
    }

    /// Lets two holders answer. The first one wins.
    pub(crate) fn share(self) -> SharedAnswer {
        SharedAnswer(Arc::new(Mutex::new(Some(self))))
    }

    fn give(&mut self, frame: Option<Frame>) {
        let outbox = &self.conn.outbox;
        let push = |frame| outbox.push(frame, DropPolicy::Durable);
        self.conn.unanswered.give(self.turn.take(), frame, push);
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if self.turn.is_some() {
            self.give(None);
        }
        // Last, so that a task that waits for all answers finds them queued.
        self.conn.unanswered.end();
    }
}

/// An answer with two holders. The first to answer wins.
#[derive(Clone, Debug)]
pub(crate) struct SharedAnswer(Arc<Mutex<Option<Answer>>>);

impl SharedAnswer {
    /// Answers, unless the other holder did.
    pub(crate) fn send(&self, frame: &ServerFrame) {
        let answer = self.0.lock().take();
        if let Some(answer) = answer {
            answer.send(frame);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        dialect::{Window, refusal},
        hub::conn::{
            ConnId, Owner,
            unanswered::{Intake, MAX_UNANSWERED},
        },
    };
    use futures_util::FutureExt;
    use protocol::code::Code;
    use protocol::{
        chat::UserRef,
        id::{SessionId, UserId},
    };
    use std::sync::atomic::Ordering::SeqCst;

    fn conn(window: Window) -> Arc<Conn> {
        let user = UserRef::registered(UserId(4), "bob");
        let owner = Owner::User { user, session: SessionId(uuid::Uuid::nil()) };
        Arc::new(Conn::new(ConnId(1), owner, window, 10_000))
    }

    /// The codes of the errors in the outbox.
    fn error_codes(conn: &Conn) -> Vec<String> {
        let taken = conn.outbox.take().now_or_never().unwrap_or_default();
        let code = |frame: &Frame| {
            let frame: serde_json::Value = serde_json::from_str(frame.text()).unwrap();
            frame["code"].as_str().unwrap().to_owned()
        };
        taken.frames.iter().map(code).collect()
    }

    fn error(code: Code) -> ServerFrame {
        refusal(None, code, "No.")
    }

    #[test]
    fn answers_without_ids_wait_for_those_before_them_and_others_do_not() {
        for window in [Window::Names, Window::Numbers(UserId(4)), Window::Lobby] {
            let conn = conn(window);
            let [first, forgotten, last] = [(); 3].map(|()| Answer::of(&conn));
            last.send(&error(Code::TextOnly));
            assert!(error_codes(&conn).is_empty(), "{window:?}");
            first.send(&error(Code::Malformed));
            assert_eq!(error_codes(&conn), ["malformed"], "{window:?}");
            drop(forgotten);
            assert_eq!(error_codes(&conn), ["text_only"], "{window:?}");
            assert_eq!(conn.unanswered.count(), 0);
        }
        let native = conn(Window::Native);
        let [first, last] = [(); 2].map(|()| Answer::of(&native));
        last.send(&error(Code::InvalidFrame));
        first.send(&error(Code::Malformed));
        assert_eq!(error_codes(&native), ["invalid_frame", "malformed"]);
    }

    #[test]
    fn of_two_who_may_answer_the_first_does() {
        let conn = conn(Window::Names);
        let one = Answer::of(&conn).share();
        let other = one.clone();
        drop(one);
        assert_eq!(conn.unanswered.count(), 1);
        let again = other.clone();
        other.send(&error(Code::Malformed));
        again.send(&error(Code::InvalidFrame));
        assert_eq!(
            (error_codes(&conn), conn.unanswered.count()),
            (vec!["malformed".to_owned()], 0)
        );
    }

    #[test]
    fn the_connections_task_is_woken_when_it_may_read_again_and_when_it_may_go() {
        let conn = conn(Window::Native);
        let unanswered = &conn.unanswered;
        let (waker, woken) = counting_waker();
        let mut context = std::task::Context::from_waker(&waker);
        let mut answers: Vec<Answer> = (0..MAX_UNANSWERED).map(|_| Answer::of(&conn)).collect();
        assert_eq!(unanswered.intake(), Intake::Full);
        let mut full = Box::pin(unanswered.changes_from(Intake::Full));
        assert!(full.poll_unpin(&mut context).is_pending());
        answers.pop();
        assert_eq!((woken(), unanswered.intake()), (1, Intake::Open));

        let mut open = Box::pin(unanswered.changes_from(Intake::Open));
        assert!(open.poll_unpin(&mut context).is_pending());
        answers.truncate(2);
        assert_eq!(woken(), 1, "nothing to be done");
        unanswered.drain();
        assert_eq!((woken(), unanswered.intake()), (2, Intake::Draining));

        let mut leaving = Box::pin(unanswered.changes_from(Intake::Draining));
        assert!(leaving.poll_unpin(&mut context).is_pending());
        answers.pop();
        assert_eq!(woken(), 2);
        answers.pop();
        assert_eq!((woken(), unanswered.intake()), (3, Intake::Drained));
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
