//! The one call of PostgreSQL's that stores plain messages: who waits for whom, when it is over, and for
//! which batches it is.

use crate::harness::{T, actor, hold, reply, send, somebody_waits};
use api::{PostQueues, chats::membership, config::PostQueueConfig, db::Db, internal};
use futures_util::future::join_all;
use protocol::{
    calls::Post,
    command::Command,
    id::{ChatId, Seq, UserId},
    relay::Channel,
};
use std::time::Duration;

/// All lock chats in the order of their ids, else two wait for each other.
async fn chats_are_locked_in_order(mut t: T) {
    // However long this test takes, the call waits.
    let patience = Duration::from_secs(60);
    let config = PostQueueConfig { patience, ..PostQueueConfig::default() };
    t.api.posts = PostQueues::new(&t.api.db, config);
    let ann = t.user("ann").await;
    let mut chats = Vec::new();
    for _ in 0..9 {
        chats.push(t.room(ann).await);
    }
    let commands: Vec<Command> =
        [4, 8, 0, 7, 1, 6, 2, 5, 3].map(|n: usize| send(ann, chats[n], "k", "hello")).to_vec();
    t.count_calls().await;
    let held = hold(&t, chats[4]).await;
    let posting = internal::post(&t.api, Post::patient(commands));
    let looking = async {
        somebody_waits(&t).await;
        let Db::Postgres(pool, ..) = t.api.db.home() else { panic!("not PostgreSQL") };
        let free = "/* of a test */ SELECT id FROM chats WHERE id > 1 AND id < 100000 ORDER BY id FOR UPDATE SKIP LOCKED";
        let free: Vec<i64> = sqlx::query_scalar(free).fetch_all(pool).await.unwrap();
        assert_eq!(free, chats[5..].iter().map(|chat| chat.0).collect::<Vec<_>>());
        held.commit().await.unwrap();
    };
    let (posted, ()) = tokio::join!(posting, looking);
    assert!(posted.unwrap().results.iter().all(Result::is_ok));
    assert_eq!(t.calls("post_plain").await, 1);
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
    let mut t = T::postgres().await;
    // However long this test takes, the call waits.
    let patience = Duration::from_secs(60);
    let config = PostQueueConfig { patience, ..PostQueueConfig::default() };
    t.api.posts = PostQueues::new(&t.api.db, config);
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

/// Posts to both chats, then to the first one. Whether one call did it, each time the same.
async fn is_one_call(t: &T, user: UserId, chats: [ChatId; 2], key: &str) -> bool {
    let before = [t.calls("post_plain").await, t.calls("post_one").await];
    t.post(chats.map(|chat| send(user, chat, key, "hello")).to_vec()).await;
    let many = t.calls("post_plain").await - before[0];
    t.post(vec![send(user, chats[0], &format!("{key} once more"), "hello")]).await;
    let one = t.calls("post_one").await - before[1];
    assert_eq!(many, one);
    many == 1
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plain_messages_are_one_call() {
    let t = T::postgres().await;
    t.count_calls().await;
    let [ann, bob, cid] = t.users(["ann", "bob", "cid"]).await;
    let (group, room) = (t.group(ann, &[bob]).await, t.room(ann).await);
    let chats = [group, room];
    assert!(is_one_call(&t, ann, chats, "k1").await);
    assert!(is_one_call(&t, bob, [room, group], "k1").await, "to the room of a stranger");
    assert!(is_one_call(&t, bob, [t.room(ann).await, room], "k2").await);
    // A repeat.
    assert!(!is_one_call(&t, ann, chats, "k1").await);
    assert!(is_one_call(&t, ann, chats, "k2").await);
    // Not a member.
    assert!(!is_one_call(&t, cid, chats, "k1").await);
    assert!(!is_one_call(&t, ann, [ChatId::LOBBY, room], "k3").await);
    // Whoever leaves goes the long way, others do not.
    membership::leave(&t.api, actor(bob), group).await.unwrap();
    assert!(!is_one_call(&t, bob, chats, "k4").await);
    assert!(is_one_call(&t, ann, chats, "k4").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_wakes_somebody_is_no_call() {
    let t = T::postgres().await;
    t.count_calls().await;
    let [ann, bob] = t.users(["ann", "bob"]).await;
    let (group, other) = (t.group(ann, &[bob]).await, t.group(ann, &[bob]).await);
    let calls = async || t.calls("post_one").await + t.calls("post_plain").await;
    for (key, chats) in [("k1", vec![group]), ("k2", vec![group, other])] {
        let mark = format!(
            "UPDATE members SET dormant = TRUE WHERE chat_id = {group} AND user_id = {bob}"
        );
        t.sql(mark).await;
        let before = calls().await;
        t.post(chats.iter().map(|chat| send(ann, *chat, key, "hello")).collect()).await;
        assert_eq!(calls().await, before);
        // He is awake now.
        t.post(chats.iter().map(|chat| send(ann, *chat, &format!("{key}'"), "hello")).collect())
            .await;
        assert_eq!(calls().await, before + 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replies_are_one_call_if_what_they_reply_to_was_there() {
    let t = T::postgres().await;
    t.count_calls().await;
    let ann = t.user("ann").await;
    let chat = t.group(ann, &[]).await;
    let first = t.say(ann, chat, "hello").await;
    t.one(reply(ann, chat, "k1", "a reply", Some(first))).await.unwrap();
    assert_eq!(t.calls("post_one").await, 2);
    let both = vec![send(ann, chat, "k2", "hi"), reply(ann, chat, "k3", "a reply", Some(first))];
    t.post(both).await;
    assert_eq!(t.calls("post_plain").await, 1);
    // To the first one of its own batch.
    let inside = vec![
        send(ann, chat, "k4", "hi"),
        reply(ann, chat, "k5", "a reply", Some(t.head(chat).await.next())),
    ];
    assert!(t.post(inside).await.results.iter().all(Result::is_ok));
    assert_eq!(t.calls("post_plain").await, 1);
    let replies =
        "SELECT count(*) FROM messages WHERE reply_to < id AND client_message_id LIKE 'k%'";
    assert_eq!(t.number(replies.to_owned()).await, 3);
}

/// The pool would give each call another connection, which nobody has used for the longest.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_come_alone_find_the_same_session() {
    let t = T::postgres().await;
    t.count_calls().await;
    let ann = t.user("ann").await;
    let chat = t.group(ann, &[]).await;
    let Db::Postgres(pool, ..) = t.api.db.home() else { panic!("not PostgreSQL") };
    let open = join_all((0..5).map(|_| pool.acquire())).await;
    assert!(open.into_iter().all(|conn| conn.is_ok()));
    for key in ["k1", "k2", "k3", "k4", "k5"] {
        t.one(send(ann, chat, key, "hello")).await.unwrap();
        t.api.db.home().ping().await.unwrap();
    }
    let sessions = "SELECT count(DISTINCT session) FROM calls".to_owned();
    assert_eq!(t.number(sessions).await, 1);
    tokio::time::timeout(Duration::from_secs(30), t.api.close()).await.unwrap();
}

/// A variable of a function, and its type.
type Variable = (&'static str, &'static str);

struct Function {
    name: &'static str,
    variables: &'static [Variable],
    /// Those that look for rows: the beginning of each, and where its answer goes.
    statements: &'static [(&'static str, &'static str)],
}

const FUNCTIONS: [Function; 2] = [
    Function {
        name: "post_one",
        variables: &[
            ("chat", "BIGINT"),
            ("sender", "BIGINT"),
            ("answered", "BIGINT"),
            ("made", "BIGINT"),
            ("place", "BIGINT"),
            ("is_room", "BOOLEAN"),
        ],
        statements: &[
            ("UPDATE chats", "INTO made, place, is_room"),
            ("SELECT u.username", "INTO username, name, avatar"),
            ("UPDATE members", ""),
        ],
    },
    Function {
        name: "post_plain",
        variables: &[
            ("chat_ids", "BIGINT[]"),
            ("chat_counts", "BIGINT[]"),
            ("message_chats", "BIGINT[]"),
            ("message_places", "BIGINT[]"),
            ("message_numbers", "BIGINT[]"),
            ("message_senders", "BIGINT[]"),
            ("message_keys", "TEXT[]"),
            ("message_texts", "TEXT[]"),
            ("message_answered", "BIGINT[]"),
            ("seen_chats", "BIGINT[]"),
            ("seen_users", "BIGINT[]"),
            ("seen_places", "BIGINT[]"),
            ("seen_numbers", "BIGINT[]"),
            ("sent_at", "BIGINT"),
            ("last_seqs", "BIGINT[]"),
            ("ordinals", "BIGINT[]"),
            ("are_rooms", "BOOLEAN[]"),
        ],
        statements: &[
            ("WITH numbered AS", "INTO last_seqs, ordinals, are_rooms"),
            ("WITH plain AS", "INTO usernames, names, avatars"),
        ],
    },
];

/// The statement with `$1` and so on for the variables. Columns are named after a dot.
fn with_parameters(statement: &str, variables: &[Variable]) -> String {
    let (mut text, mut word) = (String::new(), String::new());
    for letter in statement.chars().chain([' ']) {
        if letter.is_alphanumeric() || letter == '_' {
            word.push(letter);
            continue;
        }
        match variables.iter().position(|(name, _)| *name == word) {
            Some(place) if !text.ends_with('.') => text += &format!("${}", place + 1),
            _ => text += &word,
        }
        word.clear();
        text.push(letter);
    }
    text
}

/// Also planned while the tables are empty, they look for what they were asked for, and walk over nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn their_statements_go_by_the_indexes() {
    let t = T::postgres().await;
    let Db::Postgres(pool, ..) = t.api.db.home() else { panic!("not PostgreSQL") };
    let mut conn = pool.acquire().await.unwrap();
    for Function { name: function, variables, statements } in FUNCTIONS {
        let source = format!("SELECT prosrc FROM pg_proc WHERE proname = '{function}'");
        let source: String =
            sqlx::query_scalar(sqlx::AssertSqlSafe(source)).fetch_one(&mut *conn).await.unwrap();
        let types: Vec<&str> = variables.iter().map(|(_, kind)| *kind).collect();
        let nulls = vec!["NULL"; variables.len()].join(", ");
        for (number, (begin, target)) in statements.iter().enumerate() {
            let statement = &source[source.find(begin).unwrap()..];
            let statement = statement.split(';').next().unwrap().replace(target, "");
            let statement = with_parameters(&statement, variables);
            let name = format!("{function}_{number}");
            let prepare = format!("PREPARE {name} ({}) AS {statement}", types.join(", "));
            sqlx::raw_sql(sqlx::AssertSqlSafe(prepare)).execute(&mut *conn).await.unwrap();
            let explain = format!("EXPLAIN (COSTS OFF) EXECUTE {name} ({nulls})");
            let plan: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(explain))
                .fetch_all(&mut *conn)
                .await
                .unwrap();
            let plan = plan.join("\n");
            assert!(!plan.contains("Seq Scan"), "{plan}");
            let (scans, conditions) =
                (plan.matches(" Scan using ").count(), plan.matches("Index Cond").count());
            assert!(scans > 0 && scans == conditions, "{plan}");
        }
    }
}
