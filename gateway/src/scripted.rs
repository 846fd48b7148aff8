//! For tests: a gateway without sockets, whose api says what the test says.

use crate::{
    Deps, Gateway,
    backend::{Answer, Backend, Unavailable},
    config::Config,
    conn::{Conn, Owner},
    dialect::Window,
    joining::{Cause, Join},
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

type Script<Q, A> = Mutex<Box<dyn Fn(Q) -> Answer<A> + Send>>;

/// An api that answers nothing until it is told what to say.
pub(crate) struct Scripted {
    pub open: Script<Open, Opened>,
    pub events: Script<Events, EventsFound>,
    pub view: Script<View, Viewed>,
    pub jwks: Script<(), Jwks>,
}

fn silent<Q: 'static, A: Send + 'static>() -> Script<Q, A> {
    Mutex::new(Box::new(|_| nobody()))
}

/// Nobody answers.
pub(crate) fn nobody<A: Send + 'static>() -> Answer<A> {
    Box::pin(async { Err(Unavailable::NotAnswered("nobody is there".to_owned())) })
}

/// What a call is answered.
pub(crate) fn say<Q, A: Send + 'static>(
    script: &Script<Q, A>,
    answer: impl Fn(Q) -> Result<A, Unavailable> + Send + 'static,
) {
    *script.lock().unwrap() = Box::new(move |call| {
        let answer = answer(call);
        Box::pin(async move { answer })
    });
}

impl Scripted {
    pub fn new() -> Arc<Self> {
        Arc::new(Self { open: silent(), events: silent(), view: silent(), jwks: silent() })
    }
}

impl Backend for Scripted {
    fn open(&self, call: Open) -> Answer<Opened> {
        self.open.lock().unwrap()(call)
    }

    fn post(&self, _: Post) -> Answer<Posted> {
        nobody()
    }

    fn mark_read(&self, _: MarkRead) -> Answer<()> {
        nobody()
    }

    fn events(&self, call: Events) -> Answer<EventsFound> {
        self.events.lock().unwrap()(call)
    }

    fn view(&self, call: View) -> Answer<Viewed> {
        self.view.lock().unwrap()(call)
    }

    fn dormant(&self, _: Dormant) -> Answer<DormantMarked> {
        nobody()
    }

    fn changed(&self, _: Changed) -> Answer<ChangedFound> {
        nobody()
    }

    fn peers(&self, _: Peers) -> Answer<PeersFound> {
        nobody()
    }

    fn guests(&self, _: Guests) -> Answer<GuestsFound> {
        nobody()
    }

    fn jwks(&self) -> Answer<Jwks> {
        self.jwks.lock().unwrap()(())
    }
}

/// A gateway on this api.
pub(crate) fn gateway(backend: &Arc<Scripted>, config: Config) -> Arc<Gateway> {
    let deps = Deps {
        node: NodeId::random(),
        backend: Arc::clone(backend) as Arc<dyn Backend>,
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
    ChatView { id, name, chat_type, seq, last_read: Seq::ZERO, unread: 0 }
}

/// Has a connection watch a chat from its end on.
pub(crate) fn watch(gateway: &Gateway, conn: &Arc<Conn>, chat: &ChatView) {
    let mut join = Join::at_end(chat, conn.departures(), Cause::Opened);
    let attached = gateway.hub.attach(conn, &mut join);
    assert!(matches!(attached, Attached::Live), "{attached:?}");
}

/// What waits for a connection's task.
pub(crate) fn taken(conn: &Conn) -> Taken {
    conn.outbox.take(Default::default()).now_or_never().unwrap_or_default()
}
