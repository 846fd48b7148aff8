//! Deleting one's own account.

use crate::support::{Server, text};
use api::accounts::admin;
use platform::{limit::Rate, settings::Secret};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

impl Server {
    async fn delete_account(&self, user: &Value, password: &str) -> crate::support::Answer {
        let body = json!({ "password": password });
        self.post_as("/me/delete", text(user, "access_token"), body).await
    }
}

async fn an_account_goes_and_its_name_stays(t: Server) {
    let [ann, bob] = [t.user("ann").await, t.user("bob").await];
    let token = text(&ann, "access_token");
    let group = json!({"chat_type": "group", "name": "ours", "member_ids": [bob["id"]]});
    let group = t.post_as("/chats", token, group).await.ok(201);
    let path = format!("/chats/{}", group["id"]);
    t.post_as(&format!("{path}/messages"), token, json!({"text": "goodbye"})).await.ok(201);
    t.post_as(&format!("{path}/join"), text(&bob, "access_token"), json!({})).await;
    let other = t.login("ann", "password123").await.ok(200);

    t.delete_account(&ann, "not hers").await.refused(400, "wrong_password");
    assert_eq!(t.delete_account(&ann, "password123").await.ok(200), json!({"deleted": true}));
    for session in [&ann, &other] {
        t.get("/me", text(session, "access_token")).await.refused(401, "session_ended");
    }
    t.login("ann", "password123").await.refused(401, "invalid_credentials");
    t.login("ann@example.com", "password123").await.refused(401, "invalid_credentials");

    // Nobody can pose as her, and the address is free for her to come back with.
    for name in ["ann", "Ann", "аnn"] {
        let again = json!({"username": name, "password": "password123"});
        t.post("/register", again).await.refused(400, "username_taken");
    }
    let again = json!({"username": "anna", "email": "ann@example.com", "password": "password123"});
    t.post("/register", again).await.ok(201);

    let bob = text(&bob, "access_token");
    t.get(&format!("/users/{}", ann["id"]), bob).await.refused(404, "user_not_found");
    let members = t.get(&format!("{path}/members"), bob).await.ok(200);
    let members = members["items"].as_array().unwrap();
    let named: Vec<_> = members.iter().map(|one| (&one["username"], &one["role"])).collect();
    assert_eq!(named, [(&json!("bob"), &json!("owner"))], "her group is his now");
    let messages = t.get(&format!("{path}/messages"), bob).await.ok(200);
    let said = messages.as_array().unwrap().iter().find(|one| one["text"] == "goodbye").unwrap();
    assert_eq!(said["username"], "ann");
}

#[tokio::test]
async fn an_account_goes_and_its_name_stays_sqlite() {
    an_account_goes_and_its_name_stays(Server::start().await).await;
}

#[tokio::test]
async fn an_account_goes_and_its_name_stays_postgres() {
    an_account_goes_and_its_name_stays(Server::on_postgres(|_| {}).await).await;
}

#[tokio::test]
async fn the_last_administrator_stays_with_all_chats() {
    let t = Server::start().await;
    let made =
        admin::create(t.api.db.home(), &t.api.passwords, Secret::new("admin password"), |_| Ok(()));
    assert!(made.await.unwrap());
    let admin = t.login("admin", "admin password").await.ok(200);
    let group = json!({"chat_type": "group", "name": "ours", "member_ids": []});
    let group = t.post_as("/chats", text(&admin, "access_token"), group).await.ok(201);
    t.delete_account(&admin, "admin password").await.refused(409, "last_admin");
    let path = format!("/chats/{}", group["id"]);
    t.get(&path, text(&admin, "access_token")).await.ok(200);
}

#[tokio::test]
async fn many_chats_are_left_in_several_calls() {
    let t = Server::start_with(|config| {
        config.requests = Rate { per: Duration::from_micros(1), burst: 100_000 };
    })
    .await;
    let ann = t.user("ann").await;
    for _ in 0..201 {
        let room = json!({"chat_type": "room", "name": "one of many"});
        t.post_as("/chats", text(&ann, "access_token"), room).await.ok(201);
    }
    assert_eq!(t.delete_account(&ann, "password123").await.ok(200), json!({"deleted": false}));
    assert_eq!(t.get("/me", text(&ann, "access_token")).await.status, 200);
    assert_eq!(t.delete_account(&ann, "password123").await.ok(200), json!({"deleted": true}));
    let gone = t.bearer(Method::GET, "/me", text(&ann, "access_token")).await;
    gone.refused(401, "session_ended");
}
