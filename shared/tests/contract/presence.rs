//! What presence promises, over both kinds; then leases, which only Redis has.

use crate::{commands, pause, redis as start_redis, soon};
use shared::{
    bus::{RedisConfig, pool},
    id::{NodeId, UserId},
    presence::{MAX_ONLINE_PAGE, Presence, PresenceConfig, PresenceError},
};
use std::{collections::HashSet, time::Duration};

const ANN: UserId = UserId(1);
const BOB: UserId = UserId(2);
const CAT: UserId = UserId(300);

fn in_redis(config: &RedisConfig, lease: Duration) -> Presence {
    // Small chunks, so that every list here needs several.
    Presence::redis(pool(config).unwrap(), PresenceConfig { lease, chunk: 2 })
}

async fn on_both(test: impl AsyncFn(Presence)) {
    test(Presence::local()).await;
    let (_server, config) = start_redis().await;
    test(in_redis(&config, PresenceConfig::default().lease)).await;
}

fn set(users: &[UserId]) -> HashSet<UserId> {
    users.iter().copied().collect()
}

#[tokio::test]
async fn transitions_are_told_to_whoever_makes_them() {
    on_both(async |presence| {
        let (one, two) = (NodeId::random(), NodeId::random());
        assert_eq!(presence.enter(one, &[ANN, BOB, CAT]).await.unwrap(), [ANN, BOB, CAT]);
        assert_eq!(presence.enter(one, &[ANN]).await.unwrap(), [], "here already");
        assert_eq!(presence.enter(two, &[BOB, UserId(4)]).await.unwrap(), [UserId(4)]);
        assert_eq!(presence.leave(one, &[ANN, BOB, CAT]).await.unwrap(), [ANN, CAT]);
        assert_eq!(presence.leave(two, &[BOB]).await.unwrap(), [BOB]);
        assert_eq!(presence.enter(two, &[]).await.unwrap(), []);
        assert_eq!(presence.leave(two, &[]).await.unwrap(), []);
    })
    .await;
}

#[tokio::test]
async fn lookups_see_all_live_nodes() {
    on_both(async |presence| {
        let (one, two) = (NodeId::random(), NodeId::random());
        assert_eq!(presence.online(&[ANN]).await.unwrap(), set(&[]));
        assert_eq!(presence.online_page(UserId(0), 10).await.unwrap(), []);
        assert_eq!(presence.connections().await.unwrap(), 0);
        presence.enter(one, &[ANN, CAT]).await.unwrap();
        presence.enter(two, &[BOB, CAT]).await.unwrap();
        presence.renew(one, 5).await.unwrap();
        presence.renew(two, 7).await.unwrap();
        presence.renew(one, 6).await.unwrap();
        assert_eq!(presence.connections().await.unwrap(), 13);
        let asked = [UserId(0), ANN, BOB, CAT, UserId(9)];
        assert_eq!(presence.online(&asked).await.unwrap(), set(&[ANN, BOB, CAT]));
        assert_eq!(presence.online(&[]).await.unwrap(), set(&[]));
        assert_eq!(presence.online_page(UserId(0), 10).await.unwrap(), [ANN, BOB, CAT]);
        assert_eq!(presence.online_page(UserId(0), 2).await.unwrap(), [ANN, BOB]);
        assert_eq!(presence.online_page(BOB, 2).await.unwrap(), [CAT]);
        assert_eq!(presence.online_page(UserId(-5), 0).await.unwrap(), []);
        presence.retire(one).await.unwrap();
        assert_eq!(presence.online(&asked).await.unwrap(), set(&[BOB, CAT]));
        assert_eq!(presence.connections().await.unwrap(), 7);
    })
    .await;
}

#[tokio::test]
async fn pages_are_ascending_complete_and_bounded() {
    on_both(async |presence| {
        let (one, two) = (NodeId::random(), NodeId::random());
        let users: Vec<UserId> = (1..=1500).map(UserId).collect();
        presence.enter(one, &users[..1000]).await.unwrap();
        presence.enter(two, &users[500..]).await.unwrap();
        let mut paged = presence.online_page(UserId(0), usize::MAX).await.unwrap();
        assert_eq!(paged.len(), MAX_ONLINE_PAGE);
        paged.extend(presence.online_page(paged[999], usize::MAX).await.unwrap());
        assert_eq!(paged, users);
    })
    .await;
}

#[tokio::test]
async fn a_nodes_first_renewal_asks_for_everyone() {
    on_both(async |presence| {
        let node = NodeId::random();
        presence.enter(node, &[ANN]).await.unwrap();
        assert!(!presence.renew(node, 1).await.unwrap());
        assert!(presence.renew(node, 1).await.unwrap());
        presence.leave(node, &[ANN]).await.unwrap();
        assert!(presence.renew(node, 0).await.unwrap(), "a node without users lives, too");
        assert_eq!(presence.online_page(UserId(0), 9).await.unwrap(), []);
    })
    .await;
}

