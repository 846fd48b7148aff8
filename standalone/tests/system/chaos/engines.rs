//! Redis as a whole fails over, freezes, dies or moves its slots while a crowd chats over it.

use super::{SOON, alone, crowd::Crowd, live::Gap};
use crate::harness::{Rest, System, User, until_eq};
use cluster::{RedisCluster, RedisSentinels};
use protocol::{id::ChatId, partition::PARTITIONS, relay::Channel};
use reqwest::Method;
use std::{collections::BTreeSet, time::Duration};
use tokio::time::Instant;

/// What happens to the servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    PlannedFailover,
    PrimaryFrozen,
    PrimaryKilled,
    SlotsMoved,
}

/// Servers to which it happens.
enum Engine {
    Sentinels(Box<RedisSentinels>),
    Cluster(RedisCluster),
}

/// Acknowledged messages between one act and the next one.
const MEANWHILE: usize = 100;

/// From when the servers take everything again, for what was promised until typing was seen again. The promise is two
/// seconds; the rest is for a machine that has other things to do.
const LIVE_AGAIN: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sentinels_let_another_primary_take_over() {
    let engine = Engine::Sentinels(Box::new(RedisSentinels::start().await.unwrap()));
    let acts = [Act::PlannedFailover, Act::PrimaryFrozen, Act::PrimaryKilled];
    withstands(&engine, 10, &acts).await;
}

/// In many chats, so that each server has some of them, and some move.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_moves_its_slots_and_loses_a_master() {
    let engine = Engine::Cluster(RedisCluster::start(3, 1).await.unwrap());
    let acts = [Act::SlotsMoved, Act::PlannedFailover, Act::PrimaryKilled];
    withstands(&engine, 100, &acts).await;
}

/// A crowd chats in so many chats while one after the other happens. No client notices more than a pause.
#[expect(clippy::print_stdout, reason = "the figures of a run")]
async fn withstands(engine: &Engine, chats: usize, acts: &[Act]) {
    let _turn = alone().await;
    let t = System::cluster_with(&[("REDIS_URL", &engine.url())]).await;
    let typists = Typists::new(&t).await;
    let mut crowd = Crowd::start_steady(&t, chats).await;
    let mut times = Vec::new();
    for act in acts {
        crowd.acks(MEANWHILE).await;
        let began = Instant::now();
        engine.happen(*act, &crowd.chats).await;
        let recovered = Instant::now();
        until_everything_is_heard(&t).await;
        typists.are_live().await;
        let live = Instant::now();
        engine.settle().await;
        crowd.acks(MEANWHILE).await;
        typists.are_live().await;
        times.push((*act, began, recovered, live));
    }
    let party = crowd.finish(SOON).await;
    assert_eq!((party.reconnected(), party.resyncs()), (0, 0), "no client noticed");
    for (act, began, recovered, live) in times {
        let gap: Gap = party.deliveries.between(began, live, recovered);
        println!("{act:?}: the engine took {:.2?}; {gap}", recovered - began);
        assert!(gap.live_after < LIVE_AGAIN, "{act:?}: {gap}");
    }
}

/// Two people. What they type goes by the relay only, and nothing repairs it.
struct Typists {
    users: [User; 2],
    chat: ChatId,
}

impl Typists {
    async fn new(t: &System) -> Self {
        let users = [t.user("ann").await, t.user("bob").await];
        let chat = users[0].private(&users[1]).await;
        Self { users, chat }
    }

    /// Each on a gateway of its own, they see each other.
    async fn are_live(&self) {
        let [ann, bob] = &self.users;
        let (mut ann, mut bob) = (ann.connect_to(0).await, bob.connect_to(1).await);
        ann.type_until_seen_by(&mut bob, self.chat).await;
        bob.type_until_seen_by(&mut ann, self.chat).await;
    }
}

async fn until_everything_is_heard(t: &System) {
    let wanted = vec![f64::from(PARTITIONS); t.nodes().len()];
    until_eq("both gateways to hear everything", wanted, async || {
        let mut heard = Vec::new();
        for gateway in &t.admin_ports()[..t.nodes().len()] {
            heard.push(metric(gateway, "bus_partitions_up").await);
        }
        heard
    })
    .await;
}

async fn metric(admin: &std::net::SocketAddr, name: &str) -> f64 {
    let rest = Rest::new(format!("http://{admin}"));
    let text = rest.request(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("no {name}")).parse().unwrap()
}

/// The slot of presence and limits, which are behind the tag `{state}`.
const STATE: u16 = 12_053;

/// The slot of a chat's partition, in the middle of the partition's sixteen.
fn slot(chat: ChatId) -> u16 {
    let step = cluster::SLOTS / PARTITIONS;
    Channel::Chat(chat).partition().number() * step + step / 2
}

impl Engine {
    fn url(&self) -> String {
        match self {
            Self::Sentinels(servers) => servers.url(),
            Self::Cluster(servers) => servers.url(),
        }
    }

    /// Lets it happen, and returns when the servers take everything again.
    async fn happen(&self, act: Act, chats: &[ChatId]) {
        match self {
            Self::Sentinels(servers) => {
                let primary = servers.primary().await.unwrap();
                match act {
                    Act::PlannedFailover => servers.fail_over().await.unwrap(),
                    Act::PrimaryFrozen => servers.servers()[primary].process().pause(),
                    Act::PrimaryKilled => servers.servers()[primary].kill().await.unwrap(),
                    Act::SlotsMoved => panic!("only a cluster has slots"),
                }
                servers.named(1 - primary).await.unwrap();
            }
            Self::Cluster(servers) => match act {
                Act::SlotsMoved => {
                    // All of one master's chats, to both others, and the state.
                    let first = |slot: &u16| *slot < cluster::SLOTS / 3;
                    let slots = chats.iter().copied().map(slot).filter(first);
                    let slots = Vec::from_iter(slots.collect::<BTreeSet<u16>>());
                    let (some, others) = slots.split_at(slots.len() / 2);
                    servers.move_slots(some.iter().copied(), 0, 1).await.unwrap();
                    servers.move_slots(others.iter().copied(), 0, 2).await.unwrap();
                    servers.move_slot(STATE, 1).await.unwrap();
                }
                // The replicas follow their masters.
                Act::PlannedFailover => servers.fail_over(3).await.unwrap(),
                Act::PrimaryKilled => {
                    servers.nodes()[1].kill().await.unwrap();
                    servers.replaced(1).await.unwrap();
                }
                Act::PrimaryFrozen => panic!("like one that is killed"),
            },
        }
    }

    /// Waits until the servers themselves are done with it, and what was frozen goes on.
    async fn settle(&self) {
        let Self::Sentinels(servers) = self else { return };
        let replica = 1 - servers.primary().await.unwrap();
        let process = servers.servers()[replica].process();
        if process.exit_code().unwrap().is_none() {
            process.resume();
            servers.hurry().await.unwrap();
            servers.replicated(replica).await.unwrap();
        }
    }
}
