//! The administrator, blocking, who is connected, reading another's chats, and the log of it all.

use crate::support::{Answer, Ask, Server, here, text};
use api::accounts::admin;
use platform::{
    presence::Presence,
    redis::{RedisConfig, State},
    settings::Secret,
};
use protocol::id::{NodeId, UserId};
use reqwest::Method;
use serde_json::{Value, json};

/// An api, and the token of its administrator.
pub async fn with_admin() -> (Server, String) {
    let t = Server::start().await;
    let password = Secret::new("correct horse");
    assert!(admin::create(t.api.db.home(), &t.api.passwords, password, |_| Ok(())).await.unwrap());
    let admin = t.login("admin", "correct horse").await.ok(200);
    assert_eq!(admin["role"], "admin");
    (t, text(&admin, "access_token").to_owned())
}

#[tokio::test]
async fn the_administrator_is_made_once() {
    let (t, _) = with_admin().await;
    let again = Secret::new("another password");
    assert!(!admin::create(t.api.db.home(), &t.api.passwords, again, |_| Ok(())).await.unwrap());
    t.login("admin", "another password").await.refused(401, "invalid_credentials");
}

#[tokio::test]
async fn a_password_that_does_nothing_is_not_checked() {
    let short = Secret::new("short");
    let (t, _) = with_admin().await;
    assert!(
        admin::check(Some(t.api.db.home()), Some(&short)).await.is_ok(),
        "there is an administrator"
    );
    let t = Server::start().await;
    for db in [Some(t.api.db.home()), None] {
        let why = admin::check(db, Some(&short)).await.unwrap_err().to_string();
        assert_eq!(why, "ADMIN_PASSWORD must have 8 to 128 characters");
        assert!(admin::check(db, None).await.is_ok(), "a random one");
    }
}

