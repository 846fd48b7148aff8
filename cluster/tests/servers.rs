//! The private servers: they start, restart on the same port, and never outlive their owner.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use cluster::{Balancer, BalancerKind, Postgres, Process, Program, Redis, free_port};
use std::{
    env,
    io::{self, BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

#[tokio::test]
async fn postgres_gives_fresh_databases_and_keeps_them_over_a_kill() {
    let postgres = Postgres::start().await.unwrap();
    let first = postgres.create_database().await;
    let second = postgres.create_database().await;
    assert_ne!(first.url(), second.url());
    // What nobody needs any more goes as soon as another one is made.
    drop(first);
    let _third = postgres.create_database().await;
    let left = "SELECT 1 / (count(*) FILTER (WHERE datname LIKE 'db%') = 2)::int FROM pg_database";
    postgres.sql(left).await.unwrap();
    postgres.sql("CREATE TABLE kept (x int)").await.unwrap();
    postgres.kill().await.unwrap();
    postgres.restart().await.unwrap();
    postgres.sql("INSERT INTO kept VALUES (1)").await.unwrap();
    postgres.stop().await.unwrap();
    assert!(postgres.sql("SELECT 1").await.is_err());
}

#[tokio::test]
async fn redis_restarts_empty_on_its_port() {
    let redis = Redis::start().await.unwrap();
    let (url, pid) = (redis.url(), redis.process().pid());
    assert_eq!(ask(redis.port(), "SET a 1").await, "+OK\r\n");
    redis.kill().await.unwrap();
    assert!(TcpStream::connect(("127.0.0.1", redis.port())).await.is_err());
    redis.restart().await.unwrap();
    assert_eq!(redis.url(), url);
    assert_ne!(redis.process().pid(), pid);
    assert_eq!(ask(redis.port(), "GET a").await, "$-1\r\n");
    redis.stop().await.unwrap();
}

#[tokio::test]
async fn nothing_outlives_an_owner_that_is_killed() {
    let mut owner = Command::new(env::current_exe().unwrap())
        .args(["--exact", "owner", "--ignored", "--nocapture"])
        .stdout(Stdio::piped())
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(owner.stdout.take().unwrap()).lines();
    let line = lines
        .by_ref()
        .map(Result::unwrap)
        .find_map(|line| line.strip_prefix("owns ").map(str::to_owned));
    let line = line.unwrap();
    let (ports, folders): (Vec<_>, Vec<_>) =
        line.split(' ').map(str::to_owned).partition(|word| word.parse::<u16>().is_ok());
    assert_eq!((ports.len(), folders.len()), (4, 4), "{line}");
    assert!(folders.iter().all(|folder| Path::new(folder).exists()));
    owner.kill().unwrap();
    owner.wait().unwrap();
    let gone = async {
        for port in ports {
            while TcpStream::connect(format!("127.0.0.1:{port}")).await.is_ok() {
                tokio::task::yield_now().await;
            }
        }
        while folders.iter().any(|folder| Path::new(folder).exists()) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), gone).await.unwrap();
}

/// Not a test of its own: what [`nothing_outlives_an_owner_that_is_killed`] runs and kills.
#[tokio::test]
#[ignore = "runs until it is killed"]
async fn owner() {
    let redis = Redis::start().await.unwrap();
    let postgres = Postgres::start().await.unwrap();
    let nodes = [SocketAddr::from(([127, 0, 0, 1], free_port()))];
    let nginx = Balancer::start(free_port(), &nodes, &nodes).await.unwrap();
    let haproxy = Balancer::start_kind(BalancerKind::Haproxy, free_port(), &nodes, &nodes);
    let haproxy = haproxy.await.unwrap();
    let balancers = [nginx.address().port(), haproxy.address().port()];
    let ports = [redis.port(), postgres.port(), balancers[0], balancers[1]];
    let processes = [redis.process(), postgres.process(), nginx.process(), haproxy.process()];
    let logs = processes.map(Process::log);
    let words = ports.map(|port| port.to_string()).into_iter();
    let folders = logs.into_iter().map(|log| log.parent().unwrap().display().to_string());
    println!("\nowns {}", words.chain(folders).collect::<Vec<_>>().join(" "));
    io::stdin().read_line(&mut String::new()).unwrap();
}

#[tokio::test]
async fn a_process_that_ends_says_how() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::new("odd", "sh", folder.path())
        .args(["-c", "echo \"$WORD\"; exit 64"])
        .env("WORD", "out of order");
    let process = Process::start(program).unwrap();
    assert_eq!(process.wait(Duration::from_secs(10)).await.unwrap(), 64);
    let error = process.wait_ready(([127, 0, 0, 1], 1).into(), Duration::from_secs(10)).await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains("code 64") && error.contains("out of order"), "{error}");

    let program = Program::new("deaf", "sh", folder.path()).args(["-c", "exec tail -f /dev/null"]);
    let process = Process::start(program).unwrap();
    process.pause();
    assert_eq!(process.exit_code().unwrap(), None);
    process.kill().await.unwrap();
    assert_eq!(process.exit_code().unwrap(), Some(128 + 9));
}

async fn ask(port: u16, command: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(format!("{command}\r\n").as_bytes()).await.unwrap();
    let mut answer = [0; 64];
    let length = stream.read(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer[..length]).into_owned()
}
