//! What one server costs against a cluster of three, as ratios of one run: `cargo test --release -p
//! switchboard-platform --test contract figures -- --ignored --nocapture`.

use crate::{listener::Listener, redis as start_redis};
use bytes::Bytes;
use cluster::{Redis, RedisCluster};
use parking_lot::Mutex;
use platform::{
    bus::{Bus, BusEvent},
    lifecycle::Lifecycle,
    redis::RedisConfig,
    settings::Secret,
};
use protocol::{
    id::{ChatId, NodeId},
    relay::Channel,
};
use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

const CHANNELS: usize = 200_000;
const MESSAGES: usize = 300_000;
/// Messages on their way at once: fewer than the queues hold.
const WINDOW: usize = 10_000;

#[derive(Clone, Copy, Debug)]
struct Figures {
    subscriptions_a_second: f64,
    server_us_a_subscription: f64,
    bytes_a_subscription: f64,
    deliveries_a_second: f64,
    deliveries_a_server_core_second: f64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "prints figures"]
async fn one_server_against_a_cluster_of_three() {
    let (server, config) = start_redis().await;
    let one = measure(&config, &[&server]).await;
    server.stop().await.unwrap();
    let cluster = RedisCluster::start(3, 0).await.unwrap();
    let config = RedisConfig::new(&Secret::new(cluster.url())).unwrap();
    let three = measure(&config, &cluster.nodes().iter().collect::<Vec<_>>()).await;
    println!("one server:  {one:.0?}\nthree:       {three:.0?}");
    println!(
        "three ÷ one: subscriptions/s {:.2}, server time a subscription {:.2}, bytes a subscription {:.2}, \
         deliveries/s {:.2}, deliveries a second of a server's core {:.2}",
        three.subscriptions_a_second / one.subscriptions_a_second,
        three.server_us_a_subscription / one.server_us_a_subscription,
        three.bytes_a_subscription / one.bytes_a_subscription,
        three.deliveries_a_second / one.deliveries_a_second,
        three.deliveries_a_server_core_second / one.deliveries_a_server_core_second,
    );
}

/// Links to sixty-four servers, which are four that each have sixteen addresses.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "prints figures"]
async fn a_node_with_sixty_four_links() {
    let hosts: Vec<String> = (1..=16).map(|host| format!("127.0.0.{host}")).collect();
    let bind: Vec<&str> =
        std::iter::once("--bind").chain(hosts.iter().map(String::as_str)).collect();
    let (mut servers, mut urls) = (Vec::new(), Vec::new());
    for _ in 0..4 {
        let server = Redis::start_with(&bind).await.unwrap();
        urls.extend(hosts.iter().map(|host| format!("redis://{host}:{}", server.port())));
        servers.push(server);
    }
    let config = RedisConfig::new(&Secret::new(urls.join(","))).unwrap();
    let before = resident();
    let bus = Bus::redis(config, NodeId::random(), &Lifecycle::new());
    let subscriber = bus.subscriber(|_| {});
    while !subscriber.down().is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let linked = resident();
    let channels: Vec<Channel> =
        (1..=CHANNELS as i64).map(|id| Channel::Chat(ChatId(id))).collect();
    let start = Instant::now();
    subscriber.add(&channels).await;
    let (took, all) = (start.elapsed(), resident());
    println!(
        "64 links: {:.1} MB, {:.0} kB each; {CHANNELS} channels on them {:.1} MB more, subscribed to in {took:.2?}",
        (linked - before) / 1e6,
        (linked - before) / 64e3,
        (all - linked) / 1e6,
    );
}

/// Bytes of this process in memory.
fn resident() -> f64 {
    let text = fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() * 1024.0
}

async fn measure(config: &RedisConfig, servers: &[&Redis]) -> Figures {
    let bus = Bus::redis(config.clone(), NodeId::random(), &Lifecycle::new());
    let (heard, others) = (Arc::<AtomicUsize>::default(), Arc::<Mutex<Vec<BusEvent>>>::default());
    let (count, log) = (Arc::clone(&heard), Arc::clone(&others));
    let subscriber = bus.subscriber(move |event| match event {
        BusEvent::Message { .. } => {
            count.fetch_add(1, Ordering::Relaxed);
        }
        other => log.lock().push(other),
    });
    let mut listener = Listener::start(&bus).await;
    listener.add(&[Channel::Control]).await;
    listener.delivery(&bus, Channel::Control).await;
    let channels: Vec<Channel> =
        (1..=CHANNELS as i64).map(|id| Channel::Chat(ChatId(id))).collect();
    let (memory, cpu, start) = (memory(servers).await, cpu(servers), Instant::now());
    subscriber.add(&channels).await;
    let (took, worked) = (start.elapsed(), self::cpu(servers) - cpu);
    // What was answered is no longer in the servers' buffers.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let bytes = self::memory(servers).await - memory;
    let payload = Bytes::from(vec![b'x'; 256]);
    let (cpu, start) = (self::cpu(servers), Instant::now());
    for number in 0..MESSAGES {
        bus.publish(channels[number * 7 % CHANNELS], payload.clone());
        while number - heard.load(Ordering::Relaxed).min(number) > WINDOW {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    while heard.load(Ordering::Relaxed) < MESSAGES {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let (delivering, relayed) = (start.elapsed(), self::cpu(servers) - cpu);
    assert!(others.lock().iter().all(|event| matches!(event, BusEvent::Up(_))));
    Figures {
        subscriptions_a_second: CHANNELS as f64 / took.as_secs_f64(),
        server_us_a_subscription: worked * 1e6 / CHANNELS as f64,
        bytes_a_subscription: bytes / CHANNELS as f64,
        deliveries_a_second: MESSAGES as f64 / delivering.as_secs_f64(),
        deliveries_a_server_core_second: MESSAGES as f64 / relayed,
    }
}

/// Seconds of all servers' cores.
fn cpu(servers: &[&Redis]) -> f64 {
    let ticks = |server: &&Redis| {
        let stat = fs::read_to_string(format!("/proc/{}/stat", server.process().pid())).unwrap();
        let words: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        words[11].parse::<f64>().unwrap() + words[12].parse::<f64>().unwrap()
    };
    servers.iter().map(ticks).sum::<f64>() / 100.0
}

/// Bytes that all servers hold.
async fn memory(servers: &[&Redis]) -> f64 {
    let mut sum = 0.0;
    for server in servers {
        let client = redis::Client::open(server.url()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let info: redis::InfoDict =
            redis::cmd("INFO").arg("memory").query_async(&mut connection).await.unwrap();
        sum += info.get::<f64>("used_memory").unwrap();
    }
    sum
}