/// Whatever its tokens say, which live for minutes, and in a cookie for a month.
#[tokio::test]
async fn a_demoted_administrator_is_none_at_once() {
    let (t, admin) = with_admin().await;
    let cookie = t.login("admin", "correct horse").await.cookie();
    let (ann, bob) = (t.user("ann").await, t.user("bob").await);
    let body = json!({"chat_type": "group", "name": "theirs", "member_ids": [bob["id"]]});
    let chat =
        t.request(Method::POST, "/chats").bearer_auth(text(&ann, "access_token")).json(&body);
    let chat = chat.answer().await.ok(201)["id"].clone();
    let rename = || {
        let body = json!({"name": "mine"});
        t.request(Method::PATCH, &format!("/chats/{chat}")).bearer_auth(&admin).json(&body).answer()
    };
    let audit = || t.request(Method::GET, "/admin/audit").header("cookie", &cookie).answer();
    assert_eq!(rename().await.status, 204);
    assert_eq!(audit().await.status, 200);
    let mut tx = t.api.db.home().begin().await.unwrap();
    match tx.link() {
        api::db::Link::Sqlite(conn) => {
            let sql = "UPDATE users SET role = 'user' WHERE username = 'admin'";
            sqlx::query(sql).execute(conn).await.unwrap();
        }
        api::db::Link::Postgres(_) => unreachable!("these tests run on SQLite"),
    }
    tx.commit().await.unwrap();
    rename().await.refused(403, "not_a_member");
    audit().await.refused(403, "admin_only");
    t.get("/admin/audit", &admin).await.refused(403, "admin_only");
    let strangers = t.get(&format!("/users/{}", ann["id"]), &admin).await.ok(200);
    assert_eq!(strangers["email"], "");
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
    me.answer().await.refused(403, "blocked");
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

/// The log as `(action, target, reason)`, the newest first, and the answer it came in.
async fn log(t: &Server, admin: &str) -> (Vec<(String, Value, String)>, Value) {
    let page = t.get("/admin/audit", admin).await.ok(200);
    let told = |entry: &Value| {
        let target = entry["target_user"]["username"].clone();
        (text(entry, "action").to_owned(), target, text(entry, "reason").to_owned())
    };
    (page["items"].as_array().unwrap().iter().map(told).collect(), page)
}

#[tokio::test]
async fn whose_email_address_administrators_read_is_in_the_log() {
    let (t, admin) = with_admin().await;
    let ann = t.user("ann").await;
    let seen = t.get(&format!("/users/{}", ann["id"]), &admin).await.ok(200);
    assert_eq!(seen["email"], "ann@example.com");
    t.get("/me", &admin).await.ok(200);
    // A list shows none, so reading it is nothing to tell.
    let listed = t.get("/users?query=ann", &admin).await.ok(200);
    assert_eq!((&listed["items"][0]["id"], &listed["items"][0]["email"]), (&ann["id"], &json!("")));
    let (told, _) = log(&t, &admin).await;
    assert_eq!(told[0], ("read_email".to_owned(), json!("ann"), String::new()));
    assert!(told[1..].iter().all(|(action, ..)| action != "read_email"));
}

#[tokio::test]
async fn what_administrators_do_is_in_the_log() {
    let (t, admin) = with_admin().await;
    let ann = t.user("ann").await;
    let act = |path: &'static str| t.bearer(Method::POST, path, &admin);
    act("/blockuser?username=ANN&reason=spam%20and%20more").await.ok(200);
    // Nothing changes, so there is nothing to tell.
    act("/blockuser?username=ann&reason=again").await.ok(200);
    act("/unblockuser?username=ann").await.ok(200);
    act("/unblockuser?username=ann").await.ok(200);
    let read = "/readuserchats?username=ann&reason=a%20complaint";
    assert_eq!(t.get(read, &admin).await.ok(200), json!({}));
    // What was refused was not done.
    act("/blockuser?username=admin").await.refused(400, "cannot_block_yourself");
    act("/blockuser?username=nobody").await.refused(404, "user_not_found");
    t.get("/readuserchats?username=nobody", &admin).await.refused(404, "user_not_found");

    let entry = |action: &str, target: &str, reason: &str| {
        (action.to_owned(), json!(target), reason.to_owned())
    };
    let (entries, page) = log(&t, &admin).await;
    assert_eq!(
        entries,
        [
            entry("read_user_chats", "ann", "a complaint"),
            entry("unblock_user", "ann", ""),
            entry("block_user", "ann", "spam and more"),
            entry("create_admin", "admin", ""),
        ]
    );
    assert!(page["next"].is_null());
    let [newest, .., first] = &page["items"].as_array().unwrap()[..] else { unreachable!() };
    assert_eq!(newest["target_user"]["id"], ann["id"]);
    assert_eq!(newest["actor"]["username"], "admin");
    assert!(text(newest, "at").ends_with('Z') && newest["chat_id"].is_null());
    assert!(first["actor"].is_null(), "the operator made the first administrator");

    let page = t.get("/admin/audit?limit=3", &admin).await.ok(200);
    assert_eq!(page["items"].as_array().unwrap().len(), 3);
    let next = format!("/admin/audit?limit=3&before={}", page["next"]);
    let rest = t.get(&next, &admin).await.ok(200);
    assert_eq!(
        (&rest["items"][0]["action"], &rest["next"]),
        (&json!("create_admin"), &json!(null))
    );
}

#[tokio::test]
async fn a_reason_is_short_and_visible() {
    let (t, admin) = with_admin().await;
    t.user("ann").await;
    let long = "x".repeat(201);
    for reason in [long.as_str(), "a%0Ab", "%00"] {
        for (method, path) in [
            (Method::POST, "/blockuser"),
            (Method::POST, "/unblockuser"),
            (Method::GET, "/readuserchats"),
        ] {
            let path = format!("{path}?username=ann&reason={reason}");
            let answer = t.bearer(method, &path, &admin).await;
            assert_eq!(answer.refused(422, "validation_failed").fields(), ["reason"]);
        }
    }
    assert_eq!(log(&t, &admin).await.0.len(), 1, "only the administrator was made");
}

#[tokio::test]
async fn what_is_for_administrators_is_for_nobody_else() {
    let (t, admin) = with_admin().await;
    let ann = t.user("ann").await;
    let ann = text(&ann, "access_token");
    for path in [
        "/admin/audit",
        "/getallactiveusers",
        "/readuserchats?username=ann",
        "/blockuser?username=ann",
        "/unblockuser?username=ann",
    ] {
        t.get(path, ann).await.refused(403, "admin_only");
        t.request(Method::GET, path).answer().await.refused(401, "unauthenticated");
        t.get(path, "x").await.refused(401, "invalid_token");
    }
    for path in [
        "/admin/audit?limit=0",
        "/admin/audit?limit=101",
        "/getallactiveusers?limit=0",
        "/getallactiveusers?limit=1001",
        "/readuserchats?username=ann&limit=1001",
        "/readuserchats?username=ann&limit=-1",
    ] {
        let answer = t.get(path, &admin).await;
        assert_eq!(answer.refused(422, "validation_failed").fields(), ["limit"], "{path}");
    }
    assert_eq!(log(&t, &admin).await.0.len(), 1);
}

#[tokio::test]
async fn a_get_blocks_by_bearer_token_only() {
    let (t, admin) = with_admin().await;
    let ann = t.user("ann").await;
    let cookie = t.login("admin", "correct horse").await.cookie();
    let by_cookie = async |method: Method, path: &str| -> Answer {
        t.request(method, path).header("cookie", &cookie).answer().await
    };
    for path in ["/blockuser?username=ann", "/unblockuser?username=ann"] {
        let answer = by_cookie(Method::GET, path).await;
        assert!(text(&answer.refused(401, "bearer_only").json, "detail").contains("Bearer"));
        by_cookie(Method::HEAD, path).await;
    }
    assert_eq!(t.get("/me", text(&ann, "access_token")).await.status, 200);
    assert_eq!(t.get("/blockuser?username=ann&reason=x", &admin).await.ok(200)["blocked"], true);
    t.get("/me", text(&ann, "access_token")).await.refused(403, "blocked");
    assert_eq!(t.get("/unblockuser?username=ann", &admin).await.ok(200)["blocked"], false);
    assert_eq!(by_cookie(Method::POST, "/blockuser?username=ann").await.ok(200)["blocked"], true);
    let reasons: Vec<String> = log(&t, &admin).await.0.into_iter().map(|entry| entry.2).collect();
    assert_eq!(reasons, ["", "", "x", ""]);
}

#[tokio::test]
async fn who_is_connected_anywhere_in_pages() {
    let (t, admin) = with_admin().await;
    let mut ids = Vec::new();
    for name in ["ann", "Bob", "cid"] {
        ids.push(UserId(t.user(name).await["id"].as_i64().unwrap()));
    }
    assert_eq!(t.get("/getallactiveusers", &admin).await.ok(200), json!([]));
    let [one, other] = [NodeId::random(), NodeId::random()];
    t.api.presence.enter(one, &here(&ids[..2])).await.unwrap();
    t.api.presence.enter(other, &here(&ids[1..])).await.unwrap();
    let all = t.get("/getallactiveusers", &admin).await;
    assert!(!all.headers.contains_key("link"));
    assert_eq!(all.ok(200), json!(["ann", "Bob", "cid"]));

    let first = t.get("/getallactiveusers?limit=2", &admin).await;
    let link = first.headers["link"].to_str().unwrap().to_owned();
    assert_eq!(first.ok(200), json!(["ann", "Bob"]));
    let next = link.strip_prefix('<').unwrap().strip_suffix(">; rel=\"next\"").unwrap();
    let second = t.get(next, &admin).await;
    assert!(!second.headers.contains_key("link"));
    assert_eq!(second.ok(200), json!(["cid"]));
    t.api.presence.retire(other).await.unwrap();
    assert_eq!(t.get("/getallactiveusers", &admin).await.ok(200), json!(["ann", "Bob"]));
}

#[tokio::test]
async fn nobody_is_said_to_be_away_while_presence_cannot_be_asked() {
    let (t, admin) = with_admin().await;
    // A port that nothing listens on any more.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let redis = RedisConfig::new(&Secret::new(format!("redis://{closed}"))).unwrap();
    let state = State::new(&redis).unwrap();
    let blind = t.with_presence(Presence::redis(state, Default::default())).await;
    let answer = blind.get("/getallactiveusers", &admin).await;
    assert!(text(&answer.refused(503, "unavailable").json, "detail").contains("presence"));
}

#[tokio::test]
async fn a_guests_name_is_blocked_though_it_has_no_account() {
    let (t, admin) = with_admin().await;
    t.sql(
        "INSERT INTO users (username, username_key, name, password_hash, created_at, guest)
         VALUES ('Ghost', '@ghost', 'Ghost', '', 0, TRUE)",
    )
    .await;
    let act = |method: Method, path: &'static str| t.bearer(method, path, &admin);
    let blocked = act(Method::POST, "/blockuser?username=@ghost").await.ok(200);
    assert_eq!((&blocked["username"], &blocked["blocked"]), (&json!("Ghost"), &json!(true)));
    let entry = t.get("/admin/audit", &admin).await.ok(200)["items"][0].take();
    assert_eq!(entry["target_user"]["guest"], true, "not to be mistaken for a user of that name");
    act(Method::POST, "/blockuser?username=ghost").await.refused(404, "user_not_found");
    act(Method::GET, "/readuserchats?username=@ghost").await.refused(404, "user_not_found");
    let mark = "/readnotreadedfromuser?user_from=@ghost";
    act(Method::POST, mark).await.refused(404, "user_not_found");
    // Connected or not, guests are not among the users.
    t.api.presence.enter(NodeId::random(), &here(&[UserId(2)])).await.unwrap();
    assert_eq!(t.get("/getallactiveusers", &admin).await.ok(200), json!([]));
}
