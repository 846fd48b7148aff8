//! A proxy that knows WebSocket frames and does to them what servers must not do: swallows one, sends one
//! twice, holds all of them back for a while, lets only so many connections in. What is not a WebSocket passes
//! as it is.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, copy},
    net::{TcpListener, TcpStream, tcp::OwnedReadHalf},
    task::JoinSet,
    time::{Instant, sleep_until},
};

/// What is done to which of the frames that bring a message, counted over all connections from 1.
#[derive(Clone, Copy, Debug, Default)]
pub struct FaultPlan {
    pub swallow: Option<u64>,
    pub repeat: Option<u64>,
    /// From this one on nothing passes to anybody for so long.
    pub stall: Option<(u64, Duration)>,
    /// So many WebSockets are opened, and no further one.
    pub most: Option<u64>,
}

/// The proxy, listening.
pub struct Proxy {
    listener: TcpListener,
    server: SocketAddr,
    fate: Arc<Fate>,
}

struct Fate {
    plan: FaultPlan,
    seen: AtomicU64,
    opened: AtomicU64,
    stalled_until: Mutex<Instant>,
}

impl Proxy {
    pub async fn before(server: SocketAddr, plan: FaultPlan) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let [seen, opened] = [0, 0].map(AtomicU64::new);
        let stalled_until = Mutex::new(Instant::now());
        Self { listener, server, fate: Arc::new(Fate { plan, seen, opened, stalled_until }) }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.listener.local_addr().unwrap())
    }

    /// Passes everything on for as long as this goes on.
    pub async fn during<T>(self, what: impl Future<Output = T>) -> T {
        let mut connections = JoinSet::new();
        let accept = async {
            loop {
                let (client, _) = self.listener.accept().await.unwrap();
                let server = TcpStream::connect(self.server).await.unwrap();
                connections.spawn(pass(client, server, Arc::clone(&self.fate)));
            }
        };
        tokio::select! {
            done = what => done,
            () = accept => unreachable!("it accepts for ever"),
        }
    }
}

/// One connection, until both sides have ended it. A side that breaks off ends the other one.
async fn pass(client: TcpStream, server: TcpStream, fate: Arc<Fate>) -> io::Result<()> {
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut from_client, mut to_client) = client.into_split();
    let (from_server, mut to_server) = server.into_split();
    let up = async {
        copy(&mut from_client, &mut to_server).await?;
        to_server.shutdown().await
    };
    let down = async {
        let mut from_server = BufReader::new(from_server);
        let head = read_head(&mut from_server).await?;
        let is_socket = head.starts_with(b"HTTP/1.1 101 ");
        if is_socket && !fate.lets_in() {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        to_client.write_all(&head).await?;
        if !is_socket {
            copy(&mut from_server, &mut to_client).await?;
            return to_client.shutdown().await;
        }
        loop {
            let frame = read_frame(&mut from_server).await?;
            for _ in 0..fate.times(&frame).await {
                to_client.write_all(&frame).await?;
            }
        }
    };
    tokio::try_join!(up, down).map(|_| ())
}

impl Fate {
    fn lets_in(&self) -> bool {
        let before = self.opened.fetch_add(1, Ordering::Relaxed);
        self.plan.most.is_none_or(|most| before < most)
    }

    /// How often this frame is to be sent on; comes back when it may be.
    async fn times(&self, frame: &[u8]) -> usize {
        let brings_a_message = frame.windows(16).any(|part| part == br#""type":"message""#);
        let number = brings_a_message.then(|| self.seen.fetch_add(1, Ordering::Relaxed) + 1);
        let FaultPlan { swallow, repeat, stall, .. } = self.plan;
        if let Some((from, how_long)) = stall
            && number == Some(from)
        {
            *self.stalled_until.lock().unwrap() = Instant::now() + how_long;
        }
        let until = *self.stalled_until.lock().unwrap();
        sleep_until(until).await;
        match number {
            Some(number) if swallow == Some(number) => 0,
            Some(number) if repeat == Some(number) => 2,
            _ => 1,
        }
    }
}

/// The head of an HTTP answer, with the empty line.
async fn read_head(from: &mut BufReader<OwnedReadHalf>) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if from.read_until(b'\n', &mut head).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(head)
}

/// A whole frame with its header. Servers do not mask.
async fn read_frame(from: &mut BufReader<OwnedReadHalf>) -> io::Result<Vec<u8>> {
    let mut frame = vec![0; 2];
    from.read_exact(&mut frame).await?;
    let more = match frame[1] {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    frame.resize(2 + more, 0);
    from.read_exact(&mut frame[2..]).await?;
    let long = frame[2..].iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
    let length = if more == 0 { usize::from(frame[1]) } else { long };
    frame.resize(2 + more + length, 0);
    from.read_exact(&mut frame[2 + more..]).await?;
    Ok(frame)
}
