//! What the redis crate (1.8) does wrong with sharded pub/sub, each in a few lines: `cargo test -p switchboard-platform
//! --test contract upstream -- --ignored`. A version that does it right fails here, and `bus/redis/tell.rs` may then
//! become simpler. The faults of the crate's cluster client, which the bus does not use, are in
//! `docs/upstream/redis-rs.md`.

use cluster::RedisCluster;
use redis::{PushKind, Value, aio::ConnectionLike as _};

/// A tag and its slot, which the first of two servers has.
const TAG: &str = "{1}";
const SLOT: u16 = 9842;

async fn connection(url: String) -> redis::aio::MultiplexedConnection {
    let client = redis::Client::open(format!("{url}?protocol=resp3")).unwrap();
    let nothing = |_| Ok::<(), ()>(());
    let config = redis::AsyncConnectionConfig::new().set_push_sender(nothing);
    client.get_multiplexed_async_connection_with_config(&config).await.unwrap()
}

#[tokio::test]
#[ignore = "asserts what a dependency does wrong today"]
async fn a_command_of_two_channels_has_two_answers_and_is_given_one() {
    let cluster = RedisCluster::start(1, 0).await.unwrap();
    let mut connection = connection(cluster.nodes()[0].url()).await;
    let mut pipeline = redis::pipe();
    pipeline.cmd("SSUBSCRIBE").arg(format!("{TAG}a")).arg(format!("{TAG}b")).cmd("PING");
    let answers = connection.req_packed_commands(&pipeline, 0, 2).await.unwrap();
    let [_, Value::Push { kind: PushKind::SSubscribe, .. }] = &answers[..] else {
        panic!("the answer to PING is right: {answers:?}")
    };
}

#[tokio::test]
#[ignore = "asserts what a dependency does wrong today"]
async fn a_slot_that_moves_away_answers_a_question_that_was_not_asked() {
    let cluster = RedisCluster::start(2, 0).await.unwrap();
    let from = cluster.owner(SLOT).await.unwrap();
    let mut connection = connection(cluster.nodes()[from].url()).await;
    redis::cmd("SSUBSCRIBE").arg(format!("{TAG}a")).exec_async(&mut connection).await.unwrap();
    // A question that nobody answers: a list in another slot of the same server, which stays empty.
    let mut lists = (0..).map(|number| format!("list:{number}"));
    let list = loop {
        let key = lists.next().unwrap();
        let mut slot = redis::cmd("CLUSTER");
        let slot: u16 = slot.arg("KEYSLOT").arg(&key).query_async(&mut connection).await.unwrap();
        if slot != SLOT && cluster.owner(slot).await.unwrap() == from {
            break key;
        }
    };
    let mut wait = redis::cmd("BLPOP");
    wait.arg(list).arg(0);
    let moving = async {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        cluster.move_slot(SLOT, 1 - from).await.unwrap();
    };
    let (answer, ()) = tokio::join!(connection.send_packed_command(&wait), moving);
    let Ok(Value::Push { kind: PushKind::SUnsubscribe, .. }) = answer else {
        panic!("nobody answers: {answer:?}")
    };
}
