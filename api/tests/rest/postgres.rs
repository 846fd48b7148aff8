//! The accounts' queries and their locks on PostgreSQL. The rules are tested on SQLite.

use crate::support::{Server, text};
use api::{accounts::admin, internal};
use futures_util::future::join_all;
use platform::settings::Secret;
use protocol::{
    calls::Post,
    command::{Action, Command},
    id::{ChatId, UserId},
};
use reqwest::Method;
use serde_json::{Value, json};
use std::{collections::HashSet, time::Duration};

#[tokio::test]
async fn every_query_works_on_postgresql() {
    let t = Server::on_postgres(|config| {
        config.refresh_grace = Duration::ZERO;
        config.sessions_per_user = 3;
    })
    .await;
    let password = Secret::new("correct horse");
    assert!(
        admin::create(t.api.db.home(), &t.api.passwords, password.clone(), |_| Ok(()))
            .await
            .unwrap()
    );
    assert!(!admin::create(t.api.db.home(), &t.api.passwords, password, |_| Ok(())).await.unwrap());
    let boss = text(&t.login("admin", "correct horse").await.ok(200), "access_token").to_owned();

    let ann = t.user("Ann").await;
    t.post("/register", json!({"username": "ANN", "password": "password123"}))
        .await
        .refused(400, "username_taken");
    t.post("/register", json!({"email": "ann@EXAMPLE.com", "password": "password123"}))
        .await
        .refused(400, "email_taken");
    let made = json!({"email": "ann@example.org", "password": "password123"});
    let made = t.post("/register", made).await.ok(201);
    assert!(text(&made, "username").starts_with("ann"));

    let token = text(&ann, "access_token");
    let second = t.login("ann@example.com", "password123").await.ok(200);
    t.login("ann", "wrong password").await.refused(401, "invalid_credentials");
    let refresh =
        |json: &Value| t.post("/token/refresh", json!({"refresh_token": json["refresh_token"]}));
    let renewed = refresh(&second).await.ok(200);
    refresh(&second).await.refused(401, "invalid_refresh_token");
    t.get("/me", text(&renewed, "access_token")).await.refused(401, "session_ended");

    let third = t.login("ann", "password123").await.ok(200);
    let list = t.get("/me/sessions", token).await.ok(200);
    assert_eq!(list.as_array().unwrap().len(), 2);
    let body = json!({"current_password": "password123", "new_password": "another password"});
    assert_eq!(t.post_as("/me/password", token, body).await.status, 204);
    t.get("/me", text(&third, "access_token")).await.refused(401, "session_ended");

    let body = json!({"name": "Ann S.", "avatar": "https://example.com/a.png"});
    let patch = t.request(Method::PATCH, "/me").bearer_auth(token).json(&body);
    assert_eq!(crate::support::Ask::answer(patch).await.ok(200)["name"], "Ann S.");
    t.get(&format!("/users/{}", ann["id"]), &boss).await.ok(200);
    let page = t.get("/users?query=aNN&limit=1", &boss).await.ok(200);
    assert_eq!(page["items"][0]["username"], "Ann");
    let next = format!("/users?query=ann&after={}", text(&page, "next"));
    assert_eq!(t.get(&next, &boss).await.ok(200)["items"].as_array().unwrap().len(), 1);

    for _ in 0..3 {
        t.login("ann", "another password").await.ok(200);
    }
    t.get("/me", token).await.refused(401, "session_ended");
    let last = t.login("ann", "another password").await.ok(200);
    t.bearer(Method::POST, "/blockuser?username=ann", &boss).await.ok(200);
    t.get("/me", text(&last, "access_token")).await.refused(403, "blocked");
    t.login("ann", "another password").await.refused(403, "blocked");
    t.bearer(Method::POST, "/unblockuser?username=ann", &boss).await.ok(200);
    let again = t.login("ann", "another password").await.ok(200);
    t.bearer(Method::POST, "/logout", text(&again, "access_token")).await.ok(200);
}

#[tokio::test]
async fn no_session_outlives_a_block_that_ran_beside_its_sign_in() {
    let t = Server::on_postgres(|_| {}).await;
    let password = Secret::new("correct horse");
    admin::create(t.api.db.home(), &t.api.passwords, password, |_| Ok(())).await.unwrap();
    let boss = text(&t.login("admin", "correct horse").await.ok(200), "access_token").to_owned();
    t.user("ann").await;
    let logins = join_all((0..8).map(|_| t.login("ann", "password123")));
    let block = t.bearer(Method::POST, "/blockuser?username=ann", &boss);
    let (logins, block) = tokio::join!(logins, block);
    block.ok(200);
    for login in logins {
        if login.status == 200 {
            let me = t.get("/me", text(&login.json, "access_token")).await;
            me.refused(403, "blocked");
        }
    }
}

#[tokio::test]
async fn many_renewals_at_once_have_one_answer() {
    let t = Server::on_postgres(|_| {}).await;
    let ann = t.user("ann").await;
    let refresh = || t.post("/token/refresh", json!({"refresh_token": ann["refresh_token"]}));
    let answers = join_all((0..6).map(|_| refresh())).await;
    let tokens: HashSet<String> = answers
        .into_iter()
        .map(|answer| text(&answer.ok(200), "refresh_token").to_owned())
        .collect();
    assert_eq!(tokens.len(), 1, "{tokens:?}");
    assert_eq!(t.get("/me", text(&ann, "access_token")).await.status, 200);
}

/// However slow their reads are: sockets open and messages are posted all the same.
#[tokio::test]
async fn people_who_use_up_their_connections_take_none_of_the_gateways() {
    let t = Server::on_postgres(|_| {}).await;
    let ann = t.user("ann").await;
    let token = text(&ann, "access_token");
    let mut held = Vec::new();
    while let Ok(conn) =
        tokio::time::timeout(Duration::from_millis(200), t.api.people.home().read()).await
    {
        held.push(conn.unwrap());
    }
    let command = Command {
        user_id: UserId(ann["id"].as_i64().unwrap()),
        chat_id: ChatId::LOBBY,
        action: Action::Send {
            client_message_id: "k".to_owned(),
            text: "hello".to_owned(),
            reply_to: None,
        },
    };
    let posted = internal::post(&t.api, Post::patient(vec![command])).await.unwrap();
    assert!(posted.results[0].is_ok(), "{posted:?}");
    t.get("/me", token).await.refused(503, "unavailable");
    drop(held);
    t.get("/me", token).await.ok(200);
}

#[tokio::test]
async fn nobody_has_a_name_with_a_character_that_postgresql_does_not_take() {
    let t = Server::on_postgres(|_| {}).await;
    let password = Secret::new("correct horse");
    admin::create(t.api.db.home(), &t.api.passwords, password, |_| Ok(())).await.unwrap();
    let boss = text(&t.login("admin", "correct horse").await.ok(200), "access_token").to_owned();
    t.login("adm\0in", "correct horse").await.refused(401, "invalid_credentials");
    t.login("a\0@example.com", "correct horse").await.refused(401, "invalid_credentials");
    let found = t.get("/users?query=a%00&after=%00", &boss).await.ok(200);
    assert_eq!(found["items"], json!([]));
    for (method, path) in [
        (Method::POST, "/blockuser?username=%00"),
        (Method::POST, "/unblockuser?username=admin%00"),
        (Method::GET, "/readuserchats?username=%00"),
        (Method::POST, "/readnotreadedfromuser?user_from=%00"),
        (Method::GET, "/api/messages/user/%00"),
    ] {
        t.bearer(method, path, &boss).await.refused(404, "user_not_found");
    }
}
