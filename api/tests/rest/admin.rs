//! The administrator, and blocking.

use crate::support::{Server, text};
use api::accounts::admin;
use reqwest::Method;
use serde_json::json;
use shared::settings::Secret;

async fn with_admin() -> (Server, String) {
    let t = Server::start().await;
    let password = Secret::new("correct horse");
    assert!(admin::create(&t.api.db, &t.api.passwords, password).await.unwrap());
    let admin = t.login("admin", "correct horse").await.ok(200);
    assert_eq!(admin["role"], "admin");
    (t, text(&admin, "access_token").to_owned())
}

#[tokio::test]
async fn the_administrator_is_made_once() {
    let (t, _) = with_admin().await;
    let again = Secret::new("another password");
    assert!(!admin::create(&t.api.db, &t.api.passwords, again).await.unwrap());
    t.login("admin", "another password").await.refused(401, "invalid_credentials");
    assert!(admin::create(&t.api.db, &t.api.passwords, Secret::new("short")).await.is_err());
}

#[tokio::test]
async fn a_blocked_user_is_out_and_stays_out_until_unblocked() {
    let (t, admin) = with_admin().await;
    let ann = t.user("ann").await;
    let token = text(&ann, "access_token");
    let cookie = t.login("ann", "password123").await.cookie();
    let act = |path: &'static str| t.bearer(Method::POST, path, &admin);

    let blocked = act("/blockuser?username=ANN").await.ok(200);
    assert_eq!(
        (blocked["id"].clone(), blocked["blocked"].clone()),
        (ann["id"].clone(), json!(true))
    );
    t.get("/me", token).await.refused(403, "blocked");
    let me = t.request(Method::GET, "/me").header("cookie", cookie);
    crate::support::Ask::answer(me).await.refused(403, "blocked");
    let body = json!({"refresh_token": ann["refresh_token"]});
    t.post("/token/refresh", body).await.refused(401, "invalid_refresh_token");
    t.login("ann", "password123").await.refused(403, "blocked");
    // Only who knows the password learns of the block.
    t.login("ann", "password124").await.refused(401, "invalid_credentials");
    act("/blockuser?username=ann").await.ok(200);

    assert_eq!(act("/unblockuser?username=ann").await.ok(200)["blocked"], false);
    t.get("/me", token).await.refused(403, "blocked");
    t.login("ann", "password123").await.ok(200);
}

#[tokio::test]
async fn only_an_administrator_blocks_and_not_itself() {
    let (t, admin) = with_admin().await;
    let ann = t.user("ann").await;
    let bob = text(&t.user("bob").await, "access_token").to_owned();
    let block = "/blockuser?username=ann";
    t.bearer(Method::POST, block, &bob).await.refused(403, "admin_only");
    t.post(block, json!({})).await.refused(401, "unauthenticated");
    assert_eq!(t.get("/me", text(&ann, "access_token")).await.status, 200);
    let act = |path: &'static str| t.bearer(Method::POST, path, &admin);
    act("/blockuser?username=admin").await.refused(400, "cannot_block_yourself");
    act("/blockuser?username=nobody").await.refused(404, "user_not_found");
    let nameless = act("/blockuser").await;
    assert_eq!(nameless.refused(422, "validation_failed").fields(), ["username"]);
    t.bearer(Method::PUT, block, &admin).await.refused(405, "method_not_allowed");
}
