//! Changes the log filter of a running process: `GET` and `PUT /log` on the admin listener, and the
//! subcommand `log` that calls them from inside a container without a shell. A change ends by itself, so that
//! nobody forgets a node that logs everything. It does not decide where lines go.

use super::LogFilter;
use crate::{admin, lifecycle::Lifecycle, serve::ClientAddr};
use axum::{
    Extension, Router,
    extract::{DefaultBodyLimit, Query, rejection::QueryRejection},
    http::{Method, StatusCode},
    routing::get,
};
use clap::{Args, value_parser};
use parking_lot::{Mutex, MutexGuard};
use std::{net::SocketAddr, process::ExitCode, sync::Arc, time::Duration};
use tokio::{sync::Notify, time::Instant};
use tracing_subscriber::{Registry, filter::Targets, reload};

/// How long a change lasts when nobody says otherwise: longer than looking at one incident takes.
const MINUTES: u64 = 15;

/// The longest that a change may last: a day. Whoever wants more sets LOG.
const MAX_MINUTES: u64 = 24 * 60;

/// The longest filter taken: some dozens of modules.
const MAX_FILTER_BYTES: usize = 1024;

/// The handle to what this process logs. Clones share it.
#[derive(Clone)]
pub struct Logs(Arc<LevelState>);

struct LevelState {
    filter: reload::Handle<Targets, Registry>,
    /// What the process was started with.
    usual: LogFilter,
    now: Mutex<Now>,
    changed: Notify,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Now {
    filter: LogFilter,
    /// When the usual filter comes back, if this is another.
    until: Option<Instant>,
}

impl Logs {
    /// Logs by this filter, and the layer that carries it out.
    pub(super) fn new(filter: &LogFilter) -> (Self, reload::Layer<Targets, Registry>) {
        let (layer, handle) = reload::Layer::new(filter.targets());
        let inner = LevelState {
            filter: handle,
            usual: filter.clone(),
            now: Mutex::new(Now { filter: filter.clone(), until: None }),
            changed: Notify::new(),
        };
        (Self(Arc::new(inner)), layer)
    }

    /// Logs by another filter for so long. An error is one sentence, and nothing changed.
    fn set(&self, filter: &LogFilter, lasts: Duration) -> Result<(), String> {
        let mut now = self.now();
        self.0.filter.reload(filter.targets()).map_err(|error| error.to_string())?;
        let until = (*filter != self.0.usual).then(|| Instant::now() + lasts);
        *now = Now { filter: filter.clone(), until };
        drop(now);
        self.0.changed.notify_one();
        tracing::info!(%filter, minutes = lasts.as_secs() / 60, "changed the log level");
        Ok(())
    }

    /// Lets each change end when its time is over.
    async fn keep(self) {
        loop {
            let until = self.now().until;
            let Some(until) = until else {
                self.0.changed.notified().await;
                continue;
            };
            tokio::select! {
                () = tokio::time::sleep_until(until) => {}
                () = self.0.changed.notified() => continue,
            }
            if let Err(error) = self.set(&self.0.usual, Duration::ZERO) {
                tracing::error!(error, "could not restore the usual log level");
                return;
            }
        }
    }

    /// The filter and the time of its end, as text for people.
    fn describe(&self) -> String {
        let Now { filter, until } = self.now().clone();
        match until {
            None => format!("{filter}\n"),
            Some(until) => {
                let left = until.saturating_duration_since(Instant::now()).as_secs().div_ceil(60);
                format!("{filter}\nin {left} min again: {}\n", self.0.usual)
            }
        }
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.0.now.lock()
    }
}

#[derive(serde::Deserialize)]
struct Lasts {
    minutes: Option<u64>,
}

/// The admin listener's `/log`. Reading is for whoever reaches it; changing is for the process's own
/// machine or container, because that listener knows no users.
pub fn log_routes(logs: Logs, lifecycle: &Lifecycle) -> Router {
    lifecycle.spawn_background(logs.clone().keep());
    let shown = logs.clone();
    let put = move |peer: Option<Extension<ClientAddr>>,
                    query: Result<Query<Lasts>, QueryRejection>,
                    filter: String| async move { change(&logs, peer, query, &filter) };
    Router::new()
        .route("/log", get(move || async move { shown.describe() }).put(put))
        .layer(DefaultBodyLimit::max(MAX_FILTER_BYTES))
}

fn change(
    logs: &Logs,
    peer: Option<Extension<ClientAddr>>,
    query: Result<Query<Lasts>, QueryRejection>,
    filter: &str,
) -> (StatusCode, String) {
    if !peer.is_some_and(|Extension(ClientAddr(ip))| ip.to_canonical().is_loopback()) {
        let text = "The log level is changed from the process's own machine or container: run the \
                    same binary there as `<binary> log FILTER`.\n";
        return (StatusCode::FORBIDDEN, text.to_owned());
    }
    // What is no number is as wrong as none at all.
    let minutes = query.map_or(0, |Query(lasts)| lasts.minutes.unwrap_or(MINUTES));
    if !(1..=MAX_MINUTES).contains(&minutes) {
        let text = format!("minutes must be a number from 1 to {MAX_MINUTES}.\n");
        return (StatusCode::BAD_REQUEST, text);
    }
    let lasts = Duration::from_secs(60 * minutes);
    match filter.parse::<LogFilter>().and_then(|filter| logs.set(&filter, lasts)) {
        Ok(()) => (StatusCode::OK, logs.describe()),
        Err(why) => (StatusCode::BAD_REQUEST, format!("{why}\n")),
    }
}

/// The subcommand `log` of every binary that serves.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct LogCommand {
    /// The new log filter, in the syntax of LOG. Without it, the current filter is shown
    filter: Option<LogFilter>,
    /// Minutes until the process returns to the filter it started with
    #[arg(long, default_value_t = MINUTES, value_parser = value_parser!(u64).range(1..=MAX_MINUTES))]
    minutes: u64,
}

