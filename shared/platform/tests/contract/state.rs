//! Where presence and limits are kept: always at a server that takes writes, and in a cluster in one slot.

use crate::{listener::Listener, redis as start_redis, soon};
use cluster::{Redis, free_port};
use futures_util::future::try_join_all;
use platform::{
    bus::Bus,
    lifecycle::Lifecycle,
    limit::{Limiter, LimiterConfig, Rate},
    presence::{Here, Presence, PresenceConfig},
    redis::{RedisConfig, State},
    settings::Secret,
};
use protocol::{
    id::{ChatId, NodeId, UserId},
    relay::Channel,
};
use redis::{FromRedisValue, aio::MultiplexedConnection};
use std::{collections::BTreeSet, time::Duration};

/// Uses this many connections at once, for presence and for limits.
pub async fn used(state: &State, connections: usize) -> Result<(), String> {
    let presence = Presence::redis(state.clone(), PresenceConfig::default());
    let limiter = Limiter::redis(state.clone(), LimiterConfig::default());
    let one = async |user| {
        let node = NodeId::random();
        let here = Here { user: UserId(user), sockets: 1, chats: vec![ChatId(1)] };
        let entered = presence.enter(node, &[here]).await.map_err(|error| error.to_string())?;
        assert_eq!(entered.len(), 1);
        presence.leave(node, &[UserId(user)]).await.map_err(|error| error.to_string())?;
        presence.retire(node).await.map_err(|error| error.to_string())
    };
    try_join_all((1..=i64::try_from(connections).unwrap()).map(one)).await?;
    let rate = Rate { per: Duration::from_secs(60), burst: 1000 };
    let _ = limiter.try_take("used", &rate).await;
    let mut connection = state.connection().await.map_err(|error| error.to_string())?;
    let there: bool = redis::cmd("EXISTS")
        .arg(state.key("limit:used"))
        .query_async(&mut connection)
        .await
        .map_err(|error| error.to_string())?;
    if there { Ok(()) } else { Err("the limit is not in Redis".to_owned()) }
}

async fn tell<T: FromRedisValue>(server: &mut MultiplexedConnection, command: &str) -> T {
    let words: Vec<&str> = command.split(' ').collect();
    redis::cmd(words[0]).arg(&words[1..]).query_async(server).await.unwrap()
}

async fn administrator(server: &Redis) -> MultiplexedConnection {
    let client = redis::Client::open(server.url()).unwrap();
    client.get_multiplexed_async_connection().await.unwrap()
}

/// The connections of others.
async fn clients(administrator: &mut MultiplexedConnection) -> BTreeSet<String> {
    let own: u64 = tell(administrator, "CLIENT ID").await;
    let clients: String = tell(administrator, "CLIENT LIST").await;
    let ids = clients.lines().filter_map(|client| client.split(' ').next());
    ids.filter(|id| *id != format!("id={own}")).map(str::to_owned).collect()
}

#[tokio::test]
async fn a_server_that_becomes_a_replica_is_left_until_it_is_the_primary_again() {
    let (server, mut config) = start_redis().await;
    config.limits.probe_every = Duration::from_millis(100);
    let bus = Bus::redis(config.clone(), NodeId::random(), &Lifecycle::new());
    let mut listener = Listener::start(&bus).await;
    let state = State::new(&config).unwrap();
    used(&state, 4).await.unwrap();
    let mut administrator = administrator(&server).await;
    let before = clients(&mut administrator).await;
    assert!(before.len() >= 4, "{before:?}");
    // It closes no connection, and answers PING on each.
    let () = tell(&mut administrator, &format!("REPLICAOF 127.0.0.1 {}", free_port())).await;
    listener.expect_down().await;
    let why = used(&state, 4).await.unwrap_err();
    assert!(why.contains("read only replica"), "{why}");
    // No connection from before is used again.
    soon("the connections are thrown away", async {
        while !before.is_disjoint(&clients(&mut administrator).await) {
            let _ = used(&state, 1).await;
        }
    })
    .await;
    let () = tell(&mut administrator, "REPLICAOF NO ONE").await;
    listener.expect_up().await;
    listener.add(&[Channel::Control]).await;
    listener.expect_delivery(&bus, Channel::Control).await;
    used(&state, 4).await.unwrap();
}

#[tokio::test]
async fn in_a_cluster_the_owner_of_one_slot_has_it_all_and_is_followed() {
    let mut nodes = Vec::new();
    for slots in ["0 8191", "8192 16383"] {
        let bus_port = free_port().to_string();
        let settings = ["--cluster-enabled", "yes", "--cluster-port", &bus_port];
        let server = Redis::start_with(&settings).await.unwrap();
        let mut told = administrator(&server).await;
        let () = tell(&mut told, &format!("CLUSTER ADDSLOTSRANGE {slots}")).await;
        let id: String = tell(&mut told, "CLUSTER MYID").await;
        nodes.push((server, told, id, bus_port));
    }
    let [(first, to_first, first_id, _), (second, to_second, _, bus_port)] = &mut nodes[..] else {
        panic!("two nodes")
    };
    let port = second.port();
    // Their epochs differ, or each would give way to the other.
    let () = tell(to_second, "CLUSTER SET-CONFIG-EPOCH 2").await;
    let () = tell(to_first, &format!("CLUSTER MEET 127.0.0.1 {port} {bus_port}")).await;
    soon("the cluster is whole", async {
        for node in [&mut *to_first, &mut *to_second] {
            while !tell::<String>(node, "CLUSTER INFO").await.contains("cluster_state:ok") {}
        }
    })
    .await;

    // The URL names the one that does not own the slot.
    let url = format!("redis+cluster://127.0.0.1:{}", first.port());
    let state = State::new(&RedisConfig::new(&Secret::new(url)).unwrap()).unwrap();
    used(&state, 4).await.unwrap();
    let slot: u16 = tell(to_second, "CLUSTER KEYSLOT {state}").await;
    let here: u64 = tell(to_second, &format!("CLUSTER COUNTKEYSINSLOT {slot}")).await;
    let all: u64 = tell(to_second, "DBSIZE").await;
    assert!(here > 0 && here == all, "{here} of {all}");

    let () = tell(to_second, "FLUSHALL").await;
    for node in [&mut *to_first, &mut *to_second] {
        let () = tell(node, &format!("CLUSTER SETSLOT {slot} NODE {first_id}")).await;
    }
    // At once, and not when the owner is asked for again anyway.
    let following = async { while used(&state, 1).await.is_err() {} };
    tokio::time::timeout(Duration::from_secs(5), following).await.unwrap();
    let here: u64 = tell(to_first, &format!("CLUSTER COUNTKEYSINSLOT {slot}")).await;
    assert!(here > 0);
}
