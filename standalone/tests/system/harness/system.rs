//! The system under test, in either mode, as its clients see it: one front address, gateways behind
//! it, users. What only one mode has is reached through `single()` and `cluster()`.

use super::{
    rest::Rest,
    single::{self, Single},
    user::{PASSWORD, User},
    wait::until,
};
use cluster::{Balancer, BalancerKind, Cluster, ClusterOptions, Node, Postgres, Redis, TestLinks};
use serde_json::{Value, json};
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::sync::OnceCell;

/// Which system a test runs against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A private `switchboard` process on SQLite.
    Single,
    /// The cluster of processes that this binary's harmless tests share, behind nginx.
    Cluster,
    /// The same cluster behind HAProxy.
    Haproxy,
}

/// A running system. Clones are the same one; it ends with the last.
#[derive(Clone)]
pub struct System(Arc<Inner>);

struct Inner {
    front: SocketAddr,
    nodes: Vec<SocketAddr>,
    apis: Vec<SocketAddr>,
    admin_ports: Vec<SocketAddr>,
    admin_password: String,
    logs: PathBuf,
    rest: Rest,
    running: Running,
}

/// What is behind the addresses.
enum Running {
    Single(Box<Single>),
    Cluster(Arc<Cluster>),
}

impl System {
    /// Starts or joins a system with nothing changed.
    pub async fn start(mode: Mode) -> Self {
        match mode {
            Mode::Single => Self::single(&[]).await,
            Mode::Cluster => Self::over(shared_cluster().await),
            Mode::Haproxy => {
                let cluster = shared_cluster().await;
                let front = shared_haproxy(&cluster).await.address();
                Self::behind(cluster, front)
            }
        }
    }

    /// A single process with these settings in its environment.
    pub async fn single(settings: &[(&str, &str)]) -> Self {
        Self::of(Single::start(settings).await)
    }

    /// One that a host runs as these lines of shell say: see [`Single::hosted`].
    pub async fn hosted(lines: &str, settings: &[(&str, &str)]) -> Self {
        Self::of(Single::hosted(lines, settings).await)
    }

    fn of(single: Single) -> Self {
        Self(Arc::new(Inner {
            front: single.public,
            nodes: vec![single.public],
            apis: vec![single.public],
            admin_ports: vec![single.admin],
            admin_password: single::ADMIN_PASSWORD.to_owned(),
            logs: single.logs().to_owned(),
            rest: Rest::new(format!("http://{}", single.public)),
            running: Running::Single(Box::new(single)),
        }))
    }

    /// A cluster that a test may break.
    pub async fn own_cluster() -> Self {
        Self::cluster_with(&[]).await
    }

    /// One with these settings in all nodes' environment.
    pub async fn cluster_with(settings: &[(&str, &str)]) -> Self {
        Self::over(Arc::new(start_cluster(BalancerKind::Nginx, settings).await))
    }

    /// One whose PostgreSQL has a standby.
    pub async fn cluster_with_standby() -> Self {
        let options = ClusterOptions { standby: true, ..options(BalancerKind::Nginx, &[]) };
        Self::over(Arc::new(Cluster::start(options).await.expect("a cluster")))
    }

    /// One whose nodes reach each other and the stores over links that can be broken.
    pub async fn linked_cluster() -> Self {
        let options = ClusterOptions { linked: true, ..options(BalancerKind::Nginx, &[]) };
        Self::over(Arc::new(Cluster::start(options).await.expect("a cluster")))
    }

    /// One behind HAProxy.
    pub async fn cluster_behind_haproxy(settings: &[(&str, &str)]) -> Self {
        Self::over(Arc::new(start_cluster(BalancerKind::Haproxy, settings).await))
    }

    fn over(cluster: Arc<Cluster>) -> Self {
        let front = cluster.balancer().address();
        Self::behind(cluster, front)
    }

