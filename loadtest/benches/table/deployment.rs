//! The two kinds of deployment, with the limits that are shipped: one process on SQLite, and a cluster of two
//! apis and two gateways on PostgreSQL and Redis. Whoever is there has registered over REST.

use crate::usage;
use anyhow::{Context, Result};
use cluster::{Cluster, ClusterOptions, Durability, Node, Process, Program, free_port};
use loadtest::rest::Rest;
use serde::Deserialize;
use serde_json::json;
use sqlx::{Connection, PgConnection, SqliteConnection};
use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};
use tempfile::TempDir;

/// For the one process to get ready.
const START: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    OneProcess,
    Cluster,
}

impl Kind {
    pub const ALL: [Self; 2] = [Self::OneProcess, Self::Cluster];

    pub fn name(self) -> &'static str {
        match self {
            Self::OneProcess => "one process",
            Self::Cluster => "cluster",
        }
    }
}

pub enum Deployment {
    OneProcess(Box<OneProcess>),
    Cluster(Box<Cluster>),
}

pub struct OneProcess {
    process: Process,
    public: SocketAddr,
    folder: TempDir,
}

/// An account.
#[derive(Deserialize)]
pub struct Person {
    pub id: i64,
    #[serde(rename = "access_token")]
    pub token: String,
}

#[derive(Deserialize)]
struct Made {
    id: i64,
}

impl Deployment {
    /// Starts one with the programs of this folder, or of the sources.
    pub async fn start(kind: Kind, binaries: Option<PathBuf>) -> Result<Self> {
        if kind == Kind::Cluster {
            let durability = Durability::Durable;
            let options = ClusterOptions { durability, binaries, ..ClusterOptions::default() };
            return Ok(Self::Cluster(Box::new(Cluster::start(options).await?)));
        }
        let programs = cluster::switchboard_folder(binaries.as_deref()).await?;
        let folder = tempfile::tempdir()?;
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let (public, admin) = (local(free_port()), local(free_port()));
        let program = Program::new("switchboard", programs.join("switchboard"), folder.path())
            .args(["--listen", &public.to_string(), "--admin-listen", &admin.to_string()])
            .args(["--data".as_ref(), folder.path().join("data").as_os_str()]);
        let process = Process::start(program)?;
        process.wait_ready(admin, START).await?;
        Ok(Self::OneProcess(Box::new(OneProcess { process, public, folder })))
    }

    pub fn apis(&self) -> Vec<SocketAddr> {
        match self {
            Self::OneProcess(one) => vec![one.public],
            Self::Cluster(cluster) => cluster.apis().iter().map(Node::address).collect(),
        }
    }

    pub fn gateway(&self) -> SocketAddr {
        match self {
            Self::OneProcess(one) => one.public,
            Self::Cluster(cluster) => cluster.gateways()[0].address(),
        }
    }

    /// So many new accounts.
    pub async fn people(&self, count: usize) -> Result<Vec<Person>> {
        let rest = self.rest()?;
        let mut people = Vec::new();
        for number in 0..count {
            let body = json!({ "username": format!("bench{number}"), "password": "password123" });
            people.push(rest.post("/register", None, &body).await?);
        }
        Ok(people)
    }

    /// A chat of this person with these others; its id.
    pub async fn chat(&self, kind: &str, owner: &Person, others: &[&Person]) -> Result<i64> {
        let ids: Vec<i64> = others.iter().map(|person| person.id).collect();
        let name = (kind == "room").then_some("bench");
        let body = json!({ "chat_type": kind, "name": name, "member_ids": ids });
        let made: Made = self.rest()?.post("/chats", Some(&owner.token), &body).await?;
        Ok(made.id)
    }

    fn rest(&self) -> Result<Rest> {
        let first = self.apis().into_iter().next().context("no api")?;
        Ok(Rest::new(&format!("http://{first}"))?)
    }

    /// Puts so many messages of this person into a chat that has none.
    pub async fn fill(&self, chat: i64, sender: i64, messages: i64) -> Result<()> {
        const INTO: &str = "INSERT INTO messages (chat_id, id, seq, sender_id, client_message_id, text, created_at)";
        const CHAT: &str = "UPDATE chats SET last_seq = $2, message_count = $2 WHERE id = $1";
        match self {
            Self::OneProcess(one) => {
                let mut database =
                    SqliteConnection::connect(&database_in(one.folder.path())).await?;
                let numbers = "WITH RECURSIVE numbers (n) AS
                    (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < $3)";
                let select = "SELECT $1, n, n, $2, CAST(n AS TEXT), 'hi', now FROM clock, numbers";
                let insert = sqlx::AssertSqlSafe(format!("{INTO} {numbers} {select}"));
                sqlx::query(insert)
                    .bind(chat)
                    .bind(sender)
                    .bind(messages)
                    .execute(&mut database)
                    .await?;
                sqlx::query(CHAT).bind(chat).bind(messages).execute(&mut database).await?;
                database.close().await?;
            }
            Self::Cluster(cluster) => {
                let mut database = PgConnection::connect(cluster.database_url()).await?;
                let select = "SELECT $1, n, n, $2, n::TEXT, 'hi', now
                    FROM clock, generate_series(1, $3) AS n";
                sqlx::query(sqlx::AssertSqlSafe(format!("{INTO} {select}")))
                    .bind(chat)
                    .bind(sender)
                    .bind(messages)
                    .execute(&mut database)
                    .await?;
                sqlx::query(CHAT).bind(chat).bind(messages).execute(&mut database).await?;
                // A vacuum at another moment of every run would be noise.
                sqlx::query("VACUUM ANALYZE").execute(&mut database).await?;
                database.close().await?;
            }
        }
        Ok(())
    }

    /// CPU seconds of all servers so far.
    pub fn cpu(&self) -> Result<f64> {
        match self {
            Self::OneProcess(one) => usage::cpu(one.process.pid()),
            Self::Cluster(cluster) => {
                let nodes = cluster.apis().iter().chain(cluster.gateways()).map(Node::process);
                let alone = nodes.chain([cluster.redis().process()]);
                let sum: Result<f64> = alone.map(|process| usage::cpu(process.pid())).sum();
                Ok(sum? + usage::cpu_of_family(cluster.postgres().process().pid())?)
            }
        }
    }

    pub async fn stop(self) -> Result<()> {
        match self {
            Self::OneProcess(one) => one.process.stop().await.map(drop),
            Self::Cluster(cluster) => cluster.stop().await,
        }
    }
}

fn database_in(folder: &Path) -> String {
    format!("sqlite:{}", folder.join("data/switchboard.db").display())
}
