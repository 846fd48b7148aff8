//! What the bus costs its publisher, its subscriber and the servers, over one server, a list of three and a cluster of
//! three, in slices that take turns, so that the ratios hold on a busy machine: `cargo test --release -p
//! switchboard-platform --test contract figures -- --ignored --nocapture`.

use bytes::Bytes;
use cluster::{Redis, RedisCluster};
use platform::{
    bus::{Bus, BusEvent, Subscriber},
    lifecycle::Lifecycle,
    redis::RedisConfig,
    settings::Secret,
};
use protocol::{
    id::{ChatId, NodeId, UserId},
    relay::Channel,
};
use redis::aio::{ConnectionLike as _, MultiplexedConnection};
use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{runtime, sync::Notify};

const CHANNELS: usize = 200_000;
const ROUNDS: usize = 7;
/// Messages that are published at once, and how many of them in a slice.
const BATCHES: [(usize, usize); 3] = [(512, 200_000), (16, 16_000), (1, 2_000)];
/// The thread on which everything is heard.
const HEARING: &str = "hearing";

#[tokio::test]
#[ignore = "prints figures"]
async fn one_server_three_and_a_cluster_of_three() {
    let hearing = runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name(HEARING)
        .enable_all()
        .build()
        .unwrap();
    let mut alone = Vec::new();
    for _ in 0..4 {
        alone.push(Redis::start().await.unwrap());
    }
    let cluster = RedisCluster::start(3, 0).await.unwrap();
    let list: Vec<String> = alone[1..].iter().map(Redis::url).collect();
    let mut setups = [
        Setup::start("one server", alone[0].url(), &alone[..1], &hearing).await,
        Setup::start("three", list.join(","), &alone[1..], &hearing).await,
        Setup::start("cluster of three", cluster.url(), cluster.nodes(), &hearing).await,
    ];
    let client = redis::Client::open(alone[0].url()).unwrap();
    let mut plain = client.get_multiplexed_async_connection().await.unwrap();

    println!("200,000 subscriptions: a second; µs of servers, of the subscriber; bytes of servers");
    for setup in &mut setups {
        setup.subscribe().await;
    }
    for _ in 0..ROUNDS {
        for setup in &mut setups {
            setup.leave().await;
            setup.subscribe().await;
        }
    }
    for setup in &setups {
        let of =
            |figure: fn(&Subscribed) -> f64| median(setup.subscribed.iter().skip(1).map(figure));
        println!(
            "{:18} {:9.0} {:7.2} {:7.2} {:6.0}",
            setup.name,
            of(|one| CHANNELS as f64 / one.seconds),
            of(|one| one.servers),
            of(|one| one.subscriber),
            setup.subscribed[0].bytes
        );
    }
    for (batch, count) in BATCHES {
        println!(
            "\nµs a message in batches of {batch}: servers, publisher, subscriber; call of publish"
        );
        let mut figures: Vec<Vec<Relayed>> = vec![Vec::new(); setups.len() + 1];
        for _ in 0..ROUNDS {
            for (number, setup) in setups.iter().enumerate() {
                figures[number].push(setup.relay(count, batch, None).await);
            }
            figures[setups.len()].push(setups[0].relay(count, batch, Some(&mut plain)).await);
        }
        let names = setups.iter().map(|setup| setup.name).chain(["plain PUBLISH"]);
        for (name, rounds) in names.zip(&figures) {
            let of = |figure: fn(&Relayed) -> f64| median(rounds.iter().map(figure));
            println!(
                "{name:18} {:7.3} {:7.3} {:7.3} {:7.3}   publisher's rounds {:.2?}",
                of(|one| one.servers),
                of(|one| one.publisher),
                of(|one| one.subscriber),
                of(|one| one.call),
                rounds.iter().map(|one| one.publisher).collect::<Vec<_>>(),
            );
        }
    }
    hearing.shutdown_background();
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

/// Servers, a bus that publishes on this thread, and a subscription on the other.
struct Setup<'a> {
    name: &'static str,
    servers: &'a [Redis],
    publishing: Bus,
    subscriber: Subscriber,
    heard: Arc<Heard>,
    channels: Vec<Channel>,
    subscribed: Vec<Subscribed>,
}

#[derive(Default)]
struct Heard {
    count: AtomicUsize,
    wanted: AtomicUsize,
    reached: Notify,
    others: AtomicUsize,
}

struct Subscribed {
    seconds: f64,
    servers: f64,
    subscriber: f64,
    bytes: f64,
}

#[derive(Clone)]
struct Relayed {
    servers: f64,
    publisher: f64,
    subscriber: f64,
    call: f64,
}

