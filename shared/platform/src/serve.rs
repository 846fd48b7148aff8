//! The accept loop of every listener: HTTP/1.1 with upgrades, header timeout, connection caps and
//! the client's real address. `axum::serve` has none of these. It knows nothing of routes.

use crate::{
    forwarded::{is_trusted, origin},
    lifecycle::Lifecycle,
    limit::network,
    metric::{self, Metric, Values},
    settings::TrustedNetwork,
};
use axum::{Router, extract::Request, http::StatusCode};
use futures_util::future::BoxFuture;
use hyper::{
    body::{Bytes, Incoming},
    server::conn::http1,
    upgrade::{OnUpgrade, Upgraded},
};
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpSocket, TcpStream},
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// What may wait to be accepted while a fleet of clients comes back at once: of what does not fit the
/// kernel drops the first packets, and a balancer that waits a second for a node takes it for dead.
/// The kernel's own limit (`net.core.somaxconn`) is the same.
const BACKLOG: u32 = 4096;

/// The largest request head, and what a connection holds before its first request: browsers send 1 or
/// 2 KiB, cookies and tokens included, and other servers take 8 to 16.
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// The most headers of a request; browsers and two proxies send about 30.
const MAX_HEADERS: usize = 64;

/// What the kernel may hold of what is written and not yet sent. Without this it is 4 MB for a client
/// that does not read, none of which the outbox or a time limit sees. Twice of what a client on a fast
/// line is behind by before it is written to again.
#[cfg(target_os = "linux")]
const MAX_UNSENT_BYTES: u32 = 64 * 1024;

/// The most connections to an admin listener at once: probes and scrapes. Open files are kept for all of
/// them ([`crate::files`]).
pub const ADMIN_CONNECTIONS: usize = 64;

/// How long a listener that cannot accept waits before it tries again.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Listens at this address. Errors name it.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let listen = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        // As every server: a restart does not wait for the sockets of the process before it.
        #[cfg(not(windows))]
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    listen().map_err(|error| {
        io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
    })
}

/// The numbers of a listener.
#[derive(Clone, Debug)]
pub struct ServeConfig {
    /// Names the listener in logs and metrics.
    pub name: &'static str,
    /// A new connection must have sent a whole request head within this time. Longer than a slow
    /// phone needs, short enough that holding connections open without asking anything is not free.
    pub first_header_timeout: Duration,
    /// A kept-alive connection must have sent the next one within this time, which is also how long
    /// it may be idle. Longer than balancers keep theirs, so that they do not meet a closing one.
    pub header_timeout: Duration,
    /// The most connections at once, upgraded ones included; one more is answered 503. 15,000 are
    /// about 150 MiB of sockets. Each is an open file: see [`crate::files::room_for`].
    pub max_connections: usize,
    /// The most connections at once of one address (of IPv6: one /64, see [`network`]) that is not a
    /// trusted proxy. By default as many as in all: behind a load balancer that nobody named as
    /// trusted, everybody has one address.
    pub max_per_address: usize,
    /// When to stop accepting.
    pub until: Until,
    /// Peers whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed.
    pub trusted_proxies: Arc<[TrustedNetwork]>,
}

impl Default for ServeConfig {
    fn default() -> Self {
        Self {
            name: "public",
            first_header_timeout: Duration::from_secs(5),
            header_timeout: Duration::from_secs(15),
            max_connections: 15_000,
            max_per_address: 15_000,
            until: Until::SoftStop,
            trusted_proxies: Arc::new([]),
        }
    }
}

impl ServeConfig {
    /// An admin listener's: there until the process has ended.
    pub fn admin() -> Self {
        Self {
            name: "admin",
            max_connections: ADMIN_CONNECTIONS,
            until: Until::End,
            ..Self::default()
        }
    }
}

/// When a listener stops accepting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// With the soft stop: requests that run are waited for.
    SoftStop,
    /// With the process, which does not wait for it: for the listener that tells how stopping goes.
    End,
}

/// The client's address, in the extensions of every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddr(pub IpAddr);

/// Whether the client's request came over TLS, as a trusted proxy says; in the extensions of every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Secure(pub bool);

