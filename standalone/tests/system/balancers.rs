//! What load balancers and nodes have to get right together. What a balancer does by itself is tried in
//! the crate `cluster`; what clients notice of it, by every test of the cluster, and those that say
//! `behind_haproxy!` behind HAProxy as well.

use crate::harness::{PASSWORD, System};
use cluster::BalancerKind;
use reqwest::{Client, StatusCode};
use serde_json::json;
use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};
use tokio::task::JoinSet;

/// Attempts to sign in, each claiming to come from another address, until one is refused as too many.
async fn attempts(front: SocketAddr, from: Ipv4Addr, most: usize) -> Option<usize> {
    let client = Client::builder().local_address(IpAddr::V4(from)).build().unwrap();
    for number in 0..most {
        let made_up = format!("10.0.0.{number}");
        let request = client.post(format!("http://{front}/login"));
        let request =
            request.header("x-forwarded-for", made_up).header("x-forwarded-proto", "https");
        let body = json!({ "username": format!("nobody_{from}_{number}"), "password": PASSWORD });
        match request.json(&body).send().await.unwrap().status() {
            StatusCode::TOO_MANY_REQUESTS => return Some(number),
            StatusCode::UNAUTHORIZED => {}
            other => panic!("{other}"),
        }
    }
    None
}

#[tokio::test]
async fn limits_are_of_the_real_client_whatever_it_claims() {
    let settings = [("TRUSTED_PROXIES", "127.0.0.1/32"), ("LOGINS_PER_MINUTE", "1")];
    let t = System::cluster_with(&settings).await;
    let haproxy = t.another_balancer(BalancerKind::Haproxy).await;
    for (network, front) in [(1, t.front()), (2, haproxy.address())] {
        let client = |host| Ipv4Addr::new(127, 0, network, host);
        assert_eq!(
            attempts(front, client(1), 20).await,
            Some(5),
            "five at once, then one a minute"
        );
        assert_eq!(attempts(front, client(2), 5).await, None, "that was somebody else");
        assert_eq!(attempts(front, client(1), 1).await, Some(0));
    }
}

/// Behind HAProxy, which asks the apis whether they are ready: they say no for this long and still
/// answer, so nobody is sent to one that has closed its door.
const NOTICE: (&str, &str) = ("SHUTDOWN_DELAY_SECONDS", "4");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn apis_restart_in_turn_and_every_request_is_answered() {
    let t = System::cluster_behind_haproxy(&[NOTICE]).await;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let mut posting = JoinSet::new();
    for name in ["ann", "bob", "cat"] {
        let user = t.user(name).await;
        let chat = user.group("diary", &[]).await;
        let stopped = stopped.clone();
        posting.spawn(async move {
            let mut posted = Vec::new();
            while !*stopped.borrow() {
                let text = format!("line {}", posted.len());
                // Must succeed, at the first try.
                user.post(chat, &text).await;
                posted.push(text);
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            assert_eq!(user.texts(chat).await, posted, "each once and in order");
            posted.len()
        });
    }
    let first: BTreeSet<u32> = [0, 1].map(|number| t.api(number).process().pid()).into();
    for number in [0, 1] {
        assert_eq!(t.api(number).process().stop().await.unwrap(), 0);
        t.api(number).restart().await.unwrap();
        // Until the balancer has noticed that this one is back, the other one must stay.
        t.until_haproxy_sees(&["api1", "api2"]).await;
    }
    assert!([0, 1].iter().all(|number| !first.contains(&t.api(*number).process().pid())));
    stop.send(true).unwrap();
    while let Some(posted) = posting.join_next().await {
        assert!(posted.unwrap() > 50, "they posted all the time");
    }
}
