//! One name, one person: names that show something else than they are, or look like somebody's, are refused, and
//! one name is the same however a keyboard writes it.

use crate::support::{Ask, Server, text};
use api::db::Db;
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

fn named(username: &str) -> Value {
    json!({"username": username, "password": "password123"})
}

#[tokio::test]
async fn a_name_that_looks_like_anothers_is_taken() {
    let t = Server::start().await;
    for name in ["alice", "caf\u{e9}", "ann smith", "Kai"] {
        assert_eq!(t.post("/register", named(name)).await.ok(201)["username"], name);
    }
    for name in [
        "\u{430}dmin",
        "ADMlN",
        "ａｄｍｉｎ",
        "a1ice",
        "\u{430}lice",
        "ALlCE",
        "ａｌｉｃｅ",
        "cafe\u{301}",
        "ann  smith",
        "ann\u{a0}smith",
        "KaI",
    ] {
        t.post("/register", named(name)).await.refused(400, "username_taken");
        let with_email =
            json!({"username": name, "email": "new@example.com", "password": "password123"});
        t.post("/users/register", with_email).await.refused(400, "username_taken");
    }
    for name in ["Kal", "alicia", "cafe", "Алиса", "Ann Smith 2"] {
        t.post("/register", named(name)).await.ok(201);
    }
    // Nobody chose this one, so another one is made.
    let email = json!({"email": "\u{430}lice@example.com", "password": "password123"});
    let made = t.post("/register", email).await.ok(201);
    assert!(
        text(&made, "username").starts_with("\u{430}lice") && made["username"] != "\u{430}lice"
    );
}

#[tokio::test]
async fn nothing_is_named_by_what_nobody_sees() {
    let t = Server::start().await;
    let ann = t.user("anna").await;
    let token = text(&ann, "access_token");
    let room = json!({"chat_type": "room", "name": "tea"});
    let room = t.post_as("/chats", token, room).await.ok(201)["id"].clone();
    let patch = |path: String, body: Value| {
        t.request(Method::PATCH, &path).bearer_auth(token).json(&body).answer()
    };
    for hidden in [
        "\u{3164}", "\u{2800}", "\u{ffa0}", "\u{115f}", "\u{34f}", "\u{fe0f}", "\u{180b}",
        "\u{17b4}", "\u{200b}", "\u{2060}", "\u{feff}", "\u{200d}",
    ] {
        for name in [hidden.to_owned(), format!("admin{hidden}"), format!("{hidden}bob")] {
            let answer = t.post("/register", named(&name)).await;
            assert_eq!(answer.refused(422, "validation_failed").fields(), ["username"], "{name:?}");
            let mut shown = named("zoe");
            shown["name"] = json!(name);
            let answers = [
                t.post("/register", shown).await,
                patch("/me".to_owned(), json!({"name": name})).await,
                t.post_as("/chats", token, json!({"chat_type": "room", "name": name})).await,
                patch(format!("/chats/{room}"), json!({"name": name})).await,
            ];
            for answer in answers {
                assert_eq!(answer.refused(422, "validation_failed").fields(), ["name"], "{name:?}");
            }
        }
        for said in [hidden.to_owned(), format!(" {hidden}\n{hidden}")] {
            let path = format!("/chats/{room}/messages");
            let answer = t.post_as(&path, token, json!({"text": said})).await;
            assert_eq!(answer.refused(422, "validation_failed").fields(), ["text"], "{said:?}");
        }
    }
    // What emoji are made of is no trick.
    let family = json!({"name": "👨\u{200d}👩\u{200d}👧 ❤\u{fe0f}"});
    assert_eq!(patch("/me".to_owned(), family.clone()).await.ok(200)["name"], family["name"]);
    assert_eq!(patch(format!("/chats/{room}"), family).await.status, 204);
}

#[tokio::test]
async fn a_name_and_a_password_are_the_same_however_they_are_written() {
    let t = Server::start().await;
    let (composed, decomposed) = ("Caf\u{e9} Noir", "cafe\u{301}\u{a0}noir");
    let body = json!({"username": decomposed, "password": "cr\u{e8}me br\u{fb}l\u{e9}e"});
    let made = t.post("/register", body).await.ok(201);
    assert_eq!(made["username"], "caf\u{e9} noir");
    for name in [composed, decomposed] {
        for password in ["cr\u{e8}me br\u{fb}l\u{e9}e", "cre\u{300}me\u{a0}bru\u{302}le\u{301}e"] {
            assert_eq!(t.login(name, password).await.ok(200)["id"], made["id"]);
        }
        t.login(name, "creme brulee").await.refused(401, "invalid_credentials");
    }
    for password in ["\u{200b}".repeat(8), "password\u{fe0f}".to_owned(), "pass\tword".to_owned()] {
        let answer = t.post("/register", json!({"username": "eve", "password": password})).await;
        assert_eq!(answer.refused(422, "validation_failed").fields(), ["password"]);
    }
}

#[tokio::test]
async fn of_many_who_want_names_that_look_alike_one_gets_its_own() {
    for t in [Server::start().await, Server::on_postgres(|_| {}).await] {
        let names = ["alice", "\u{430}lice", "a1ice", "alic\u{435}"];
        let answers = join_all(names.map(|name| t.post("/register", named(name)))).await;
        let made = answers.iter().filter(|answer| answer.status == 201).count();
        assert_eq!(made, 1);
        for answer in answers.iter().filter(|answer| answer.status != 201) {
            answer.refused(400, "username_taken");
        }
    }
}

#[tokio::test]
async fn whoever_takes_a_look_first_keeps_it() {
    let t = Server::on_postgres(|_| {}).await;
    let Db::Postgres(pool, ..) = t.api.db.home() else { panic!("not PostgreSQL") };
    // Another registration that has not committed yet.
    let mut other = pool.begin().await.unwrap();
    sqlx::raw_sql("INSERT INTO username_skeletons (skeleton, user_id) VALUES ('alice', 77)")
        .execute(&mut *other)
        .await
        .unwrap();
    let commit = async {
        let waiting = "SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock'";
        while sqlx::query_scalar::<_, i64>(waiting).fetch_one(pool).await.unwrap() == 0 {}
        other.commit().await.unwrap();
    };
    let both = async { tokio::join!(t.post("/register", named("\u{430}lice")), commit) };
    let (answer, ()) = tokio::time::timeout(Duration::from_secs(60), both).await.unwrap();
    answer.refused(400, "username_taken");
    let users = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM users");
    assert_eq!(users.fetch_one(pool).await.unwrap(), 0);
}