    fn behind(cluster: Arc<Cluster>, front: SocketAddr) -> Self {
        let (gateways, apis) = (cluster.gateways(), cluster.apis());
        Self(Arc::new(Inner {
            front,
            nodes: gateways.iter().map(Node::address).collect(),
            apis: apis.iter().map(Node::address).collect(),
            admin_ports: gateways.iter().chain(apis).map(Node::admin).collect(),
            admin_password: cluster.admin_password().to_owned(),
            logs: cluster.logs().to_owned(),
            rest: Rest::new(format!("http://{front}")),
            running: Running::Cluster(cluster),
        }))
    }

    /// A gateway, to be broken.
    pub fn gateway(&self, number: usize) -> &Node {
        &self.cluster().gateways()[number]
    }

    /// An api, to be broken.
    pub fn api(&self, number: usize) -> &Node {
        &self.cluster().apis()[number]
    }

    pub fn database_url(&self) -> &str {
        self.cluster().database_url()
    }

    pub fn postgres(&self) -> &Postgres {
        self.cluster().postgres()
    }

    /// Of [`System::cluster_with_standby`].
    pub fn standby(&self) -> &Postgres {
        self.cluster().standby().expect("a standby")
    }

    pub fn redis(&self) -> &Redis {
        self.cluster().redis()
    }

    /// Of [`System::linked_cluster`].
    pub fn links(&self) -> &TestLinks {
        self.cluster().links()
    }

    /// One more load balancer in front of the cluster.
    pub async fn another_balancer(&self, kind: BalancerKind) -> Balancer {
        self.cluster().another_balancer(kind).await.expect("another load balancer")
    }

    /// Waits until the cluster's HAProxy counts on these nodes, as its own metrics say.
    pub async fn until_haproxy_sees(&self, nodes: &[&str]) {
        let metrics = self.cluster().balancer().metrics().expect("HAProxy's metrics");
        until("HAProxy to see them", async || {
            let url = format!("http://{metrics}/metrics");
            let text = reqwest::get(url).await.ok()?.text().await.ok()?;
            let up = |node: &&str| {
                let server = format!("server=\"{node}\",state=\"UP\"}} 1");
                text.lines().any(|line| {
                    line.starts_with("haproxy_server_status{") && line.ends_with(&server)
                })
            };
            nodes.iter().all(up).then_some(())
        })
        .await;
    }

    /// Runs the `api` binary with these arguments on the cluster's database; it must succeed.
    pub async fn api_command(&self, arguments: &[&str]) {
        let api = Path::new(env!("CARGO_BIN_EXE_switchboard")).with_file_name("api");
        let mut command = tokio::process::Command::new(api);
        let output = command
            .args(arguments)
            .env("DATABASE_URL", self.cluster().database_url())
            .output()
            .await
            .expect("the api binary, which the cluster runs too");
        assert!(output.status.success(), "{output:?}");
    }

    fn cluster(&self) -> &Cluster {
        match &self.0.running {
            Running::Single(_) => panic!("a single process has no such part"),
            Running::Cluster(cluster) => cluster,
        }
    }

    /// The one process, for a test that is only about it.
    pub fn alone(&self) -> &Single {
        match &self.0.running {
            Running::Single(single) => single,
            Running::Cluster(_) => panic!("a cluster is many processes"),
        }
    }

    /// Where clients connect: the load balancer, or the one process.
    pub fn front(&self) -> SocketAddr {
        self.0.front
    }

    /// A gateway. Numbers beyond the last begin again, so that a test for two works with one.
    pub fn node(&self, number: usize) -> SocketAddr {
        self.0.nodes[number % self.0.nodes.len()]
    }

    /// The gateways' addresses, each once.
    pub fn nodes(&self) -> &[SocketAddr] {
        &self.0.nodes
    }

    /// Everyone who answers REST, each by itself.
    pub fn rests(&self) -> Vec<Rest> {
        self.0.apis.iter().map(|api| Rest::new(format!("http://{api}"))).collect()
    }

