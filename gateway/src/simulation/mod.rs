//! A whole installation under one seeded scheduler: gateways as they are, with everything from their sockets' frames to
//! their calls, and around them a database, apis, a bus and clients that the seed breaks, delays, kills and brings back.
//! The clock is tokio's, paused, so that a minute passes in milliseconds.
//!
//! In the end nothing fails any more, and then the promises must hold: everything acknowledged is stored, once; every
//! device shows exactly what is stored, having been given each event once and in order; nobody waits for an answer; and
//! whatever is said next is everywhere within two seconds.
//!
//! - `script.rs`: what happens, made from the seed; `weather.rs`: what does not work at the moment
//! - `world.rs`: the installation; `store.rs`, `api.rs`: the database and the apis in front of it
//! - `chronicle.rs`: what happened
//! - `device.rs`: clients; `tokens.rs`: how they sign in; `judge.rs`: what must hold
//!
//! `SIMULATION_SEEDS=100000` says how many seeds are tried, `SIMULATION_SEED=7` tries one and prints what happens in it.

mod api;
mod chronicle;
mod device;
mod judge;
mod script;
mod store;
mod tokens;
mod weather;
mod world;

use chronicle::Chronicle;
use device::Device;
use script::{BusLink, Fault, Script, Step};
use std::{
    env,
    num::NonZero,
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};
use tokio::{runtime, time::Instant};
use world::World;

/// The seeds that the suite tries. `SIMULATION_SEEDS` asks for more.
const SEEDS: u64 = 300;

/// How long everybody gets at most, when nothing fails any more, to come back and to be answered. A lane tries for 15 s,
/// and a client waits for 2 s at most.
const CALM: Duration = Duration::from_secs(40);

/// How often everything is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(500);

/// Within this, what is said then is everywhere.
const PROMPT: Duration = Duration::from_secs(2);

#[test]
fn promises_hold_whatever_the_seed() {
    if let Some(seed) = setting("SIMULATION_SEED") {
        let script = Script::of(seed);
        let Run { complaints, chronicle } = run(&script, Chronicle::to_read());
        println!("{script}\n{}", chronicle.lines());
        assert!(complaints.is_empty(), "{complaints:#?}");
        return;
    }
    let seeds = setting("SIMULATION_SEEDS").unwrap_or(SEEDS);
    let (next, failed) = (AtomicU64::new(0), AtomicU64::new(u64::MAX));
    let try_seeds = || {
        while let seed = next.fetch_add(1, Ordering::Relaxed)
            && seed < seeds
            && failed.load(Ordering::Relaxed) == u64::MAX
        {
            if fails(&Script::of(seed)) {
                failed.fetch_min(seed, Ordering::Relaxed);
            }
        }
    };
    let threads = thread::available_parallelism().map_or(2, NonZero::get);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(try_seeds);
        }
    });
    let failed = failed.into_inner();
    if failed != u64::MAX {
        let smallest = Script::of(failed).shrink(fails);
        let complaints = run(&smallest, Chronicle::default()).complaints;
        panic!(
            "SIMULATION_SEED={failed} shows this; here it is with fewer steps:\n{smallest}\n{complaints:#?}"
        );
    }
}

#[test]
fn what_a_seed_does_once_it_does_again() {
    for seed in 0..10 {
        let digest = || run(&Script::of(seed), Chronicle::default()).chronicle.digest();
        assert_eq!(digest(), digest(), "seed {seed}");
    }
}

#[expect(clippy::disallowed_methods, reason = "a test has no arguments of its own")]
fn setting<T: FromStr>(name: &str) -> Option<T> {
    env::var(name).ok()?.parse().ok()
}

/// What came of a script.
#[derive(Default)]
struct Run {
    /// What must not be, if anything.
    complaints: Vec<String>,
    chronicle: Chronicle,
}

fn fails(script: &Script) -> bool {
    !run(script, Chronicle::default()).complaints.is_empty()
}

fn run(script: &Script, chronicle: Chronicle) -> Run {
    let running = || {
        let runtime =
            runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(simulate(script, chronicle))
    };
    // Not on the thread of one simulation: making these draws from its chance.
    world::client_args();
    (0..script.users).for_each(|number| drop(tokens::token(world::user(number))));
    determinism::run(script.seed, running)
        .unwrap_or_else(|_| Run { complaints: vec!["a panic".to_owned()], ..Run::default() })
}

async fn simulate(script: &Script, chronicle: Chronicle) -> Run {
    let world = World::start(script, chronicle);
    let devices: Vec<Arc<Device>> = script
        .devices
        .iter()
        .enumerate()
        .map(|(number, user)| Device::new(number, *user))
        .collect();
    for device in &devices {
        world.apis.spawn_background(Arc::clone(device).run(Arc::clone(&world)));
    }
    let begun = Instant::now();
    for (at, step) in &script.steps {
        tokio::time::sleep_until(begun + *at).await;
        take(*step, &world, &devices);
    }
    world.weather.lock().clear();
    devices.iter().for_each(|device| device.slow_down(Duration::ZERO, Duration::ZERO));
    for gateway in 0..script.gateways {
        world.tell_of_bus(gateway, true);
    }
    let mut complaints = settled(&world, &devices, CALM).await;
    for device in &devices {
        script::CHATS.iter().for_each(|chat| device.say(*chat));
    }
    complaints.extend(settled(&world, &devices, PROMPT).await);
    world.stop().await;
    Run { complaints, chronicle: world.take_chronicle() }
}

/// What must not be, when everything has had so much time. It may be over earlier.
async fn settled(world: &World, devices: &[Arc<Device>], time: Duration) -> Vec<String> {
    let end = Instant::now() + time;
    loop {
        tokio::time::sleep(LOOK).await;
        let complaints = judge::everything(world, devices);
        if complaints.is_empty() || Instant::now() >= end {
            return complaints;
        }
    }
}

/// Takes a step.
fn take(step: Step, world: &Arc<World>, devices: &[Arc<Device>]) {
    let later = Arc::clone(world);
    match step {
        Step::Say { device, chat } => devices[device].say(chat),
        Step::Edit { device, chat } => devices[device].edit(chat),
        Step::Delete { device, chat } => devices[device].delete(chat),
        Step::Cut { device } => devices[device].cut(),
        Step::Slow { device, ms, lasts } => {
            devices[device].slow_down(Duration::from_millis(ms.into()), lasts);
        }
        Step::Member { user, chat, change } => world.move_member(user, chat, change),
        Step::Kill { gateway, back } => {
            world.apis.spawn(async move { later.restart(gateway, true, back).await });
        }
        Step::Stop { gateway } => {
            world.apis.spawn(async move { later.restart(gateway, false, Duration::ZERO).await });
        }
        Step::Fault { fault, lasts } => {
            world.weather.lock().begin(fault, lasts);
            if let Fault::Bus { gateway, link: BusLink::Down } = fault {
                world.tell_of_bus(gateway, false);
                world.apis.spawn(async move {
                    tokio::time::sleep(lasts).await;
                    later.tell_of_bus(gateway, true);
                });
            }
        }
    }
}
