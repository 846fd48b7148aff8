//! What presence promises, over both kinds; then leases, which only Redis has.

use crate::{commands, pause, redis as start_redis, soon};
use platform::{
    presence::{
        Entered, Gone, Here, Lease, MAX_HANDED_OVER, MAX_ONLINE_PAGE, Presence, PresenceConfig,
        PresenceError,
    },
    redis::{RedisConfig, State},
};
use protocol::id::{ChatId, NodeId, UserId};
use std::{collections::HashSet, time::Duration};
use tokio::time::Instant;

const ANN: UserId = UserId(1);
const BOB: UserId = UserId(2);
const CAT: UserId = UserId(300);

fn in_redis(config: &RedisConfig, lease: Duration) -> Presence {
    // Small chunks, so that every list here needs several.
    Presence::redis(
        State::new(config).unwrap(),
        PresenceConfig { lease, chunk: 2, ..Default::default() },
    )
}

async fn on_both(test: impl AsyncFn(Presence)) {
    test(Presence::local()).await;
    let (_server, config) = start_redis().await;
    test(in_redis(&config, PresenceConfig::default().lease)).await;
}

fn set(users: &[UserId]) -> HashSet<UserId> {
    users.iter().copied().collect()
}

fn here(user: UserId, sockets: u32, chats: &[i64]) -> Here {
    Here { user, sockets, chats: chats.iter().copied().map(ChatId).collect() }
}

/// These users, with a socket each and no chats; those who came online.
async fn enter(
    presence: &Presence,
    node: NodeId,
    users: &[UserId],
) -> Result<Vec<UserId>, PresenceError> {
    let users: Vec<Here> = users.iter().map(|user| here(*user, 1, &[])).collect();
    let entered = presence.enter(node, &users).await?;
    assert!(entered.iter().map(|entered| entered.user).eq(users.iter().map(|here| here.user)));
    Ok(entered.iter().filter(|entered| entered.came).map(|entered| entered.user).collect())
}

/// Those of these users who went offline.
async fn leave(presence: &Presence, node: NodeId, users: &[UserId]) -> Vec<UserId> {
    let gone = presence.leave(node, users).await.unwrap();
    gone.into_iter().map(|gone| gone.user).collect()
}

/// One user enters: whether it came, the chats to be told, the sockets elsewhere.
async fn one(presence: &Presence, node: NodeId, here: Here) -> (bool, Vec<i64>, u32) {
    let mut entered = presence.enter(node, &[here]).await.unwrap();
    let Entered { came, untold, elsewhere, .. } = entered.pop().unwrap();
    (came, untold.into_iter().map(|chat| chat.0).collect(), elsewhere)
}

fn gone(user: UserId, chats: &[i64]) -> Gone {
    Gone { user, chats: chats.iter().copied().map(ChatId).collect() }
}

/// All that a dead node's users owe.
async fn sweep(presence: &Presence, dead: NodeId) -> Vec<Gone> {
    let mut all = Vec::new();
    while let Some(some) = presence.sweep(dead).await.unwrap() {
        all.extend(some);
    }
    all.sort_by_key(|gone| gone.user);
    all
}

#[tokio::test]
async fn whoever_is_told_of_coming_is_told_of_going() {
    on_both(async |presence| {
        let (a, b) = (NodeId::random(), NodeId::random());
        assert_eq!(one(&presence, a, here(ANN, 1, &[1, 2])).await, (true, vec![1, 2], 0));
        assert_eq!(one(&presence, a, here(ANN, 1, &[1, 2])).await, (false, vec![], 0), "known");
        assert_eq!(one(&presence, a, here(ANN, 2, &[1, 2, 3])).await, (false, vec![3], 0));
        assert_eq!(one(&presence, b, here(ANN, 1, &[2, 4])).await, (false, vec![4], 2));
        assert_eq!(one(&presence, a, here(ANN, 3, &[1, 2])).await, (false, vec![], 1), "3 is left");
        assert_eq!(presence.leave(a, &[ANN]).await.unwrap(), [], "it is on the other node");
        // What the other node says of itself later takes nothing away from what was handed over.
        assert_eq!(one(&presence, b, here(ANN, 2, &[2, 4])).await, (false, vec![], 0));
        assert_eq!(presence.leave(b, &[ANN]).await.unwrap(), [gone(ANN, &[1, 2, 4])]);
        assert_eq!(presence.leave(b, &[ANN]).await.unwrap(), [gone(ANN, &[])], "repeated");
        assert_eq!(one(&presence, a, here(ANN, 1, &[1])).await, (true, vec![1], 0), "anew");
    })
    .await;
}

