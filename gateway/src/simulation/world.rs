//! A simulated installation: gateways as they are, and around them a database, apis, a bus and streams in memory.

use super::{
    api::ApisOf,
    chronicle::Chronicle,
    script::{CHATS, Script},
    store::{Store, StoredChat},
    weather::Weather,
};
use crate::{
    backend::Backend,
    config::Config,
    connection::{self, Begin, upgrade_credential::UpgradeCredential},
    settings::ClientArgs,
    state::{Deps, Gateway},
    wire::socket::Socket,
};
use axum::http::HeaderMap;
use bytes::Bytes;
use parking_lot::Mutex;
use platform::{
    bus::{Bus, BusEvent, Partitions},
    lifecycle::Lifecycle,
    limit::{Limiter, LimiterConfig},
    presence::Presence,
};
use protocol::{
    calls::UserChat,
    chat::MemberChange,
    encoded_run::EncodedRun,
    id::{ChatId, NodeId, UserId},
    relay::{Channel, ChatEvents, UserPayload},
    time::Timestamp,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    hash::Hash,
    mem,
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::DuplexStream,
    sync::mpsc::{Sender, channel},
    time::Instant,
};

/// How many apis publish.
pub(super) const APIS: usize = 2;

/// What may be on its way from one api to one gateway: more than ever is.
const PUBLISHED: usize = 1_000;

/// When simulations begin, by the database's clock.
const BEGINNING: i64 = 1_800_000_000_000;

/// Everything that a simulation's parts share.
pub(super) struct World {
    started: Instant,
    pub store: Mutex<Store>,
    pub weather: Mutex<Weather>,
    /// The rows of the chats.
    pub locks: BTreeMap<ChatId, Arc<tokio::sync::Mutex<()>>>,
    /// When transactions began that are not committed, with numbers of their own.
    open: Mutex<BTreeSet<(Timestamp, u64)>>,
    /// Calls under way whose answers will not come.
    pub doomed: AtomicUsize,
    chronicle: Mutex<Chronicle>,
    /// What apis and the bus do.
    pub apis: Lifecycle,
    nodes: Mutex<Vec<Option<Node>>>,
    lanes: OnceLock<Vec<Sender<Published>>>,
}

struct Node {
    gateway: Arc<Gateway>,
    bus: Bus,
    lifecycle: Lifecycle,
}

/// Something on its way over the bus, and when it arrives.
struct Published {
    arrives: Instant,
    channel: Channel,
    payload: Bytes,
}

/// A transaction that has begun.
pub(super) struct Begun<'a> {
    pub at: Timestamp,
    world: &'a World,
    number: u64,
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        self.world.open.lock().remove(&(self.at, self.number));
    }
}

impl World {
    /// With all gateways running, and everybody in all chats.
    pub(super) fn start(script: &Script, chronicle: Chronicle) -> Arc<Self> {
        let started = Instant::now();
        let mut store = Store::default();
        let users = || (0..script.users).map(user);
        for chat in CHATS {
            let members = users().map(|user| (user, Timestamp(BEGINNING))).collect();
            store.chats.insert(chat, StoredChat::of(members));
        }
        let world = Arc::new(Self {
            started,
            store: Mutex::new(store),
            weather: Mutex::new(Weather::new(script.seed)),
            locks: CHATS.into_iter().map(|chat| (chat, Arc::default())).collect(),
            open: Mutex::default(),
            doomed: AtomicUsize::new(0),
            chronicle: Mutex::new(chronicle),
            apis: Lifecycle::new(),
            nodes: Mutex::new((0..script.gateways).map(|_| None).collect()),
            lanes: OnceLock::new(),
        });
        let lanes = (0..APIS * script.gateways).map(|lane| world.start_lane(lane / APIS));
        let lanes = lanes.collect();
        let _ = world.lanes.set(lanes);
        (0..script.gateways).for_each(|gateway| world.run(gateway));
        world
    }

    /// The database's clock.
    pub(super) fn now(&self) -> Timestamp {
        Timestamp(BEGINNING + self.started.elapsed().as_millis() as i64)
    }

