//! A whole cluster: Redis, PostgreSQL, apis, gateways and the load balancer, wired together. Each kind of
//! process has a file of its own.

use crate::{
    BalancedNode, Balancer, BalancerKind, ClusterState, Cpus, Durability, Node, Postgres, Process,
    Program, Redis, TestDatabase, TestLinks, binaries, free_port, links::Ends, scratch::Scratch,
};
use anyhow::{Context, Result};
use ed25519_dalek::{SigningKey, pkcs8::EncodePrivateKey, pkcs8::spki::der::pem::LineEnding};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// What a cluster consists of.
#[derive(Clone, Debug)]
pub struct ClusterOptions {
    /// At least one, as of the apis.
    pub gateways: usize,
    /// At least one.
    pub apis: usize,
    /// Which load balancer.
    pub balancer: BalancerKind,
    /// The load balancer's port; a free one when `None`.
    pub port: Option<u16>,
    /// Whether PostgreSQL waits for the disk at each commit.
    pub durability: Durability,
    /// Whether PostgreSQL has a standby that has all that is committed and that the apis know of.
    pub standby: bool,
    /// Whether the nodes reach Redis, PostgreSQL and the apis over [`Cluster::links`].
    pub linked: bool,
    /// Which CPUs they run on.
    pub cpus: Cpus,
    /// A folder with the binaries `api` and `gateway`; built from the sources when `None`.
    pub binaries: Option<PathBuf>,
    /// The administrator's password; a random one when `None`.
    pub admin_password: Option<String>,
    /// Settings of the apis and gateways, beside this process's environment, which they inherit.
    pub settings: Vec<(String, String)>,
    /// Where the processes' logs go; into a temporary folder when `None`.
    pub logs: Option<PathBuf>,
}

impl Default for ClusterOptions {
    fn default() -> Self {
        Self {
            gateways: 2,
            apis: 2,
            balancer: BalancerKind::default(),
            port: None,
            durability: Durability::Fast,
            standby: false,
            linked: false,
            cpus: Cpus::default(),
            binaries: None,
            admin_password: None,
            settings: Vec::new(),
            logs: None,
        }
    }
}

/// A running cluster. Dropping it kills all of it; so does the death of this process.
// Fields are dropped in order: whoever is used by another one goes after it.
pub struct Cluster {
    balancer: Balancer,
    gateways: Vec<Node>,
    apis: Vec<Node>,
    redis: Redis,
    postgres: Postgres,
    standby: Option<Postgres>,
    wiring: Wiring,
    _database: TestDatabase,
    _scratch: Scratch,
}

/// What all nodes are told.
struct Wiring {
    binaries: PathBuf,
    cpus: Cpus,
    logs: PathBuf,
    settings: Vec<(String, String)>,
    database_url: String,
    token_key: String,
    admin_password: String,
    links: TestLinks,
}

