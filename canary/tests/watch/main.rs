//! The canary beside a real cluster: green in health, red when the relay is cut, fair when gateways
//! restart.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;
mod upkeep;

use harness::{Canary, PASSWORD, PublicApi, cluster};
use std::{process::Command, time::Duration};

#[tokio::test]
async fn in_health_everything_arrives_everywhere() {
    let cluster = cluster().await;
    let gateways: Vec<_> = cluster.gateways().iter().collect();
    let canary = Canary::start(&cluster, &gateways, PASSWORD);
    canary.ready().await;
    let seen = canary.more_rounds(5.0, 2.0).await;
    assert_eq!(seen.missing(), Vec::<&str>::new());
    assert_eq!(seen.get("canary_gateways"), 2.0);
    // Two accounts on each gateway, signed in once.
    assert_eq!((seen.of("connects", "ok"), seen.of("connects", "failed")), (4.0, 0.0));
    seen.assert_nothing_lost();
    assert_eq!((seen.of("messages", "late"), seen.of("signals", "lost")), (0.0, 0.0));
    let sent = seen.of("sends", "acknowledged");
    for (name, delivered) in [
        ("messages", seen.of("messages", "delivered")),
        ("signals", seen.of("signals", "delivered")),
        ("times", seen.get("canary_delivery_seconds_count")),
    ] {
        assert!((delivered - sent).abs() <= 1.0, "one for each message: {name} {seen:#?}");
    }

    let health = |admin: String| {
        let health = Command::new(env!("CARGO_BIN_EXE_canary"))
            .arg("health")
            .env("ADMIN_LISTEN", admin)
            .output();
        health.unwrap().status.code()
    };
    assert_eq!(health(canary.admin.to_string()), Some(0));

    // A second one beside it, with one gateway only: both go on, undisturbed.
    let lonely = Canary::start(&cluster, &gateways[..1], PASSWORD);
    lonely.ready().await;
    let seen = lonely.more_rounds(4.0, 1.0).await;
    seen.assert_nothing_lost();
    assert!(seen.of("signals", "delivered") >= 3.0, "{seen:#?}");
    assert_eq!(seen.of("signals", "lost"), 0.0);
    let seen = canary.more_rounds(2.0, 2.0).await;
    assert_eq!(seen.of("signals", "lost"), 0.0);

    // With another password it says so and ends.
    let wrong = Canary::start(&cluster, &gateways, "another password");
    assert_eq!(wrong.process.wait(Duration::from_secs(60)).await.unwrap(), 64);
    let said =
        "error: CANARY_PASSWORD is wrong: the account canary_a exists with a different password";
    assert!(wrong.log().contains(said), "{}", wrong.log());

    // What it leaves behind: nothing.
    let rest = PublicApi::sign_in(&cluster, "canary_a").await;
    assert_eq!(rest.chats().await.len(), 2);
    for (canary, watched) in [(&canary, 2), (&lonely, 1)] {
        assert_eq!(canary.process.stop().await.unwrap(), 0);
        assert_eq!(health(canary.admin.to_string()), Some(1));
        let log = canary.log();
        assert!(log.contains("canary has stopped"), "{log}");
        assert!(!log.contains(PASSWORD) && !log.contains("eyJ"), "{log}");
        assert!(!log.contains("is unhealthy"), "{log}");
        assert_eq!(log.matches("a gateway is healthy").count(), watched, "one line each: {log}");
    }
    assert_eq!(rest.chats().await, Vec::<i64>::new());
    assert_eq!(rest.get("/me/sessions").await.len(), 1, "the test's own");
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn without_redis_signals_are_lost_and_messages_are_not() {
    let cluster = cluster().await;
    let gateways: Vec<_> = cluster.gateways().iter().collect();
    let canary = Canary::start(&cluster, &gateways, PASSWORD);
    canary.ready().await;
    canary.more_rounds(2.0, 2.0).await;

    cluster.redis().process().pause();
    let before = canary.metrics().await;
    let seen = canary
        .until("signals to be lost and messages to come all the same", |seen| {
            seen.of("signals", "lost") >= before.of("signals", "lost") + 3.0
                && seen.of("messages", "delivered") >= before.of("messages", "delivered") + 3.0
        })
        .await;
    seen.assert_nothing_lost();
    let last_success = seen.get("canary_last_success_timestamp_seconds");
    let unhealthy = canary.log().matches("is unhealthy").count();
    assert!((1..=2).contains(&unhealthy), "one line for each gateway at most: {}", canary.log());

    cluster.redis().process().resume();
    let seen = canary.more_rounds(6.0, 2.0).await;
    seen.assert_nothing_lost();
    assert!(seen.get("canary_last_success_timestamp_seconds") > last_success);
    let log = canary.log();
    let healthy = log.rfind("a gateway is healthy").unwrap();
    assert!(healthy > log.rfind("is unhealthy").unwrap(), "{log}");
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn a_rolling_restart_is_no_trouble() {
    let cluster = cluster().await;
    let gateways: Vec<_> = cluster.gateways().iter().collect();
    let canary = Canary::start(&cluster, &gateways, PASSWORD);
    canary.ready().await;
    canary.more_rounds(2.0, 2.0).await;
    for gateway in &gateways {
        assert_eq!(gateway.process().stop().await.unwrap(), 0);
        gateway.restart().await.unwrap();
        canary.more_rounds(3.0, 2.0).await;
    }
    let seen = canary.metrics().await;
    seen.assert_nothing_lost();
    assert_eq!((seen.of("signals", "lost"), seen.of("messages", "late")), (0.0, 0.0), "{seen:#?}");
    assert!(seen.of("connects", "ok") >= 8.0, "each came back: {seen:#?}");
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn a_dead_gateway_is_missed_and_found_again() {
    let cluster = cluster().await;
    let gateways: Vec<_> = cluster.gateways().iter().collect();
    let canary = Canary::start(&cluster, &gateways, PASSWORD);
    canary.ready().await;
    canary.more_rounds(2.0, 2.0).await;

    gateways[1].process().kill().await.unwrap();
    let seen = canary
        .until("the gateway to be missed", |seen| {
            seen.get("canary_connections") == 1.0 && seen.of("connects", "failed") >= 2.0
        })
        .await;
    assert_eq!(seen.get("canary_gateways"), 2.0, "it should be there");
    canary.more_rounds(2.0, 1.0).await;
    let name = gateways[1].address().to_string();
    let line =
        canary.log().lines().filter(|line| line.contains("is unhealthy")).collect::<String>();
    assert!(line.contains(&name) && line.contains("cannot connect"), "{line}");

    gateways[1].restart().await.unwrap();
    let seen = canary.more_rounds(5.0, 2.0).await;
    seen.assert_nothing_lost();
    assert_eq!(seen.of("signals", "lost"), 0.0);
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn what_is_taken_away_it_gets_again() {
    let cluster = cluster().await;
    let gateways: Vec<_> = cluster.gateways().iter().collect();
    let canary = Canary::start(&cluster, &gateways, PASSWORD);
    canary.ready().await;
    canary.more_rounds(2.0, 2.0).await;
    let rest = PublicApi::sign_in(&cluster, "canary_a").await;

    let chats = rest.chats().await;
    rest.delete(&format!("/chats/{}", chats[0])).await;
    canary.more_rounds(2.0, 2.0).await;
    let new = rest.chats().await;
    assert!(new.len() == 1 && new != chats, "{new:?}");

    for session in rest.get("/me/sessions").await {
        if session["current"] != true {
            rest.delete(&format!("/me/sessions/{}", session["id"].as_str().unwrap())).await;
        }
    }
    canary
        .until("the sender's connections to be opened again", |seen| {
            seen.of("connects", "ok") >= 6.0 && seen.get("canary_connections") == 2.0
        })
        .await;
    canary.more_rounds(3.0, 2.0).await.assert_nothing_lost();
    cluster.stop().await.unwrap();
}