    /// For the chronicle.
    pub(super) fn note(&self, who: impl fmt::Display + Hash, what: &str) {
        self.chronicle.lock().note(self.started.elapsed(), who, what);
    }

    /// What happened.
    pub(super) fn take_chronicle(&self) -> Chronicle {
        mem::take(&mut self.chronicle.lock())
    }

    /// A transaction begins.
    pub(super) fn begin(&self) -> Begun<'_> {
        let mut open = self.open.lock();
        let (at, number) = (self.now(), open.last().map_or(0, |(_, number)| number + 1));
        open.insert((at, number));
        Begun { at, world: self, number }
    }

    /// What was written before is seen by all, or will never be.
    pub(super) fn settled(&self) -> Timestamp {
        self.open.lock().first().map_or(self.now(), |(at, _)| *at)
    }

    /// No transaction is open, and no lane waits for an answer that will not come.
    pub(super) fn is_at_rest(&self) -> bool {
        self.open.lock().is_empty() && self.doomed.load(Ordering::Relaxed) == 0
    }

    /// What one api publishes arrives at a gateway in its order.
    fn start_lane(self: &Arc<Self>, gateway: usize) -> Sender<Published> {
        let (sender, mut receiver) = channel::<Published>(PUBLISHED);
        let world = Arc::downgrade(self);
        self.apis.spawn_background(async move {
            while let Some(Published { arrives, channel, payload }) = receiver.recv().await {
                tokio::time::sleep_until(arrives).await;
                let Some(world) = world.upgrade() else { return };
                let chat = match channel {
                    Channel::Chat(chat) => Some(chat),
                    _ => None,
                };
                let is_deaf = world.weather.lock().is_deaf(gateway, chat);
                world
                    .note(channel_name(channel, gateway), if is_deaf { "lost" } else { "arrives" });
                if !is_deaf && let Some(node) = &world.nodes.lock()[gateway] {
                    node.bus.publish(channel, payload);
                }
            }
        });
        sender
    }

    /// An api publishes.
    pub(super) fn publish(&self, api: usize, channel: Channel, payload: Bytes) {
        let gateways = self.nodes.lock().len();
        for gateway in 0..gateways {
            let Some(way) = self.weather.lock().bus(gateway, api) else { continue };
            let lane = self.lanes.get().and_then(|lanes| lanes.get(gateway * APIS + api));
            let arrives = Instant::now() + way;
            if let Some(lane) = lane {
                // What finds no place is lost, as on a bus.
                let _ = lane.try_send(Published { arrives, channel, payload: payload.clone() });
            }
        }
    }

    /// Somebody joins or leaves, by REST.
    pub(super) fn move_member(&self, user: usize, chat_id: ChatId, change: MemberChange) {
        let user_id = self::user(user);
        let now = self.now();
        let Some(event) = self.store.lock().move_member(UserChat { user_id, chat_id }, change, now)
        else {
            return;
        };
        let (dies, api) = {
            let mut weather = self.weather.lock();
            (weather.dies_before_publishing(), weather.below(APIS))
        };
        if dies {
            return;
        }
        let events = vec![event];
        let run = ChatEvents { chat_id, events, published_ms: now.0, traceparent: None };
        if let Ok(run) = EncodedRun::of(&run) {
            self.publish(api, Channel::Chat(chat_id), run.payload().clone());
        }
        let payload = match change {
            MemberChange::Joined => UserPayload::Added { chat_id },
            _ => UserPayload::Removed { chat_id, banned: false },
        };
        if let Ok(payload) = serde_json::to_vec(&payload) {
            self.publish(api, Channel::User(user_id), payload.into());
        }
    }

    /// Starts a gateway.
    pub(super) fn run(self: &Arc<Self>, gateway: usize) {
        let (bus, lifecycle) = (Bus::local(), Lifecycle::new());
        let backend: Arc<dyn Backend> = Arc::new(ApisOf { world: Arc::clone(self), gateway });
        let deps = Deps {
            node: NodeId::random(),
            backend,
            bus: bus.clone(),
            presence: Presence::local(),
            limiter: Limiter::local(LimiterConfig::default()),
            lifecycle: lifecycle.clone(),
        };
        let node = Node { gateway: Gateway::start(deps, config(), client_args()), bus, lifecycle };
        self.nodes.lock()[gateway] = Some(node);
    }

    /// Ends a gateway, at once or when its clients have been told, and starts it after a while.
    pub(super) async fn restart(self: &Arc<Self>, gateway: usize, at_once: bool, back: Duration) {
        // Whoever ends it starts it.
        let Some(lifecycle) = self.lifecycle(gateway).filter(|one| !one.is_stopping()) else {
            return;
        };
        end(lifecycle, at_once).await;
        self.nodes.lock()[gateway] = None;
        tokio::time::sleep(back).await;
        self.run(gateway);
    }

    /// A gateway's subscription is lost, and then made anew.
    pub(super) fn tell_of_bus(&self, gateway: usize, is_up: bool) {
        if is_up && self.weather.lock().is_deaf(gateway, None) {
            return;
        }
        if let Some(node) = &self.nodes.lock()[gateway] {
            let all = Partitions::all();
            node.gateway.hub.on_bus(if is_up { BusEvent::Up(all) } else { BusEvent::Down(all) });
        }
    }

    fn lifecycle(&self, gateway: usize) -> Option<Lifecycle> {
        self.nodes.lock()[gateway].as_ref().map(|node| node.lifecycle.clone())
    }

    /// A stream to some gateway that takes clients. `chance` says which.
    pub(super) fn connect(&self, buffer: usize, chance: usize) -> Option<DuplexStream> {
        let nodes = self.nodes.lock();
        let open: Vec<&Node> =
            nodes.iter().flatten().filter(|node| !node.lifecycle.is_stopping()).collect();
        let node = open.get(chance.checked_rem(open.len())?)?;
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let gateway = &node.gateway;
        let stranger = gateway.strangers.admit(address)?;
        let (client, server) = tokio::io::duplex(buffer);
        let loan = gateway.credit.loan(address);
        let socket = Socket::in_memory(server, &gateway.hub.config, loan);
        let credential = UpgradeCredential::of(&HeaderMap::new(), None, &[]);
        let begin = Ok(Begin::Hello(credential, stranger));
        node.lifecycle.spawn(connection::run(Arc::clone(gateway), socket, begin, ()));
        Some(client)
    }

    /// Ends everything.
    pub(super) async fn stop(&self) {
        let gateways = self.nodes.lock().len();
        for gateway in 0..gateways {
            if let Some(lifecycle) = self.lifecycle(gateway) {
                end(lifecycle, true).await;
            }
        }
        self.apis.stop();
        self.apis.finish(Duration::ZERO).await;
    }
}

async fn end(lifecycle: Lifecycle, at_once: bool) {
    lifecycle.stop();
    let deadline = if at_once { Duration::ZERO } else { Duration::from_secs(15) };
    lifecycle.finish(deadline).await;
}

fn channel_name(channel: Channel, gateway: usize) -> String {
    format!("{channel} at gateway {gateway}")
}

/// A simulation's users.
pub(super) fn user(number: usize) -> UserId {
    UserId(number as i64 + 1)
}

/// The product's numbers, but for memory: with little of it, few messages are many.
fn config() -> Config {
    let mut config = Config { max_outbox_bytes: 4 * 1024, ..Config::default() };
    config.feed.replay_events = 6;
    config.feed.max_ahead = 4;
    config.presence.max_chats = 0;
    config
}

/// Made once in a process.
pub(super) fn client_args() -> &'static ClientArgs {
    #[derive(clap::Parser)]
    struct Args {
        #[command(flatten)]
        client: ClientArgs,
    }
    static ARGS: OnceLock<Args> = OnceLock::new();
    &ARGS.get_or_init(|| clap::Parser::parse_from(["gateway", "--drain-seconds=2"])).client
}
