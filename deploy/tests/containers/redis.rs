//! The project with several servers for Redis: one that relays is killed, one is stopped, all of them are started anew,
//! while one client writes and another one reads.

use crate::{
    client::{Client, PATIENCE},
    during,
    engine::{Container, Engine},
    given,
};
use protocol::partition::PARTITIONS;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Seconds after which a killed server must be replaced. It takes seven to ten, of which five are the others' patience; where
/// sentinels could not look up its name, it took more than sixty.
const REPLACED: f64 = 30.0;

/// The servers of Redis, sentinels too, that run.
async fn servers(engine: &Engine) -> Vec<Container> {
    let mut all = Vec::new();
    for service in given("SERVERS").split(' ') {
        all.extend(engine.running(service).await);
    }
    all
}

/// The server to which the gateways have subscribed for this chat.
async fn relaying(engine: &Engine, chat: i64) -> Container {
    let pattern = format!("*chat:{chat}");
    let end = Instant::now() + PATIENCE;
    loop {
        for server in servers(engine).await {
            for channels in ["channels", "shardchannels"] {
                let told = engine.ask_redis(&server, &["pubsub", channels, &pattern]).await;
                if told.ends_with(&format!("chat:{chat}")) {
                    return server;
                }
            }
        }
        assert!(Instant::now() < end, "no server relays chat {chat}");
        sleep(Duration::from_millis(100)).await;
    }
}

/// Waits until every gateway hears all there is to hear; gives how long that took.
async fn heard_again(engine: &Engine, since: Instant) -> f64 {
    let end = Instant::now() + 2 * PATIENCE;
    for gateway in engine.running("gateway").await {
        while engine.partitions(&gateway).await != u64::from(PARTITIONS) {
            assert!(Instant::now() < end, "{gateway:?} does not hear all partitions");
            sleep(Duration::from_millis(50)).await;
        }
    }
    since.elapsed().as_secs_f64()
}

/// Waits until some gateway misses something.
async fn missed(engine: &Engine) {
    let gateway = engine.running("gateway").await.pop().expect("a gateway");
    let end = Instant::now() + PATIENCE;
    while engine.partitions(&gateway).await == u64::from(PARTITIONS) {
        assert!(Instant::now() < end, "{gateway:?} hears all partitions");
        sleep(Duration::from_millis(20)).await;
    }
}

fn addresses(servers: &[Container]) -> Vec<&str> {
    servers.iter().map(|one| one.address.as_str()).collect()
}

#[tokio::test]
#[ignore = "scripts/check-containers runs it"]
async fn redis_dies() {
    let engine = Engine::new(given("CONTAINERS").into());
    let front = format!("127.0.0.1:{}", given("PORT"));
    let (mut ann, _) = Client::register(&front, "ann").await;
    let (mut bob, id) = Client::register(&front, "bob").await;
    let chat = ann.group(&[id]).await;
    ann.enter(chat).await;
    bob.enter(chat).await;
    during(&mut ann, &mut bob, heard_again(&engine, Instant::now())).await;
    let all = servers(&engine).await;
    println!("{} servers of Redis at {:?}", all.len(), addresses(&all));

    let killed = relaying(&engine, chat).await;
    let seconds = during(&mut ann, &mut bob, async {
        let since = Instant::now();
        engine.kill(&killed).await;
        missed(&engine).await;
        heard_again(&engine, since).await
    })
    .await;
    let next = relaying(&engine, chat).await;
    assert_ne!(next.name, killed.name);
    println!("killed {}: {} relays, all is heard after {seconds:.1} s", killed.name, next.name);
    assert!(seconds < REPLACED);

    during(&mut ann, &mut bob, async {
        engine.start(&killed).await;
        engine.passes(&killed).await;
    })
    .await;
    println!("{} is back and follows", killed.name);

    let seconds = during(&mut ann, &mut bob, async {
        let since = Instant::now();
        engine.stop(&next).await;
        let stopped = since.elapsed().as_secs_f64();
        println!("stopped {} in {stopped:.1} s", next.name);
        heard_again(&engine, since).await
    })
    .await;
    let last = relaying(&engine, chat).await;
    assert_ne!(last.name, next.name);
    println!("{} relays, all is heard after {seconds:.1} s", last.name);
    during(&mut ann, &mut bob, async {
        engine.start(&next).await;
        engine.passes(&next).await;
    })
    .await;

    // All at once. They come back in another order, and so at other addresses.
    let before = servers(&engine).await;
    let seconds = during(&mut ann, &mut bob, async {
        for server in &before {
            engine.kill(server).await;
        }
        let since = Instant::now();
        for server in before.iter().rev() {
            engine.start(server).await;
        }
        for server in &before {
            engine.passes(server).await;
        }
        heard_again(&engine, since).await
    })
    .await;
    let after = servers(&engine).await;
    assert_eq!(after.len(), before.len());
    let (were, are) = (addresses(&before), addresses(&after));
    println!("all started anew, {were:?} → {are:?}: all is heard after {seconds:.1} s");
    println!("{} messages, nothing lost, nothing doubled", ann.acknowledged.len());
}
