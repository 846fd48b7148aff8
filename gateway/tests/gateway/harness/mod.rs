//! A gateway to try: `let t = Node::start().await; t.api.opens(GROUP, &[ANN]); let mut ann = t.connect(ANN).await;`
//! The clock stands still but for [`Node::passes`], so nothing here sleeps.

mod api;
mod phone;
mod tokens;
mod words;
mod world;

pub use api::{Api, Mode};
pub use phone::Phone;
pub use tokens::token;

use crate::backend::Backend;
use gateway::{Deps, Gateway, config::Config, settings::ClientArgs, upgrade};
use platform::{
    bus::Bus,
    lifecycle::Lifecycle,
    limit::{Limiter, LimiterConfig},
    presence::Presence,
    serve::{ServeConfig, bind, serve},
};
use protocol::{
    calls::ChangedFound,
    chat::Event,
    encoded_run::EncodedRun,
    id::{ChatId, NodeId, Seq, SessionId, UserId},
    relay::{Channel, ChatEvents, ControlPayload, EndReason, EndedSessions, UserPayload},
};
use serde::Serialize;
use std::{
    net::SocketAddr,
    sync::{Arc, mpsc},
    time::Duration,
};
use tokio::time::Instant;

pub const ANN: UserId = UserId(1);
pub const BOB: UserId = UserId(2);
pub const EVE: UserId = UserId(3);
/// A chat of members.
pub const GROUP: ChatId = ChatId(1);
/// Another one.
pub const TEAM: ChatId = ChatId(2);
/// A public one.
pub const ROOM: ChatId = ChatId(3);

/// How long a test may take by the wall's clock. Then the clock runs by itself, and whoever still waits
/// for a frame fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// How far the clock moves at once: less than anything in a gateway waits.
const STEP: Duration = Duration::from_millis(5);

/// A gateway with one listener.
pub struct Node {
    pub api: Api,
    bus: Bus,
    lifecycle: Lifecycle,
    address: SocketAddr,
    /// A blocking task waits for its end; while one runs, a paused clock does not move by itself.
    _clock_stands: mpsc::SyncSender<()>,
}

impl Node {
    /// With the numbers of the product.
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// With some of its numbers changed.
    pub async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let (clock_stands, test_ends) = mpsc::sync_channel(1);
        drop(tokio::task::spawn_blocking(move || test_ends.recv_timeout(PATIENCE)));
        let (api, bus, lifecycle) = (Api::new(), Bus::local(), Lifecycle::new());
        // No pings, and nobody is told who comes and goes.
        let mut config = Config { heartbeat: Duration::from_secs(3_600), ..Config::default() };
        config.presence.max_chats = 0;
        change(&mut config);
        let backend: Arc<dyn Backend> = Arc::<crate::scripted::Scripted>::clone(&api.script);
        let deps = Deps {
            node: NodeId::random(),
            backend,
            bus: bus.clone(),
            presence: Presence::local(),
            limiter: Limiter::local(LimiterConfig::default()),
            lifecycle: lifecycle.clone(),
        };
        let gateway = Gateway::start(deps, config, &client_args());
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = listener.local_addr().unwrap();
        let routes = upgrade::router(gateway);
        lifecycle.spawn(serve(listener, routes, ServeConfig::default(), lifecycle.clone()));
        let node = Self { api, bus, lifecycle, address, _clock_stands: clock_stands };
        node.settles().await;
        node
    }

    /// A client of this user that has said hello and heard `ready`.
    pub async fn connect(&self, user: UserId) -> Phone {
        let mut phone = self.dial().await;
        phone.say(&hello(user, None)).await;
        phone.ready().await;
        self.settles().await;
        phone
    }

    /// The same, which knows its chats up to here.
    pub async fn resume(&self, user: UserId, cursors: &[(ChatId, i64)]) -> Phone {
        let mut phone = self.dial().await;
        phone.say(&hello(user, Some(cursors))).await;
        phone.ready().await;
        phone
    }

    /// A client that has said nothing yet.
    pub async fn dial(&self) -> Phone {
        Phone::dial(self.address, "/gateway").await
    }

    /// An older client of this user, or of nobody, whose upgrade is answered.
    pub async fn window(&self, user: Option<UserId>, path: &str) -> Phone {
        let token = user.map(|user| format!("?token={}", token(user)));
        Phone::dial(self.address, &format!("{path}{}", token.unwrap_or_default())).await
    }

    /// Lets time pass, and everything happen that happens in it.
    pub async fn passes(&self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            tokio::time::advance(STEP.min(end - Instant::now())).await;
            turns(4).await;
        }
        self.settles().await;
    }

    /// Lets everything happen that needs no time.
    pub async fn settles(&self) {
        turns(50).await;
    }

    /// A message is committed, and the bus brings it.
    pub fn posts(&self, chat: ChatId, text: &str) -> Event {
        let event = self.api.commits(chat, text);
        self.brings(chat, &event);
        event
    }

    /// The bus brings an event.
    pub fn brings(&self, chat_id: ChatId, event: &Event) {
        let events = vec![event.clone()];
        let run = ChatEvents { chat_id, events, published_ms: 0, traceparent: None };
        let payload = EncodedRun::of(&run).unwrap().payload().to_vec();
        self.publishes_bytes(Channel::Chat(chat_id), payload);
    }

    pub fn tells_user(&self, user: UserId, payload: &UserPayload) {
        self.publishes(Channel::User(user), payload);
    }

    /// The bus says that a user's session is over.
    pub fn ends_session(&self, user: UserId, reason: EndReason) {
        let ended = EndedSessions { sessions: vec![session(user)], reason };
        self.publishes(Channel::Control, &ControlPayload::Ended(ended));
    }

    pub fn publishes(&self, channel: Channel, payload: &impl Serialize) {
        self.publishes_bytes(channel, serde_json::to_vec(payload).unwrap());
    }

    pub fn publishes_bytes(&self, channel: Channel, payload: Vec<u8>) {
        self.bus.publish(channel, payload.into());
    }

    /// The next poll is answered so. Time passes until it was.
    pub async fn finds(&self, changed: ChangedFound) {
        self.api.changes(changed);
        self.passes(Config::default().repair_interval).await;
    }

    /// The soft stop.
    pub fn stops(&self) {
        self.lifecycle.stop();
    }
}

/// A user's session.
pub fn session(user: UserId) -> SessionId {
    SessionId(uuid::Uuid::from_u128(user.0.unsigned_abs().into()))
}

/// The frame with which a client begins.
pub fn hello(user: UserId, cursors: Option<&[(ChatId, i64)]>) -> String {
    let resume = cursors.map(|cursors| protocol::frames::Resume {
        epoch: api::EPOCH.to_owned(),
        cursors: cursors.iter().map(|(chat, seq)| (*chat, Seq(*seq))).collect(),
    });
    let token = Some(token(user));
    serde_json::to_string(&protocol::frames::ClientFrame::hello(token, resume)).unwrap()
}

fn client_args() -> ClientArgs {
    #[derive(clap::Parser)]
    struct Args {
        #[command(flatten)]
        client: ClientArgs,
    }
    let args = ["gateway", "--drain-seconds=1"];
    <Args as clap::Parser>::parse_from(args).client
}

/// Gives all other tasks so many turns, and the sockets as many looks.
async fn turns(count: usize) {
    for _ in 0..count {
        tokio::task::yield_now().await;
    }
}