impl<'a> Setup<'a> {
    async fn start(
        name: &'static str,
        url: String,
        servers: &'a [Redis],
        hearing: &runtime::Runtime,
    ) -> Self {
        let config = RedisConfig::new(&Secret::new(url)).unwrap();
        let bus = || Bus::redis(config.clone(), NodeId::random(), &Lifecycle::new());
        let publishing = bus();
        let heard = Arc::<Heard>::default();
        let on_event = {
            let heard = Arc::clone(&heard);
            move |event| match event {
                BusEvent::Message { .. } => {
                    if heard.count.fetch_add(1, Ordering::SeqCst) + 1
                        >= heard.wanted.load(Ordering::SeqCst)
                    {
                        heard.reached.notify_one();
                    }
                }
                BusEvent::Up(_) => {}
                BusEvent::Down(_) => drop(heard.others.fetch_add(1, Ordering::SeqCst)),
            }
        };
        let subscriber = {
            let _there = hearing.enter();
            bus().subscriber(on_event)
        };
        while !subscriber.down().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let channels = (1..=CHANNELS as i64).map(|n| Channel::Chat(ChatId(n * 4_096 + n % 4_096)));
        let (channels, subscribed) = (channels.collect(), Vec::new());
        Self { name, servers, publishing, subscriber, heard, channels, subscribed }
    }

    async fn subscribe(&mut self) {
        let memory = memory(self.servers).await;
        let (servers, subscriber, start) = (cpu(self.servers), hearing(), Instant::now());
        self.subscriber.add(&self.channels).await;
        let seconds = start.elapsed().as_secs_f64();
        // What was answered is no longer in the servers' buffers.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let each = |cpu: f64| cpu * 1e6 / CHANNELS as f64;
        self.subscribed.push(Subscribed {
            seconds,
            servers: each(cpu(self.servers) - servers),
            subscriber: each(hearing() - subscriber),
            bytes: (self::memory(self.servers).await - memory) / CHANNELS as f64,
        });
    }

    /// Resolves when no server knows the channels.
    async fn leave(&self) {
        self.subscriber.remove(&self.channels);
        let users: Vec<Channel> = (1..=100).map(|id| Channel::User(UserId(id))).collect();
        self.subscriber.add(&users).await;
        self.subscriber.remove(&users);
    }

    /// Publishes by the bus, or on this connection.
    async fn relay(
        &self,
        count: usize,
        batch: usize,
        mut plain: Option<&mut MultiplexedConnection>,
    ) -> Relayed {
        let payload = Bytes::from(vec![b'x'; 256]);
        let mut calls = Vec::new();
        tokio::time::sleep(Duration::from_millis(20)).await;
        let (servers, publisher, subscriber) = (cpu(self.servers), publisher(), hearing());
        for first in (0..count).step_by(batch) {
            let channels = (first..first + batch).map(|n| self.channels[n * 7_919 % CHANNELS]);
            let wanted = self.heard.count.load(Ordering::SeqCst) + batch;
            self.heard.wanted.store(wanted, Ordering::SeqCst);
            if let Some(connection) = plain.as_mut() {
                let mut pipeline = redis::Pipeline::with_capacity(batch);
                for channel in channels {
                    pipeline.cmd("PUBLISH").arg(channel.to_string()).arg(&payload[..]);
                }
                connection.req_packed_commands(&pipeline, 0, batch).await.unwrap();
            } else {
                let start = Instant::now();
                for channel in channels {
                    self.publishing.publish(channel, payload.clone());
                }
                calls.push(start.elapsed().as_secs_f64() * 1e6 / batch as f64);
            }
            while self.heard.count.load(Ordering::SeqCst) < wanted {
                self.heard.reached.notified().await;
            }
        }
        // A thread's time is counted when it sleeps.
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(self.heard.others.load(Ordering::SeqCst), 0, "a connection was lost");
        let each = |cpu: f64| cpu * 1e6 / count.next_multiple_of(batch) as f64;
        Relayed {
            servers: each(cpu(self.servers) - servers),
            publisher: each(self::publisher() - publisher),
            subscriber: each(hearing() - subscriber),
            call: median(calls.into_iter()),
        }
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// CPU seconds of the servers.
fn cpu(servers: &[Redis]) -> f64 {
    let tasks = |server: &Redis| fs::read_dir(format!("/proc/{}/task", server.process().pid()));
    servers
        .iter()
        .flat_map(|server| tasks(server).unwrap())
        .map(|task| ran(&task.unwrap().path()))
        .sum()
}

/// CPU seconds of this thread.
fn publisher() -> f64 {
    ran(Path::new("/proc/thread-self"))
}

/// CPU seconds of the thread on which everything is heard.
fn hearing() -> f64 {
    let tasks = fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap().path());
    let named = |task: &Path| fs::read_to_string(task.join("comm")).unwrap().trim() == HEARING;
    tasks.filter(|task| named(task)).map(|task| ran(&task)).sum()
}

fn ran(task: &Path) -> f64 {
    let text = fs::read_to_string(task.join("schedstat")).unwrap();
    text.split_whitespace().next().unwrap().parse::<f64>().unwrap() / 1e9
}

/// Bytes that all servers hold.
async fn memory(servers: &[Redis]) -> f64 {
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
