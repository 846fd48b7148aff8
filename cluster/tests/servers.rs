//! The private servers: they start, restart on the same port, and never outlive their owner.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use cluster::{Postgres, Redis};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

#[tokio::test]
async fn postgres_gives_fresh_databases_and_keeps_them_over_a_kill() {
    let postgres = Postgres::start().await.unwrap();
    let first = postgres.create_database().await;
    let second = postgres.create_database().await;
    assert_ne!(first, second);
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

async fn ask(port: u16, command: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(format!("{command}\r\n").as_bytes()).await.unwrap();
    let mut answer = [0; 64];
    let length = stream.read(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer[..length]).into_owned()
}
