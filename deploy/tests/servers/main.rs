//! The script that puts the servers of a Redis cluster together (`deploy/redis/cluster-node`), with real servers, each on an
//! address of its own of this machine. Containers, whose addresses change as well, are the business of
//! scripts/check-containers.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

use cluster::{Process, Program};
use deploy::known::root;
use std::{
    collections::BTreeSet,
    fs,
    net::{Ipv4Addr, TcpListener},
    path::PathBuf,
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio::{process::Command, time::sleep};

/// Those of the shipped files; other machines of loopback have them, too.
const PORTS: [u16; 2] = [6379, 16_379];
const COUNT: u8 = 6;

/// The servers, and how they see each other.
struct Servers {
    folder: TempDir,
    addresses: Vec<Ipv4Addr>,
    processes: Vec<Process>,
}

/// A server as another one sees it.
#[derive(Debug)]
struct Seen {
    id: String,
    address: String,
    is_master: bool,
    slots: BTreeSet<String>,
}

/// Addresses on which nobody listens.
fn free_addresses() -> Vec<Ipv4Addr> {
    loop {
        let [first, second, ..] = *uuid::Uuid::new_v4().as_bytes();
        let addresses: Vec<_> =
            (1..=COUNT).map(|last| Ipv4Addr::new(127, first | 1, second, last)).collect();
        let mut all = addresses.iter().flat_map(|one| PORTS.map(|port| (*one, port)));
        if all.all(|one| TcpListener::bind(one).is_ok()) {
            return addresses;
        }
    }
}

impl Servers {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let addresses = free_addresses();
        let names: Vec<String> = addresses.iter().map(Ipv4Addr::to_string).collect();
        let processes = names.iter().map(|name| {
            let own = folder.path().join(name);
            fs::create_dir_all(own.join("data")).unwrap();
            let shipped = |file: &str| fs::read_to_string(root().join("deploy/redis").join(file));
            fs::write(own.join("cluster-node"), shipped("cluster-node").unwrap()).unwrap();
            let anywhere = "bind * -::*";
            let conf = shipped("redis.conf").unwrap();
            assert!(conf.contains(anywhere));
            let conf = conf.replace(anywhere, &format!("bind {name}"));
            fs::write(own.join("redis.conf"), conf).unwrap();
            let conf = shipped("cluster.conf").unwrap();
            let conf = conf.replace("node-timeout 5000", "node-timeout 1000");
            fs::write(own.join("cluster.conf"), conf).unwrap();
            let program = Program::new(name.clone(), "sh", &own)
                .args([own.join("cluster-node").into_os_string(), "run".into()])
                .env("NAME", name)
                .env("ADDRESS", name)
                .env("SERVERS", names.join(" "))
                .env("DATA", own.join("data").display());
            Process::start(program).unwrap()
        });
        let processes = processes.collect();
        Self { folder, addresses, processes }
    }

    fn own(&self, number: usize) -> PathBuf {
        self.folder.path().join(self.addresses[number].to_string())
    }

    async fn is_ready(&self, number: usize) -> bool {
        let mut ready = Command::new("sh");
        ready.arg(self.own(number).join("cluster-node")).arg("ready");
        ready.env("ADDRESS", self.addresses[number].to_string()).env("SERVERS", "").env("NAME", "");
        ready.status().await.unwrap().success()
    }

    async fn ask(&self, number: usize, command: &[&str]) -> String {
        let mut cli = Command::new("redis-cli");
        cli.args(["-h", &self.addresses[number].to_string()]).args(command);
        String::from_utf8(cli.output().await.unwrap().stdout).unwrap()
    }

    async fn seen_by(&self, number: usize) -> Vec<Seen> {
        let text = self.ask(number, &["cluster", "nodes"]).await;
        let one = |line: &str| {
            let words: Vec<&str> = line.split(' ').collect();
            Some(Seen {
                id: words[0].to_owned(),
                address: words.get(1)?.split(':').next()?.to_owned(),
                is_master: words.get(2)?.contains("master"),
                slots: words.iter().skip(8).map(|slots| (*slots).to_owned()).collect(),
            })
        };
        text.lines().filter_map(one).collect()
    }

    /// How one of them sees another one.
    async fn seen(&self, by: usize, number: usize) -> Seen {
        let address = self.addresses[number].to_string();
        let mut all = self.seen_by(by).await.into_iter();
        all.find(|one| one.address == address).unwrap()
    }

    /// Waits until all are ready, and everybody knows all and nobody else.
    async fn settle(&self) {
        let end = Instant::now() + Duration::from_secs(60);
        for number in 0..self.addresses.len() {
            while !self.is_ready(number).await
                || self.seen_by(number).await.len() != self.addresses.len()
            {
                let seen = self.seen_by(number).await;
                assert!(Instant::now() < end, "{seen:?}\n{}", self.processes[number].log_tail());
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

#[tokio::test]
async fn servers_of_a_cluster_come_together_and_replace_each_other() {
    let servers = Servers::start();
    servers.settle().await;
    let masters = servers.seen_by(0).await.iter().filter(|one| one.is_master).count();
    assert_eq!(masters, 3, "each of the others follows one");

    // A master that is told to stop hands over first: whoever has its slots has them before it is gone.
    let before = servers.seen(2, 0).await;
    assert!(before.is_master);
    assert_eq!(servers.processes[0].stop().await.unwrap(), 0);
    let owner = servers.seen_by(2).await.into_iter().find(|one| one.slots == before.slots);
    assert_ne!(owner.unwrap().id, before.id);
    servers.processes[0].restart().unwrap();
    servers.settle().await;
    let back = servers.seen(2, 0).await;
    assert!(back.id == before.id && !back.is_master, "{back:?}");

    // A master that loses its folder is replaced, and then comes back as another one's replica.
    let before = servers.seen(2, 1).await;
    assert!(before.is_master);
    servers.ask(1, &["shutdown", "nosave"]).await;
    servers.processes[1].wait(Duration::from_secs(10)).await.unwrap();
    fs::remove_file(servers.own(1).join("data/nodes.conf")).unwrap();
    servers.processes[1].restart().unwrap();
    servers.settle().await;
    let back = servers.seen(2, 1).await;
    assert!(back.id != before.id && !back.is_master, "{back:?}");

    // Nobody makes another cluster when all are started anew.
    let ids = |all: Vec<Seen>| all.into_iter().map(|one| one.id).collect::<BTreeSet<_>>();
    let before = ids(servers.seen_by(2).await);
    for number in 0..servers.addresses.len() {
        servers.ask(number, &["shutdown", "nosave"]).await;
        servers.processes[number].wait(Duration::from_secs(10)).await.unwrap();
    }
    for process in &servers.processes {
        process.restart().unwrap();
    }
    servers.settle().await;
    assert_eq!(ids(servers.seen_by(2).await), before);
}
