//! The one call of PostgreSQL's that stores plain messages: who waits for whom, when it is over, and for
//! which batches it is.

use crate::harness::{T, actor, send};
use api::{PostQueue, chats::membership, config::PostQueueConfig, db::Db, internal};
use protocol::{
    calls::Post,
    command::Command,
    id::{ChatId, Seq, UserId},
    relay::Channel,
};
use std::time::{Duration, Instant};

/// Holds a chat's row in a transaction of its own.
async fn hold(t: &T, chat: ChatId) -> sqlx::Transaction<'static, sqlx::Postgres> {
    let Db::Postgres(pool) = &t.api.db else { panic!("not PostgreSQL") };
    let mut tx = pool.begin().await.unwrap();
    let lock = format!("SELECT id FROM chats WHERE id = {chat} FOR UPDATE");
    sqlx::raw_sql(sqlx::AssertSqlSafe(lock)).execute(&mut *tx).await.unwrap();
    tx
}

/// Until one connection waits for a row.
async fn somebody_waits(t: &T) {
    let waits = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let begun = Instant::now();
    while t.number(waits.to_owned()).await == 0 {
        assert!(begun.elapsed() < Duration::from_secs(30), "nobody waits");
        tokio::task::yield_now().await;
    }
}

/// All lock chats in the order of their ids, else two wait for each other.
async fn chats_are_locked_in_order(mut t: T) {
    // However long this test takes, the call waits.
    let patience = Duration::from_secs(60);
    t.api.posts = PostQueue::new(PostQueueConfig { patience, ..PostQueueConfig::default() });
    let ann = t.user("ann").await;
    let mut chats = Vec::new();
    for _ in 0..9 {
        chats.push(t.room(ann).await);
    }
    let commands: Vec<Command> =
        [4, 8, 0, 7, 1, 6, 2, 5, 3].map(|n: usize| send(ann, chats[n], "k", "hello")).to_vec();
    let held = hold(&t, chats[4]).await;
    let posting = internal::post(&t.api, Post::patient(commands));
    let looking = async {
        somebody_waits(&t).await;
        let Db::Postgres(pool) = &t.api.db else { panic!("not PostgreSQL") };
        let free =
            "SELECT id FROM chats WHERE id > 1 AND id < 1000 ORDER BY id FOR UPDATE SKIP LOCKED";
        let free: Vec<i64> = sqlx::query_scalar(free).fetch_all(pool).await.unwrap();
        assert_eq!(free, chats[5..].iter().map(|chat| chat.0).collect::<Vec<_>>());
        held.commit().await.unwrap();
    };
    let (posted, ()) = tokio::join!(posting, looking);
    assert!(posted.unwrap().results.iter().all(Result::is_ok));
    assert_eq!(together(&t).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chats_are_locked_in_order_while_there_are_few() {
    chats_are_locked_in_order(T::postgres().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chats_are_locked_in_order_among_many() {
    let t = T::postgres().await;
    // Updated in another order than their ids', so that they lie in another one, too.
    t.sql(
        "INSERT INTO chats (id, chat_type, name, created_at, changed_at)
         SELECT i, 'group', 'c', 0, 0 FROM generate_series(100000, 120000) i;
         UPDATE chats SET name = 'd' WHERE id % 7 = 3;
         ANALYZE chats"
            .to_owned(),
    )
    .await;
    chats_are_locked_in_order(t).await;
}

/// Batches of several chats that took the one call: only that notes them together.
async fn together(t: &T) -> i64 {
    t.number("SELECT count(*) FROM changes WHERE cardinality(chats) > 1".to_owned()).await
}

/// The call's row comes before its commit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_committed_is_not_acknowledged() {
    let t = T::postgres().await;
    let ann = t.user("ann").await;
    let chat = t.group(ann, &[]).await;
    t.sql(
        "CREATE FUNCTION fail() RETURNS TRIGGER LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no disk''; END';
         CREATE CONSTRAINT TRIGGER fails AFTER INSERT ON messages
         DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION fail()"
            .to_owned(),
    )
    .await;
    let command = send(ann, chat, "k", "hello");
    let mut heard = t.listen(&[Channel::Chat(chat)]).await;
    internal::post(&t.api, Post::patient(vec![command.clone()])).await.unwrap_err();
    assert_eq!(t.head(chat).await, Seq(0));
    t.sql("DROP TRIGGER fails ON messages".to_owned()).await;
    t.one(command).await.unwrap();
    let (_, payload) = heard.next().await;
    assert_eq!(payload["events"][0]["seq"], 1, "told once, of what is stored");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gateways_are_told_although_whoever_asked_is_gone() {
    let t = T::postgres().await;
    let ann = t.user("ann").await;
    let chat = t.group(ann, &[]).await;
    let held = hold(&t, chat).await;
    let mut heard = t.listen(&[Channel::Chat(chat)]).await;
    let post = Post::patient(vec![send(ann, chat, "k", "hello")]);
    tokio::select! {
        _ = internal::post(&t.api, post) => panic!("somebody holds the chat"),
        () = somebody_waits(&t) => {}
    }
    held.commit().await.unwrap();
    let (_, payload) = heard.next().await;
    assert_eq!(payload["events"][0]["text"], "hello");
}

/// Posts to both chats. Whether one call did it.
async fn is_one_call(t: &T, user: UserId, chats: [ChatId; 2], key: &str) -> bool {
    let before = together(t).await;
    t.post(chats.map(|chat| send(user, chat, key, "hello")).to_vec()).await;
    together(t).await > before
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plain_messages_are_one_call() {
    let t = T::postgres().await;
    let [ann, bob, cid] = t.users(["ann", "bob", "cid"]).await;
    let (group, room) = (t.group(ann, &[bob]).await, t.room(ann).await);
    let chats = [room, group];
    assert!(is_one_call(&t, ann, chats, "k1").await);
    assert!(is_one_call(&t, bob, chats, "k1").await, "to the room of a stranger");
    assert!(is_one_call(&t, bob, [t.room(ann).await, room], "k2").await);
    // A repeat.
    assert!(!is_one_call(&t, ann, chats, "k1").await);
    assert!(is_one_call(&t, ann, chats, "k2").await);
    // Not a member.
    assert!(!is_one_call(&t, cid, chats, "k1").await);
    assert!(!is_one_call(&t, ann, [ChatId::LOBBY, room], "k3").await);
    // Somebody is woken, once.
    let mark =
        format!("UPDATE members SET dormant = TRUE WHERE chat_id = {group} AND user_id = {bob}");
    t.sql(mark).await;
    assert!(!is_one_call(&t, ann, chats, "k4").await);
    assert!(is_one_call(&t, ann, chats, "k5").await);
    // Whoever leaves goes the long way, others do not.
    membership::leave(&t.api, actor(bob), group).await.unwrap();
    assert!(!is_one_call(&t, bob, chats, "k6").await);
    assert!(is_one_call(&t, ann, chats, "k6").await);
}

/// The function's variables, with their types.
const VARIABLES: [(&str, &str); 16] = [
    ("chat_ids", "BIGINT[]"),
    ("chat_counts", "BIGINT[]"),
    ("message_chats", "BIGINT[]"),
    ("message_places", "BIGINT[]"),
    ("message_numbers", "BIGINT[]"),
    ("message_senders", "BIGINT[]"),
    ("message_keys", "TEXT[]"),
    ("message_texts", "TEXT[]"),
    ("seen_chats", "BIGINT[]"),
    ("seen_users", "BIGINT[]"),
    ("seen_places", "BIGINT[]"),
    ("seen_numbers", "BIGINT[]"),
    ("sent_at", "BIGINT"),
    ("last_seqs", "BIGINT[]"),
    ("ordinals", "BIGINT[]"),
    ("are_rooms", "BOOLEAN[]"),
];

/// Also planned while the tables are empty, it looks for what it was asked for, and walks over nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_statements_go_by_the_indexes() {
    let t = T::postgres().await;
    let Db::Postgres(pool) = &t.api.db else { panic!("not PostgreSQL") };
    let mut conn = pool.acquire().await.unwrap();
    let source = "SELECT prosrc FROM pg_proc WHERE proname = 'post_plain'";
    let source: String = sqlx::query_scalar(source).fetch_one(&mut *conn).await.unwrap();
    let types = VARIABLES.map(|(_, kind)| kind).join(", ");
    let nulls = VARIABLES.map(|_| "NULL").join(", ");
    for (name, target) in
        [("numbered", "INTO last_seqs, ordinals, are_rooms"), ("plain", "INTO usernames")]
    {
        let begin = source.find(&format!("WITH {name} AS")).unwrap();
        let statement = source[begin..].split(';').next().unwrap();
        let mut statement = statement.replace(target, "");
        for (number, (variable, _)) in (1..).zip(VARIABLES) {
            statement = statement.replace(variable, &format!("${number}"));
        }
        let prepare = format!("PREPARE {name} ({types}) AS {statement}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(prepare)).execute(&mut *conn).await.unwrap();
        let explain = format!("EXPLAIN (COSTS OFF) EXECUTE {name} ({nulls})");
        let plan: Vec<String> =
            sqlx::query_scalar(sqlx::AssertSqlSafe(explain)).fetch_all(&mut *conn).await.unwrap();
        let plan = plan.join("\n");
        assert!(!plan.contains("Seq Scan"), "{plan}");
        let (scans, conditions) =
            (plan.matches(" Scan using ").count(), plan.matches("Index Cond").count());
        assert!(scans > 0 && scans == conditions, "{plan}");
    }
}
