//! Load on chats and what each delivery cost: the measurement of the fan-out and rooms rows. Every
//! message is accounted for before a figure is believed: each connection got all, and the database
//! holds as many.

use crate::{
    crowd::{Crowd, Seen},
    stand::{Stand, Used},
};
use anyhow::{Result, ensure};
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};
use tokio::time::{MissedTickBehavior, interval};

/// Work before the figures count: buffers and caches have their sizes then.
const WARM_UP: Duration = Duration::from_secs(2);

/// How messages come.
#[derive(Clone, Copy, Debug)]
pub enum Load {
    /// The closed loop: so many are on their way at once, and one is on its way until each member has it.
    Saturated { window: u64 },
    /// So many a second, on a schedule.
    Paced { per_second: u32 },
}

/// A chat that is written to: its id and the clients that write.
pub struct Room {
    pub id: i64,
    pub senders: Vec<usize>,
    /// Connections that get each message.
    pub members: u64,
}

/// What a stretch of load came to.
#[derive(Clone, Copy, Debug)]
pub struct Flow {
    pub seconds: f64,
    pub messages: u64,
    pub deliveries: u64,
    pub used: Used,
    /// Of a delivery on the wire.
    pub bytes: f64,
    /// From due to arrival, ms.
    pub p50: f64,
    pub p99: f64,
}

impl Flow {
    /// CPU seconds per million deliveries.
    pub fn per_million(&self, cpu: f64) -> f64 {
        cpu * 1e6 / self.deliveries as f64
    }

    /// CPU microseconds per message.
    pub fn per_message(&self, cpu: f64) -> f64 {
        cpu * 1e6 / self.messages as f64
    }
}

/// Puts load on these rooms, all of the same size, and measures.
pub async fn measure(
    stand: &mut Stand,
    crowd: &Crowd,
    rooms: &[Room],
    load: Load,
    duration: Duration,
) -> Result<Flow> {
    let mut sender = Sender::new(crowd, rooms);
    let ids: Vec<i64> = rooms.iter().map(|room| room.id).collect();
    let stored = stand.stored(&ids).await?;
    sender.run(load, WARM_UP).await?;
    crowd.forget_latencies();
    let (before, seen, started) = (stand.used()?, crowd.seen(), Instant::now());
    sender.run(load, duration).await?;
    let (used, after) = (stand.used()?.since(before), crowd.seen());
    let seconds = started.elapsed().as_secs_f64();
    sender.drain().await?;
    crowd.complete(|chat| sender.total.get(&chat).copied().unwrap_or(0))?;
    let (now, sent) = (stand.stored(&ids).await?, sender.sent);
    ensure!(now - stored == sent, "the database holds {} of {sent} messages", now - stored);
    let deliveries = after.delivered - seen.delivered;
    Ok(Flow {
        seconds,
        messages: after.acked - seen.acked,
        deliveries,
        used,
        bytes: (after.bytes - seen.bytes) as f64 / deliveries as f64,
        p50: crowd.latency(50.0),
        p99: crowd.latency(99.0),
    })
}

/// Who sends next, and what was sent.
struct Sender<'a> {
    crowd: &'a Crowd,
    rooms: &'a [Room],
    start: Seen,
    sent: u64,
    total: HashMap<i64, u64>,
    chance: SmallRng,
    members: u64,
}

impl<'a> Sender<'a> {
    fn new(crowd: &'a Crowd, rooms: &'a [Room]) -> Self {
        Self {
            crowd,
            rooms,
            start: crowd.seen(),
            sent: 0,
            total: rooms.iter().map(|room| (room.id, crowd.got(room.id))).collect(),
            chance: SmallRng::seed_from_u64(1),
            members: rooms.first().map_or(0, |room| room.members),
        }
    }

    async fn run(&mut self, load: Load, duration: Duration) -> Result<()> {
        let end = Instant::now() + duration;
        match load {
            Load::Saturated { window } => {
                while Instant::now() < end {
                    let arrived = self.crowd.seen().delivered - self.start.delivered;
                    while self.sent * self.members < arrived + window * self.members {
                        self.send()?;
                    }
                    self.arrived(self.sent - window + 1).await?;
                }
                Ok(())
            }
            Load::Paced { per_second } => {
                let mut due = interval(Duration::from_secs(1) / per_second);
                due.set_missed_tick_behavior(MissedTickBehavior::Burst);
                while Instant::now() < end {
                    due.tick().await;
                    self.send()?;
                }
                self.drain().await
            }
        }
    }

    fn send(&mut self) -> Result<()> {
        let room = &self.rooms[self.chance.random_range(0..self.rooms.len())];
        let sender = room.senders[self.chance.random_range(0..room.senders.len())];
        self.crowd.send(sender, room.id, self.start.acked + self.sent)?;
        self.sent += 1;
        *self.total.entry(room.id).or_default() += 1;
        Ok(())
    }

    /// Waits until so many of the messages were delivered to all.
    async fn arrived(&self, messages: u64) -> Result<()> {
        self.crowd.until(self.start.delivered + messages * self.members, 0).await
    }

    /// Waits until everything was delivered and acknowledged.
    async fn drain(&self) -> Result<()> {
        let delivered = self.start.delivered + self.sent * self.members;
        self.crowd.until(delivered, self.start.acked + self.sent).await
    }
}
