//! Many channels wanted and unwanted at once while connections are cut: what `add` and `Up` promise
//! holds at every moment, and in the end the server knows exactly what is wanted.

use crate::{commands, redis as start_redis, soon};
use futures_util::future::join_all;
use platform::{
    bus::{Bus, BusEvent, Partitions, Subscriber},
    lifecycle::Lifecycle,
    redis::RedisConfig,
};
use protocol::{
    id::{ChatId, NodeId},
    relay::Channel,
};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

const CALLERS: i64 = 8;
const ROUNDS: usize = 150;
const CUTS: usize = 10;

struct Heard {
    downs: AtomicUsize,
    /// `Up` or `Down`, in order.
    changes: Mutex<Vec<BusEvent>>,
}

impl Heard {
    async fn down_after(&self, downs: usize) {
        soon("Down", async {
            while self.downs.load(Ordering::SeqCst) == downs {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn wanted_channels_are_heard_whatever_happens_to_connections() {
    let (_server, mut config) = start_redis().await;
    config.limits.backoff_first = Duration::from_millis(5);
    let lifecycle = Lifecycle::new();
    let bus = Bus::redis(config.clone(), NodeId::random(), &lifecycle);
    let heard = Arc::new(Heard { downs: AtomicUsize::new(0), changes: Mutex::default() });
    let seen = Arc::clone(&heard);
    let subscriber = bus.subscriber(move |event| {
        if matches!(event, BusEvent::Down(_)) {
            seen.downs.fetch_add(1, Ordering::SeqCst);
        }
        if !matches!(event, BusEvent::Message { .. }) {
            seen.changes.lock().unwrap().push(event);
        }
    });
    until_up(&subscriber).await;

    let callers = (0..CALLERS).map(|caller| churn(caller, &subscriber, &heard, &config));
    let (wanted, ()) = soon("the churn", async {
        tokio::join!(join_all(callers), cut(&subscriber, &heard, &config))
    })
    .await;

    until_up(&subscriber).await;
    soon("a last add", subscriber.add(&[Channel::Control])).await;
    let mut commands = commands(&config).await;
    let known: HashSet<String> =
        redis::cmd("PUBSUB").arg("CHANNELS").query_async(&mut commands).await.unwrap();
    let known: HashSet<Channel> = known.iter().map(|name| name.parse().unwrap()).collect();
    let known = known.into_iter().filter(|channel| matches!(channel, Channel::Chat(_)));
    assert_eq!(known.collect::<HashSet<_>>(), wanted.into_iter().flatten().collect());

    let changes = heard.changes.lock().unwrap();
    assert!(changes.len() > CUTS, "{changes:?}");
    for (number, change) in changes.iter().enumerate() {
        let all = Partitions::all();
        let expected = if number % 2 == 0 { BusEvent::Up(all) } else { BusEvent::Down(all) };
        assert_eq!(*change, expected, "they alternate");
    }
}

/// Wants and unwants channels of its own; returns those wanted in the end.
async fn churn(
    caller: i64,
    subscriber: &Subscriber,
    heard: &Heard,
    config: &RedisConfig,
) -> HashSet<Channel> {
    let mut chance = StdRng::seed_from_u64(caller.unsigned_abs());
    let mut commands = commands(config).await;
    let mut wanted = HashSet::new();
    for _ in 0..ROUNDS {
        let channel = Channel::Chat(ChatId(1 + caller * 1000 + chance.random_range(0..20)));
        if wanted.remove(&channel) {
            subscriber.remove(&[channel]);
            continue;
        }
        wanted.insert(channel);
        let downs = heard.downs.load(Ordering::SeqCst);
        let up = subscriber.hears(channel);
        subscriber.add(&[channel]).await;
        let mut publish = redis::cmd("PUBLISH");
        publish.arg(channel.to_string()).arg("?");
        let receivers: u32 = publish.query_async(&mut commands).await.unwrap();
        if up && receivers == 0 {
            // The server has cut a connection that the client still believes in.
            heard.down_after(downs).await;
        }
    }
    wanted
}

/// Cuts the subscription's connection again and again.
async fn cut(subscriber: &Subscriber, heard: &Heard, config: &RedisConfig) {
    let mut commands = commands(config).await;
    for _ in 0..CUTS {
        until_up(subscriber).await;
        let downs = heard.downs.load(Ordering::SeqCst);
        let mut kill = redis::cmd("CLIENT");
        kill.arg("KILL").arg("TYPE").arg("pubsub");
        kill.exec_async(&mut commands).await.unwrap();
        heard.down_after(downs).await;
    }
}

async fn until_up(subscriber: &Subscriber) {
    soon("Up", async {
        while !subscriber.hears(Channel::Control) {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
