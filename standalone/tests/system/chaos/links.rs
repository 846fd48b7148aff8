//! Links between processes fall silent, slow down or break, and processes freeze, while a crowd chats. Nothing is lost,
//! doubled or out of order; how long it took is printed as a row of a table. `make chaos` tries all of it.

use super::{SOON, alone, crowd::Crowd};
use crate::harness::System;
use cluster::{Ends, LinkState};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Acknowledged messages between one fault and the next one.
const MEANWHILE: usize = 100;

/// Chats of the crowd.
const CHATS: usize = 10;

/// What does not work, and for how long.
struct Scenario {
    name: &'static str,
    fault: Fault,
    lasts: Duration,
}

#[derive(Clone, Copy)]
enum Fault {
    /// These links are so.
    Links(fn(Ends) -> bool, LinkState),
    /// A process does nothing, and its connections stay open.
    Frozen(Part),
}

#[derive(Clone, Copy)]
enum Part {
    Gateway,
    Api,
    Redis,
    Postgres,
}

const fn links(
    name: &'static str,
    which: fn(Ends) -> bool,
    state: LinkState,
    seconds: u64,
) -> Scenario {
    Scenario { name, fault: Fault::Links(which, state), lasts: Duration::from_secs(seconds) }
}

const fn frozen(name: &'static str, part: Part, seconds: u64) -> Scenario {
    Scenario { name, fault: Fault::Frozen(part), lasts: Duration::from_secs(seconds) }
}

const SLOW: LinkState = LinkState::Slow(Duration::from_millis(100));
const NARROW: LinkState = LinkState::Throttled(20_000);

/// One of each kind of link, for as long as it takes to be noticed.
const FEW: &[Scenario] = &[
    links(
        "a gateway and Redis: silent",
        |ends| ends == Ends::GatewayRedis(0),
        LinkState::Silent,
        4,
    ),
    links(
        "a gateway and all apis: reset",
        |ends| matches!(ends, Ends::GatewayApi(0, _)),
        LinkState::Reset,
        4,
    ),
    links(
        "an api and PostgreSQL: silent",
        |ends| ends == Ends::ApiPostgres(0),
        LinkState::Silent,
        4,
    ),
];

/// Everything else.
const MANY: &[Scenario] = &[
    links("all and Redis: silent", of_redis, LinkState::Silent, 10),
    links("all and Redis: reset", of_redis, LinkState::Reset, 10),
    links("all and Redis: one way", of_redis, LinkState::OneWay, 10),
    links("all and Redis: slow", of_redis, SLOW, 10),
    links("an api and Redis: silent", |ends| ends == Ends::ApiRedis(0), LinkState::Silent, 10),
    links(
        "a gateway and an api: silent",
        |ends| ends == Ends::GatewayApi(0, 0),
        LinkState::Silent,
        10,
    ),
    links(
        "a gateway and an api: one way",
        |ends| ends == Ends::GatewayApi(0, 0),
        LinkState::OneWay,
        10,
    ),
    links(
        "a gateway and all apis: silent",
        |ends| matches!(ends, Ends::GatewayApi(0, _)),
        LinkState::Silent,
        10,
    ),
    links("gateways and apis: slow", of_apis, SLOW, 10),
    links("gateways and apis: narrow", of_apis, NARROW, 10),
    links(
        "an api and PostgreSQL: reset",
        |ends| ends == Ends::ApiPostgres(0),
        LinkState::Reset,
        10,
    ),
    links(
        "an api and PostgreSQL: one way",
        |ends| ends == Ends::ApiPostgres(0),
        LinkState::OneWay,
        10,
    ),
    links("all and PostgreSQL: silent", of_postgres, LinkState::Silent, 10),
    links("all and PostgreSQL: slow", of_postgres, SLOW, 10),
    links("everything: reset", |_| true, LinkState::Reset, 10),
    links("everything: silent", |_| true, LinkState::Silent, 10),
    frozen("a gateway: frozen", Part::Gateway, 30),
    frozen("an api: frozen", Part::Api, 30),
    frozen("Redis: frozen", Part::Redis, 30),
    frozen("PostgreSQL: frozen", Part::Postgres, 30),
];

fn of_redis(ends: Ends) -> bool {
    matches!(ends, Ends::GatewayRedis(_) | Ends::ApiRedis(_))
}

fn of_apis(ends: Ends) -> bool {
    matches!(ends, Ends::GatewayApi(..))
}

fn of_postgres(ends: Ends) -> bool {
    matches!(ends, Ends::ApiPostgres(_))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_break_and_heal() {
    withstands(FEW).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "ten minutes: `make chaos`"]
async fn every_link_in_every_way_and_frozen_processes() {
    withstands(MANY).await;
}

/// A crowd chats while one after the other happens.
#[expect(clippy::print_stdout, reason = "the table of a run")]
async fn withstands(scenarios: &[Scenario]) {
    let _turn = alone().await;
    let t = System::linked_cluster().await;
    let mut crowd = Crowd::start_steady(&t, CHATS).await;
    let mut times = Vec::new();
    for scenario in scenarios {
        crowd.acks(MEANWHILE).await;
        let began = Instant::now();
        scenario.fault.begin(&t);
        sleep(scenario.lasts).await;
        scenario.fault.end(&t);
        let healed = Instant::now();
        crowd.acks(MEANWHILE).await;
        times.push((scenario.name, began, healed, Instant::now()));
    }
    let party = crowd.finish(SOON).await;
    assert_eq!(party.resyncs(), 0);
    println!(
        "| fault | lasts | longest without an ack | deliveries | late | worst | live again after |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|");
    for (name, began, healed, ended) in times {
        let pause = party.deliveries.longest_pause(began, ended);
        let gap = party.deliveries.between(began, ended, healed);
        println!("| {name} | {:.0?} | {pause:.1?} | {} |", healed - began, gap.row());
    }
}

impl Fault {
    fn begin(self, t: &System) {
        match self {
            Self::Links(which, state) => t.links().set(which, state),
            Self::Frozen(part) => part.process(t).pause(),
        }
    }

    fn end(self, t: &System) {
        match self {
            Self::Links(..) => t.links().heal(),
            Self::Frozen(part) => part.process(t).resume(),
        }
    }
}

impl Part {
    fn process(self, t: &System) -> &cluster::Process {
        match self {
            Self::Gateway => t.gateway(0).process(),
            Self::Api => t.api(0).process(),
            Self::Redis => t.redis().process(),
            Self::Postgres => t.postgres().process(),
        }
    }
}
