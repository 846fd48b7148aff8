//! A TCP link between two processes that a test can break. It knows nothing of what goes over it.

use crate::port::free_port;
use anyhow::{Context, Result};
use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinSet,
    time::sleep,
};

/// The most bytes that are on their way in one direction of a connection, beside what the kernel holds.
const ON_THE_WAY: usize = 16 * 1024;

/// How a link is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LinkState {
    /// As if it were not there.
    #[default]
    Open,
    /// Whatever goes over it takes at least this much longer, each way.
    Slow(Duration),
    /// Each connection takes so many bytes a second, each way.
    Throttled(u32),
    /// Nothing arrives, and nobody is told: connections stay as they are, and new ones are accepted by nobody else.
    Silent,
    /// Only what goes to the server arrives. What it answers does not.
    OneWay,
    /// Connections are reset, and so is each new one.
    Reset,
}

/// A link to one server. Everything over it ends when it is dropped.
pub struct TestLink {
    address: SocketAddr,
    state: watch::Sender<LinkState>,
    _tasks: JoinSet<()>,
}

impl TestLink {
    /// Opens a link to this server, which need not be there yet.
    pub async fn to(server: SocketAddr) -> Result<Self> {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let listener = TcpListener::bind(address).await.context("cannot open a link")?;
        let (state, states) = watch::channel(LinkState::default());
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, server, states));
        Ok(Self { address, state, _tasks: tasks })
    }

    /// Where it is to be entered instead of at the server.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on it is so, for what goes over it already, too.
    pub fn set(&self, state: LinkState) {
        self.state.send_replace(state);
    }
}

async fn accept(listener: TcpListener, server: SocketAddr, states: watch::Receiver<LinkState>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // A client that has gone meanwhile is none of ours.
                let Ok((client, _)) = accepted else { continue };
                connections.spawn(carry(client, server, states.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// One connection, until either side ends it or it is reset.
async fn carry(client: TcpStream, server: SocketAddr, mut states: watch::Receiver<LinkState>) {
    let reset = |stream: TcpStream| drop(stream.set_zero_linger());
    // Who enters a silent link hears nothing, and the server nothing of it, until it is open again.
    while matches!(*states.borrow_and_update(), LinkState::Silent) {
        if states.changed().await.is_err() {
            return;
        }
    }
    if *states.borrow() == LinkState::Reset {
        return reset(client);
    }
    let Ok(server) = TcpStream::connect(server).await else { return reset(client) };
    let nodelay = client.set_nodelay(true).and(server.set_nodelay(true));
    if nodelay.is_err() {
        return;
    }
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let forth = pump(from_client, to_server, states.clone(), |state| state == LinkState::Silent);
    let back = pump(from_server, to_client, states, |state| {
        matches!(state, LinkState::Silent | LinkState::OneWay)
    });
    tokio::join!(forth, back);
}

/// One direction of a connection.
async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut states: watch::Receiver<LinkState>,
    is_silent: impl Fn(LinkState) -> bool,
) {
    let mut bytes = vec![0; ON_THE_WAY];
    loop {
        let state = *states.borrow_and_update();
        if state == LinkState::Reset {
            let _ = to.as_ref().set_zero_linger();
            // Dropped, it would end its side in peace.
            to.forget();
            return;
        }
        let read = tokio::select! {
            biased;
            changed = states.changed() => match changed {
                Ok(()) => continue,
                Err(_) => return,
            },
            read = from.read(&mut bytes), if !is_silent(state) => read,
        };
        let Ok(count @ 1..) = read else {
            // The other direction may go on.
            let _ = to.shutdown().await;
            return;
        };
        match state {
            LinkState::Slow(delay) => sleep(delay).await,
            LinkState::Throttled(rate) => {
                sleep(Duration::from_secs_f64(count as f64 / f64::from(rate.max(1)))).await;
            }
            _ => {}
        }
        if to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::ErrorKind;
    use tokio::time::{Instant, timeout};

    const SOON: Duration = Duration::from_secs(10);
    const A_MOMENT: Duration = Duration::from_millis(100);

    /// A link to a server that repeats what it hears, and a connection over it.
    async fn echo() -> (TestLink, TcpStream, JoinSet<()>) {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let link = TestLink::to(server.local_addr().unwrap()).await.unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut echoes = JoinSet::new();
            while let Ok((mut stream, _)) = server.accept().await {
                echoes.spawn(async move {
                    let (mut from, mut to) = stream.split();
                    let _ = tokio::io::copy(&mut from, &mut to).await;
                });
            }
        });
        let stream = TcpStream::connect(link.address()).await.unwrap();
        (link, stream, tasks)
    }

    async fn hears(stream: &mut TcpStream, text: &str) {
        let mut heard = vec![0; text.len()];
        timeout(SOON, stream.read_exact(&mut heard)).await.unwrap().unwrap();
        assert_eq!(heard, text.as_bytes());
    }

    #[tokio::test]
    async fn what_is_held_back_arrives_when_the_link_is_open_again() {
        let (link, mut stream, _server) = echo().await;
        for state in [LinkState::Silent, LinkState::OneWay] {
            stream.write_all(b"one").await.unwrap();
            hears(&mut stream, "one").await;
            link.set(state);
            stream.write_all(b"two").await.unwrap();
            let heard = timeout(A_MOMENT, stream.read_u8()).await;
            assert!(heard.is_err(), "{state:?}: {heard:?}");
            link.set(LinkState::Open);
            hears(&mut stream, "two").await;
        }
    }

    #[tokio::test]
    async fn a_slow_link_takes_its_time() {
        let (link, mut stream, _server) = echo().await;
        link.set(LinkState::Slow(A_MOMENT));
        let started = Instant::now();
        stream.write_all(b"one").await.unwrap();
        hears(&mut stream, "one").await;
        assert!(started.elapsed() >= 2 * A_MOMENT, "there and back");
        link.set(LinkState::Throttled(50));
        let started = Instant::now();
        stream.write_all(b"ten bytes.").await.unwrap();
        hears(&mut stream, "ten bytes.").await;
        assert!(started.elapsed() >= 4 * A_MOMENT, "there and back");
    }

    #[tokio::test]
    async fn connections_are_reset_and_new_ones_too() {
        let (link, mut stream, _server) = echo().await;
        stream.write_all(b"one").await.unwrap();
        hears(&mut stream, "one").await;
        link.set(LinkState::Reset);
        let read = timeout(SOON, stream.read_u8()).await.unwrap();
        assert_eq!(read.unwrap_err().kind(), ErrorKind::ConnectionReset);
        let mut another = TcpStream::connect(link.address()).await.unwrap();
        let read = timeout(SOON, another.read_u8()).await.unwrap();
        assert_eq!(read.unwrap_err().kind(), ErrorKind::ConnectionReset);
        link.set(LinkState::Open);
        let mut another = TcpStream::connect(link.address()).await.unwrap();
        another.write_all(b"two").await.unwrap();
        hears(&mut another, "two").await;
    }
}
