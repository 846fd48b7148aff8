//! For tests: a gateway without sockets, whose api says what the test says.

use crate::{
    Deps, Gateway,
    backend::{Answer, Backend, Unavailable},
    config::Config,
    conn::{Conn, Owner},
    dialect::Window,
    join::{Cause, Join},
    opening::Registered,
    outbox::Taken,
    room::Attached,
    settings::ClientArgs,
};
use futures_util::FutureExt;
use shared::{
    bus::Bus,
    chat::{ChatType, ChatView, UserRef},
    id::{ChatId, NodeId, Seq, SessionId, UserId},
    internal::{
        Changed, ChangedFound, Dormant, DormantMarked, Events, EventsFound, Guests, GuestsFound,
        MarkRead, Open, Opened, Peers, PeersFound, Post, Posted, View, Viewed,
    },
    lifecycle::Lifecycle,
    limit::{Limiter, LimiterConfig},
    presence::Presence,
    token::Jwks,
};
use std::sync::{Arc, Mutex};

/// What an api says to one kind of call.
pub(crate) struct Script<Q, A>(Mutex<Box<dyn Fn(Q) -> Answer<A> + Send>>);

/// Nobody answers.
impl<Q: 'static, A: Send + 'static> Default for Script<Q, A> {
    fn default() -> Self {
        Self(Mutex::new(Box::new(|_| {
            Box::pin(async { Err(Unavailable::NotAnswered("nobody is there".to_owned())) })
        })))
    }
}

impl<Q, A: Send + 'static> Script<Q, A> {
    fn answer(&self, call: Q) -> Answer<A> {
        self.0.lock().unwrap()(call)
    }

    /// What each call is answered from now on, at once.
    pub fn says(&self, answer: impl Fn(Q) -> Result<A, Unavailable> + Send + 'static) {
        self.does(move |call| {
            let answer = answer(call);
            async move { answer }
        });
    }

    /// The same, in its own time.
    pub fn does<F>(&self, answer: impl Fn(Q) -> F + Send + 'static)
    where
        F: Future<Output = Result<A, Unavailable>> + Send + 'static,
    {
        *self.0.lock().unwrap() = Box::new(move |call| Box::pin(answer(call)));
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
    fn open(&self, call: Open) -> Answer<Opened> {
        self.open.answer(call)
    }

    fn post(&self, call: Post) -> Answer<Posted> {
        self.post.answer(call)
    }

    fn mark_read(&self, call: MarkRead) -> Answer<()> {
        self.mark_read.answer(call)
    }

    fn events(&self, call: Events) -> Answer<EventsFound> {
        self.events.answer(call)
    }

    fn view(&self, call: View) -> Answer<Viewed> {
        self.view.answer(call)
    }

    fn dormant(&self, call: Dormant) -> Answer<DormantMarked> {
        self.dormant.answer(call)
    }

    fn changed(&self, call: Changed) -> Answer<ChangedFound> {
        self.changed.answer(call)
    }

    fn peers(&self, call: Peers) -> Answer<PeersFound> {
        self.peers.answer(call)
    }

    fn guests(&self, call: Guests) -> Answer<GuestsFound> {
        self.guests.answer(call)
    }

    fn jwks(&self) -> Answer<Jwks> {
        self.jwks.answer(())
    }
}

/// A gateway on this api.
pub(crate) fn gateway(backend: &Arc<Scripted>, config: Config) -> Arc<Gateway> {
    let backend: Arc<dyn Backend> = Arc::<Scripted>::clone(backend);
    let deps = Deps {
        node: NodeId::random(),
        backend,
        bus: Bus::local(),
        presence: Presence::local(),
        limiter: Limiter::local(LimiterConfig::default()),
        lifecycle: Lifecycle::new(),
    };
    #[derive(clap::Parser)]
    struct Args {
        #[command(flatten)]
        client: ClientArgs,
    }
    let args = <Args as clap::Parser>::parse_from(["gateway"]);
    Gateway::start(deps, config, &args.client)
}

/// A connection of this user, with a session of its own.
pub(crate) fn connect(gateway: &Arc<Gateway>, user: UserId, window: Window) -> Registered {
    let session = SessionId(uuid::Uuid::from_u128(user.0.unsigned_abs().into()));
    let user = UserRef::registered(user, format!("user {user}"));
    Registered::new(gateway, window, Owner::User { user, session }).unwrap().0
}

/// A chat that has got as far as this.
pub(crate) fn chat(id: ChatId, chat_type: ChatType, seq: Seq) -> ChatView {
    let name = "a chat".to_owned();
    ChatView { id, name, chat_type, seq, last_read: Seq::ZERO, unread: 0, invited_by: None }
}

/// Has a connection watch a chat from its end on.
pub(crate) fn watch(gateway: &Gateway, conn: &Arc<Conn>, chat: &ChatView) {
    let mut join = Join::at_end(chat, conn.access_version(), Cause::Opened);
    let attached = gateway.hub.attach(conn, &mut join);
    assert!(matches!(attached, Attached::Live), "{attached:?}");
}

/// What waits for a connection's task.
pub(crate) fn taken(conn: &Conn) -> Taken {
    conn.outbox.take(Default::default()).now_or_never().unwrap_or_default()
}
