//! The row of a gateway that starts cold: clients with 200,000 chats come to it at once, of which it knows none; then
//! Redis restarts. Over one Redis server, and over a cluster of three.

use crate::{
    book::{Book, MAIN, Side},
    crowd::Crowd,
    row::TableRow,
    run::Run,
    stand::{Frames, Stand, Used},
    usage,
};
use anyhow::{Context, Result, ensure};
use cluster::{Redis, RedisCluster};
use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Chats of a connection, in which nobody else is.
const CHATS: usize = 20;
/// So long a gateway is told that somebody has joined a chat, which would be more calls than a start leads to.
const NEWS: Duration = Duration::from_secs(45);
/// For the servers to know every channel.
const PATIENCE: Duration = Duration::from_secs(120);
/// What the restart leads to is over by then: a gateway looks for lost events every four seconds.
const AFTERMATH: Duration = Duration::from_secs(10);
/// Calls of the api that grow with the connections or chats.
const CALLS: [&str; 4] = ["open", "events", "view", "changed"];

pub async fn starts(run: &Run, side: Side, book: &mut Book) -> Result<()> {
    let mut one = run.stand(side, 1).await?;
    Cold { run, side, book: &mut *book, which: "one server" }.measure(&mut one, None).await?;
    one.stop().await?;
    let servers = RedisCluster::start(3, 0).await?;
    let mut three = run.stand_on(side, 1, Frames::Unlimited, Some(servers.url())).await?;
    Cold { run, side, book, which: "cluster of three" }.measure(&mut three, Some(&servers)).await?;
    three.stop().await
}

struct Cold<'a> {
    run: &'a Run,
    side: Side,
    book: &'a mut Book,
    which: &'static str,
}

impl Cold<'_> {
    async fn measure(mut self, stand: &mut Stand, cluster: Option<&RedisCluster>) -> Result<()> {
        let people = if self.run.quick { 1_500 } else { 10_000 };
        let groups: Vec<Vec<usize>> = (0..people).flat_map(|one| vec![vec![one]; CHATS]).collect();
        stand.people(people).await?;
        stand.groups(&groups).await?;
        tokio::time::sleep(NEWS).await;
        let channels = people + groups.len();
        let stand = &*stand;
        let gateway = &stand.cluster.gateways()[0];
        let servers: Vec<&Redis> = cluster
            .map_or_else(|| vec![stand.cluster.redis()], |some| some.nodes().iter().collect());

        gateway.restart().await?;
        let pid = gateway.process().pid();
        let (empty, before) = (usage::pss_kib(pid)?, used(stand, &servers)?);
        let mut crowd = Crowd::new()?;
        let started = Instant::now();
        crowd.rush(stand, 0..people).await?;
        self.note("seconds until all clients are ready", started.elapsed().as_secs_f64());
        until_known(&servers, channels).await?;
        let seconds = started.elapsed().as_secs_f64();
        self.note("seconds until all chats are heard", seconds);
        if cluster.is_none() {
            self.book.note(TableRow::Cold, self.side, MAIN, seconds);
        }
        crowd.quiet().await?;
        self.note_used("", used(stand, &servers)?.since(before));
        self.note("gateway MiB", (usage::pss_kib(pid)? - empty) / 1_024.0);
        let calls = Calls::of(gateway.admin()).await?;
        self.note_calls("", &calls, None);

        let before = used(stand, &[])?;
        let started = Instant::now();
        for server in &servers {
            server.restart().await?;
        }
        until_known(&servers, channels).await?;
        self.note("restart: seconds until all chats are heard", started.elapsed().as_secs_f64());
        tokio::time::sleep(AFTERMATH).await;
        crowd.check()?;
        // The servers' own clocks began anew.
        let after = Used { redis: 0.0, ..used(stand, &[])?.since(before) };
        self.note_used("restart: ", Used { redis: cpu(&servers)?, ..after });
        self.note("restart: gateway MiB", (usage::pss_kib(pid)? - empty) / 1_024.0);
        self.note_calls("restart: ", &Calls::of(gateway.admin()).await?, Some(&calls));
        Ok(())
    }

    fn note(&mut self, name: &str, value: f64) {
        self.book.note(TableRow::Cold, self.side, format!("{}, {name}", self.which), value);
    }

    fn note_used(&mut self, when: &str, used: Used) {
        for (part, cpu) in [
            ("gateway", used.gateways),
            ("api", used.apis),
            ("PostgreSQL", used.postgres),
            ("Redis", used.redis),
            ("generator", used.generator),
        ] {
            self.note(&format!("{when}{part} CPU s"), cpu);
        }
    }

    fn note_calls(&mut self, when: &str, now: &Calls, before: Option<&Calls>) {
        for (number, call) in CALLS.into_iter().enumerate() {
            let since = before.map_or(0.0, |before| before.0[number]);
            self.note(&format!("{when}calls of {call}"), now.0[number] - since);
        }
    }
}

/// How often the gateway called the api, by [`CALLS`].
struct Calls([f64; CALLS.len()]);

impl Calls {
    async fn of(admin: SocketAddr) -> Result<Self> {
        let request =
            format!("GET /metrics HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n");
        let text = ask(admin, &request).await?;
        Ok(Self(CALLS.map(|call| {
            let name = format!("gateway_backend_duration_seconds_count{{call=\"{call}\"}} ");
            let value =
                text.lines().find_map(|line| line.strip_prefix(&*name)?.trim().parse().ok());
            // One that was never made is not listed.
            value.unwrap_or(0.0)
        })))
    }
}

/// What all have used, with these servers in the place of the stand's own.
fn used(stand: &Stand, servers: &[&Redis]) -> Result<Used> {
    Ok(Used { redis: cpu(servers)?, ..stand.used()? })
}

fn cpu(servers: &[&Redis]) -> Result<f64> {
    servers.iter().map(|server| usage::cpu(server.process().pid())).sum()
}

/// Waits until the servers together have as many channels, all of which are subscribed to by the gateway.
async fn until_known(servers: &[&Redis], channels: usize) -> Result<()> {
    let latest = Instant::now() + PATIENCE;
    loop {
        let mut known = 0;
        for server in servers {
            known += known_to(server).await?;
        }
        if known >= channels {
            return Ok(());
        }
        ensure!(Instant::now() < latest, "{known} of {channels} channels are subscribed to");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Channels that a server has subscribers for.
async fn known_to(server: &Redis) -> Result<usize> {
    let address = SocketAddr::from(([127, 0, 0, 1], server.port()));
    let info = ask(address, "INFO stats\r\nQUIT\r\n").await?;
    let value = |name: &str| {
        let line = info.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|value| value.trim().parse::<usize>().ok()).with_context(|| name.to_owned())
    };
    Ok(value("pubsub_channels:")? + value("pubsubshard_channels:")?)
}

/// All that is answered until the other end closes.
async fn ask(address: SocketAddr, question: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(question.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}
