//! Everything that is watched and everything that watches: a cluster, its exporters, the canary,
//! Alertmanager, and Prometheus with the shipped files. Only where targets are is ours, and how fast
//! time goes by: a day of alerts does not fit into a test.

use crate::{apart::Apart, ask::Ask};
use cluster::{BalancerKind, Cluster, ClusterOptions, Process, Program, free_port};
use deploy::known;
use serde_yaml_ng::{Mapping, Value};
use std::{collections::BTreeMap, fs, net::SocketAddr, path::Path, time::Duration};
use tokio::time::Instant;

/// The rules see time go by this much faster: every duration in them is divided by it. What they
/// compare with (shares, burn rates, percentiles) stays.
const FASTER: u64 = 30;
/// Tens of milliseconds in practice; long for a machine that compiles beside it.
const START: Duration = Duration::from_secs(30);

/// All of it; it ends when this is dropped, which asks before those who are asked.
pub struct Stack {
    pub prometheus: Ask,
    pub alertmanager: Ask,
    pub apart: Apart,
    pub cluster: Cluster,
    /// Who is scraped, by the names of the shipped jobs.
    pub targets: BTreeMap<&'static str, Vec<SocketAddr>>,
    _processes: Vec<Process>,
    _folder: tempfile::TempDir,
}

impl Stack {
    pub async fn start() -> Self {
        let token = "a secret of the nodes";
        let settings =
            [("DRAIN_SECONDS", "3"), ("SHUTDOWN_DELAY_SECONDS", "1"), ("INTERNAL_TOKEN", token)];
        let cluster = Cluster::start(ClusterOptions {
            balancer: BalancerKind::Haproxy,
            settings: settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
            ..ClusterOptions::default()
        });
        let cluster = cluster.await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let at = || SocketAddr::from(([127, 0, 0, 1], free_port()));
        let apart = Apart::start(&cluster, token).await;
        let gateways = cluster.gateways().iter().map(cluster::Node::admin);
        let targets = BTreeMap::from([
            ("gateway", gateways.chain([apart.admin]).collect()),
            ("api", cluster.apis().iter().map(cluster::Node::admin).collect()),
            ("balancer", vec![cluster.balancer().metrics().unwrap()]),
            ("canary", vec![at()]),
            ("redis", vec![at()]),
            ("postgres", vec![at()]),
            ("alertmanager", vec![at()]),
            ("prometheus", vec![at()]),
        ]);
        let address = |job: &str| targets[job][0];
        let processes = [
            canary(&cluster, &apart, address("canary")),
            redis_exporter(&cluster, address("redis")),
            postgres_exporter(&cluster, address("postgres")),
            alertmanager(folder.path(), cluster.logs(), address("alertmanager")),
            prometheus(folder.path(), cluster.logs(), &targets),
        ];
        let _processes: Vec<Process> =
            processes.into_iter().map(|program| Process::start(program).unwrap()).collect();
        let ask = |job: &str| Ask::new(&format!("http://{}", address(job)));
        let (prometheus, alertmanager) = (ask("prometheus"), ask("alertmanager"));
        let deadline = Instant::now() + START;
        while !prometheus.answers("/-/ready").await {
            let log = _processes.last().map(Process::log_tail).unwrap_or_default();
            assert!(Instant::now() < deadline, "Prometheus is not ready: {log}");
        }
        Self { prometheus, alertmanager, apart, cluster, targets, _processes, _folder: folder }
    }
}

fn canary(cluster: &Cluster, apart: &Apart, admin: SocketAddr) -> Program {
    let gateways = cluster.gateways().iter().map(cluster::Node::address).chain([apart.address]);
    let gateways = gateways.map(|address| format!("http://{address}"));
    Program::new("canary", cluster.binaries().join("canary"), cluster.logs())
        .env("ADMIN_LISTEN", admin)
        .env("API_URL", format!("http://{}", cluster.apis()[0].address()))
        .env("GATEWAY_URL", gateways.collect::<Vec<_>>().join(","))
        .env("CANARY_PASSWORD", "correct horse battery")
        // A round a second: what takes a minute elsewhere takes twelve seconds here.
        .env("INTERVAL_SECONDS", 1)
}

fn redis_exporter(cluster: &Cluster, address: SocketAddr) -> Program {
    Program::new("redis-exporter", "prometheus-redis-exporter", cluster.logs())
        .env("REDIS_ADDR", cluster.redis().url())
        .args(["-web.listen-address", &address.to_string()])
}

