//! What an idle connection costs a gateway: KiB of memory (PSS) and CPU per handshake, with token
//! check and `ready`, in a real cluster. `cargo bench -p standalone --bench idle [-- CONNECTIONS]`
//!
//! All connections belong to 100 users, who are in one group together.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]

use anyhow::{Context, Result, ensure};
use cluster::{Cluster, Options};
use futures_util::{SinkExt, StreamExt, stream};
use serde_json::{Value, json};
use std::{fs, net::SocketAddr, time::Duration};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{Message, protocol::WebSocketConfig},
};

const USERS: usize = 100;
const AT_ONCE: usize = 64;

#[tokio::main]
async fn main() -> Result<()> {
    let wanted = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(10_000);
    let settings = vec![("MAX_CONNECTIONS".to_owned(), "20000".to_owned())];
    let options = Options { gateways: 1, apis: 1, settings, ..Options::default() };
    let cluster = Cluster::start(options).await?;
    let tokens = users(&cluster.balancer().url()).await?;
    let gateway = &cluster.gateways()[0];
    let pid = gateway.process().pid();

    // The first connection of each user makes the gateway's tables and the client's.
    let mut sockets = connect(gateway.address(), &tokens, USERS).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (memory, cpu) = (pss_kib(pid)?, cpu_seconds(pid)?);
    sockets.extend(connect(gateway.address(), &tokens, wanted).await?);
    let handshakes = cpu_seconds(pid)? - cpu;
    // Whatever the storm of handshakes left is let go of.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let each = (pss_kib(pid)? - memory) / wanted as f64;
    let before = cpu_seconds(pid)?;
    tokio::time::sleep(Duration::from_secs(30)).await;
    let idle = cpu_seconds(pid)? - before;

    println!("connections                 {wanted}");
    println!("KiB PSS per connection      {each:.2}");
    println!("CPU ms per handshake        {:.3}", handshakes * 1e3 / wanted as f64);
    println!("handshakes per CPU second   {:.0}", wanted as f64 / handshakes);
    println!("idle CPU µs/s per connection {:.2}", idle / 30.0 * 1e6 / wanted as f64);
    drop(sockets);
    cluster.stop().await
}

/// Registers the users and puts them into one group; their tokens.
async fn users(url: &str) -> Result<Vec<String>> {
    let http = reqwest::Client::new();
    let mut tokens = Vec::new();
    let mut ids = Vec::new();
    for number in 0..USERS {
        let body = json!({ "username": format!("idle{number}"), "password": "password123" });
        let answer = http.post(format!("{url}/register")).json(&body).send().await?;
        let user: Value = answer.error_for_status()?.json().await?;
        tokens.push(user["access_token"].as_str().context("no token")?.to_owned());
        ids.push(user["id"].clone());
    }
    let body = json!({ "chat_type": "group", "name": "idle", "member_ids": ids[1..] });
    let create = http.post(format!("{url}/chats")).bearer_auth(&tokens[0]).json(&body);
    create.send().await?.error_for_status()?;
    Ok(tokens)
}

type Socket = WebSocketStream<TcpStream>;

async fn connect(address: SocketAddr, tokens: &[String], count: usize) -> Result<Vec<Socket>> {
    let all = (0..count).map(|number| open(address, &tokens[number % tokens.len()]));
    stream::iter(all).buffer_unordered(AT_ONCE).collect::<Vec<_>>().await.into_iter().collect()
}

async fn open(address: SocketAddr, token: &str) -> Result<Socket> {
    let mut config = WebSocketConfig::default();
    config.read_buffer_size = 1024;
    config.write_buffer_size = 0;
    let stream = TcpStream::connect(address).await?;
    let url = format!("ws://{address}/gateway");
    let (mut socket, _) = client_async_with_config(url, stream, Some(config)).await?;
    let hello = json!({ "type": "hello", "token": token }).to_string();
    socket.send(Message::Text(hello.into())).await?;
    let answer = socket.next().await.context("closed")??;
    ensure!(answer.to_text()?.contains("\"type\":\"ready\""), "{answer}");
    Ok(socket)
}

/// The process's share of memory, from the kernel's own sum.
fn pss_kib(pid: u32) -> Result<f64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let line = rollup.lines().find(|line| line.starts_with("Pss:")).context("no Pss")?;
    Ok(line.split_whitespace().nth(1).context("no number")?.parse()?)
}

/// User and system time so far, in the kernel's ticks of 10 ms.
fn cpu_seconds(pid: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields = stat.rsplit(')').next().context("no fields")?;
    let ticks: Vec<f64> =
        fields.split_whitespace().skip(11).take(2).map_while(|n| n.parse().ok()).collect();
    Ok(ticks.iter().sum::<f64>() / 100.0)
}
