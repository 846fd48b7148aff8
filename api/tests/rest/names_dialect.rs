//! Chats by name and their read state over HTTP. What is in them is tested on both databases.

use crate::{
    admin::with_admin,
    support::{Answer, Ask, Server, text},
};
use reqwest::Method;
use serde_json::{Value, json};

/// Ann and Bob with a private chat, a message of hers in it and Bob's two answers; Ann's and Bob's tokens, and the chat's id.
async fn with_chat() -> (Server, String, String, i64) {
    let t = Server::start().await;
    let [ann, bob] = [t.user("ann").await, t.user("Bob").await];
    let token = |user: &Value| text(user, "access_token").to_owned();
    let (ann, bob, bob_id) = (token(&ann), token(&bob), bob["id"].clone());
    let chat = json!({"chat_type": "private", "member_ids": [bob_id]});
    let chat = t.post_as("/chats", &ann, chat).await.ok(201);
    let chat = chat["id"].as_i64().unwrap();
    let path = format!("/chats/{chat}/messages");
    for (user, said) in [(&ann, "hello"), (&bob, "hi"), (&bob, "there?")] {
        t.post_as(&path, user, json!({"text": said})).await.ok(201);
    }
    (t, ann, bob, chat)
}

fn marked(chats: i64) -> Value {
    json!({"status": "success", "error": null, "marked": chats})
}

#[tokio::test]
async fn chats_by_name() {
    let (t, ann, bob, chat) = with_chat().await;
    let all = t.get("/getallmessages", &ann).await.ok(200);
    assert_eq!(t.get("/getallchats", &ann).await.ok(200), all);
    let lines = all["Bob"].as_array().unwrap();
    let first = &lines[1];
    for (field, value) in [
        ("id", json!(2)),
        ("chat_id", json!(chat)),
        ("from", json!("Bob")),
        ("to", json!("ann")),
        ("text", json!("hi")),
        ("is_read", json!(false)),
    ] {
        assert_eq!(first[field], value, "{field}");
    }
    let date = text(first, "date");
    assert!(date.ends_with('Z') && date.len() == "2026-11-21T10:00:00.000Z".len(), "{date}");
    let texts: Vec<&str> = lines.iter().map(|line| text(line, "text")).collect();
    assert_eq!(texts, ["hello", "hi", "there?"]);
    assert_eq!((&lines[0]["from"], &lines[0]["to"]), (&json!("ann"), &json!("Bob")));

    let newest = t.get("/getallmessages?limit=1", &ann).await.ok(200);
    assert_eq!(newest["Bob"].as_array().unwrap().len(), 1);
    let unread = t.get("/getnotreadedmessages", &ann).await.ok(200);
    assert_eq!(unread["Bob"].as_array().unwrap().len(), 2);
    assert_eq!(t.get("/getreadedmessages", &ann).await.ok(200), json!({}));

    assert_eq!(t.post_as("/readnotreaded", &ann, Value::Null).await.ok(200), marked(1));
    assert_eq!(t.post_as("/readnotreaded", &ann, Value::Null).await.ok(200), marked(0));
    assert_eq!(t.get("/getnotreadedmessages", &ann).await.ok(200), json!({}));
    let read = t.get("/getreadedmessages", &ann).await.ok(200);
    let read = read["Bob"].as_array().unwrap();
    assert!(read.len() == 2 && read.iter().all(|line| line["is_read"] == true));
    // And so Bob knows. By answering he has read hers.
    let sent = t.get("/getallchats", &bob).await.ok(200);
    assert_eq!(
        (&sent["ann"][0]["is_read"], &sent["ann"][1]["is_read"]),
        (&json!(true), &json!(true))
    );
}

