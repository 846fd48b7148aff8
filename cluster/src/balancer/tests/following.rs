//! HAProxy follows DNS while it runs: the shipped file with another resolver, and gateways that share a
//! port on several addresses, as containers do.

use super::{
    node::{Answer, FakeNode, Manner::Serves, open},
    until,
};
use crate::{balancer::haproxy, free_port, scratch::Scratch};
use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
};
use tokio::{net::UdpSocket, task::JoinSet};

const NODES: [(Ipv4Addr, &str); 3] = [
    (Ipv4Addr::new(127, 0, 0, 1), "one"),
    (Ipv4Addr::new(127, 0, 0, 2), "two"),
    (Ipv4Addr::new(127, 0, 0, 3), "three"),
];

#[tokio::test]
async fn sockets_spread_over_the_nodes_that_dns_lists_and_stay_open() {
    let port = free_port();
    let mut nodes = Vec::new();
    for (address, name) in NODES {
        nodes.push(FakeNode::start_at((address, port).into(), name, Serves).await);
    }
    let dns = Dns::start().await;
    let scratch = Scratch::new("following").unwrap();
    let local = || SocketAddr::from(([127, 0, 0, 1], free_port()));
    let (address, metrics) = (local(), local());
    let mut conf = haproxy::configuration_for(address, metrics).unwrap();
    for (shipped, ours) in [
        ("    parse-resolv-conf", format!("    nameserver test {}", dns.address)),
        // The nodes are their own admin listeners.
        (" port 9100 ", format!(" port {port} ")),
        (" port 9200 ", format!(" port {port} ")),
    ] {
        assert!(conf.contains(shipped), "{shipped:?} is not in haproxy.cfg");
        conf = conf.replace(shipped, &ours);
    }
    let names = [("GATEWAYS", "gateway.test"), ("APIS", "api.test")];
    let names = names.map(|(name, host)| (name, format!("{host}:{port}")));
    let process = haproxy::run(scratch.path(), scratch.path(), metrics, &conf, &names);
    let process = process.await.unwrap();
    assert!(
        process.wait_answer(metrics, "/readyz", super::DEADLINE / 30).await.is_err(),
        "no node"
    );

    dns.list(&[0]);
    process.wait_ready(metrics, super::DEADLINE).await.unwrap();
    spread(address, &["one"]).await;
    let mut first = open(address).await;
    dns.list(&[0, 1, 2]);
    spread(address, &["one", "two", "three"]).await;
    let mut second = loop {
        let socket = open(address).await;
        if socket.node() == "two" {
            break socket;
        }
    };
    dns.list(&[0, 2]);
    spread(address, &["one", "three"]).await;
    for socket in [&mut first, &mut second] {
        assert!(socket.echoes().await, "{} has lost its socket", socket.node());
    }
}

/// Waits until sockets that are open at the same time are with exactly these nodes.
async fn spread(address: SocketAddr, names: &[&str]) {
    let names: BTreeSet<&str> = names.iter().copied().collect();
    until(&format!("{names:?}"), async || {
        let mut sockets: Vec<Answer> = Vec::new();
        for _ in 0..names.len() * 3 {
            sockets.push(open(address).await);
        }
        sockets.iter().map(Answer::node).collect::<BTreeSet<_>>() == names
    })
    .await;
}

/// A DNS server (RFC 1035) that knows the addresses of two names.
struct Dns {
    address: SocketAddr,
    listed: Arc<Mutex<Vec<Ipv4Addr>>>,
    _answering: JoinSet<()>,
}

impl Dns {
    async fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let listed = Arc::<Mutex<Vec<Ipv4Addr>>>::default();
        let answers = Arc::clone(&listed);
        let mut answering = JoinSet::new();
        answering.spawn(async move {
            let mut question = [0; 1500];
            while let Ok((length, peer)) = socket.recv_from(&mut question).await {
                let addresses = answers.lock().unwrap().clone();
                let _ = socket.send_to(&answer(&question[..length], &addresses), peer).await;
            }
        });
        Self { address, listed, _answering: answering }
    }

    /// From now on these nodes are all there are.
    fn list(&self, nodes: &[usize]) {
        *self.listed.lock().unwrap() = nodes.iter().map(|node| NODES[*node].0).collect();
    }
}

/// The answer to a question for addresses, which is anything but the header and one name.
fn answer(question: &[u8], addresses: &[Ipv4Addr]) -> Vec<u8> {
    const HEADER: usize = 12;
    let name_end = HEADER + question[HEADER..].iter().position(|byte| *byte == 0).unwrap() + 1;
    let (name, kind) = (&question[HEADER..name_end], &question[name_end..name_end + 2]);
    let known = kind == [0, 1] && name.ends_with(b"\x04test\0");
    let addresses = if known { addresses } else { &[] };
    let mut answer = question[..2].to_vec();
    // A recursive answer without an error: one question, so many answers, nothing else.
    answer.extend([0x81, 0x80, 0, 1, 0, u8::try_from(addresses.len()).unwrap(), 0, 0, 0, 0]);
    answer.extend(&question[HEADER..name_end + 4]);
    for address in addresses {
        // The question's name, A, IN, a TTL of nothing, four bytes.
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
        answer.extend(address.octets());
    }
    answer
}