#[tokio::test]
async fn what_an_ended_nodes_users_owe_is_swept_once() {
    on_both(async |presence| {
        let (dead, alive) = (NodeId::random(), NodeId::random());
        let users = [here(ANN, 1, &[1]), here(BOB, 1, &[2, 3]), here(CAT, 1, &[])];
        presence.enter(dead, &users).await.unwrap();
        presence.renew(dead, 3).await.unwrap();
        presence.renew(alive, 0).await.unwrap();
        assert_eq!(presence.dead().await.unwrap(), []);
        assert_eq!(presence.sweep(dead).await.unwrap(), None, "it lives");
        presence.retire(dead).await.unwrap();
        assert_eq!(presence.dead().await.unwrap(), [dead]);
        assert_eq!(one(&presence, alive, here(BOB, 1, &[3])).await, (true, vec![3], 0), "moved");
        assert_eq!(sweep(&presence, dead).await, [gone(ANN, &[1]), gone(CAT, &[])]);
        assert_eq!(presence.dead().await.unwrap(), []);
        assert_eq!(sweep(&presence, dead).await, []);
        assert_eq!(presence.leave(alive, &[BOB]).await.unwrap(), [gone(BOB, &[2, 3])]);
    })
    .await;
}

#[tokio::test]
async fn of_many_who_sweep_each_user_goes_to_one() {
    on_both(async |presence| {
        let dead = NodeId::random();
        let users: Vec<Here> = (1..=50).map(|id| here(UserId(id), 1, &[id])).collect();
        presence.enter(dead, &users).await.unwrap();
        presence.retire(dead).await.unwrap();
        let sweeps = (0..8).map(|_| sweep(&presence, dead));
        let mut all = futures_util::future::join_all(sweeps).await.concat();
        all.sort_by_key(|gone| gone.user);
        let expected: Vec<Gone> = (1..=50).map(|id| gone(UserId(id), &[id])).collect();
        assert_eq!(all, expected);
    })
    .await;
}

#[tokio::test]
async fn what_is_handed_over_is_bounded() {
    on_both(async |presence| {
        let last = NodeId::random();
        presence.enter(last, &[here(ANN, 1, &[0])]).await.unwrap();
        for round in 1..10 {
            let node = NodeId::random();
            let chats: Vec<i64> = (round * 50..round * 50 + 50).collect();
            for _ in 0..3 {
                presence.enter(node, &[here(ANN, 1, &chats)]).await.unwrap();
                assert_eq!(presence.leave(node, &[ANN]).await.unwrap(), []);
            }
        }
        let gone = presence.leave(last, &[ANN]).await.unwrap();
        assert_eq!(gone[0].chats.len(), 1 + MAX_HANDED_OVER);
    })
    .await;
}