#[tokio::test]
async fn what_somebody_sent_is_marked_by_name() {
    let (t, ann, bob, chat) = with_chat().await;
    t.user("cid").await;
    let mark = async |name: &str, token: &str| {
        let path = format!("/readnotreadedfromuser?user_from={name}");
        t.bearer(Method::POST, &path, token).await
    };
    assert_eq!(mark("cid", &ann).await.ok(200), marked(0));
    assert_eq!(mark("BOB", &ann).await.ok(200), marked(1));
    assert_eq!(mark("bob", &ann).await.ok(200), marked(0));
    for nobody in ["nobody", "%00", "@bob", ""] {
        mark(nobody, &ann).await.refused(404, "user_not_found");
    }
    let nameless = t.bearer(Method::POST, "/readnotreadedfromuser", &ann).await;
    assert_eq!(nameless.refused(422, "validation_failed").fields(), ["user_from"]);
    t.post_as(&format!("/chats/{chat}/messages"), &ann, json!({"text": "later"})).await.ok(201);
    assert_eq!(mark("bob", &ann).await.ok(200), marked(0));
    let unread = t.get("/getnotreadedmessages", &bob).await.ok(200);
    assert_eq!(unread["ann"].as_array().unwrap().len(), 1, "another's marks stay");
}

#[tokio::test]
async fn a_get_marks_by_bearer_token_only() {
    let (t, ann, ..) = with_chat().await;
    let cookie = t.login("ann", "password123").await.cookie();
    let by_cookie = async |method: Method, path: &str| -> Answer {
        t.request(method, path).header("cookie", &cookie).answer().await
    };
    for path in ["/readnotreaded", "/readnotreadedfromuser?user_from=bob"] {
        by_cookie(Method::GET, path).await.refused(401, "bearer_only");
    }
    assert_eq!(t.bearer(Method::HEAD, "/readnotreaded", &ann).await.status, 405);
    assert_eq!(t.get("/readnotreadedfromuser?user_from=bob", &ann).await.ok(200), marked(1));
    assert_eq!(t.get("/readnotreaded", &ann).await.ok(200), marked(0));
    assert_eq!(by_cookie(Method::POST, "/readnotreaded").await.ok(200), marked(0));
    assert_eq!(by_cookie(Method::GET, "/getallchats").await.status, 200);
    let elsewhere = t.request(Method::POST, "/readnotreaded").header("cookie", &cookie);
    let elsewhere = elsewhere.header("origin", "https://evil.example").answer().await;
    elsewhere.refused(403, "wrong_origin");
}

#[tokio::test]
async fn limits_and_strangers() {
    let (t, ann, ..) = with_chat().await;
    let lists = ["/getallmessages", "/getallchats", "/getreadedmessages", "/getnotreadedmessages"];
    for path in lists {
        for limit in ["0", "1001", "-1", "x"] {
            let answer = t.get(&format!("{path}?limit={limit}"), &ann).await;
            assert_eq!(answer.refused(422, "validation_failed").fields(), ["limit"]);
        }
        t.request(Method::GET, path).answer().await.refused(401, "unauthenticated");
    }
    for path in ["/readnotreaded", "/readnotreadedfromuser?user_from=bob"] {
        for method in [Method::GET, Method::POST] {
            t.request(method, path).answer().await.refused(401, "unauthenticated");
        }
    }
    let nobody = t.user("cid").await;
    assert_eq!(t.get("/getallchats", text(&nobody, "access_token")).await.ok(200), json!({}));
}

#[tokio::test]
async fn an_administrator_reads_as_the_user_does() {
    let (t, admin) = with_admin().await;
    let [ann, bob] = [t.user("ann").await, t.user("bob").await];
    let chat = json!({"chat_type": "group", "name": "Team", "member_ids": [bob["id"]]});
    let ann = text(&ann, "access_token");
    let chat = t.post_as("/chats", ann, chat).await.ok(201);
    t.post_as(&format!("/chats/{}/messages", chat["id"]), ann, json!({"text": "hi"})).await.ok(201);
    let seen = t.get("/readuserchats?username=ANN", &admin).await.ok(200);
    assert_eq!(seen, t.get("/getallchats", ann).await.ok(200));
    assert_eq!(seen["Team"][0]["text"], "hi");
    for nobody in ["nobody", "@ann", "%00"] {
        let path = format!("/readuserchats?username={nobody}");
        t.get(&path, &admin).await.refused(404, "user_not_found");
    }
}
