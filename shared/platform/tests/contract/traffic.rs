//! Messages without end while something happens to the servers, published by hand, so that it is known which of them
//! a server took; and the verdict on what a subscriber heard of them.

use crate::soon;
use bytes::Bytes;
use parking_lot::Mutex;
use platform::bus::{Bus, BusEvent, Partitions, Subscriber};
use protocol::{id::ChatId, relay::Channel};
use redis::{AsyncConnectionConfig, Client, RedisResult, aio::MultiplexedConnection};
use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

/// How soon everything is heard again once the servers take everything again.
const SOON: Duration = Duration::from_secs(2);

/// The server's channel of this name, without the hash tag of a cluster.
pub fn channel(name: &str) -> Option<Channel> {
    name.rsplit('}').next()?.parse().ok()
}

/// A subscriber of some chats, everything that it heard, and a publisher by hand.
pub struct Traffic {
    pub subscriber: Arc<Subscriber>,
    pub channels: Vec<Channel>,
    heard: Arc<Mutex<Vec<(Instant, BusEvent)>>>,
    ports: Vec<u16>,
    command: &'static str,
    connections: HashMap<u16, MultiplexedConnection>,
    /// The name of each channel, and the port of the server that has it.
    homes: HashMap<Channel, (String, u16)>,
    number: u64,
}

/// What the servers took.
#[derive(Default)]
pub struct Taken {
    /// With the time before they were sent.
    messages: Vec<(Channel, u64, Instant)>,
    /// For each channel, when a server took a message again after the last one that none took.
    again: HashMap<Channel, Option<Instant>>,
    refused: usize,
}

impl Traffic {
    /// Chats on all servers, which are subscribed to.
    pub async fn start(bus: &Bus, ports: Vec<u16>, sharded: bool) -> Self {
        let heard = Arc::<Mutex<Vec<_>>>::default();
        let hearing = Arc::clone(&heard);
        let subscriber = bus.subscriber(move |event| hearing.lock().push((Instant::now(), event)));
        let channels: Vec<Channel> = (1..=40).map(|id| Channel::Chat(ChatId(id))).collect();
        let (command, list) =
            if sharded { ("SPUBLISH", "SHARDCHANNELS") } else { ("PUBLISH", "CHANNELS") };
        let mut traffic = Self {
            subscriber: Arc::new(subscriber),
            channels,
            heard,
            ports,
            command,
            connections: HashMap::new(),
            homes: HashMap::new(),
            number: 0,
        };
        traffic.until_up().await;
        soon("add", traffic.subscriber.add(&traffic.channels)).await;
        for port in traffic.ports.clone() {
            let connection = traffic.connection(port).await.unwrap();
            let names: Vec<String> =
                redis::cmd("PUBSUB").arg(list).query_async(connection).await.unwrap();
            for name in names {
                if let Some(one) = channel(&name).filter(|one| matches!(one, Channel::Chat(_))) {
                    assert!(
                        traffic.homes.insert(one, (name, port)).is_none(),
                        "{one} has one home"
                    );
                }
            }
        }
        assert_eq!(traffic.homes.len(), traffic.channels.len());
        traffic
    }

    /// The port of the server that has a channel, as far as this publisher knows.
    pub fn home(&self, channel: Channel) -> u16 {
        self.homes[&channel].1
    }