    /// The admin ports of all processes.
    pub fn admin_ports(&self) -> &[SocketAddr] {
        &self.0.admin_ports
    }

    /// For a program that signs in by itself.
    pub fn admin_password(&self) -> &str {
        &self.0.admin_password
    }

    /// A caller whom nobody knows.
    pub fn rest(&self) -> &Rest {
        &self.0.rest
    }

    /// Registers a user. The name begins with this one and is unique in the system.
    pub async fn user(&self, name: &str) -> User {
        let username = unique(name);
        let body = json!({ "username": username, "password": PASSWORD });
        let answer = self.rest().post("/register", body).await.ok();
        User::signed_in(self, &answer)
    }

    /// Signs in a registered user.
    pub async fn sign_in(&self, username: &str, password: &str) -> User {
        let answer = self.try_sign_in(username, password).await;
        User::signed_in(self, &answer)
    }

    async fn try_sign_in(&self, username: &str, password: &str) -> Value {
        let body = json!({ "username": username, "password": password });
        self.rest().post("/login", body).await.ok()
    }

    /// The administrator.
    pub async fn admin(&self) -> User {
        self.sign_in("admin", &self.0.admin_password).await
    }

    /// The log files, of all processes, that contain this text.
    pub fn logs_with(&self, text: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        search(&self.0.logs, text, &mut found);
        found
    }
}

/// A name that begins with this one and that nobody else has.
pub fn unique(name: &str) -> String {
    let rest = uuid::Uuid::new_v4().simple().to_string();
    format!("{name}_{}", &rest[..12])
}

/// Of every system: a test prepares its chats faster than a person asks. What the limit does is proved
/// beside the api.
pub(super) const USUAL: &[(&str, &str)] = &[("REQUESTS_PER_SECOND", "5000")];

/// Two gateways, two apis; the settings are the shipped ones, but for a shorter farewell and these.
async fn start_cluster(balancer: BalancerKind, settings: &[(&str, &str)]) -> Cluster {
    Cluster::start(options(balancer, settings)).await.expect("a cluster")
}

fn options(balancer: BalancerKind, settings: &[(&str, &str)]) -> ClusterOptions {
    let settings = [USUAL, &[("DRAIN_SECONDS", "2")], settings].concat();
    let settings = settings.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
    ClusterOptions { balancer, settings: settings.collect(), ..ClusterOptions::default() }
}

/// Of the shared cluster. Guests may come in, as into the single process; and because all tests have
/// one address, a crowd may register from it.
const SHARED: &[(&str, &str)] = &[
    ("GUESTS", "true"),
    ("GUEST_MESSAGES_PER_MINUTE", "6000"),
    ("REGISTRATIONS_PER_MINUTE", "6000"),
    ("REQUESTS_WITHOUT_ACCOUNT_PER_SECOND", "5000"),
];

/// The one that all harmless tests of this binary share: it takes seconds to start.
async fn shared_cluster() -> Arc<Cluster> {
    static CLUSTER: OnceCell<Arc<Cluster>> = OnceCell::const_new();
    let start = async || Arc::new(start_cluster(BalancerKind::Nginx, SHARED).await);
    CLUSTER.get_or_init(start).await.clone()
}

/// A second load balancer in front of the shared cluster.
async fn shared_haproxy(cluster: &Cluster) -> &'static Balancer {
    static HAPROXY: OnceCell<Balancer> = OnceCell::const_new();
    let start = async || cluster.another_balancer(BalancerKind::Haproxy).await.expect("HAProxy");
    HAPROXY.get_or_init(start).await
}

fn search(folder: &Path, text: &str, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a log folder") {
        let path = entry.expect("a log file").path();
        if path.is_dir() {
            search(&path, text, found);
        } else if String::from_utf8_lossy(&std::fs::read(&path).expect("a log")).contains(text) {
            found.push(path);
        }
    }
}
