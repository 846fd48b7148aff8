//! People and chats as administrators find and govern them over REST.

use crate::{
    admin::with_admin,
    support::{Answer, Ask, Server, here, text},
};
use protocol::id::{NodeId, UserId};
use reqwest::Method;
use serde_json::{Value, json};

async fn put_role(t: &Server, token: &str, user: &Value, role: &str) -> Answer {
    let path = format!("/admin/users/{user}/role");
    t.request(Method::PUT, &path).bearer_auth(token).json(&json!({"role": role})).answer().await
}

#[tokio::test]
async fn people_are_listed_without_their_email_addresses() {
    let (t, admin) = with_admin().await;
    let ann = t.user("ann").await;
    let id = UserId(ann["id"].as_i64().unwrap());
    t.api.presence.enter(NodeId::random(), &here(&[id])).await.unwrap();
    let all = t.get("/admin/users", &admin).await.ok(200);
    assert_eq!((&all["items"][0]["username"], &all["next"]), (&json!("ann"), &Value::Null));
    assert_eq!(all["items"][0]["status"], "online");
    assert_eq!(all["items"][1]["role"], "admin");
    assert!(!all.to_string().contains("example.com"), "{all}");
    let first = t.get("/admin/users?limit=1", &admin).await.ok(200);
    let next = format!("/admin/users?limit=1&before={}", first["next"]);
    assert_eq!(t.get(&next, &admin).await.ok(200)["items"][0]["username"], "admin");
    let admins = t.get("/admin/users?show=admins&query=ADM", &admin).await.ok(200);
    assert_eq!(admins["items"].as_array().unwrap().len(), 1);
    for (query, field) in [("limit=0", "limit"), ("limit=101", "limit")] {
        let answer = t.get(&format!("/admin/users?{query}"), &admin).await;
        assert_eq!(answer.refused(422, "validation_failed").fields(), [field]);
    }
    let card = t.get(&format!("/admin/users/{id}"), &admin).await.ok(200);
    assert_eq!((&card["sessions"], &card["chats"]), (&json!(1), &json!(0)));
    assert!(card["last_seen"].is_string() && !card.to_string().contains("example.com"), "{card}");
    t.get("/admin/users/999", &admin).await.refused(404, "user_not_found");
}

#[tokio::test]
async fn devices_are_seen_and_signed_out() {
    let (t, admin) = with_admin().await;
    let ann = t.user("ann").await;
    let path = format!("/admin/users/{}/sessions", ann["id"]);
    t.login("ann", "password123").await.ok(200);
    let sessions = t.get(&path, &admin).await.ok(200);
    let [newest, oldest] = &sessions.as_array().unwrap()[..] else { panic!("{sessions}") };
    assert_eq!((&newest["current"], &oldest["current"]), (&json!(false), &json!(false)));
    let one = format!("{path}/{}?reason=lost", text(newest, "id"));
    assert_eq!(t.bearer(Method::DELETE, &one, &admin).await.status, 204);
    t.bearer(Method::DELETE, &one, &admin).await.refused(404, "session_not_found");
    t.get("/me", text(&ann, "access_token")).await.ok(200);
    let ended = t.bearer(Method::DELETE, &path, &admin).await.ok(200);
    assert_eq!(ended["ended"], 1);
    t.get("/me", text(&ann, "access_token")).await.refused(401, "session_ended");
    t.login("ann", "password123").await.ok(200);
    let log = t.get("/admin/audit?user=ANN", &admin).await.ok(200);
    let actions: Vec<&str> =
        log["items"].as_array().unwrap().iter().map(|entry| text(entry, "action")).collect();
    assert_eq!(actions, ["end_sessions", "end_sessions", "read_sessions"]);
    t.get("/admin/audit?user=nobody", &admin).await.refused(404, "user_not_found");
}

#[tokio::test]
async fn the_role_is_given_and_taken_and_the_last_administrator_stays() {
    let (t, admin) = with_admin().await;
    let (ann, me) = (t.user("ann").await, t.get("/me", &admin).await.ok(200)["id"].clone());
    put_role(&t, &admin, &me, "user").await.refused(409, "last_admin");
    assert_eq!(put_role(&t, &admin, &ann["id"], "admin").await.ok(200)["changed"], true);
    assert_eq!(put_role(&t, &admin, &ann["id"], "admin").await.ok(200)["changed"], false);
    // The token of before says what it said; a new one says more.
    let old = text(&ann, "access_token");
    t.get("/admin/users", old).await.refused(403, "admin_only");
    let new = t.login("ann", "password123").await.ok(200);
    let new = text(&new, "access_token");
    assert_eq!(put_role(&t, new, &me, "user").await.ok(200)["changed"], true);
    t.get("/admin/users", &admin).await.refused(403, "admin_only");
    put_role(&t, new, &ann["id"], "user").await.refused(409, "last_admin");
    put_role(&t, new, &json!(999), "admin").await.refused(404, "user_not_found");
    put_role(&t, new, &me, "owner").await.refused(422, "validation_failed");
    let log = t.get("/admin/audit", new).await.ok(200);
    let told = |place: usize| {
        let entry = &log["items"][place];
        (text(entry, "action"), entry["actor"]["username"].clone())
    };
    assert_eq!(told(0), ("demote_user", json!("ann")));
    assert_eq!(told(1), ("promote_user", json!("admin")));
}

#[tokio::test]
async fn any_chat_is_found_and_its_members_but_never_its_texts() {
    let (t, admin) = with_admin().await;
    let (ann, bob) = (t.user("ann").await, t.user("bob").await);
    let token = text(&ann, "access_token");
    let body = json!({"chat_type": "private", "member_ids": [bob["id"]]});
    let chat = t.post_as("/chats", token, body).await.ok(201)["id"].clone();
    let said = json!({"text": "between us"});
    t.post_as(&format!("/chats/{chat}/messages"), token, said).await.ok(201);
    let found = t.get("/admin/chats?kind=private", &admin).await.ok(200);
    let listed = &found["items"][0];
    assert_eq!((&listed["id"], &listed["name"]), (&chat, &json!("")));
    assert_eq!((&listed["member_count"], &listed["message_count"]), (&json!(2), &json!(1)));
    let members = format!("/admin/chats/{chat}/members?limit=1");
    let first = t.get(&members, &admin).await.ok(200);
    assert_eq!(first["items"][0]["username"], "ann");
    let second = t.get(&format!("{members}&after={}", first["next"]), &admin).await.ok(200);
    assert_eq!(second["items"][0]["username"], "bob");
    t.get("/admin/chats/999/members", &admin).await.refused(404, "chat_not_found");
    // What administrators may not read elsewhere they do not read here.
    t.get(&format!("/chats/{chat}/messages"), &admin).await.refused(403, "not_a_member");
    assert!(!found.to_string().contains("between us"));
}
