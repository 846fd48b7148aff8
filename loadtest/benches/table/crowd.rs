//! Many native clients on one thread, as cheap as they can be while every delivery is checked: per
//! connection and chat each number must be the last one's next. So at the end it is known of each
//! connection that it got everything, once and in order. It does not reconnect: whatever ends a
//! connection fails the measurement.

use crate::{
    dial::{Past, native},
    frame::{self, CountedFrame},
    stand::Stand,
};
use anyhow::{Context, Result, bail, ensure};
use hdrhistogram::Histogram;
use serde_json::Value;
use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::{Duration, Instant},
};
use tokio::{
    net::TcpStream,
    sync::{Notify, Semaphore},
    task::JoinSet,
};

/// Handshakes at once.
const AT_ONCE: usize = 64;
/// In a storm; no more than a listener's backlog, beyond which the kernel makes clients wait seconds.
const STORM_AT_ONCE: usize = 1_000;
/// So long nothing at all arrives that is waited for: the machine does not keep up.
const PATIENCE: Duration = Duration::from_secs(30);
/// One client in so many looks at how long a message took: a look costs about what reading does.
const SAMPLE: usize = 16;
/// What one read takes at most; shared by all clients.
const BUFFER: usize = 256 * 1024;
/// The digits at the start of a text that say when it was due.
const STAMP: usize = 16;

/// The clients.
pub struct Crowd {
    clients: Vec<Rc<Client>>,
    sum: Rc<Sum>,
    tasks: JoinSet<()>,
}

/// What all clients saw together.
struct Sum {
    start: Instant,
    ready: Cell<usize>,
    /// Chats that were caught up, of all connections.
    caught_up: Cell<usize>,
    delivered: Cell<u64>,
    acked: Cell<u64>,
    bytes: Cell<u64>,
    /// Microseconds from due to arrival.
    latencies: RefCell<Histogram<u64>>,
    /// The first thing that went wrong.
    fault: RefCell<Option<String>>,
    buffer: RefCell<Vec<u8>>,
    /// [`Crowd::until`] wants to know when this many were delivered or acknowledged.
    wanted: Cell<(u64, u64)>,
    reached: Notify,
    mask: Cell<u32>,
}

struct Client {
    number: usize,
    stream: TcpStream,
    watched_chats: RefCell<Vec<WatchedChat>>,
    acked: Cell<u64>,
    past: Option<Rc<Past>>,
    /// The beginning of a frame whose end has not arrived.
    rest: RefCell<Vec<u8>>,
}

/// One chat as one connection sees it.
struct WatchedChat {
    chat: i64,
    first: u64,
    last: u64,
}

/// What the clients saw so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    pub delivered: u64,
    pub acked: u64,
    pub bytes: u64,
}

impl Crowd {
    pub fn new() -> Result<Self> {
        let sum = Sum {
            start: Instant::now(),
            ready: Cell::new(0),
            caught_up: Cell::new(0),
            delivered: Cell::new(0),
            acked: Cell::new(0),
            bytes: Cell::new(0),
            latencies: RefCell::new(Histogram::new_with_bounds(1, 60_000_000, 3)?),
            fault: RefCell::new(None),
            buffer: RefCell::new(vec![0; BUFFER]),
            wanted: Cell::new((u64::MAX, u64::MAX)),
            reached: Notify::new(),
            mask: Cell::new(0x9e37_79b9),
        };
        Ok(Self { clients: Vec::new(), sum: Rc::new(sum), tasks: JoinSet::new() })
    }

    /// Connects these people, a connection for each time they are named, spread over the gateways in
    /// turn, and waits until all are ready. Runs inside a `LocalSet`.
    pub async fn connect(
        &mut self,
        stand: &Stand,
        people: impl Iterator<Item = usize>,
    ) -> Result<()> {
        self.open(stand, people, None, AT_ONCE).await?;
        let all = self.clients.len();
        self.wait(|sum| sum.ready.get() == all, "everybody is ready").await
    }

    /// Connects these people, as many at once as a listener takes, and waits until all are ready.
    pub async fn rush(&mut self, stand: &Stand, people: impl Iterator<Item = usize>) -> Result<()> {
        self.open(stand, people, None, STORM_AT_ONCE).await?;
        let all = self.clients.len();
        self.wait(|sum| sum.ready.get() == all, "everybody is ready").await
    }

    /// Connects these people, all at once, from where they stopped in one chat, and waits until all
    /// are caught up.
    pub async fn come_back(
        &mut self,
        stand: &Stand,
        people: impl Iterator<Item = usize>,
        past: Past,
    ) -> Result<()> {
        let before = self.sum.caught_up.get() + people.size_hint().0;
        self.open(stand, people, Some(Rc::new(past)), STORM_AT_ONCE).await?;
        self.wait(|sum| sum.caught_up.get() >= before, "everybody is caught up").await
    }

