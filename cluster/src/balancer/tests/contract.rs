//! Where requests go and what comes back, while the nodes stay who they are.

use super::{
    node::{Answer, FakeNode, Manner::*, UPGRADE, ask, open},
    until, with_both_kinds,
};
use crate::{BalancedNode, Balancer, BalancerKind, balancer::haproxy, free_port, scratch::Scratch};
use serde_json::Value;
use std::{fs, net::SocketAddr};

with_both_kinds!(
    upgrades_go_to_gateways_and_the_rest_to_apis,
    refusals_are_problem_documents,
    a_dead_or_full_gateway_is_passed_over,
    a_dead_api_is_passed_over_and_a_post_reaches_one_only,
    the_access_log_is_json_without_queries,
);

async fn upgrades_go_to_gateways_and_the_rest_to_apis(kind: BalancerKind) {
    let gateway = FakeNode::start("gateway", Serves).await;
    let api = FakeNode::start("api", Serves).await;
    let balancer = start(kind, &[&gateway], &[&api]).await;
    let address = balancer.address();

    let made_up = "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\n\
                   Origin: http://page.example\r\n";
    for (line, headers, node) in [
        ("GET /chats?limit=1", made_up.to_owned(), "api"),
        ("GET /gateway?token=secret", format!("{made_up}{UPGRADE}"), "gateway"),
    ] {
        let answer = ask(address, line, &headers, "").await;
        assert_eq!(answer.status, if node == "api" { 200 } else { 101 }, "{answer:?}");
        assert_eq!(answer.node(), node);
        let asked = answer.body.to_lowercase();
        for told in [
            format!("{} http/1.1\r", line.to_lowercase()),
            format!("\nhost: {address}\r"),
            "\norigin: http://page.example\r".to_owned(),
            "\nx-forwarded-for: 127.0.0.1\r".to_owned(),
            "\nx-forwarded-proto: http\r".to_owned(),
        ] {
            assert!(asked.contains(&told), "no {told:?} in {asked}");
        }
        assert!(!asked.contains("6.6.6.6") && !asked.contains("https"), "{asked}");
    }
    let mut socket = open(address).await;
    assert!(socket.echoes().await);
}

/// As behind an ingress controller: the client is whom that one says it is, in the log too.
#[tokio::test]
async fn haproxy_believes_another_proxy_that_it_was_told_of() {
    let node = FakeNode::start("node", Serves).await;
    let nodes = [BalancedNode::from(node.address)];
    let [address, metrics] = [(); 2].map(|()| SocketAddr::from(([127, 0, 0, 1], free_port())));
    for (trusted, client, scheme) in
        [("127.0.0.0/8 10.0.0.0/8", "7.7.7.7", "https"), ("10.0.0.0/8", "127.0.0.1", "http")]
    {
        let scratch = Scratch::new("proxied").unwrap();
        let conf = haproxy::conf(address, metrics, &nodes, &nodes).unwrap();
        let told = [("TRUSTED_PROXIES", trusted.to_owned())];
        let process =
            haproxy::run(scratch.path(), scratch.path(), metrics, &conf, &told).await.unwrap();
        let said = "X-Forwarded-For: 6.6.6.6, 7.7.7.7\r\nX-Forwarded-Proto: https\r\n";
        let asked = ask(address, "GET /chats", said, "").await.body.to_lowercase();
        assert!(asked.contains(&format!("\nx-forwarded-for: {client}\r")), "{trusted}: {asked}");
        assert!(asked.contains(&format!("\nx-forwarded-proto: {scheme}\r")), "{trusted}: {asked}");
        let logged = format!("\"client\":\"{client}\"");
        until("the log", async || fs::read_to_string(process.log()).unwrap().contains(&logged))
            .await;
    }
}

async fn refusals_are_problem_documents(kind: BalancerKind) {
    let node = FakeNode::start("node", Serves).await;
    let balancer = start(kind, &[&node], &[&node]).await;
    let address = balancer.address();

    let hidden =
        ["/metrics", "/internal/post", "/%69nternal/post", "/readyz", "//livez", "/metrics?x"];
    for path in hidden {
        for headers in ["", UPGRADE] {
            let answer = ask(address, &format!("GET {path}"), headers, "").await;
            assert_problem(&answer, 404, "not_found");
        }
    }
    // It does not wait for what it will not take.
    let answer = ask(address, "POST /chats", "Content-Length: 65537\r\n", "").await;
    assert_problem(&answer, 413, "body_too_large");
    // One who sends all of it gets the answer too, and no reset.
    let body = "x".repeat(300_000);
    let answer = ask(address, "POST /chats", "Content-Length: 300000\r\n", &body).await;
    assert_problem(&answer, 413, "body_too_large");
    assert!(node.heard().is_empty(), "{:?}", node.heard());
    let answer = ask(address, "POST /chats", "Content-Length: 65536\r\n", &body[..65536]).await;
    assert_eq!(answer.status, 200, "{answer:?}");

    // Nobody there.
    let address = node.address;
    drop(node);
    balancer.set_nodes(&[address], &[address]).await.unwrap();
    for headers in ["", UPGRADE] {
        until("a refusal", async || {
            let answer = ask(balancer.address(), "GET /gateway", headers, "").await;
            if answer.status == 101 || answer.status == 200 {
                return false;
            }
            assert_problem(&answer, 503, "unavailable");
            assert!(answer.head.contains("\r\nretry-after: 1\r\n"), "{answer:?}");
            true
        })
        .await;
    }
}