fn postgres_exporter(cluster: &Cluster, address: SocketAddr) -> Program {
    let database = format!("{}?sslmode=disable", cluster.database_url());
    Program::new("postgres-exporter", "prometheus-postgres-exporter", cluster.logs())
        .env("DATA_SOURCE_NAME", database)
        .args([format!("--web.listen-address={address}")])
}

fn alertmanager(folder: &Path, logs: &Path, address: SocketAddr) -> Program {
    let config = known::root().join("deploy/alertmanager/alertmanager.yml");
    Program::new("alertmanager", "prometheus-alertmanager", logs).args([
        format!("--config.file={}", config.display()),
        format!("--storage.path={}", folder.join("alertmanager").display()),
        format!("--web.listen-address={address}"),
        "--cluster.listen-address=".to_owned(),
    ])
}

fn prometheus(
    folder: &Path,
    logs: &Path,
    targets: &BTreeMap<&'static str, Vec<SocketAddr>>,
) -> Program {
    let config = folder.join("prometheus.yml");
    let shipped = known::root().join("deploy/prometheus");
    let text = fs::read_to_string(shipped.join("prometheus.yml")).unwrap();
    let yaml = configured(serde_yaml_ng::from_str(&text).unwrap(), targets);
    fs::write(&config, serde_yaml_ng::to_string(&yaml).unwrap()).unwrap();
    fs::create_dir(folder.join("rules")).unwrap();
    for rules in fs::read_dir(shipped.join("rules")).unwrap() {
        let rules = rules.unwrap();
        let text = fs::read_to_string(rules.path()).unwrap();
        fs::write(folder.join("rules").join(rules.file_name()), faster(&text)).unwrap();
    }
    Program::new("prometheus", "prometheus", logs).args([
        format!("--config.file={}", config.display()),
        format!("--storage.tsdb.path={}", folder.join("prometheus").display()),
        format!("--web.listen-address={}", targets["prometheus"][0]),
    ])
}

/// The shipped configuration with our targets in place of names, and a scrape a second. Every job
/// that it has must be one of ours.
fn configured(mut yaml: Value, targets: &BTreeMap<&'static str, Vec<SocketAddr>>) -> Value {
    for interval in ["scrape_interval", "scrape_timeout", "evaluation_interval"] {
        yaml["global"][interval] = "1s".into();
    }
    let fixed = |addresses: &[SocketAddr]| -> Value {
        let addresses = addresses.iter().map(|address| Value::from(address.to_string()));
        let targets = Value::from(addresses.collect::<Vec<_>>());
        Value::from(vec![Value::from(Mapping::from_iter([("targets".into(), targets)]))])
    };
    let place = |within: &mut Value, addresses: &[SocketAddr]| {
        let within = within.as_mapping_mut().unwrap();
        within.remove("dns_sd_configs").expect("targets are found by name");
        within.insert("static_configs".into(), fixed(addresses));
    };
    let jobs = yaml["scrape_configs"].as_sequence_mut().unwrap();
    assert_eq!(jobs.len(), targets.len(), "jobs");
    for job in jobs {
        let name = job["job_name"].as_str().unwrap().to_owned();
        place(job, &targets[name.as_str()]);
    }
    place(&mut yaml["alerting"]["alertmanagers"][0], &targets["alertmanager"]);
    yaml
}

/// A file of rules with every duration divided by [`FASTER`].
fn faster(rules: &str) -> String {
    // Durations stand in brackets or after one of these.
    const MARKS: [&str; 4] = ["[", "offset ", "for: ", "interval: "];
    let mut out = String::new();
    for line in rules.lines() {
        let mut rest = if line.trim_start().starts_with('#') { "" } else { line };
        while let Some(at) =
            MARKS.iter().filter_map(|mark| Some(rest.find(mark)? + mark.len())).min()
        {
            out.push_str(&rest[..at]);
            rest = &rest[at..];
            let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let seconds = match rest.as_bytes().get(digits) {
                Some(b's') => 1,
                Some(b'm') => 60,
                Some(b'h') => 3_600,
                Some(b'd') => 86_400,
                _ => continue,
            };
            let Ok(number) = rest[..digits].parse::<u64>() else { continue };
            out.push_str(&format!("{}ms", number * seconds * 1000 / FASTER));
            rest = &rest[digits + 1..];
        }
        out.push_str(rest);
        out.push('\n');
    }
    // Sums of rates, one a minute, times 60 s: see the group slo.
    out.replace(") * 60\n", &format!(") * {}\n", 60 / FASTER))
}
