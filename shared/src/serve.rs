//! The accept loop of every listener: HTTP/1.1 with upgrades, header timeout, connection caps and
//! the client's real address. `axum::serve` has none of these. It knows nothing of routes.

use crate::{
    lifecycle::Lifecycle,
    metric::{self, Metric, Values},
};
use axum::{
    Router,
    extract::Request,
    http::{HeaderMap, StatusCode},
};
use futures_util::future::BoxFuture;
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::rt::{TokioIo, TokioTimer};
use ipnet::IpNet;
use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// The numbers of a listener.
#[derive(Clone, Debug)]
pub struct ServeConfig {
    /// Names the listener in logs and metrics.
    pub name: &'static str,
    /// A client must have sent a whole request head within this time, also on a kept-alive
    /// connection. Longer than a slow phone needs, short enough that holding connections open
    /// without asking anything is not free.
    pub header_timeout: Duration,
    /// The most connections at once, upgraded ones included; one more is answered 503. 15,000 is
    /// below the 20,000 files a process may commonly open, and about 150 MiB of sockets.
    pub max_connections: usize,
    /// The most connections at once of one address that is not a trusted proxy. By default as many
    /// as in all: behind a load balancer that nobody named as trusted, everybody has one address.
    pub max_per_address: usize,
    /// When to stop accepting.
    pub until: Until,
    /// Peers whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed.
    pub trusted_proxies: Arc<[IpNet]>,
}

impl Default for ServeConfig {
    fn default() -> Self {
        Self {
            name: "public",
            header_timeout: Duration::from_secs(15),
            max_connections: 15_000,
            max_per_address: 15_000,
            until: Until::SoftStop,
            trusted_proxies: Arc::new([]),
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
pub struct Place(#[expect(dead_code, reason = "held for its drop")] Arc<Taken>);

#[derive(Debug)]
struct Taken {
    places: Arc<Places>,
    address: Option<IpAddr>,
}

#[derive(Debug, Default)]
struct Places {
    taken: AtomicUsize,
    by_address: Mutex<HashMap<IpAddr, usize>>,
}

impl Places {
    fn try_take(self: &Arc<Self>, config: &ServeConfig, peer: IpAddr) -> Option<Place> {
        // Counted before it is checked: two at once can both be refused, never both admitted.
        let mut taken = Taken { places: Arc::clone(self), address: None };
        if self.taken.fetch_add(1, Ordering::Relaxed) >= config.max_connections {
            return None;
        }
        if !is_trusted(&config.trusted_proxies, peer) {
            taken.address = Some(peer);
            let mut counts = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
            let count = counts.entry(peer).or_default();
            *count += 1;
            if *count > config.max_per_address {
                drop(counts);
                return None;
            }
        }
        Some(Place(Arc::new(taken)))
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.places.taken.fetch_sub(1, Ordering::Relaxed);
        if let Some(address) = self.address {
            let mut counts = self.places.by_address.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(count) = counts.get_mut(&address) {
                *count -= 1;
                if *count == 0 {
                    counts.remove(&address);
                }
            }
        }
    }
}

/// The metrics of the listeners.
pub const METRICS: &[Metric] = &[metric::counter(
    "listener_connections_total",
    &[
        ("listener", Values::These(&["public", "internal", "admin"])),
        ("result", Values::These(&["accepted", "refused"])),
    ],
    "TCP connections by listener and result; refused ones found no place free",
)];

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
    loop {
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of files or memory: existing sockets go on, new ones wait their turn.
                    tracing::warn!(listener = config.name, %error, "cannot accept connections");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
            () = stop.cancelled() => return,
        };
        match places.try_take(&config, peer.ip()) {
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
    peer: SocketAddr,
    place: Place,
}

impl Connection {
    async fn run(self, stream: TcpStream, stop: CancellationToken) {
        // Small frames must not wait for each other's acknowledgements.
        let _ = stream.set_nodelay(true);
        let Self { app, config, peer, place } = self;
        let header_timeout = config.header_timeout;
        let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
            let mut request: Request = request.map(axum::body::Body::new);
            let (address, secure) = origin(&config.trusted_proxies, peer.ip(), request.headers());
            request.extensions_mut().insert(ClientAddr(address));
            request.extensions_mut().insert(Secure(secure));
            request.extensions_mut().insert(place.clone());
            app.clone().oneshot(request)
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(header_timeout)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        tokio::pin!(connection);
        // An error here is the client's (reset, time-out, malformed head) and has been answered
        // where an answer was possible.
        tokio::select! {
            _ = &mut connection => return,
            () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
        }
        let _ = connection.await;
    }
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

fn is_trusted(trusted: &[IpNet], address: IpAddr) -> bool {
    trusted.iter().any(|net| net.contains(&address))
}

/// The client behind the trusted proxies: the last address of `X-Forwarded-For` that is not
/// itself a trusted proxy; everything before it the client may have made up.
fn origin(trusted: &[IpNet], peer: IpAddr, headers: &HeaderMap) -> (IpAddr, bool) {
    if !is_trusted(trusted, peer) {
        return (peer, false);
    }
    let secure = headers.get("x-forwarded-proto").is_some_and(|proto| proto == "https");
    let address = headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|part| part.trim().parse::<IpAddr>().ok())
        .rfind(|address| !is_trusted(trusted, *address))
        .unwrap_or(peer);
    (address, secure)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(forwarded: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", forwarded.parse().unwrap());
        headers.insert("x-forwarded-proto", "https".parse().unwrap());
        headers
    }

    #[test]
    fn only_a_trusted_peer_names_the_client() {
        let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap()];
        let proxy: IpAddr = "10.1.2.3".parse().unwrap();
        let stranger: IpAddr = "9.9.9.9".parse().unwrap();
        let made_up = headers("1.1.1.1, 8.8.8.8, 10.9.9.9");
        assert_eq!(origin(&trusted, proxy, &made_up), ("8.8.8.8".parse().unwrap(), true));
        assert_eq!(origin(&trusted, stranger, &made_up), (stranger, false));
        assert_eq!(origin(&trusted, proxy, &HeaderMap::new()), (proxy, false));
    }

    #[test]
    fn a_place_is_free_again_when_its_last_clone_is_dropped() {
        let config = ServeConfig { max_connections: 2, max_per_address: 1, ..Default::default() };
        let places = Arc::new(Places::default());
        let [ann, bob]: [IpAddr; 2] = ["1.0.0.1".parse().unwrap(), "1.0.0.2".parse().unwrap()];
        let held = places.try_take(&config, ann).unwrap();
        let clone = held.clone();
        assert!(places.try_take(&config, ann).is_none(), "one of an address");
        let other = places.try_take(&config, bob).unwrap();
        assert!(places.try_take(&config, bob).is_none(), "two in all");
        drop(held);
        assert!(places.try_take(&config, ann).is_none(), "a clone still holds it");
        drop((clone, other));
        assert_eq!(places.taken.load(Ordering::Relaxed), 0);
        assert!(places.by_address.lock().unwrap().is_empty());
    }
}