    async fn open(
        &mut self,
        stand: &Stand,
        people: impl Iterator<Item = usize>,
        past: Option<Rc<Past>>,
        at_once: usize,
    ) -> Result<()> {
        let gateways = stand.gateways();
        let limit = Rc::new(Semaphore::new(at_once));
        let mut opening = JoinSet::new();
        for person in people {
            let permit = Rc::clone(&limit);
            let (number, sum) = (self.clients.len() + opening.len(), Rc::clone(&self.sum));
            let (gateway, token) = (gateways[number % gateways.len()], stand.token(person)?);
            let past = past.clone();
            opening.spawn_local(async move {
                let _permit = permit.acquire().await?;
                let stream = native(gateway, &token, past.as_deref(), sum.mask.get()).await?;
                // One that is not answered would hold its place among those that may open at once.
                stream.readable().await?;
                anyhow::Ok(Client {
                    number,
                    stream,
                    watched_chats: RefCell::default(),
                    acked: Cell::new(0),
                    past,
                    rest: RefCell::default(),
                })
            });
        }
        // Each reads from now on: one that answers no heartbeat while the others open would be closed.
        while let Some(opened) = opening.join_next().await {
            let (client, sum) = (Rc::new(opened??), Rc::clone(&self.sum));
            self.clients.push(Rc::clone(&client));
            self.tasks.spawn_local(async move {
                if let Err(error) = client.read(&sum).await {
                    sum.fail(format!("client {}: {error:#}", client.number));
                }
            });
        }
        self.clients.sort_by_key(|client| client.number);
        Ok(())
    }

    /// Sends a text of 128 bytes that says that it was due now.
    pub fn send(&self, client: usize, chat: i64, key: u64) -> Result<()> {
        let due = self.sum.start.elapsed().as_micros();
        let json = format!(
            r#"{{"type":"send","id":"{key}","chat_id":{chat},"text":"{due:0STAMP$} {:x<111}"}}"#,
            ""
        );
        let mask = self.sum.mask.get().wrapping_mul(0x9e37_79b1).wrapping_add(1);
        self.sum.mask.set(mask);
        let frame = frame::masked(frame::TEXT, json.as_bytes(), mask);
        let written = self.clients[client].stream.try_write(&frame)?;
        ensure!(written == frame.len(), "client {client} cannot write: the gateway does not read");
        Ok(())
    }

    pub fn seen(&self) -> Seen {
        let sum = &self.sum;
        Seen { delivered: sum.delivered.get(), acked: sum.acked.get(), bytes: sum.bytes.get() }
    }

    /// Acknowledgements of one client's messages so far.
    pub fn acked(&self, client: usize) -> u64 {
        self.clients[client].acked.get()
    }

    /// The first fault that any client met.
    pub fn check(&self) -> Result<()> {
        match &*self.sum.fault.borrow() {
            Some(fault) => bail!("{fault}"),
            None => Ok(()),
        }
    }

    /// Waits until so many were delivered and acknowledged.
    pub async fn until(&self, delivered: u64, acked: u64) -> Result<()> {
        self.sum.wanted.set((delivered, acked));
        let done = |sum: &Sum| sum.delivered.get() >= delivered && sum.acked.get() >= acked;
        let result = self.wait(done, "deliveries").await;
        self.sum.wanted.set((u64::MAX, u64::MAX));
        result
    }

    /// Waits until nothing but heartbeats has arrived for a while, such as presence after connecting.
    pub async fn quiet(&self) -> Result<()> {
        loop {
            let before = self.sum.bytes.get();
            tokio::time::sleep(Duration::from_millis(1_500)).await;
            self.check()?;
            // Heartbeats are some bytes a connection in 25 s.
            if self.sum.bytes.get() - before <= self.clients.len() as u64 {
                return Ok(());
            }
        }
    }

    /// Checks that each connection got exactly the messages that its chats took: `sent` says how many
    /// that were.
    pub fn complete(&self, sent: impl Fn(i64) -> u64) -> Result<()> {
        self.check()?;
        for client in &self.clients {
            for watched in client.watched_chats.borrow().iter() {
                let (got, expected) = (watched.last - watched.first, sent(watched.chat));
                ensure!(got == expected, "client {} got {got} of {expected}", client.number);
            }
        }
        Ok(())
    }

    /// How many messages of this chat its connections have got so far, each.
    pub fn got(&self, chat: i64) -> u64 {
        let watched_chats = self.clients.iter().map(|client| client.watched_chats.borrow());
        let got = |watched_chats: std::cell::Ref<'_, Vec<WatchedChat>>| {
            watched_chats
                .iter()
                .find(|watched| watched.chat == chat)
                .map(|watched| watched.last - watched.first)
        };
        watched_chats.filter_map(got).max().unwrap_or(0)
    }

    /// A percentile of the deliveries since the last call of [`Crowd::forget_latencies`], in ms.
    pub fn latency(&self, percentile: f64) -> f64 {
        self.sum.latencies.borrow().value_at_percentile(percentile) as f64 / 1e3
    }

    pub fn forget_latencies(&self) {
        self.sum.latencies.borrow_mut().reset();
    }

    async fn wait(&self, done: impl Fn(&Sum) -> bool, what: &str) -> Result<()> {
        let (mut bytes, mut since) = (self.sum.bytes.get(), Instant::now());
        while !done(&self.sum) {
            self.check()?;
            let seen = self.seen();
            if seen.bytes != bytes {
                (bytes, since) = (seen.bytes, Instant::now());
            }
            ensure!(since.elapsed() < PATIENCE, "{what}: nothing for {PATIENCE:?}: {seen:?}");
            let _ = tokio::time::timeout(Duration::from_secs(1), self.sum.reached.notified()).await;
        }
        self.check()
    }
}

