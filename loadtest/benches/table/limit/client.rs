//! The bare writer's clients, in one thread on epoll: they send by the same rules as a gateway's, count what
//! comes back, and take the time from when a message was due.

use super::{Cost, Pattern};
use crate::{flow::Load, usage};
use anyhow::{Result, ensure};
use hdrhistogram::Histogram;
use mio::{Events, Interest, Poll, Token, net::TcpStream};
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use std::{
    collections::VecDeque,
    io::{self, Read, Write},
    time::{Duration, Instant},
};

/// Load before the figures count.
const WARM_UP: Duration = Duration::from_secs(1);
/// For the last deliveries of a stretch of load.
const PATIENCE: Duration = Duration::from_secs(10);

/// All sockets, and what is known of their rooms.
pub struct Client {
    poll: Poll,
    sockets: Vec<Socket>,
    rooms: Vec<Room>,
    pattern: Pattern,
    message: Vec<u8>,
    chance: SmallRng,
    sent: u64,
    delivered: u64,
    /// In µs.
    latencies: Histogram<u64>,
}

struct Socket {
    stream: TcpStream,
    incomplete: usize,
    /// Messages that it got.
    got: u64,
}

/// When the messages that not everybody has were due.
#[derive(Default)]
struct Room {
    due: VecDeque<Instant>,
    /// Messages that everybody has.
    complete: u64,
}

impl Client {
    pub fn new(streams: Vec<TcpStream>, pattern: Pattern) -> Result<Self> {
        let poll = Poll::new()?;
        let mut sockets = Vec::with_capacity(streams.len());
        for mut stream in streams {
            poll.registry().register(&mut stream, Token(sockets.len()), Interest::READABLE)?;
            sockets.push(Socket { stream, incomplete: 0, got: 0 });
        }
        let rooms = (0..pattern.sockets / pattern.members).map(|_| Room::default()).collect();
        Ok(Self {
            poll,
            sockets,
            rooms,
            pattern,
            message: vec![b'x'; pattern.bytes],
            chance: SmallRng::seed_from_u64(1),
            sent: 0,
            delivered: 0,
            latencies: Histogram::new(3)?,
        })
    }

    /// Puts the load on the writer, whose thread this is, and says what it cost. Hangs up at the end.
    pub fn measure(mut self, writer: usize, duration: Duration) -> Result<Cost> {
        self.run(WARM_UP)?;
        self.latencies.reset();
        let (cpu, delivered) = (usage::cpu_of(writer)?, self.delivered);
        self.run(duration)?;
        let (cpu, delivered) = (usage::cpu_of(writer)? - cpu, self.delivered - delivered);
        let ms = |quantile| self.latencies.value_at_quantile(quantile) as f64 / 1e3;
        Ok(Cost { per_million: cpu * 1e6 / delivered as f64, p50: ms(0.5), p99: ms(0.99) })
    }

    /// Sends for this long, and waits until everything has arrived.
    fn run(&mut self, duration: Duration) -> Result<()> {
        let start = Instant::now();
        let (end, mut due) = (start + duration, start);
        let mut events = Events::with_capacity(1024);
        while Instant::now() < end {
            let wait = match self.pattern.load {
                Load::Saturated { window } => {
                    let members = self.pattern.members as u64;
                    while self.sent * members < self.delivered + window * members {
                        self.send(Instant::now())?;
                    }
                    PATIENCE
                }
                Load::Paced { per_second } => {
                    while due <= Instant::now() {
                        self.send(due)?;
                        due += Duration::from_secs(1) / per_second;
                    }
                    due.saturating_duration_since(Instant::now())
                }
            };
            self.receive(&mut events, wait)?;
        }
        while self.delivered < self.sent * self.pattern.members as u64 {
            ensure!(end.elapsed() < PATIENCE, "the bare writer lost messages");
            self.receive(&mut events, PATIENCE)?;
        }
        Ok(())
    }

    fn send(&mut self, due: Instant) -> Result<()> {
        let room = self.chance.random_range(0..self.rooms.len());
        let sender =
            room * self.pattern.members + self.chance.random_range(0..self.pattern.members);
        let mut rest = self.message.as_slice();
        while !rest.is_empty() {
            match self.sockets[sender].stream.write(rest) {
                Ok(taken) => rest = &rest[taken..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::yield_now(),
                Err(error) => return Err(error.into()),
            }
        }
        self.rooms[room].due.push_back(due);
        self.sent += 1;
        Ok(())
    }

    fn receive(&mut self, events: &mut Events, wait: Duration) -> Result<()> {
        self.poll.poll(events, Some(wait))?;
        let mut buffer = [0; 64 * 1024];
        for event in &*events {
            let Token(number) = event.token();
            let socket = &mut self.sockets[number];
            loop {
                let read = match socket.stream.read(&mut buffer) {
                    Ok(0) => anyhow::bail!("the bare writer hung up"),
                    Ok(read) => read,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error.into()),
                };
                socket.incomplete += read;
                let messages = socket.incomplete / self.pattern.bytes;
                socket.incomplete %= self.pattern.bytes;
                let room = &mut self.rooms[number / self.pattern.members];
                let now = Instant::now();
                for _ in 0..messages {
                    let due = room.due[(socket.got - room.complete) as usize];
                    self.latencies.record(now.duration_since(due).as_micros() as u64)?;
                    socket.got += 1;
                }
                self.delivered += messages as u64;
                if read < buffer.len() {
                    break;
                }
            }
            self.forget_complete(number / self.pattern.members);
        }
        Ok(())
    }

    /// Forgets the messages that all of a room have.
    fn forget_complete(&mut self, room: usize) {
        let first = room * self.pattern.members;
        let of_room = &self.sockets[first..first + self.pattern.members];
        let Room { due, complete } = &mut self.rooms[room];
        if due.is_empty() || of_room.iter().any(|socket| socket.got <= *complete) {
            return;
        }
        let all = of_room.iter().map(|socket| socket.got).min().unwrap_or(*complete);
        due.drain(..(all - *complete) as usize);
        *complete = all;
    }
}
