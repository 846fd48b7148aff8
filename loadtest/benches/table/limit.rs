//! What the same deliveries cost at best on this machine: one thread that writes bytes of a delivery's
//! size to as many sockets, and knows no chats, no sessions and no Redis. Whatever a gateway does, it
//! has to do this.

use crate::usage;
use anyhow::{Context, Result, ensure};
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use std::{
    io::Write,
    net::{TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};
use tokio::{sync::oneshot, task::JoinSet};

/// What the thread writes.
#[derive(Clone, Copy, Debug)]
pub struct Pattern {
    pub sockets: usize,
    /// Receivers of a message: a different group each time when they are fewer than the sockets.
    pub members: usize,
    /// Of one delivery.
    pub bytes: usize,
    /// Deliveries to a socket that are written as one.
    pub joined: usize,
    /// Messages a second; as many as there can be when `None`.
    pub per_second: Option<u32>,
}

/// Writes for this long, from a thread on `cpu`, to sockets that the asking thread reads; CPU seconds of
/// the writer per million deliveries. Runs inside a `LocalSet`.
pub async fn measure(pattern: Pattern, cpu: Option<usize>, duration: Duration) -> Result<f64> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let mut sockets = Vec::with_capacity(pattern.sockets);
    let mut readers = JoinSet::new();
    for _ in 0..pattern.sockets {
        let (client, server) = (TcpStream::connect(address)?, listener.accept()?.0);
        server.set_nodelay(true)?;
        client.set_nonblocking(true)?;
        sockets.push(server);
        readers.spawn_local(drain(tokio::net::TcpStream::from_std(client)?));
    }
    let (done, result) = oneshot::channel();
    let writer = thread::spawn(move || {
        let result = cpu.map_or(Ok(()), |cpu| usage::pin_thread(&[cpu]));
        // Nobody waits any more when the run was given up.
        let _ = done.send(result.and_then(|()| write(&mut sockets, pattern, duration)));
    });
    let cost = result.await.context("the writer has ended")?;
    ensure!(writer.join().is_ok(), "the writer panicked");
    while let Some(read) = readers.join_next().await {
        read??;
    }
    cost
}

async fn drain(stream: tokio::net::TcpStream) -> Result<()> {
    thread_local! {
        static BUFFER: std::cell::RefCell<Vec<u8>> = std::cell::RefCell::new(vec![0; 256 * 1024]);
    }
    loop {
        stream.readable().await?;
        match BUFFER.with_borrow_mut(|buffer| stream.try_read(buffer)) {
            Ok(0) => return Ok(()),
            Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => {
                return Err(error.into());
            }
            _ => {}
        }
    }
}

fn write(sockets: &mut [TcpStream], pattern: Pattern, duration: Duration) -> Result<f64> {
    let bytes = vec![b'x'; pattern.bytes * pattern.joined];
    let groups = pattern.sockets / pattern.members;
    let mut chance = SmallRng::seed_from_u64(1);
    let (before, start) = (usage::cpu_of_thread()?, Instant::now());
    let mut deliveries = 0;
    let mut due = start;
    while start.elapsed() < duration {
        if let Some(per_second) = pattern.per_second {
            due += Duration::from_secs(1) / per_second;
            while let Some(left) = due.checked_duration_since(Instant::now()) {
                thread::park_timeout(left);
            }
        }
        let first = chance.random_range(0..groups) * pattern.members;
        for socket in &mut sockets[first..first + pattern.members] {
            socket.write_all(&bytes)?;
            deliveries += pattern.joined;
        }
    }
    Ok((usage::cpu_of_thread()? - before) * 1e6 / deliveries as f64)
}
