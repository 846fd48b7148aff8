//! For tests: an api that says what the test says.

use crate::backend::{ApiAnswer, Backend, Unavailable};
use parking_lot::Mutex;
use platform::token::Jwks;
use protocol::calls::{
    Changed, ChangedFound, Dormant, DormantMarked, Events, EventsFound, Guests, GuestsFound,
    MarkRead, Open, Opened, Peers, PeersFound, Post, Posted, View, Viewed,
};

/// What an api says to one kind of call.
pub(crate) struct Script<Q, A>(Mutex<Box<dyn Fn(Q) -> ApiAnswer<A> + Send>>);

/// Nobody answers.
impl<Q: 'static, A: Send + 'static> Default for Script<Q, A> {
    fn default() -> Self {
        Self(Mutex::new(Box::new(|_| {
            Box::pin(async { Err(Unavailable::NotAnswered("nobody is there".to_owned())) })
        })))
    }
}

impl<Q, A: Send + 'static> Script<Q, A> {
    fn answer(&self, call: Q) -> ApiAnswer<A> {
        self.0.lock()(call)
    }

    /// What each call is answered from now on, at once.
    pub(crate) fn says(&self, answer: impl Fn(Q) -> Result<A, Unavailable> + Send + 'static) {
        self.does(move |call| {
            let answer = answer(call);
            async move { answer }
        });
    }

    /// The same, in its own time.
    pub(crate) fn does<F>(&self, answer: impl Fn(Q) -> F + Send + 'static)
    where
        F: Future<Output = Result<A, Unavailable>> + Send + 'static,
    {
        *self.0.lock() = Box::new(move |call| Box::pin(answer(call)));
    }
}

/// An api that answers nothing until it is told what to say.
#[derive(Default)]
pub(crate) struct Scripted {
    pub open: Script<Open, Opened>,
    pub post: Script<Post, Posted>,
    pub mark_read: Script<MarkRead, ()>,
    pub events: Script<Events, EventsFound>,
    pub view: Script<View, Viewed>,
    pub dormant: Script<Dormant, DormantMarked>,
    pub changed: Script<Changed, ChangedFound>,
    pub peers: Script<Peers, PeersFound>,
    pub guests: Script<Guests, GuestsFound>,
    pub jwks: Script<(), Jwks>,
}

impl Backend for Scripted {
    fn open(&self, call: Open) -> ApiAnswer<Opened> {
        self.open.answer(call)
    }

    fn post(&self, call: Post) -> ApiAnswer<Posted> {
        self.post.answer(call)
    }

    fn mark_read(&self, call: MarkRead) -> ApiAnswer<()> {
        self.mark_read.answer(call)
    }

    fn events(&self, call: Events) -> ApiAnswer<EventsFound> {
        self.events.answer(call)
    }

    fn view(&self, call: View) -> ApiAnswer<Viewed> {
        self.view.answer(call)
    }

    fn dormant(&self, call: Dormant) -> ApiAnswer<DormantMarked> {
        self.dormant.answer(call)
    }

    fn changed(&self, call: Changed) -> ApiAnswer<ChangedFound> {
        self.changed.answer(call)
    }

    fn peers(&self, call: Peers) -> ApiAnswer<PeersFound> {
        self.peers.answer(call)
    }

    fn guests(&self, call: Guests) -> ApiAnswer<GuestsFound> {
        self.guests.answer(call)
    }

    fn jwks(&self) -> ApiAnswer<Jwks> {
        self.jwks.answer(())
    }
}
