//! `/health` and `/status`: their shapes, and what they say when the database is away.

use crate::support::{Answer, Ask, Server, here, text, within};
use futures_util::future::join_all;
use protocol::id::{NodeId, UserId};
use reqwest::Method;
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

fn assert_shape(status: &Value) {
    assert_eq!(status["app"], "Switchboard");
    assert!(text(status, "timestamp").ends_with('Z') && !text(status, "version").is_empty());
    let system = &status["system"];
    assert!(text(system, "uptime").ends_with("second") || text(system, "uptime").ends_with('s'));
    let memory = text(system, "memory_usage").strip_suffix('%').unwrap();
    assert!((1..=100).contains(&memory.parse::<u64>().unwrap()));
}

#[tokio::test]
async fn anybody_may_ask() {
    let t = Server::start().await;
    let health = t.request(Method::GET, "/health").answer().await.ok(200);
    assert_eq!((text(&health, "status"), text(&health, "app")), ("healthy", "Switchboard"));
    assert!(health["database"].is_null());

    let ann = t.user("ann").await;
    let token = text(&ann, "access_token");
    t.post_as("/chats/1/messages", token, json!({"text": "hi"})).await.ok(201);
    let node = NodeId::random();
    t.api.presence.enter(node, &here(&[UserId(1)])).await.unwrap();
    t.api.presence.renew(node, 3).await.unwrap();
    t.api.presence.renew(NodeId::random(), 4).await.unwrap();
    let status = t.request(Method::GET, "/status").answer().await.ok(200);
    assert_shape(&status);
    assert_eq!(status["status"], "healthy");
    assert_eq!(status["database"], json!({"message_count": 1, "status": "connected"}));
    let connections = json!({"active_connections": 7, "status": "active"});
    assert_eq!(status["websocket"], connections, "of all gateways");
}

#[tokio::test]
async fn without_the_database_it_is_degraded() {
    let t = Server::start().await;
    t.api.close().await;
    let answer = t.request(Method::GET, "/status").answer().await;
    assert_eq!(answer.headers["retry-after"], "1");
    let status = answer.ok(503);
    assert_shape(&status);
    assert_eq!(status["status"], "degraded");
    assert_eq!(status["database"], json!({"message_count": null, "status": "disconnected"}));
    assert_eq!(status["websocket"]["status"], "active");
    t.request(Method::GET, "/health").answer().await.ok(200);
}

#[tokio::test]
async fn a_database_that_hangs_is_waited_for_a_second() {
    let t = Server::start().await;
    let mut held = Vec::new();
    // All of its connections; whoever asks for one more waits three seconds.
    while let Ok(Ok(conn)) =
        tokio::time::timeout(Duration::from_millis(500), t.api.people.home().read()).await
    {
        held.push(conn);
    }
    let start = Instant::now();
    let status = t.request(Method::GET, "/status").answer().await.ok(503);
    assert_eq!(status["status"], "degraded");
    assert!(start.elapsed().as_millis() < 2_500, "{:?}", start.elapsed());
    drop(held);
    let ask = || t.request(Method::GET, "/status").answer();
    let status = within(Duration::from_secs(10), |answer| answer.status == 200, ask).await;
    assert_eq!(status.json["status"], "healthy");
}

/// However many ask.
#[tokio::test]
async fn it_is_found_out_once_a_second() {
    let t = Server::start().await;
    let ann = t.user("ann").await;
    let ask = || t.request(Method::GET, "/status").answer();
    let count = |status: &Answer| status.json["database"]["message_count"].as_i64().unwrap();
    let start = Instant::now();
    let first = join_all((0..20).map(|_| ask())).await;
    t.post_as("/chats/1/messages", text(&ann, "access_token"), json!({"text": "hi"})).await.ok(201);
    let next = ask().await;
    let found: BTreeSet<_> = first.iter().map(|status| text(&status.json, "timestamp")).collect();
    if start.elapsed() < Duration::from_secs(1) {
        assert_eq!(found.len(), 1, "one look for all");
        assert_eq!(count(&next), 0, "as it was");
    }
    within(Duration::from_secs(10), |status| count(status) == 1, ask).await;
}