impl LogCommand {
    /// Asks or tells the process whose `ADMIN_LISTEN` is `listen`; exit code 0 or 1.
    pub async fn run(&self, listen: SocketAddr) -> ExitCode {
        let answer = match &self.filter {
            None => admin::ask(listen, Method::GET, "/log", "").await,
            Some(filter) => {
                let path = format!("/log?minutes={}", self.minutes);
                admin::ask(listen, Method::PUT, &path, filter.to_string()).await
            }
        };
        admin::tell(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{body::Body, http::Request};
    use http_body_util::BodyExt as _;
    use std::net::IpAddr;
    use tower::ServiceExt as _;
    use tracing_subscriber::layer::{Layered, SubscriberExt as _};

    type Subscriber = Layered<reload::Layer<Targets, Registry>, Registry>;

    fn filter(text: &str) -> LogFilter {
        text.parse().unwrap()
    }

    /// The router, and the subscriber, which must live for the handle to work.
    fn router() -> (Router, Lifecycle, Subscriber) {
        let (logs, layer) = Logs::new(&filter("info"));
        let lifecycle = Lifecycle::new();
        let router = log_routes(logs, &lifecycle);
        (router, lifecycle, Registry::default().with(layer))
    }

    async fn ask(
        router: &Router,
        peer: &str,
        method: Method,
        path: &str,
        body: impl Into<Body>,
    ) -> (StatusCode, String) {
        let peer: IpAddr = peer.parse().unwrap();
        let request = Request::builder().method(method).uri(path).extension(ClientAddr(peer));
        let response = router.clone().oneshot(request.body(body.into()).unwrap()).await.unwrap();
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (head.status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_ends_by_itself_and_the_last_one_counts() {
        let (router, _lifecycle, _subscriber) = router();
        let at = async |after: u64| {
            tokio::time::sleep(Duration::from_secs(after)).await;
            let shown = ask(&router, "10.0.0.9", Method::GET, "/log", "").await.1;
            shown.lines().next().unwrap().to_owned()
        };
        assert_eq!(at(0).await, "info");
        let put = ask(&router, "127.0.0.1", Method::PUT, "/log", "debug\n").await;
        assert_eq!(put, (StatusCode::OK, "debug\nin 15 min again: info\n".to_owned()));
        assert_eq!(at(14 * 60).await, "debug");
        ask(&router, "::1", Method::PUT, "/log?minutes=30", "info,gateway=trace").await;
        assert_eq!(at(29 * 60).await, "info,gateway=trace", "the first change's end is forgotten");
        assert_eq!(at(61).await, "info");
    }

    #[tokio::test]
    async fn the_filter_itself_changes() {
        let (logs, layer) = Logs::new(&filter("info"));
        let _logging = tracing::subscriber::set_default(Registry::default().with(layer));
        assert!(!tracing::enabled!(tracing::Level::DEBUG));
        logs.set(&filter("debug"), Duration::from_secs(60)).unwrap();
        assert!(tracing::enabled!(tracing::Level::DEBUG));
        logs.set(&filter("off"), Duration::from_secs(60)).unwrap();
        assert!(!tracing::enabled!(tracing::Level::ERROR));
    }

    #[tokio::test]
    async fn only_the_own_machine_changes_it() {
        let (router, _lifecycle, _subscriber) = router();
        for peer in ["10.0.0.9", "203.0.113.7", "::ffff:10.0.0.9", "2001:db8::1"] {
            let (status, text) = ask(&router, peer, Method::PUT, "/log", "debug").await;
            assert_eq!(status, StatusCode::FORBIDDEN, "{peer}");
            assert!(text.contains("<binary> log"), "{text}");
        }
        for peer in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            let (status, text) = ask(&router, peer, Method::PUT, "/log", "warn").await;
            assert_eq!(status, StatusCode::OK, "{peer}: {text}");
        }
    }

    #[tokio::test]
    async fn what_cannot_be_is_said_and_changes_nothing() {
        let (router, _lifecycle, _subscriber) = router();
        for (path, filter, word) in [
            ("/log", "debgu", "\"debgu\" is no level"),
            ("/log?minutes=0", "debug", "from 1 to 1440"),
            ("/log?minutes=1441", "debug", "from 1 to 1440"),
            ("/log?minutes=soon", "debug", "from 1 to 1440"),
        ] {
            let (status, text) = ask(&router, "::1", Method::PUT, path, filter).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{path} {filter}");
            assert!(text.contains(word), "{path} {filter}: {text}");
        }
        let long = "a=info,".repeat(MAX_FILTER_BYTES);
        let (status, _) = ask(&router, "::1", Method::PUT, "/log", long).await;
        assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(ask(&router, "::1", Method::GET, "/log", "").await.1, "info\n");
    }
}