impl Sum {
    fn fail(&self, fault: String) {
        self.fault.borrow_mut().get_or_insert(fault);
        self.reached.notify_one();
    }
}

impl Client {
    async fn read(&self, sum: &Sum) -> Result<()> {
        loop {
            self.stream.readable().await?;
            let mut buffer = sum.buffer.borrow_mut();
            let size = match self.stream.try_read(&mut buffer) {
                Ok(0) => bail!("closed"),
                Ok(size) => size,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error.into()),
            };
            sum.bytes.set(sum.bytes.get() + size as u64);
            let mut rest = self.rest.borrow_mut();
            if rest.is_empty() {
                let used = self.frames(&buffer[..size], sum)?;
                rest.extend_from_slice(&buffer[used..size]);
            } else {
                rest.extend_from_slice(&buffer[..size]);
                let used = self.frames(&rest, sum)?;
                rest.drain(..used);
            }
            let (delivered, acked) = sum.wanted.get();
            if sum.delivered.get() >= delivered && sum.acked.get() >= acked {
                sum.reached.notify_one();
            }
        }
    }

    /// Takes in all whole frames; how many bytes they were.
    fn frames(&self, bytes: &[u8], sum: &Sum) -> Result<usize> {
        let now = self.number.is_multiple_of(SAMPLE).then(|| sum.start.elapsed().as_micros());
        let mut used = 0;
        while let Some(frame) = frame::first(&bytes[used..]) {
            used += frame.length;
            match frame.opcode {
                frame::TEXT => self.text(frame.payload, sum, now)?,
                frame::PING => {
                    self.stream.try_write(&frame::masked(frame::PONG, frame.payload, 1))?;
                }
                frame::CLOSE => bail!("closed: {}", String::from_utf8_lossy(frame.payload)),
                _ => {}
            }
        }
        Ok(used)
    }

    fn text(&self, json: &[u8], sum: &Sum, now: Option<u128>) -> Result<()> {
        match frame::classify(json) {
            CountedFrame::Message { chat, seq, rest } => {
                let mut watched_chats = self.watched_chats.borrow_mut();
                let watched = watched_chats
                    .iter_mut()
                    .find(|watched| watched.chat == chat)
                    .context("strange chat")?;
                ensure!(seq == watched.last + 1, "chat {chat}: {seq} came after {}", watched.last);
                watched.last = seq;
                sum.delivered.set(sum.delivered.get() + 1);
                if let (Some(now), Some(due)) = (now, due(rest)) {
                    let micros = u64::try_from(now).unwrap_or(u64::MAX).saturating_sub(due);
                    sum.latencies.borrow_mut().saturating_record(micros.max(1));
                }
            }
            CountedFrame::Ack => {
                self.acked.set(self.acked.get() + 1);
                sum.acked.set(sum.acked.get() + 1);
            }
            CountedFrame::Ready => {
                let ready: Value = serde_json::from_slice(json)?;
                let chats = ready["chats"].as_array().context("no chats")?;
                let watched = |chat: &Value| {
                    let id = chat["id"].as_i64()?;
                    let past = self.past.as_ref().filter(|past| past.chat == id);
                    let last = past.map_or_else(|| chat["seq"].as_u64(), |past| Some(past.seq))?;
                    Some(WatchedChat { chat: id, first: last, last })
                };
                let watched_chats: Option<Vec<WatchedChat>> = chats.iter().map(watched).collect();
                *self.watched_chats.borrow_mut() =
                    watched_chats.context("a chat without id or seq")?;
                sum.ready.set(sum.ready.get() + 1);
                sum.reached.notify_one();
            }
            CountedFrame::CaughtUp => {
                sum.caught_up.set(sum.caught_up.get() + 1);
                sum.reached.notify_one();
            }
            CountedFrame::Error => bail!("{}", String::from_utf8_lossy(json)),
            CountedFrame::Other => {}
        }
        Ok(())
    }
}

/// When the message was due, by its text.
fn due(rest: &[u8]) -> Option<u64> {
    const FIELD: &[u8] = br#""text":""#;
    let at = rest.windows(FIELD.len()).position(|window| window == FIELD)? + FIELD.len();
    Some(frame::number(rest.get(at..at + STAMP)?).0)
}
