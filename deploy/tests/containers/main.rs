//! The compose project as it really runs: a message crosses gateways, gateways are added and taken away
//! while clients stay, and a rolling restart loses and doubles nothing; nor does what happens to the servers of Redis
//! where there are several. scripts/check-containers builds the images, starts the project and runs this; without it
//! nothing here runs.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

mod client;
mod engine;
mod redis;

use client::{Client, PATIENCE};
use engine::Engine;
use std::{collections::BTreeSet, time::Duration};
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

/// Between two messages of the one who writes: fifty a second are allowed.
const PAUSE: Duration = Duration::from_millis(40);

#[expect(clippy::disallowed_methods, reason = "scripts/check-containers says where")]
fn given(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("scripts/check-containers sets {name}"))
}

fn soon() -> Instant {
    Instant::now() + Duration::from_millis(50)
}

/// Shows the first difference only: there are hundreds of messages.
fn same(what: &str, have: &[(i64, String)], stored: &[(i64, String)]) {
    let differs = (0..have.len().max(stored.len())).find(|at| have.get(*at) != stored.get(*at));
    if let Some(at) = differs {
        panic!("{what}: at {at} is {:?}, stored is {:?}", have.get(at), stored.get(at));
    }
}

/// Both have what was sent, once and in order, and nothing else.
async fn agree(writer: &Client, reader: &Client) {
    let history = writer.history().await;
    same("what was acknowledged", &writer.acknowledged, &history);
    same("what the reader got", &reader.heard, &history);
    same("what the writer's own device got", &writer.heard, &history);
    let texts: BTreeSet<&str> = history.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(texts.len(), history.len(), "nothing is doubled");
}

/// Writes all the while; then waits for every answer and tells where it ends.
async fn write(client: &mut Client, stop: watch::Receiver<bool>, end: watch::Sender<Option<i64>>) {
    let mut number = client.acknowledged.len();
    loop {
        number += 1;
        client.send(&format!("message {number}")).await;
        client.live_until(Instant::now() + PAUSE).await;
        if *stop.borrow() {
            break;
        }
    }
    while !client.is_settled() {
        client.live_until(soon()).await;
    }
    let last = client.acknowledged.last().map(|(seq, _)| *seq);
    while client.cursor < last.unwrap_or_default() {
        client.live_until(soon()).await;
    }
    end.send_replace(last);
}

/// Reads up to the end that the writer tells.
async fn read(client: &mut Client, end: watch::Receiver<Option<i64>>) {
    while end.borrow().is_none_or(|last| client.cursor < last) {
        client.live_until(soon()).await;
    }
}

/// Does something to the containers while one client writes and another one reads.
async fn during<T>(writer: &mut Client, reader: &mut Client, act: impl Future<Output = T>) -> T {
    let (stop, stopped) = watch::channel(false);
    let (end, ended) = watch::channel(None);
    let acting = async {
        let result = act.await;
        stop.send_replace(true);
        result
    };
    let all = async { tokio::join!(acting, write(writer, stopped, end), read(reader, ended)).0 };
    let result = timeout(5 * PATIENCE, all).await.expect("all of it ends");
    agree(writer, reader).await;
    result
}

#[tokio::test]
#[ignore = "scripts/check-containers runs it"]
async fn containers() {
    let engine = Engine::new(given("CONTAINERS").into());
    let front = format!("127.0.0.1:{}", given("PORT"));

    // Two users on two gateways, as the balancer spread them.
    let (mut ann, _) = Client::register(&front, "ann").await;
    let (mut bob, id) = Client::register(&front, "bob").await;
    let chat = ann.group(&[id]).await;
    ann.enter(chat).await;
    bob.enter(chat).await;
    let gateways = engine.running("gateway").await;
    let mut sockets = Vec::new();
    for gateway in &gateways {
        sockets.push(engine.sockets(gateway).await);
    }
    println!("{} gateways hold {sockets:?} sockets", gateways.len());
    assert_eq!(gateways.len(), 3, "as the file says");
    assert_eq!(sockets.iter().max(), Some(&1), "ann and bob are on two gateways");
    during(&mut ann, &mut bob, async {}).await;
    println!("a message crossed from one gateway to another");

    // Fewer: only who was on the one that went has to come back, and to one that stays.
    during(&mut ann, &mut bob, engine.scale_down(2)).await;
    println!("3 → 2 gateways: {} + {} connections so far", ann.connections, bob.connections);
    let before = (ann.connections, bob.connections);
    during(&mut ann, &mut bob, engine.scale_up(3)).await;
    assert_eq!((ann.connections, bob.connections), before, "a new gateway costs nobody anything");
    println!("2 → 3 gateways: open sockets stayed");
    let newest = engine.running("gateway").await.pop().expect("a gateway");
    let mut others = Vec::new();
    let end = Instant::now() + PATIENCE;
    while engine.sockets(&newest).await == 0 {
        assert!(Instant::now() < end, "the balancer does not find {newest:?}");
        let (mut other, _) = Client::register(&front, &format!("other{}", others.len())).await;
        let chat = other.group(&[]).await;
        other.enter(chat).await;
        others.push(other);
    }
    println!("the balancer found the new one, after {} clients", others.len());
    drop(others);
    let before = ann.connections + bob.connections;
    during(&mut ann, &mut bob, engine.scale_down(2)).await;
    println!("3 → 2 gateways: {} came back", ann.connections + bob.connections - before);
    during(&mut ann, &mut bob, engine.scale_up(3)).await;

    // One after the other, under traffic.
    let before = ann.connections + bob.connections;
    let began = (ann.acknowledged.len(), Instant::now());
    during(&mut ann, &mut bob, async {
        for gateway in engine.running("gateway").await {
            engine.restart(&gateway).await;
        }
    })
    .await;
    let moved = ann.connections + bob.connections - before;
    assert!(moved >= 2, "both were on gateways that restarted");
    println!(
        "rolling restart: {} messages in {:.0} s, {moved} reconnects, nothing lost, nothing doubled",
        ann.acknowledged.len() - began.0,
        began.1.elapsed().as_secs_f64()
    );

    // The last words of gateways that were told to stop: they ended by themselves and in time.
    let last = engine.running("gateway").await.pop().expect("a gateway");
    during(&mut ann, &mut bob, async {
        engine.stop(&last).await;
    })
    .await;
    assert_eq!(engine.exit_code(&last).await, "0", "killed before it was done");
}