    /// Publishes while `disturb` runs, and goes on until everything published after it is heard. Returns what fell, how
    /// long it took from when the servers took everything until all of it was heard, and how many were lost.
    pub async fn withstand(&mut self, disturb: impl Future<Output = ()>) -> Outcome {
        self.heard.lock().clear();
        let stop = CancellationToken::new();
        let (heard, channels) = (Arc::clone(&self.heard), self.channels.clone());
        let mut taken = Taken::default();
        let ending = stop.clone();
        let watching = async {
            disturb.await;
            let since = Instant::now();
            // Two more messages on each channel after everything that happened, and the second one heard.
            soon("everything is heard again", async {
                while !all_heard_since(&heard.lock(), &channels, since) {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            })
            .await;
            ending.cancel();
            (since, Instant::now())
        };
        let publishing = self.publish_until(&stop, &mut taken);
        let ((), (since, heard_all)) = tokio::join!(publishing, watching);
        let last: HashMap<Channel, u64> =
            taken.messages.iter().map(|(channel, number, _)| (*channel, *number)).collect();
        soon("the last messages", async {
            while !last.iter().all(|(channel, last)| self.has_heard(*channel, *last)) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
        // The servers take everything again once the disturbance is over and nothing is refused any more.
        let live = taken.again.values().copied().map(Option::unwrap).max().unwrap().max(since);
        self.verdict(&taken, heard_all.saturating_duration_since(live))
    }

    async fn publish_until(&mut self, stop: &CancellationToken, taken: &mut Taken) {
        while !stop.is_cancelled() {
            for channel in self.channels.clone() {
                self.number += 1;
                let (number, before) = (self.number, Instant::now());
                match self.publish(channel, number).await {
                    Ok(()) => {
                        taken.messages.push((channel, number, before));
                        taken.again.entry(channel).or_default().get_or_insert_with(Instant::now);
                    }
                    Err(_) => {
                        taken.refused += 1;
                        taken.again.insert(channel, None);
                    }
                }
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// `Err`: no server has said that it took it.
    async fn publish(&mut self, channel: Channel, number: u64) -> RedisResult<()> {
        let (name, mut port) = self.homes[&channel].clone();
        for _ in 0..3 {
            let mut publish = redis::cmd(self.command);
            publish.arg(&name).arg(number);
            let result = match self.connection(port).await {
                Ok(connection) => publish.exec_async(connection).await,
                Err(error) => Err(error),
            };
            let Err(error) = result else {
                self.homes.insert(channel, (name, port));
                return Ok(());
            };
            match error.redirect_node() {
                Some((to, _)) => port = to.rsplit(':').next().unwrap().parse().unwrap(),
                None => {
                    self.connections.remove(&port);
                    if self.command == "SPUBLISH" {
                        // Another server knows who has it now.
                        let place = self.ports.iter().position(|one| *one == port).unwrap();
                        port = self.ports[(place + 1) % self.ports.len()];
                        self.homes.insert(channel, (name, port));
                    }
                    return Err(error);
                }
            }
        }
        Err((redis::ErrorKind::Client, "sent from one server to the next").into())
    }

    async fn connection(&mut self, port: u16) -> RedisResult<&mut MultiplexedConnection> {
        match self.connections.entry(port) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(place) => {
                let bound = Some(Duration::from_millis(500));
                let config = AsyncConnectionConfig::new()
                    .set_connection_timeout(bound)
                    .set_response_timeout(bound);
                let client = Client::open(format!("redis://127.0.0.1:{port}"))?;
                let new = client.get_multiplexed_async_connection_with_config(&config).await?;
                Ok(place.insert(new))
            }
        }
    }

    fn has_heard(&self, channel: Channel, last: u64) -> bool {
        self.heard.lock().iter().rev().any(|(_, event)| match event {
            BusEvent::Message { channel: one, payload } => {
                *one == channel && number(payload) == last
            }
            _ => false,
        })
    }

    /// Everything that a server took was heard, or an `Up` of its partition came after it.
    fn verdict(&self, taken: &Taken, deaf: Duration) -> Outcome {
        let heard = self.heard.lock();
        let mut messages = HashMap::new();
        let mut down = Partitions::default();
        for (at, event) in heard.iter() {
            match event {
                BusEvent::Message { channel, payload } => {
                    messages.entry((*channel, number(payload))).or_insert(*at);
                }
                BusEvent::Down(partitions) => down.extend(partitions.iter()),
                BusEvent::Up(_) => {}
            }
        }
        let is_covered = |channel: Channel, since: Instant| {
            heard.iter().any(|(at, event)| {
                let BusEvent::Up(partitions) = event else { return false };
                *at >= since && partitions.contains(channel.partition())
            })
        };
        let mut lost = 0;
        for (channel, number, at) in &taken.messages {
            if !messages.contains_key(&(*channel, *number)) {
                lost += 1;
                assert!(
                    is_covered(*channel, *at),
                    "{number} on {channel} was lost and nothing says so"
                );
            }
        }
        let outcome = Outcome { down, lost, refused: taken.refused, deaf };
        assert!(outcome.deaf < SOON, "{outcome:?}");
        outcome
    }

    async fn until_up(&self) {
        soon("up", async {
            while !self.channels.iter().all(|one| self.subscriber.hears(*one))
                || !self.subscriber.hears(Channel::Control)
            {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        })
        .await;
    }
}

/// What a disturbance did.
#[derive(Debug)]
pub struct Outcome {
    /// The partitions that were down at some time.
    pub down: Partitions,
    /// Messages that a server took and that were not heard. The subscriber was told.
    pub lost: usize,
    /// Messages that no server took.
    pub refused: usize,
    /// How long it took to hear everything again from when the servers took everything again.
    pub deaf: Duration,
}

fn number(payload: &Bytes) -> u64 {
    std::str::from_utf8(payload).unwrap().parse().unwrap()
}

fn all_heard_since(heard: &[(Instant, BusEvent)], channels: &[Channel], since: Instant) -> bool {
    let mut counts: HashMap<Channel, usize> = HashMap::new();
    for (_, event) in heard.iter().rev().take_while(|(at, _)| *at >= since) {
        if let BusEvent::Message { channel, .. } = event {
            *counts.entry(*channel).or_default() += 1;
        }
    }
    channels.iter().all(|channel| counts.get(channel).is_some_and(|count| *count > 1))
}
