//! PostgreSQL ends a transaction in favor of another one: whoever called gets an answer all the same, once, and
//! after a bounded number of tries a refusal.

use crate::harness::{Place, T, delete, edit, hold, refused, send, somebody_waits};
use api::internal;
use axum::{body::Body, extract::Request};
use cluster::Postgres;
use futures_util::future::join_all;
use platform::serve::ClientAddr;
use protocol::{
    calls::{Changed, MarkRead, Post, ReadMark},
    id::{ChatId, Seq, UserId},
};
use std::{
    net::{IpAddr, Ipv4Addr},
    time::{Duration, Instant},
};
use tower::ServiceExt as _;

/// On a fresh database with this setting.
async fn with_setting(setting: &str) -> T {
    let database = Postgres::shared().await.unwrap().create_database().await;
    let set = format!("ALTER DATABASE {} SET {setting}", database.name());
    Postgres::shared().await.unwrap().sql(&set).await.unwrap();
    T::on(Place::Postgres(database)).await
}

/// Makes so many of the next transactions that write to a table fail as if another one stood in the way.
async fn fail_next(t: &T, table: &str, times: u32) {
    t.sql(format!(
        "DROP SEQUENCE IF EXISTS tries CASCADE;
         CREATE SEQUENCE tries;
         CREATE OR REPLACE FUNCTION fails() RETURNS TRIGGER LANGUAGE plpgsql AS $$ BEGIN
            IF nextval('tries') <= {times} THEN RAISE EXCEPTION USING ERRCODE = '40001'; END IF;
            RETURN NULL;
         END $$;
         CREATE OR REPLACE TRIGGER fails AFTER INSERT OR UPDATE OR DELETE ON {table}
         FOR EACH STATEMENT EXECUTE FUNCTION fails()"
    ))
    .await;
}

async fn tries(t: &T) -> i64 {
    t.number("SELECT last_value FROM tries".to_owned()).await
}

#[tokio::test]
async fn every_kind_of_call_is_tried_again() {
    let t = T::postgres().await;
    let [ann, bob] = t.users(["ann", "bob"]).await;
    let chat = t.group(ann, &[bob]).await;
    // A message alone, one that has to go the long way, an edit, a mark.
    fail_next(&t, "messages", 3).await;
    let first = t.say(ann, chat, "hello").await;
    assert!(tries(&t).await >= 4);
    fail_next(&t, "messages", 3).await;
    let two = vec![send(ann, chat, "a", "one"), send(bob, chat, "b", "two")];
    assert!(t.post(two).await.results.iter().all(Result::is_ok));
    fail_next(&t, "messages", 3).await;
    let commands = vec![edit(ann, chat, first, "hello!"), send(bob, chat, "c", "three")];
    assert!(t.post(commands).await.results.iter().all(Result::is_ok));
    fail_next(&t, "members", 3).await;
    let mark = ReadMark { user_id: bob, chat_id: chat, message_id: Seq(2) };
    internal::mark_read(&t.api, MarkRead { marks: vec![mark] }).await.unwrap();
    assert!(tries(&t).await >= 4);
}

#[tokio::test]
async fn the_tries_are_bounded() {
    let t = T::postgres().await;
    let ann = t.user("ann").await;
    let chat = t.group(ann, &[]).await;
    let head = t.head(chat).await;
    fail_next(&t, "messages", 1_000_000).await;
    let begun = Instant::now();
    let post = Post::patient(vec![send(ann, chat, "a", "never")]);
    assert_eq!(refused(internal::post(&t.api, post).await), (503, "unavailable"));
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(tries(&t).await, 8);
    assert_eq!(t.head(chat).await, head);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadlock_costs_a_pause() {
    let t = with_setting("deadlock_timeout = '500ms'").await;
    let ann = t.user("ann").await;
    let chats = [t.group(ann, &[]).await, t.group(ann, &[]).await];
    for n in 0..3 {
        let message = t.say(ann, chats[0], "hello").await;
        // Somebody locks two chats in the other order: an operator, say.
        let mut other = hold(&t, chats[1]).await;
        let patient = "SET LOCAL deadlock_timeout = '1min'";
        sqlx::raw_sql(patient).execute(&mut *other).await.unwrap();
        let second = send(ann, chats[1], &format!("k{n}"), "hello");
        let commands = match n {
            0 => vec![send(ann, chats[0], "k", "hello"), second],
            1 => vec![edit(ann, chats[0], message, "edited"), second],
            _ => vec![delete(ann, chats[0], message), second],
        };
        let posted = internal::post(&t.api, Post::patient(commands));
        let crosses = async {
            somebody_waits(&t).await;
            let lock = format!("SELECT id FROM chats WHERE id = {} FOR UPDATE", chats[0]);
            sqlx::raw_sql(sqlx::AssertSqlSafe(lock)).execute(&mut *other).await.unwrap();
            other.commit().await.unwrap();
        };
        let (posted, ()) = tokio::join!(posted, crosses);
        assert!(posted.unwrap().results.iter().all(Result::is_ok), "{n}");
    }
}

/// What a user does over and over.
async fn be_busy(t: &T, user: UserId, chat: ChatId) {
    for n in 0..10 {
        let message =
            t.one(send(user, chat, &format!("{user}-{n}"), "hello")).await.unwrap().message_id;
        t.one(edit(user, chat, message, "hello!")).await.unwrap();
        let mark = ReadMark { user_id: user, chat_id: chat, message_id: message };
        internal::mark_read(&t.api, MarkRead { marks: vec![mark] }).await.unwrap();
        internal::changed(&t.api, Changed { since: None, ..Changed::default() }).await.unwrap();
        assert!(!t.events_after(chat, Seq(0), 200).await.is_empty());
        if n % 2 == 0 {
            t.one(delete(user, chat, message)).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_is_serializable_serves_a_crowd() {
    let t = with_setting("default_transaction_isolation = 'serializable'").await;
    let users = t.users(["ann", "bob", "cyd", "dan"]).await;
    let chat = t.group(users[0], &users[1..]).await;
    let head = t.head(chat).await;
    join_all(users.map(|user| be_busy(&t, user, chat))).await;
    assert_eq!(t.head(chat).await, Seq(head.0 + 4 * 25), "each command once");
}

#[tokio::test]
async fn a_request_over_rest_is_tried_again_with_its_body() {
    let t = T::postgres().await;
    let router = api::router(t.api.clone());
    let register = async |name: &str| {
        let body = serde_json::json!({"username": name, "password": "password123"});
        let request = Request::post("/register")
            .header("content-type", "application/json")
            .extension(ClientAddr(IpAddr::V4(Ipv4Addr::LOCALHOST)))
            .body(Body::from(body.to_string()))
            .unwrap();
        router.clone().oneshot(request).await.unwrap().status().as_u16()
    };
    fail_next(&t, "users", 3).await;
    assert_eq!(register("ann").await, 201);
    assert_eq!(tries(&t).await, 4);
    assert_eq!(t.number("SELECT count(*) FROM users".to_owned()).await, 1);
    fail_next(&t, "users", 1_000_000).await;
    assert_eq!(register("bob").await, 503);
}