/// A place among the listener's connections, in the extensions of every request. Whoever takes the
/// connection over by an upgrade keeps it: the place is free again when the last clone is dropped.
#[derive(Clone, Debug)]
pub struct Place(#[expect(dead_code, reason = "held for its drop")] Arc<TakenPlace>);

#[derive(Debug)]
struct TakenPlace {
    places: Arc<Places>,
    network: Option<IpAddr>,
}

#[derive(Debug, Default)]
struct Places {
    taken: AtomicUsize,
    by_network: Mutex<HashMap<IpAddr, usize>>,
}

impl Places {
    fn try_take(self: &Arc<Self>, config: &ServeConfig, peer: IpAddr) -> Option<Place> {
        // Counted before it is checked: two at once can both be refused, never both admitted.
        let mut taken = TakenPlace { places: Arc::clone(self), network: None };
        if self.taken.fetch_add(1, Ordering::Relaxed) >= config.max_connections {
            return None;
        }
        if !is_trusted(&config.trusted_proxies, peer) {
            let network = network(peer);
            taken.network = Some(network);
            let mut counts = self.by_network.lock();
            let count = counts.entry(network).or_default();
            *count += 1;
            if *count > config.max_per_address {
                drop(counts);
                return None;
            }
        }
        Some(Place(Arc::new(taken)))
    }
}

impl Drop for TakenPlace {
    fn drop(&mut self) {
        self.places.taken.fetch_sub(1, Ordering::Relaxed);
        if let Some(network) = self.network {
            let mut counts = self.places.by_network.lock();
            if let Some(count) = counts.get_mut(&network) {
                *count -= 1;
                if *count == 0 {
                    counts.remove(&network);
                }
            }
        }
    }
}

/// The metrics of the listeners.
pub const METRICS: &[Metric] = &[
    metric::counter(
        "listener_connections_total",
        &[LISTENER, ("result", Values::These(&["accepted", "refused"]))],
        "TCP connections by listener and result. refused: no place was free",
    ),
    metric::counter(
        "listener_accept_errors_total",
        &[LISTENER],
        "Failed attempts to accept a connection. Ten per second while the process is out of files or memory",
    ),
];

const LISTENER: metric::Name = ("listener", Values::These(&["public", "internal", "admin"]));

/// Serves `app` until [`ServeConfig::until`]; at the soft stop it stops accepting, requests that run
/// may finish, and it returns. Upgraded connections are not waited for: who took them over has an own task.
pub async fn serve(listener: TcpListener, app: Router, config: ServeConfig, lifecycle: Lifecycle) {
    let places = Arc::new(Places::default());
    let config = Arc::new(config);
    let stop = match config.until {
        Until::SoftStop => lifecycle.soft_stop().clone(),
        Until::End => CancellationToken::new(),
    };
    let spawn = |task: BoxFuture<'static, ()>| match config.until {
        Until::SoftStop => lifecycle.spawn(task),
        Until::End => lifecycle.spawn_background(task),
    };
    let count = |result: &'static str| {
        metrics::counter!("listener_connections_total", "listener" => config.name, "result" => result)
            .increment(1);
    };
    let mut failing = false;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of files or memory: existing sockets go on, new ones wait their turn.
                metrics::counter!("listener_accept_errors_total", "listener" => config.name)
                    .increment(1);
                if !failing {
                    tracing::warn!(listener = config.name, %error, "cannot accept connections");
                }
                failing = true;
                tokio::time::sleep(ACCEPT_AGAIN).await;
                continue;
            }
        };
        if failing {
            failing = false;
            tracing::info!(listener = config.name, "accepting connections again");
        }
        // On a listener of both families an IPv4 peer looks like one of IPv6; trust and limits mean it.
        let peer = peer.ip().to_canonical();
        match places.try_take(&config, peer) {
            Some(place) => {
                count("accepted");
                let connection =
                    Connection { app: app.clone(), config: Arc::clone(&config), peer, place };
                spawn(Box::pin(connection.run(stream, stop.clone())));
            }
            None => {
                count("refused");
                spawn(Box::pin(refuse(stream)));
            }
        }
    }
}

struct Connection {
    app: Router,
    config: Arc<ServeConfig>,
    peer: IpAddr,
    place: Place,
}

impl Connection {
    async fn run(self, stream: TcpStream, stop: CancellationToken) {
        // Small frames must not wait for each other's acknowledgements.
        let _ = stream.set_nodelay(true);
        #[cfg(target_os = "linux")]
        let _ = socket2::SockRef::from(&stream).set_tcp_notsent_lowat(MAX_UNSENT_BYTES);
        let Self { app, config, peer, place } = self;
        let (first, later) = (config.first_header_timeout, config.header_timeout);
        let has_asked = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&has_asked);
        let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
            asked.store(true, Ordering::Relaxed);
            let mut request: Request = request.map(axum::body::Body::new);
            let (address, secure) = origin(&config.trusted_proxies, peer, request.headers());
            request.extensions_mut().insert(ClientAddr(address));
            request.extensions_mut().insert(Secure(secure));
            request.extensions_mut().insert(place.clone());
            app.clone().oneshot(request)
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(later)
            .max_buf_size(MAX_HEAD_BYTES)
            .max_headers(MAX_HEADERS)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        tokio::pin!(connection);
        let is_mute = async {
            tokio::time::sleep(first).await;
            if has_asked.load(Ordering::Relaxed) {
                std::future::pending().await
            }
        };
        // An error here is the client's (reset, time-out, malformed head) and has been answered
        // where an answer was possible.
        tokio::select! {
            _ = &mut connection => return,
            () = is_mute => return,
            () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
        }
        let _ = connection.await;
    }
}

/// The bare stream below an HTTP connection that was upgraded, and the bytes that were read beyond the upgrade. `None`
/// if the connection ended before. To be awaited after the response was returned, on either side.
pub async fn take_over(on_upgrade: OnUpgrade) -> Option<(TcpStream, Bytes)> {
    let upgraded: Upgraded = on_upgrade.await.ok()?;
    let parts = upgraded.downcast::<TokioIo<TcpStream>>().ok()?;
    Some((parts.io.into_inner(), parts.read_buf))
}

/// Over the cap: say so in the client's language, at once, without reading what it wanted.
async fn refuse(mut stream: TcpStream) {
    let answer = format!(
        "HTTP/1.1 {} Service Unavailable\r\nretry-after: 5\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        StatusCode::SERVICE_UNAVAILABLE.as_u16()
    );
    let write = async {
        let _ = stream.write_all(answer.as_bytes()).await;
        let _ = stream.shutdown().await;
    };
    let _ = tokio::time::timeout(Duration::from_secs(1), write).await;
}

#[cfg(test)]
mod tests;
