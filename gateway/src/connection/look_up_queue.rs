//! The look-ups that a connection's frames need before they can be answered. They run one at a time, in the
//! order of the frames, beside everything else that the connection does. This file does not know how
//! anything is looked up.

use crate::{connection::answer::Answer, hub::conn::unanswered::Intake};
use futures_util::future::BoxFuture;
use protocol::{
    calls::Peer,
    close::Close,
    command::Action,
    id::{ChatId, Seq},
};
use std::{
    collections::VecDeque,
    future::poll_fn,
    mem,
    task::{Poll, ready},
};

/// How many frames of a connection may wait behind a look-up. Further ones are left unread until fewer wait.
/// Each may hold the longest text, so this bounds memory. Only one look-up at a time goes to the api, so that
/// one connection's flood does not delay others. A look-up takes a millisecond or two.
pub(crate) const MAX_WAITING: usize = 8;

/// A frame that needs a look-up, or that must not overtake one.
#[derive(Debug, PartialEq)]
pub(crate) enum Question {
    /// The private chat with this person, to post to it.
    Direct { to: Peer, action: Action },
    /// The guest of this name, and whether its network may do that.
    Guest { name: String, action: Option<Action> },
    /// A chat as the user may watch it.
    Subscribe { id: Option<String>, chat_id: ChatId, after: Option<Seq> },
    /// Needs no look-up, but must stay behind its `subscribe`.
    Unsubscribe { id: Option<String>, chat_id: ChatId },
    /// Whose token this is.
    Renew { id: Option<String>, token: String },
}

/// Runs on the connection `C` after a look-up has ended.
pub(crate) type Then<C> = Box<dyn FnOnce(&mut C) -> Result<(), Close> + Send>;

/// A look-up under way.
pub(crate) type LookUp<C> = BoxFuture<'static, Then<C>>;

/// Makes a closure a [`Then`].
pub(crate) fn then<C>(then: impl FnOnce(&mut C) -> Result<(), Close> + Send + 'static) -> Then<C> {
    Box::new(then)
}

/// The look-ups of one connection.
pub(crate) struct LookUpQueue<C> {
    under_way: Option<LookUp<C>>,
    waiting: VecDeque<(Question, Answer)>,
    /// Whether frames are left unread. The reason has been counted.
    paused: bool,
}

impl<C> Default for LookUpQueue<C> {
    fn default() -> Self {
        Self { under_way: None, waiting: VecDeque::new(), paused: false }
    }
}

impl<C> LookUpQueue<C> {
    /// Adds a frame behind those that wait.
    pub(crate) fn add(&mut self, question: Question, answer: Answer) {
        self.waiting.push_back((question, answer));
    }

    /// The next frame, unless a look-up is under way.
    pub(crate) fn next(&mut self) -> Option<(Question, Answer)> {
        if self.under_way.is_some() {
            return None;
        }
        let next = self.waiting.pop_front();
        if next.is_none() && self.waiting.capacity() > 0 {
            // Look-ups are rare, so an idle connection does not keep the memory.
            self.waiting = VecDeque::new();
        }
        next
    }

    /// A look-up begins: [`LookUpQueue::finish`] waits for it.
    pub(crate) fn begin(&mut self, look_up: LookUp<C>) {
        self.under_way = Some(look_up);
    }

    /// Waits for the look-up under way and returns what to run then. Can be dropped safely while it waits.
    pub(crate) fn finish(&mut self) -> impl Future<Output = Then<C>> {
        poll_fn(|context| {
            let Some(look_up) = &mut self.under_way else { return Poll::Pending };
            let then = ready!(look_up.as_mut().poll(context));
            self.under_way = None;
            Poll::Ready(then)
        })
    }

    /// Whether no look-up is under way. Then none waits either.
    pub(crate) fn is_empty(&self) -> bool {
        self.under_way.is_none()
    }

    /// Whether frames are left unread.
    pub(crate) fn is_paused(&self) -> bool {
        self.paused
    }

    /// Whether the next frame is to be read. Otherwise it stays in the kernel, whose buffer fills, so
    /// that the client is slowed down and nobody else.
    pub(crate) fn may_read(&mut self, intake: Intake) -> bool {
        let full = match intake {
            Intake::Open if self.waiting.len() >= MAX_WAITING => Some("look_ups"),
            Intake::Full => Some("answers"),
            Intake::Open | Intake::Draining | Intake::Drained => None,
        };
        let paused = mem::replace(&mut self.paused, full.is_some());
        if let Some(reason) = full.filter(|_| !paused) {
            metrics::counter!("gateway_reading_pauses_total", "reason" => reason).increment(1);
        }
        intake == Intake::Open && full.is_none()
    }
}
