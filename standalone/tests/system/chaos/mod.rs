//! Parts die while a crowd chats: in the end every device has every acknowledged message exactly
//! once and in order. Each test has a cluster of its own; they take turns, so that what is slow in
//! one is not the other's load.

mod crowd;
mod engines;
mod links;
mod live;

use crate::harness::System;
use cluster::Postgres;
use crowd::Crowd;
use protocol::bucket::ChatBucket;
use std::time::Duration;
use tokio::sync::{Mutex, MutexGuard};

/// Messages where the number itself is the point.
const MANY: usize = 10_000;
/// Messages where it is not.
const SOME: usize = 2_000;

/// For catching up after the last ack, with everything in its place.
const SOON: Duration = Duration::from_secs(30);

/// One crowd at a time.
async fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::const_new(());
    TURN.lock().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_killed_in_the_middle() {
    let _turn = alone().await;
    let t = System::own_cluster().await;
    let mut crowd = Crowd::start(&t, MANY).await;
    crowd.acks(MANY / 2).await;
    t.gateway(1).process().kill().await.unwrap();
    let party = crowd.finish(SOON).await;
    assert_eq!(party.reconnected(), crowd::SENDERS, "one device of each was on that gateway");
    assert_eq!(party.resyncs(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_restarted_in_the_middle() {
    let _turn = alone().await;
    let t = System::own_cluster().await;
    let mut crowd = Crowd::start(&t, MANY).await;
    crowd.acks(MANY / 3).await;
    t.redis().kill().await.unwrap();
    // These are published to nobody: the other gateway has to ask for them.
    crowd.acks(MANY / 5).await;
    t.redis().restart().await.unwrap();
    let party = crowd.finish(SOON).await;
    assert_eq!(party.reconnected(), 0, "no client noticed");
    assert_eq!(party.resyncs(), 0);
}

/// The promise is two seconds; the rest is for a machine that has other things to do.
const POLLED: Duration = Duration::from_secs(8);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_away_for_long() {
    let _turn = alone().await;
    let t = System::own_cluster().await;
    t.redis().kill().await.unwrap();
    let party = Crowd::start(&t, SOME).await.finish(POLLED).await;
    assert_eq!((party.reconnected(), party.resyncs()), (0, 0), "everyone catches up without it");
    t.redis().restart().await.unwrap();
    let party = Crowd::start(&t, SOME).await.finish(SOON).await;
    assert_eq!((party.reconnected(), party.resyncs()), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_gateways_restarted_in_turn() {
    let _turn = alone().await;
    let t = System::own_cluster().await;
    let mut crowd = Crowd::start(&t, SOME).await;
    for number in [0, 1] {
        crowd.acks(SOME / 4).await;
        assert_eq!(t.gateway(number).process().stop().await.unwrap(), 0);
        t.gateway(number).restart().await.unwrap();
    }
    let party = crowd.finish(SOON).await;
    assert!(party.reconnected() >= crowd::SENDERS);
    assert_eq!(party.resyncs(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_haproxy_nodes_killed_and_restarted() {
    let _turn = alone().await;
    let t = System::cluster_behind_haproxy(&[]).await;
    let mut crowd = Crowd::start(&t, SOME).await;
    crowd.acks(SOME / 5).await;
    t.gateway(1).process().kill().await.unwrap();
    crowd.acks(SOME / 5).await;
    t.gateway(1).restart().await.unwrap();
    t.until_haproxy_sees(&["gateway2"]).await;
    crowd.acks(SOME / 5).await;
    assert_eq!(t.gateway(0).process().stop().await.unwrap(), 0);
    t.gateway(0).restart().await.unwrap();
    t.api(0).process().kill().await.unwrap();
    crowd.acks(SOME / 5).await;
    let party = crowd.finish(SOON).await;
    assert!(party.reconnected() >= crowd::SENDERS);
    assert_eq!(party.resyncs(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_killed_in_the_middle() {
    let _turn = alone().await;
    let t = System::own_cluster().await;
    let mut crowd = Crowd::start(&t, SOME).await;
    crowd.acks(SOME / 2).await;
    t.api(0).process().kill().await.unwrap();
    let party = crowd.finish(SOON).await;
    assert_eq!((party.reconnected(), party.resyncs()), (0, 0), "the other one takes over");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_fails_over() {
    let _turn = alone().await;
    // It dies; or it is demoted and left running.
    for dies in [true, false] {
        let t = System::cluster_with_standby().await;
        let mut crowd = Crowd::start(&t, SOME).await;
        crowd.acks(SOME / 2).await;
        match dies {
            true => t.postgres().kill().await.unwrap(),
            false => t.postgres().demote().await.unwrap(),
        }
        t.standby().promote().await.unwrap();
        let party = crowd.finish(SOON).await;
        assert_eq!(
            (party.reconnected(), party.resyncs()),
            (0, 0),
            "no client noticed more than a pause; dies: {dies}"
        );
    }
}

/// Long enough that sends are repeated more than once.
const AWAY: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_two_servers_of_chats_killed_in_the_middle() {
    let _turn = alone().await;
    let other = Postgres::start().await.unwrap();
    let database = other.create_database().await;
    let t = System::cluster_with(&[("CHAT_DATABASE_URLS", database.url())]).await;
    let mut crowd = Crowd::start_steady(&t, 20).await;
    let there = crowd.chats.iter().filter(|chat| ChatBucket::of(**chat).group(2) == 1);
    assert!(there.count() > 0, "some chats are on that server");
    crowd.acks(SOME / 10).await;
    other.kill().await.unwrap();
    tokio::time::sleep(AWAY).await;
    other.restart().await.unwrap();
    crowd.acks(SOME / 10).await;
    let party = crowd.finish(SOON).await;
    assert_eq!(
        (party.reconnected(), party.resyncs()),
        (0, 0),
        "no client noticed more than a pause"
    );
}
