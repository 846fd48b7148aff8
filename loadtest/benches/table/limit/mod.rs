//! What the same load costs at best on this machine: a bare writer, one thread on epoll that reads each
//! message from its sender's socket and writes it to the sockets of the sender's room. It knows no accounts,
//! no WebSockets and no Redis, and stores nothing. Whatever a gateway does, it has to do this.
//!
//! - `writer.rs`: the thread that is measured; `client.rs`: the thread that sends and receives.

mod client;
mod writer;

use crate::{flow::Load, usage};
use anyhow::{Context, Result, ensure};
use client::Client;
use mio::net::{TcpListener, TcpStream};
use std::{thread, time::Duration};
use tokio::sync::oneshot;
use writer::Writer;

/// The load on the writer: the same as on a gateway.
#[derive(Clone, Copy, Debug)]
pub struct Pattern {
    pub sockets: usize,
    /// Sockets of a room, which all get what one of them sends.
    pub members: usize,
    /// Of a message, and so of a delivery.
    pub bytes: usize,
    pub load: Load,
}

/// What the load cost the writer.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// CPU seconds per million deliveries.
    pub per_million: f64,
    /// From due to arrival, ms.
    pub p50: f64,
    pub p99: f64,
}

/// Measures for this long, the writer's thread on `cpu`, the client's where the caller is.
pub async fn measure(pattern: Pattern, cpu: Option<usize>, duration: Duration) -> Result<Cost> {
    let (ready, is_ready) = std::sync::mpsc::channel();
    let writer = thread::spawn(move || -> Result<()> {
        cpu.map_or(Ok(()), |cpu| usage::pin_thread(&[cpu]))?;
        let listener = TcpListener::bind(([127, 0, 0, 1], 0).into())?;
        ready.send((listener.local_addr()?, usage::thread_id()?))?;
        Writer::accept(&listener, pattern)?.serve()
    });
    let (done, result) = oneshot::channel();
    thread::spawn(move || {
        let cost = || {
            let (address, writer) = is_ready.recv().context("the writer did not start")?;
            let connect = || Ok(TcpStream::from_std(connected(address)?));
            let sockets = (0..pattern.sockets).map(|_| connect()).collect::<Result<Vec<_>>>()?;
            Client::new(sockets, pattern)?.measure(writer, duration)
        };
        // Nobody waits any more when the run was given up.
        let _ = done.send(cost());
    });
    let cost = result.await.context("the client has ended")?;
    match writer.join() {
        Ok(served) => served?,
        Err(_) => ensure!(cost.is_err(), "the writer panicked"),
    }
    cost
}

fn connected(address: std::net::SocketAddr) -> Result<std::net::TcpStream> {
    let stream = std::net::TcpStream::connect(address)?;
    stream.set_nonblocking(true)?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
