//! A real cluster and a real canary process beside it, seen as operators see it: by its metrics, its
//! exit code and its log.

use canary::METRICS;
use cluster::{Cluster, ClusterOptions, Node, Process, Program, free_port};
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::{collections::BTreeMap, fs, net::SocketAddr, time::Duration};
use tempfile::TempDir;
use tokio::time::Instant;

/// How long anything may take that should happen within some rounds: only ever waited out by a test
/// that fails.
const DEADLINE: Duration = Duration::from_secs(90);
/// How often a condition that nobody announces is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);

pub const PASSWORD: &str = "a password of canaries";

/// A cluster of two gateways that let go of their clients quickly.
pub async fn cluster() -> Cluster {
    let settings = [("DRAIN_SECONDS", "2"), ("SHUTDOWN_DELAY_SECONDS", "1")];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    Cluster::start(ClusterOptions { apis: 1, settings, ..ClusterOptions::default() }).await.unwrap()
}

/// Looks until it is so; a failure shows what was last seen.
pub async fn until(
    what: &str,
    look: impl AsyncFn() -> Metrics,
    so: impl Fn(&Metrics) -> bool,
) -> Metrics {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let seen = look().await;
        if so(&seen) {
            return seen;
        }
        assert!(Instant::now() < deadline, "waited {DEADLINE:?} for {what}: {seen:#?}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// A canary, running or not.
pub struct Canary {
    pub process: Process,
    pub admin: SocketAddr,
    http: reqwest::Client,
    _folder: TempDir,
}

/// What `/metrics` says: by name and labels.
#[derive(Debug)]
pub struct Metrics(BTreeMap<String, f64>);

impl Metrics {
    pub fn read(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let series = lines.filter_map(|line| line.rsplit_once(' '));
        Self(series.map(|(name, value)| (name.to_owned(), value.parse().unwrap())).collect())
    }

    /// A counter or gauge; 0 when it is not there yet.
    pub fn get(&self, series: &str) -> f64 {
        self.0.get(series).copied().unwrap_or_default()
    }

    /// `canary_{name}_total{result="{result}"}`.
    pub fn of(&self, name: &str, result: &str) -> f64 {
        self.get(&format!("canary_{name}_total{{result=\"{result}\"}}"))
    }

    /// Nothing was lost, repeated or refused, of messages at least.
    pub fn assert_nothing_lost(&self) {
        for (name, result) in [("messages", "lost"), ("messages", "repeated"), ("sends", "failed")]
        {
            assert_eq!(self.of(name, result), 0.0, "{name} {result}: {self:#?}");
        }
    }

    /// The metrics of the tables that are missing.
    pub fn missing(&self) -> Vec<&'static str> {
        let there = |name: &str| {
            let series = |key: &String| {
                key.strip_prefix(name).is_some_and(|rest| {
                    rest.is_empty() || rest.starts_with('{') || rest.starts_with("_count")
                })
            };
            self.0.keys().any(series)
        };
        let all = METRICS.iter().copied().flatten().map(|metric| metric.name);
        all.filter(|name| name.starts_with("canary_") && !there(name)).collect()
    }
}

impl Canary {
    /// Starts one that watches these gateways.
    pub fn start(cluster: &Cluster, gateways: &[&Node], password: &str) -> Self {
        let admin = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let folder = tempfile::tempdir().unwrap();
        let urls: Vec<String> =
            gateways.iter().map(|node| format!("http://{}", node.address())).collect();
        let program = Program::new("canary", env!("CARGO_BIN_EXE_canary"), folder.path())
            .env("ADMIN_LISTEN", admin)
            .env("API_URL", format!("http://{}", cluster.apis()[0].address()))
            .env("GATEWAY_URL", urls.join(","))
            .env("CANARY_PASSWORD", password)
            .env("INTERVAL_SECONDS", 1)
            // What is late is a matter of the machine; tests look at what is lost.
            .env("LATE_MILLISECONDS", 10_000)
            .env("LOG", "info,canary=debug");
        let process = Process::start(program).unwrap();
        let http = reqwest::Client::new();
        Self { process, admin, http, _folder: folder }
    }

    pub async fn metrics(&self) -> Metrics {
        let url = format!("http://{}/metrics", self.admin);
        Metrics::read(&self.http.get(url).send().await.unwrap().text().await.unwrap())
    }

    /// Looks until it is so; a failure shows what was last seen.
    pub async fn until(&self, what: &str, so: impl Fn(&Metrics) -> bool) -> Metrics {
        until(what, async || self.metrics().await, so).await
    }

    /// Waits until it watches.
    pub async fn ready(&self) {
        self.process.wait_ready(self.admin, DEADLINE).await.unwrap();
    }

    /// So many more rounds pass, with so many gateways connected. The metrics after them.
    pub async fn more_rounds(&self, rounds: f64, gateways: f64) -> Metrics {
        let before = self.metrics().await;
        let success = "canary_last_success_timestamp_seconds";
        let (sent, last) = (before.of("sends", "acknowledged"), before.get(success));
        self.until("rounds to pass", |seen| {
            seen.of("sends", "acknowledged") >= sent + rounds
                && seen.get(success) >= last + rounds - 1.0
                && seen.get("canary_connections") == gateways
        })
        .await
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.process.log()).unwrap()
    }
}

/// The api's REST service, as one of the canary's own accounts.
pub struct PublicApi {
    http: reqwest::Client,
    base: String,
    token: String,
}

impl PublicApi {
    pub async fn sign_in(cluster: &Cluster, username: &str) -> Self {
        let (http, base) =
            (reqwest::Client::new(), format!("http://{}", cluster.apis()[0].address()));
        let body = json!({ "username": username, "password": PASSWORD });
        let answer = http.post(format!("{base}/login")).json(&body).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        let answer: Value = answer.json().await.unwrap();
        let token = answer["access_token"].as_str().unwrap().to_owned();
        Self { http, base, token }
    }

    pub async fn get(&self, path: &str) -> Vec<Value> {
        let request = self.http.get(format!("{}{path}", self.base)).bearer_auth(&self.token);
        request.send().await.unwrap().json().await.unwrap()
    }

    pub async fn delete(&self, path: &str) {
        let request = self.http.delete(format!("{}{path}", self.base)).bearer_auth(&self.token);
        assert!(request.send().await.unwrap().status().is_success(), "{path}");
    }

    /// The ids of the canaries' chats.
    pub async fn chats(&self) -> Vec<i64> {
        let chats = self.get("/chats").await;
        let ours = chats.iter().filter(|chat| chat["name"] == "canary");
        ours.map(|chat| chat["id"].as_i64().unwrap()).collect()
    }
}