impl Cluster {
    /// Builds the binaries unless a folder is given, starts everything and waits until all of it is ready.
    ///
    /// # Errors
    /// [`MissingBinary`](crate::MissingBinary) before anything is started; a failed build or start.
    pub async fn start(options: ClusterOptions) -> Result<Self> {
        let binaries = binaries::cluster_folder(options.binaries.as_deref()).await?;
        let cpus = options.cpus;
        let scratch = Scratch::new("cluster")?;
        let logs = folder(options.logs.unwrap_or_else(|| scratch.path().join("logs")))?;
        let (redis, postgres) = tokio::try_join!(
            Redis::start_in(Some(&logs), cpus.others, &[]),
            Postgres::start_in(Some(&logs), options.durability, cpus.others)
        )?;
        let database = postgres.try_create_database().await?;
        let standby =
            if options.standby { Some(postgres.standby_in(Some(&logs)).await?) } else { None };
        let database_url = match &standby {
            Some(standby) => postgres.url_with(standby, database.name()),
            None => database.url().to_owned(),
        };
        let mut settings = own_settings(&scratch, &redis);
        // Last, because a later value of the same name wins.
        settings.extend(options.settings);
        let key = SigningKey::from_bytes(&rand::random());
        let links = match options.linked {
            true => TestLinks::to_stores(options.gateways, options.apis, &redis, &postgres).await?,
            false => TestLinks::default(),
        };
        let mut wiring = Wiring {
            binaries,
            cpus,
            logs,
            settings,
            database_url,
            token_key: key.to_pkcs8_pem(LineEnding::LF)?.to_string(),
            admin_password: options.admin_password.unwrap_or_else(secret),
            links,
        };
        let apis = start_nodes(options.apis, |number| wiring.api(number)).await?;
        if options.linked {
            wiring.links.add_to_apis(options.gateways, &apis).await?;
        }
        let gateways =
            start_nodes(options.gateways, |number| wiring.gateway(number, &apis)).await?;
        let port = options.port.unwrap_or_else(free_port);
        let (behind, beside) = (backends(&gateways), backends(&apis));
        let (logs, kind) = (Some(wiring.logs.as_path()), options.balancer);
        let balancer = Balancer::start_in(logs, kind, port, &behind, &beside).await?;
        Ok(Self {
            balancer,
            gateways,
            apis,
            redis,
            postgres,
            standby,
            wiring,
            _database: database,
            _scratch: scratch,
        })
    }

    /// The gateways, in the order they were started.
    pub fn gateways(&self) -> &[Node] {
        &self.gateways
    }

    /// The apis, in the order they were started.
    pub fn apis(&self) -> &[Node] {
        &self.apis
    }

    /// The links between the nodes and what they need, if the cluster was started with such.
    pub fn links(&self) -> &TestLinks {
        &self.wiring.links
    }

    /// The load balancer in front of all nodes.
    pub fn balancer(&self) -> &Balancer {
        &self.balancer
    }

    /// The Redis server that all nodes share.
    pub fn redis(&self) -> &Redis {
        &self.redis
    }

    /// PostgreSQL's standby, if the cluster was started with one.
    pub fn standby(&self) -> Option<&Postgres> {
        self.standby.as_ref()
    }

    /// The PostgreSQL server of the apis.
    pub fn postgres(&self) -> &Postgres {
        &self.postgres
    }

    /// The password of the user `admin`.
    pub fn admin_password(&self) -> &str {
        &self.wiring.admin_password
    }

    /// The URL of the apis' database, with its password.
    pub fn database_url(&self) -> &str {
        &self.wiring.database_url
    }

    /// The private key that the apis sign access tokens with, as PKCS#8 PEM: who prepares users in
    /// the database, by the ten thousand, makes their tokens too.
    pub fn token_key(&self) -> &str {
        &self.wiring.token_key
    }

    /// The folder of the binaries that run here. What was built has `canary` in it, too.
    pub fn binaries(&self) -> &Path {
        &self.wiring.binaries
    }

    /// The folder of the log files of all processes.
    pub fn logs(&self) -> &Path {
        &self.wiring.logs
    }

    /// Process ids and addresses as they are now.
    pub fn state(&self) -> ClusterState {
        ClusterState::of(self)
    }

    /// Starts one more gateway and puts it behind the load balancer.
    pub async fn add_gateway(&mut self) -> Result<()> {
        let gateway = self.wiring.gateway(self.gateways.len() + 1, &self.apis).await?;
        self.gateways.push(gateway);
        self.balancer.set_nodes(&backends(&self.gateways), &backends(&self.apis)).await
    }

    /// Starts one more load balancer in front of the same nodes. It does not learn of gateways that
    /// are added later; its log is beside the others.
    pub async fn another_balancer(&self, kind: BalancerKind) -> Result<Balancer> {
        let (gateways, apis) = (backends(&self.gateways), backends(&self.apis));
        Balancer::start_in(Some(&self.wiring.logs), kind, free_port(), &gateways, &apis).await
    }

