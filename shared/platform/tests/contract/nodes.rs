//! What nodes say of themselves and answer, over both kinds of register.

use crate::{pause, redis as start_redis, soon};
use bytes::Bytes;
use platform::{
    presence::{GatewayReport, NodeKind, NodeReport, Presence, PresenceConfig, PresenceError},
    redis::State,
};
use protocol::{id::NodeId, time::Timestamp};
use std::time::Duration;
use uuid::Uuid;

fn report(kind: NodeKind, started_at: i64) -> NodeReport {
    let gateway = GatewayReport { connections: 3, max_connections: 10, chats: 2 };
    NodeReport {
        node: NodeId::random(),
        kind,
        version: "1.2.3".to_owned(),
        started_at: Timestamp(started_at),
        reported_at: Timestamp(9),
        draining: false,
        cores: Some(0.5),
        memory_bytes: None,
        gateway: (kind == NodeKind::Gateway).then_some(gateway),
    }
}

async fn on_both(test: impl AsyncFn(Presence)) {
    test(Presence::local()).await;
    let (_server, config) = start_redis().await;
    test(Presence::redis(State::new(&config).unwrap(), PresenceConfig::default())).await;
}

#[tokio::test]
async fn the_newest_report_of_each_node_is_listed() {
    on_both(async |presence| {
        assert_eq!(presence.nodes().await.unwrap(), []);
        let (young, old) = (report(NodeKind::Gateway, 20), report(NodeKind::Gateway, 10));
        // In one process both have one name.
        let api = NodeReport { node: young.node, ..report(NodeKind::Api, 30) };
        for one in [&young, &api, &old] {
            presence.report(one).await.unwrap();
        }
        let draining = NodeReport { draining: true, ..young };
        presence.report(&draining).await.unwrap();
        assert_eq!(presence.nodes().await.unwrap(), [api, old, draining]);
    })
    .await;
}

#[tokio::test]
async fn each_question_has_its_answers() {
    on_both(async |presence| {
        let (one, other) = (Uuid::new_v4(), Uuid::new_v4());
        assert!(presence.answers(one).await.unwrap().is_empty());
        for (question, answer) in [(one, "a"), (other, "x"), (one, "b")] {
            presence.answer(question, Bytes::from(answer)).await.unwrap();
        }
        assert_eq!(presence.answers(one).await.unwrap(), ["a", "b"]);
        assert_eq!(presence.answers(other).await.unwrap(), ["x"]);
    })
    .await;
}

#[tokio::test]
async fn questions_that_nobody_asks_about_are_forgotten() {
    let presence = Presence::local();
    let first = Uuid::new_v4();
    presence.answer(first, Bytes::from("a")).await.unwrap();
    for _ in 0..200 {
        presence.answer(Uuid::new_v4(), Bytes::from("a")).await.unwrap();
    }
    assert!(presence.answers(first).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_node_that_reports_no_more_is_gone_after_the_lease() {
    let (_server, redis) = start_redis().await;
    let lease = Duration::from_millis(200);
    let config = PresenceConfig { lease, ..PresenceConfig::default() };
    let presence = Presence::redis(State::new(&redis).unwrap(), config);
    presence.report(&report(NodeKind::Api, 1)).await.unwrap();
    assert_eq!(presence.nodes().await.unwrap().len(), 1);
    soon("the lease ends", async {
        while !presence.nodes().await.unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn who_cannot_be_asked_is_not_taken_for_nobody() {
    let (server, config) = start_redis().await;
    let presence = Presence::redis(State::new(&config).unwrap(), PresenceConfig::default());
    presence.report(&report(NodeKind::Api, 1)).await.unwrap();
    pause(&server).await;
    assert!(matches!(presence.nodes().await, Err(PresenceError::Silent)));
}
