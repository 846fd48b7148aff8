//! What a story runs against: all of Switchboard at one address, as one process or as a cluster of two gateways and two
//! apis behind the load balancer. It knows nothing of browsers.

use crate::harness::PASSWORD;
use cluster::{Cluster, ClusterOptions, Node, Process, Program, free_port};
use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// Long for a machine that compiles beside it; what is waited for takes milliseconds.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks at what tells nobody when it changes.
pub(crate) const LOOK: Duration = Duration::from_millis(20);

/// Of every server.
const USUAL: &[(&str, &str)] = &[
    ("DRAIN_SECONDS", "1"),
    // A story may need thousands of messages to begin with.
    ("REQUESTS_PER_SECOND", "100000"),
];

/// A running server; it has the same address for all its starts.
pub(crate) struct Server {
    running: Running,
    url: String,
}

enum Running {
    Alone { process: Box<Process>, admin: SocketAddr },
    Cluster(Box<Cluster>),
}

impl Server {
    /// One process on SQLite.
    pub(crate) async fn start(folder: &Path) -> Self {
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let (public, admin) = (local(free_port()), local(free_port()));
        let program = Program::new("switchboard", env!("CARGO_BIN_EXE_switchboard"), folder)
            .args(["--listen", &public.to_string(), "--admin-listen", &admin.to_string()])
            .args(["--data".as_ref(), folder.join("data").as_os_str()])
            .env("ADMIN_PASSWORD", PASSWORD);
        let program =
            USUAL.iter().fold(program, |program, (name, value)| program.env(*name, value));
        let process = Process::start(program).unwrap();
        process.wait_ready(admin, PATIENCE).await.unwrap();
        Self {
            running: Running::Alone { process: Box::new(process), admin },
            url: format!("http://{public}/"),
        }
    }

    /// Two gateways and two apis on PostgreSQL and Redis, with these settings beside the usual ones. It is the
    /// story's own: what an administrator sees is all there is, and a story may break it.
    pub(crate) async fn cluster(settings: &[(&str, &str)]) -> Self {
        let settings = [USUAL, settings].concat();
        let options = ClusterOptions {
            admin_password: Some(PASSWORD.to_owned()),
            settings: settings
                .iter()
                .map(|(name, value)| ((*name).into(), (*value).into()))
                .collect(),
            ..ClusterOptions::default()
        };
        let cluster = Box::new(Cluster::start(options).await.unwrap());
        let url = format!("{}/", cluster.balancer().url());
        Self { running: Running::Cluster(cluster), url }
    }

    /// With a slash at the end.
    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }

    /// Nobody answers any more; of a cluster only the load balancer and the stores are left.
    pub(crate) async fn stop(&self) {
        match &self.running {
            Running::Alone { process, .. } => stop(process).await,
            Running::Cluster(cluster) => {
                for nodes in [cluster.gateways(), cluster.apis()] {
                    nodes.iter().for_each(|node| node.process().terminate());
                    for node in nodes {
                        stop(node.process()).await;
                    }
                }
            }
        }
    }

    pub(crate) async fn start_again(&self) {
        match &self.running {
            Running::Alone { process, admin } => {
                process.restart().unwrap();
                process.wait_ready(*admin, PATIENCE).await.unwrap();
            }
            Running::Cluster(cluster) => {
                for node in cluster.apis().iter().chain(cluster.gateways()) {
                    node.restart().await.unwrap();
                }
                // nginx leaves out for a second who did not answer.
                until("the load balancer has an api", async || {
                    reqwest::get(&self.url).await.is_ok_and(|answer| answer.status().is_success())
                })
                .await;
            }
        }
    }

    /// Waits until this many people are connected to each gateway. The load balancer gives a new connection to the one
    /// that has the fewest, so two people who come one after the other are on different ones. One process is one gateway.
    pub(crate) async fn until_each_gateway_holds(&self, people: usize) {
        if let Running::Cluster(cluster) = &self.running {
            for gateway in cluster.gateways() {
                until_holds(gateway, people).await;
            }
        }
    }

    /// Kills the first gateway of a cluster, as a failing machine would; the other one holds everybody then.
    pub(crate) async fn lose_a_gateway(&self, people: usize) {
        let Running::Cluster(cluster) = &self.running else { panic!("one process has no other") };
        cluster.gateways()[0].process().kill().await.unwrap();
        until_holds(&cluster.gateways()[1], people).await;
    }

    /// The last lines of the logs, for a failure.
    pub(crate) fn log_tail(&self) -> String {
        match &self.running {
            Running::Alone { process, .. } => process.log_tail(),
            Running::Cluster(cluster) => {
                let nodes = cluster.gateways().iter().chain(cluster.apis()).map(Node::process);
                nodes.map(|node| format!("{}: {}\n", node.name(), node.log_tail())).collect()
            }
        }
    }
}

async fn stop(process: &Process) {
    let code = process.stop().await.unwrap();
    assert_eq!(code, 0, "{}", process.log_tail());
}

async fn until_holds(gateway: &Node, people: usize) {
    let wanted = format!("gateway_connections {people}");
    let url = format!("http://{}/metrics", gateway.admin());
    let what = format!("{} has {people} connections", gateway.process().name());
    until(&what, async || {
        let Ok(answer) = reqwest::get(&url).await else { return false };
        answer.text().await.is_ok_and(|text| text.lines().any(|line| line == wanted))
    })
    .await;
}

/// Waits for what tells nobody when it happens.
pub(crate) async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < deadline, "in vain waited until {what}");
        sleep(LOOK).await;
    }
}