#[tokio::test]
async fn transitions_are_told_to_whoever_makes_them() {
    on_both(async |presence| {
        let (one, two) = (NodeId::random(), NodeId::random());
        assert_eq!(enter(&presence, one, &[ANN, BOB, CAT]).await.unwrap(), [ANN, BOB, CAT]);
        assert_eq!(enter(&presence, one, &[ANN]).await.unwrap(), [], "here already");
        assert_eq!(enter(&presence, two, &[BOB, UserId(4)]).await.unwrap(), [UserId(4)]);
        assert_eq!(leave(&presence, one, &[ANN, BOB, CAT]).await, [ANN, CAT]);
        assert_eq!(leave(&presence, two, &[BOB]).await, [BOB]);
        assert_eq!(enter(&presence, two, &[]).await.unwrap(), []);
        assert_eq!(leave(&presence, two, &[]).await, []);
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
        enter(&presence, one, &[ANN, CAT]).await.unwrap();
        enter(&presence, two, &[BOB, CAT]).await.unwrap();
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
        enter(&presence, one, &users[..1000]).await.unwrap();
        enter(&presence, two, &users[500..]).await.unwrap();
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
        enter(&presence, node, &[ANN]).await.unwrap();
        assert_eq!(presence.renew(node, 1).await.unwrap(), Lease::Lost);
        assert_eq!(presence.renew(node, 1).await.unwrap(), Lease::Held);
        leave(&presence, node, &[ANN]).await;
        let lease = presence.renew(node, 0).await.unwrap();
        assert_eq!(lease, Lease::Held, "a node without users lives, too");
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
            let came = nodes.iter().map(|node| enter(&presence, *node, &users));
            let came = futures_util::future::try_join_all(came).await.unwrap();
            assert_eq!(came.concat(), [user]);
            let went = nodes.iter().map(|node| leave(&presence, *node, &users));
            let went = futures_util::future::join_all(went).await;
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
    enter(&brief, dead, &[ANN, BOB]).await.unwrap();
    brief.renew(dead, 3).await.unwrap();
    enter(&lasting, alive, &[BOB]).await.unwrap();
    lasting.renew(alive, 4).await.unwrap();
    soon("the lease runs out", async {
        while lasting.online(&[ANN, BOB]).await.unwrap() != set(&[BOB]) {}
    })
    .await;
    soon("its connections, too", async { while lasting.connections().await.unwrap() != 4 {} })
        .await;
    assert_eq!(lasting.online_page(UserId(0), 9).await.unwrap(), [BOB]);
    assert_eq!(enter(&lasting, alive, &[ANN]).await.unwrap(), [ANN], "online again");

    assert_eq!(lasting.renew(alive, 4).await.unwrap(), Lease::Held);
    let mut commands = commands(&config).await;
    let nodes: Vec<String> =
        redis::cmd("SMEMBERS").arg("presence:nodes").query_async(&mut commands).await.unwrap();
    assert_eq!(nodes, [alive.to_string()], "renewing swept the dead one");

    assert_eq!(
        brief.renew(dead, 3).await.unwrap(),
        Lease::Lost,
        "it lived after all: its lease is lost"
    );
}

#[tokio::test]
async fn a_lease_lost_with_the_server_is_noticed_even_after_new_users() {
    let (server, config) = start_redis().await;
    let presence = in_redis(&config, Duration::from_secs(60));
    let node = NodeId::random();
    enter(&presence, node, &[ANN, BOB]).await.unwrap();
    presence.renew(node, 2).await.unwrap();
    assert_eq!(presence.renew(node, 2).await.unwrap(), Lease::Held);

    // Emptied without a single failed call.
    let mut commands = commands(&config).await;
    redis::cmd("FLUSHALL").exec_async(&mut commands).await.unwrap();
    enter(&presence, node, &[CAT]).await.unwrap();
    assert_eq!(presence.renew(node, 3).await.unwrap(), Lease::Lost);
    assert_eq!(enter(&presence, node, &[ANN, BOB, CAT]).await.unwrap(), [ANN, BOB]);
    assert_eq!(presence.renew(node, 3).await.unwrap(), Lease::Held);

    // Away: calls fail soon, and afterwards everyone is asked for.
    server.kill().await.unwrap();
    let error = soon("a refusal", enter(&presence, node, &[ANN])).await.unwrap_err();
    assert!(matches!(error, PresenceError::Pool(_) | PresenceError::Redis(_)));
    server.restart().await.unwrap();
    soon("back", async { while presence.renew(node, 3).await.is_err() {} }).await;
    assert_eq!(enter(&presence, node, &[ANN, BOB]).await.unwrap(), [ANN, BOB]);
    assert_eq!(presence.renew(node, 3).await.unwrap(), Lease::Held);
}

#[tokio::test]
async fn after_a_failed_call_the_next_renewal_asks_for_everyone() {
    let (server, config) = start_redis().await;
    let mut config = config;
    config.limits.response_timeout = Duration::from_millis(200);
    let presence = in_redis(&config, Duration::from_secs(60));
    let node = NodeId::random();
    presence.renew(node, 0).await.unwrap();
    assert_eq!(presence.renew(node, 0).await.unwrap(), Lease::Held);
    pause(&server).await;
    soon("a timeout", enter(&presence, node, &[ANN])).await.unwrap_err();
    server.process().resume();
    let lease = soon("back", async {
        loop {
            if let Ok(lease) = presence.renew(node, 0).await {
                return lease;
            }
        }
    })
    .await;
    assert_eq!(lease, Lease::Lost, "the lease stands and the user may be missing");
}

#[tokio::test]
async fn a_register_that_hangs_costs_one_timeout_and_is_asked_again() {
    let (server, config) = start_redis().await;
    let presence = in_redis(&config, Duration::from_secs(60));
    let answered = async |times: usize| {
        let all = (0..times).map(|_| presence.online(&[ANN]));
        futures_util::future::join_all(all).await.iter().all(Result::is_ok)
    };
    // A full pool, whose idle connections are tried one after the other.
    soon("answers", async { while !answered(48).await {} }).await;
    pause(&server).await;
    let start = Instant::now();
    for _ in 0..20 {
        let error = presence.online(&[ANN]).await.unwrap_err();
        assert!(matches!(error, PresenceError::Silent), "{error}");
        assert!(presence.online_page(ANN, 10).await.is_err());
        assert!(presence.connections().await.is_err());
    }
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    let change = Instant::now();
    enter(&presence, NodeId::random(), &[ANN]).await.unwrap_err();
    assert!(change.elapsed() < Duration::from_secs(4), "{:?}", change.elapsed());
    server.process().resume();
    soon("answers again", async { while !answered(1).await {} }).await;
    assert!(answered(20).await, "of all");
}

#[tokio::test]
async fn a_node_that_was_cut_off_hears_that_it_was_swept() {
    let (_server, config) = start_redis().await;
    let brief = in_redis(&config, Duration::from_millis(300));
    let lasting = in_redis(&config, Duration::from_secs(60));
    let (cut_off, alive) = (NodeId::random(), NodeId::random());
    let ann = here(ANN, 1, &[7]);
    brief.renew(cut_off, 1).await.unwrap();
    brief.enter(cut_off, std::slice::from_ref(&ann)).await.unwrap();
    lasting.renew(alive, 0).await.unwrap();
    soon("the lease runs out", async { while lasting.dead().await.unwrap() != [cut_off] {} }).await;
    assert_eq!(lasting.sweep(cut_off).await.unwrap(), Some(vec![gone(ANN, &[7])]));
    assert_eq!(lasting.renew(cut_off, 1).await.unwrap(), Lease::Swept);
    assert_eq!(one(&lasting, cut_off, ann).await, (true, vec![7], 0), "its chats are told again");
    assert_eq!(lasting.renew(cut_off, 1).await.unwrap(), Lease::Held);
}

#[tokio::test]
async fn a_node_of_the_version_before_shares_the_register() {
    let (_server, config) = start_redis().await;
    let presence = in_redis(&config, Duration::from_secs(60));
    let (before, now) = (NodeId::random(), NodeId::random());
    presence.renew(now, 1).await.unwrap();
    // All that such a node writes of a user.
    let mut commands = commands(&config).await;
    let key = format!("presence:node:{before}");
    redis::cmd("ZADD").arg(key).arg(1).arg(1).exec_async(&mut commands).await.unwrap();
    redis::cmd("SADD")
        .arg("presence:nodes")
        .arg(before.to_string())
        .exec_async(&mut commands)
        .await
        .unwrap();
    assert_eq!(one(&presence, now, here(ANN, 1, &[7])).await, (false, vec![7], 1));
    assert_eq!(presence.leave(now, &[ANN]).await.unwrap(), [], "it is still on the old one");
    assert_eq!(presence.online(&[ANN]).await.unwrap(), set(&[ANN]));
    // Its lease runs out: what was handed over to it is swept.
    let key = format!("presence:node:{before}");
    redis::cmd("DEL").arg(key).exec_async(&mut commands).await.unwrap();
    assert_eq!(presence.dead().await.unwrap(), [before]);
    assert_eq!(sweep(&presence, before).await, [gone(ANN, &[7])]);
}