fn assert_problem(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert!(answer.head.contains("\r\ncontent-type: application/problem+json\r\n"), "{answer:?}");
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(body["status"], status, "{body}");
    assert_eq!(body["code"], code, "{body}");
    let time = body["timestamp"].as_str().unwrap();
    assert!(time.len() == 25 && time.contains('T'), "{time}");
}

async fn a_dead_or_full_gateway_is_passed_over(kind: BalancerKind) {
    let gateway = FakeNode::start("gateway", Serves).await;
    for manner in [Full, Vanishes] {
        let bad = FakeNode::start("bad", manner).await;
        let dead = [FakeNode::start("dead", Serves).await, FakeNode::start("dead", Serves).await];
        let balancer = start(kind, &[&dead[0], &bad, &gateway, &dead[1]], &[&gateway]).await;
        drop(dead);
        // From the first client on, not after somebody has noticed.
        let mut sockets = Vec::new();
        for _ in 0..20 {
            let socket = open(balancer.address()).await;
            assert_eq!((socket.status, socket.node()), (101, "gateway"), "{manner:?}: {socket:?}");
            sockets.push(socket);
        }
        assert!(!bad.heard().is_empty(), "it was not tried");
    }
}

async fn a_dead_api_is_passed_over_and_a_post_reaches_one_only(kind: BalancerKind) {
    let gateway = FakeNode::start("gateway", Serves).await;
    let api = FakeNode::start("api", Serves).await;
    let vanishing = FakeNode::start("vanishing", Vanishes).await;
    let dead = FakeNode::start("dead", Serves).await;
    let balancer = start(kind, &[&gateway], &[&dead, &api, &vanishing]).await;
    drop(dead);
    let mut refused = 0;
    for number in 0..20 {
        let answer = ask(balancer.address(), &format!("GET /chats/{number}"), "", "").await;
        assert_eq!(answer.node(), "api", "{answer:?}");
        let line = format!("POST /posted/{number}.");
        let answer = ask(balancer.address(), &line, "Content-Length: 2\r\n", "{}").await;
        match answer.status {
            200 => assert_eq!(answer.node(), "api"),
            // It reached an api, which may have done it. Nobody knows.
            _ => {
                assert_problem(&answer, 503, "unavailable");
                refused += 1;
            }
        }
        let heard = [api.heard(), vanishing.heard()].concat();
        let times = heard.iter().filter(|request| request.starts_with(&line)).count();
        assert_eq!(times, 1, "{line} was sent {times} times");
    }
    assert!(refused > 0, "none was sent to the api that vanishes");
}

async fn the_access_log_is_json_without_queries(kind: BalancerKind) {
    let node = FakeNode::start("node", Serves).await;
    let balancer = start(kind, &[&node], &[&node]).await;
    drop(open(balancer.address()).await);
    let odd = "User-Agent: odd \"quotes\" \\ and \u{e9}\r\n";
    ask(balancer.address(), "GET /chats?token=secret", odd, "").await;
    ask(balancer.address(), "GET /metrics?token=secret", "", "").await;
    let log = || fs::read_to_string(balancer.process().log()).unwrap();
    until("three lines", async || log().lines().filter(|line| line.starts_with('{')).count() == 3)
        .await;
    balancer.stop().await.unwrap();
    let lines: Vec<Value> = log()
        .lines()
        .filter(|line| line.starts_with('{'))
        .map(|line| serde_json::from_str(line).unwrap_or_else(|why| panic!("{why}: {line}")))
        .collect();
    let line = |path: &str| lines.iter().find(|line| line["path"] == path).unwrap();
    for (path, status) in [("/gateway", 101), ("/chats", 200), ("/metrics", 404)] {
        let line = line(path);
        assert_eq!(line["status"], status, "{line}");
        assert_eq!(line["method"], "GET", "{line}");
        assert_eq!(line["client"], "127.0.0.1", "{line}");
        assert!(line["seconds"].as_f64().is_some_and(|it| (0.0..60.0).contains(&it)), "{line}");
        assert!(line["bytes"].as_u64().is_some_and(|bytes| bytes > 50), "{line}");
        assert_eq!(line["time"].as_str().unwrap().len(), 25, "{line}");
    }
    assert_eq!(line("/chats")["upstream"], node.address.to_string());
    assert!(line("/chats")["user_agent"].as_str().unwrap().contains("\"quotes\" \\"), "{lines:?}");
    assert!(!log().contains("secret"), "{}", log());
}

pub(super) async fn start(
    kind: BalancerKind,
    gateways: &[&FakeNode],
    apis: &[&FakeNode],
) -> Balancer {
    let [gateways, apis] =
        [gateways, apis].map(|nodes| nodes.iter().map(|node| node.address).collect::<Vec<_>>());
    Balancer::start_kind(kind, free_port(), &gateways, &apis).await.unwrap()
}