#[tokio::test]
async fn two_nodes_that_take_in_a_user_at_once_bring_them_online_once() {
    on_both(async |presence| {
        let nodes: Vec<NodeId> = (0..8).map(|_| NodeId::random()).collect();
        for user in (1..50).map(UserId) {
            let users = [user];
            let came = nodes.iter().map(|node| presence.enter(*node, &users));
            let came = futures_util::future::try_join_all(came).await.unwrap();
            assert_eq!(came.concat(), [user]);
            let went = nodes.iter().map(|node| presence.leave(*node, &users));
            let went = futures_util::future::try_join_all(went).await.unwrap();
            assert!(went.concat().contains(&user), "the last one, at least, sees nobody left");
            assert_eq!(presence.online(&users).await.unwrap(), set(&[]));
        }
    })
    .await;
}

#[tokio::test]
async fn a_dead_nodes_users_vanish_with_its_lease() {
    let (_server, config) = start_redis().await;
    let brief = in_redis(&config, Duration::from_millis(300));
    let lasting = in_redis(&config, Duration::from_secs(60));
    let (dead, alive) = (NodeId::random(), NodeId::random());
    brief.enter(dead, &[ANN, BOB]).await.unwrap();
    brief.renew(dead, 3).await.unwrap();
    lasting.enter(alive, &[BOB]).await.unwrap();
    lasting.renew(alive, 4).await.unwrap();
    soon("the lease runs out", async {
        while lasting.online(&[ANN, BOB]).await.unwrap() != set(&[BOB]) {}
    })
    .await;
    soon("its connections, too", async { while lasting.connections().await.unwrap() != 4 {} })
        .await;
    assert_eq!(lasting.online_page(UserId(0), 9).await.unwrap(), [BOB]);
    assert_eq!(lasting.enter(alive, &[ANN]).await.unwrap(), [ANN], "online again");

    assert!(lasting.renew(alive, 4).await.unwrap());
    let mut commands = commands(&config).await;
    let nodes: Vec<String> =
        redis::cmd("SMEMBERS").arg("presence:nodes").query_async(&mut commands).await.unwrap();
    assert_eq!(nodes, [alive.to_string()], "renewing swept the dead one");

    assert!(!brief.renew(dead, 3).await.unwrap(), "it lived after all: its lease is lost");
}

#[tokio::test]
async fn a_lease_lost_with_the_server_is_noticed_even_after_new_users() {
    let (server, config) = start_redis().await;
    let presence = in_redis(&config, Duration::from_secs(60));
    let node = NodeId::random();
    presence.enter(node, &[ANN, BOB]).await.unwrap();
    presence.renew(node, 2).await.unwrap();
    assert!(presence.renew(node, 2).await.unwrap());

    // Emptied without a single failed call.
    let mut commands = commands(&config).await;
    redis::cmd("FLUSHALL").exec_async(&mut commands).await.unwrap();
    presence.enter(node, &[CAT]).await.unwrap();
    assert!(!presence.renew(node, 3).await.unwrap());
    assert_eq!(presence.enter(node, &[ANN, BOB, CAT]).await.unwrap(), [ANN, BOB]);
    assert!(presence.renew(node, 3).await.unwrap());

    // Away: calls fail soon, and afterwards everyone is asked for.
    server.kill().await.unwrap();
    let error = soon("a refusal", presence.enter(node, &[ANN])).await.unwrap_err();
    assert!(matches!(error, PresenceError::Pool(_) | PresenceError::Redis(_)));
    server.restart().await.unwrap();
    soon("back", async { while presence.renew(node, 3).await.is_err() {} }).await;
    assert_eq!(presence.enter(node, &[ANN, BOB]).await.unwrap(), [ANN, BOB]);
    assert!(presence.renew(node, 3).await.unwrap());
}

#[tokio::test]
async fn after_a_failed_call_the_next_renewal_asks_for_everyone() {
    let (server, config) = start_redis().await;
    let mut config = config;
    config.limits.response_timeout = Duration::from_millis(200);
    let presence = in_redis(&config, Duration::from_secs(60));
    let node = NodeId::random();
    presence.renew(node, 0).await.unwrap();
    assert!(presence.renew(node, 0).await.unwrap());
    pause(&server).await;
    soon("a timeout", presence.enter(node, &[ANN])).await.unwrap_err();
    server.process().resume();
    let held = soon("back", async {
        loop {
            if let Ok(held) = presence.renew(node, 0).await {
                return held;
            }
        }
    })
    .await;
    assert!(!held, "the lease stands and the user may be missing");
}