    /// All processes, for a look at who still runs.
    pub fn processes(&self) -> impl Iterator<Item = &Process> {
        let nodes = self.gateways.iter().chain(&self.apis).map(Node::process);
        let stores = [self.redis.process(), self.postgres.process()];
        nodes.chain(stores).chain([self.balancer.process()])
    }

    /// Stops all of it in order, each process by its own clean way: nobody is left waiting for one
    /// that has gone.
    pub async fn stop(self) -> Result<()> {
        // Without it clients are gone, and gateways need not wait for them.
        self.balancer.stop().await?;
        // Gateways first: they still need the apis to answer what they have read.
        for nodes in [&self.gateways, &self.apis] {
            nodes.iter().for_each(|node| node.process().terminate());
            for node in nodes {
                node.process().stop().await?;
            }
        }
        self.redis.stop().await?;
        self.postgres.stop().await
    }
}

impl Wiring {
    async fn api(&self, number: usize) -> Result<Node> {
        Node::start(|addresses| {
            self.program("api", number, self.cpus.others)
                .env("LISTEN", addresses.public)
                .env("INTERNAL_LISTEN", addresses.internal)
                .env("ADMIN_LISTEN", addresses.admin)
                .env("DATABASE_URL", self.links.database_url(number - 1, &self.database_url))
                .env_if(self.links.redis_url(Ends::ApiRedis(number - 1)))
                .env("JWT_PRIVATE_KEY", &self.token_key)
                .env("ADMIN_PASSWORD", &self.admin_password)
        })
        .await
    }

    async fn gateway(&self, number: usize, apis: &[Node]) -> Result<Node> {
        let internal = |(api, node): (usize, &Node)| {
            let link = self.links.address(Ends::GatewayApi(number - 1, api));
            format!("http://{}", link.unwrap_or(node.internal()))
        };
        let apis: Vec<String> = apis.iter().enumerate().map(internal).collect();
        Node::start(|addresses| {
            self.program("gateway", number, self.cpus.gateways)
                .env("LISTEN", addresses.public)
                .env("ADMIN_LISTEN", addresses.admin)
                .env("API_URL", apis.join(","))
                .env_if(self.links.redis_url(Ends::GatewayRedis(number - 1)))
        })
        .await
    }

    fn program(&self, binary: &str, number: usize, cpu: Option<usize>) -> Program {
        let name = format!("{binary}-{number}");
        let program = Program::new(name, self.binaries.join(binary), &self.logs).on_cpu(cpu);
        self.settings.iter().fold(program, |program, (name, value)| program.env(name, value))
    }
}

/// The folder, made if it is missing.
fn folder(path: PathBuf) -> Result<PathBuf> {
    fs::create_dir_all(&path).with_context(|| format!("cannot create {}", path.display()))?;
    // Some children run in another folder, where a relative path would lead elsewhere.
    Ok(fs::canonicalize(path)?)
}

/// The settings that differ from one cluster to the next.
fn own_settings(scratch: &Scratch, redis: &Redis) -> Vec<(String, String)> {
    let avatars = format!("file://{}", scratch.path().join("avatars").display());
    let settings = [
        ("LOG_FORMAT", "json".to_owned()),
        ("AVATARS_URL", avatars),
        ("REDIS_URL", redis.url()),
        ("INTERNAL_TOKEN", secret()),
    ];
    settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Starts nodes number 1 to `count`: the first alone, because an api makes the tables, and the
/// others at once, as a deployment would.
async fn start_nodes<F: Future<Output = Result<Node>>>(
    count: usize,
    start: impl Fn(usize) -> F,
) -> Result<Vec<Node>> {
    let mut nodes = vec![start(1).await?];
    for node in futures_util::future::join_all((2..=count).map(start)).await {
        nodes.push(node?);
    }
    Ok(nodes)
}

fn backends(nodes: &[Node]) -> Vec<BalancedNode> {
    nodes.iter().map(BalancedNode::from).collect()
}

/// 128 random bits in hexadecimal.
fn secret() -> String {
    format!("{:032x}", rand::random::<u128>())
}
