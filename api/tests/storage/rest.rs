//! The routes over chats, members and messages: statuses and shapes, and that the internal calls
//! need their secret.

use crate::harness::{T, both};
use api::{auth::tokens::Subject, config::Config};
use axum::{
    Router,
    body::Body,
    http::{Request, header},
};
use http_body_util::BodyExt;
use platform::settings::Secret;
use protocol::{account::Role, id::UserId, time::Timestamp};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use tower::ServiceExt;

both!(a_conversation, refusals, internal_calls_need_the_secret);

/// Asks and returns status and body.
async fn ask(app: &Router, token: &str, call: (&str, &str), body: Value) -> (u16, Value) {
    let request = Request::builder()
        .method(call.0)
        .uri(call.1)
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(if body.is_null() { String::new() } else { body.to_string() }))
        .unwrap();
    let response = app.clone().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&bytes).unwrap_or_default())
}

async fn token(t: &T, user_id: UserId, name: &str) -> String {
    let session_id = t.session(user_id).await;
    let subject = Subject { user_id, session_id, username: name.to_owned(), role: Role::User };
    t.api.tokens.issue(&subject, Timestamp::now(), Duration::from_secs(60)).unwrap()
}

async fn a_conversation(t: T) {
    let [ann, bob, cid] = t.users(["ann", "bob", "cid"]).await;
    let (a, b) = (token(&t, ann, "ann").await, token(&t, bob, "bob").await);
    let app = api::router(t.api.clone());
    let new = json!({"name": "Team", "chat_type": "group", "member_ids": [bob]});
    let (status, chat) = ask(&app, &a, ("POST", "/chats"), new).await;
    assert_eq!((status, &chat["name"], &chat["role"]), (201, &json!("Team"), &json!("owner")));
    let path = |rest: &str| format!("/chats/{}{rest}", chat["id"]);
    let messages = path("/messages");

    let hello = json!({"text": "hello", "client_message_id": "k"});
    let (status, first) = ask(&app, &a, ("POST", &messages), hello.clone()).await;
    assert_eq!(status, 201);
    for (field, value) in [
        ("id", json!(1)),
        ("chat_id", chat["id"].clone()),
        ("room_id", chat["id"].clone()),
        ("sender_id", json!(ann)),
        ("user_id", json!(ann)),
        ("username", json!("ann")),
        ("text", json!("hello")),
        ("content", json!("hello")),
        ("client_message_id", json!("k")),
    ] {
        assert_eq!(first[field], value, "{field}");
    }
    assert_eq!(first["timestamp"], first["created_at"]);
    assert_eq!(ask(&app, &a, ("POST", &messages), hello).await, (201, first));
    ask(&app, &b, ("POST", &messages), json!({"content": "hi"})).await;
    let (status, edited) =
        ask(&app, &b, ("PATCH", &path("/messages/2")), json!({"text": "hi!"})).await;
    assert_eq!((status, &edited["text"]), (200, &json!("hi!")));
    let (_, same) = ask(&app, &b, ("PATCH", &path("/messages/2")), json!({"text": "hi!"})).await;
    assert_eq!(same, edited);

    let (_, page) = ask(&app, &a, ("GET", &format!("{messages}?limit=1")), Value::Null).await;
    assert_eq!((page.as_array().unwrap().len(), &page[0]["text"]), (1, &json!("hi!")));
    let history = format!("/history/{}?limit=1&offset=1", chat["id"]);
    let (_, page) = ask(&app, &a, ("GET", &history), Value::Null).await;
    assert_eq!((&page["total"], &page["items"][0]["id"]), (&json!(2), &json!(2)));
    assert_eq!((&page["limit"], &page["offset"]), (&json!(1), &json!(1)));

    let read = json!({"message_id": 2});
    assert_eq!(ask(&app, &a, ("POST", &path("/read")), read).await.0, 204);
    let (_, chats) = ask(&app, &a, ("GET", "/chats"), Value::Null).await;
    assert_eq!((&chats[0]["last_read"], &chats[0]["unread"]), (&json!(2), &json!(0)));
    assert_eq!(ask(&app, &b, ("DELETE", &path("/messages/2")), Value::Null).await.0, 204);

    let (status, added) = ask(&app, &a, ("POST", &path("/members")), json!({"user_id": cid})).await;
    assert_eq!((status, &added[0]["username"]), (200, &json!("cid")));
    let (_, page) = ask(&app, &a, ("GET", &path("/members?limit=2")), Value::Null).await;
    assert_eq!((page["items"].as_array().unwrap().len(), &page["next"]), (2, &json!(bob)));
    let (_, page) =
        ask(&app, &a, ("GET", &path(&format!("/members?after={bob}"))), Value::Null).await;
    assert_eq!((&page["items"][0]["id"], &page["next"]), (&json!(cid), &Value::Null));
    assert_eq!(
        ask(&app, &a, ("DELETE", &path(&format!("/members/{cid}"))), Value::Null).await.0,
        204
    );
    assert_eq!(ask(&app, &a, ("PATCH", &path("")), json!({"name": "Crew"})).await.0, 204);
    assert_eq!(ask(&app, &b, ("GET", &path("")), Value::Null).await.1["name"], "Crew");
    assert_eq!(ask(&app, &b, ("POST", &path("/leave")), Value::Null).await.0, 204);
    assert_eq!(ask(&app, &a, ("DELETE", &path("")), Value::Null).await.0, 204);

    let (_, rooms) = ask(&app, &a, ("GET", "/rooms"), Value::Null).await;
    assert_eq!((&rooms["items"][0]["name"], &rooms["next"]), (&json!("lobby"), &Value::Null));
    let (status, lobby) = ask(&app, &a, ("POST", "/chats/1/join"), Value::Null).await;
    assert_eq!((status, &lobby["role"]), (200, &json!("member")));
}

async fn refusals(t: T) {
    let [ann, eve] = t.users(["ann", "eve"]).await;
    let chat = t.group(ann, &[]).await;
    t.say(ann, chat, "mine").await;
    let e = token(&t, eve, "eve").await;
    let app = api::router(t.api.clone());
    let path = |rest: &str| format!("/chats/{chat}{rest}");
    let text = json!({"text": "x"});
    for (method, path, body, status) in [
        ("GET", path(""), Value::Null, 403),
        ("PATCH", path(""), json!({"name": "x"}), 403),
        ("DELETE", path(""), Value::Null, 403),
        ("GET", path("/members"), Value::Null, 403),
        ("POST", path("/members"), json!({"user_id": eve}), 403),
        ("DELETE", path(&format!("/members/{ann}")), Value::Null, 403),
        ("POST", path("/join"), Value::Null, 403),
        ("POST", path("/leave"), Value::Null, 403),
        ("GET", path("/messages"), Value::Null, 403),
        ("POST", path("/messages"), text.clone(), 403),
        ("PATCH", path("/messages/1"), text.clone(), 403),
        ("DELETE", path("/messages/1"), Value::Null, 403),
        ("POST", path("/read"), json!({"message_id": 1}), 403),
        ("GET", format!("/history/{chat}"), Value::Null, 403),
        ("GET", "/chats/999".to_owned(), Value::Null, 404),
        ("POST", "/chats/999/messages".to_owned(), text.clone(), 404),
        ("PATCH", "/chats/1/messages/9".to_owned(), text.clone(), 404),
        ("GET", "/chats/x".to_owned(), Value::Null, 422),
        ("POST", "/chats/1/messages".to_owned(), json!({"text": " "}), 422),
        ("POST", "/chats/1/messages".to_owned(), json!({}), 422),
        (
            "POST",
            "/chats/1/messages".to_owned(),
            json!({"text": "x", "client_message_id": ""}),
            422,
        ),
        ("POST", "/chats/1/messages".to_owned(), json!({"text": "x", "reply_to": 5}), 422),
        ("POST", "/chats".to_owned(), json!({"chat_type": "cave"}), 422),
        ("POST", "/chats".to_owned(), json!({"chat_type": "private", "member_ids": [eve]}), 422),
        ("POST", "/chats".to_owned(), json!({"chat_type": "private", "member_ids": [999]}), 422),
        ("GET", "/chats?limit=0".to_owned(), Value::Null, 422),
        ("GET", "/rooms?limit=501".to_owned(), Value::Null, 422),
        ("GET", "/chats/1/messages?limit=101".to_owned(), Value::Null, 422),
        ("GET", "/chats/1/messages?around=1&before=2".to_owned(), Value::Null, 422),
        ("GET", "/history/1?offset=-1".to_owned(), Value::Null, 422),
        ("GET", "/history/1?limit=x".to_owned(), Value::Null, 422),
    ] {
        let (got, answer) = ask(&app, &e, (method, &path), body).await;
        assert_eq!(got, status, "{method} {path}: {answer}");
        assert_eq!(
            (&answer["status"], &answer["error"]),
            (&json!(status), &json!(true)),
            "{answer}"
        );
        assert_eq!(ask(&app, "x", (method, &path), text.clone()).await.0, 401, "{method} {path}");
    }
}

async fn internal_calls_need_the_secret(t: T) {
    let secret = "the-internal-token-of-this-test".to_owned();
    let mut guarded = t.api.clone();
    let tokens = vec![Secret::new(secret.clone())];
    guarded.config = Arc::new(Config { internal_tokens: tokens, ..(*t.api.config).clone() });
    let app = api::internal_router(guarded);
    for (call, body, answer) in [
        ("post", json!({"commands": []}), json!({"results": [], "events": []})),
        ("read", json!({"marks": []}), json!({})),
        ("events", json!({"ranges": []}), json!({"ranges": []})),
        ("view", json!({"chats": []}), json!({"chats": []})),
    ] {
        let path = format!("/internal/{call}");
        assert_eq!(ask(&app, &secret, ("POST", &path), body.clone()).await, (200, answer));
        for wrong in ["", "x", &secret[1..]] {
            let (status, answer) = ask(&app, wrong, ("POST", &path), body.clone()).await;
            assert_eq!((status, &answer["code"]), (401, &json!("unauthenticated")));
        }
    }
    let (old, new) = (Secret::new("the-old-internal-token"), Secret::new("the-new-internal-token"));
    let mut changing = t.api.clone();
    let tokens = vec![old.clone(), new.clone()];
    changing.config = Arc::new(Config { internal_tokens: tokens, ..(*t.api.config).clone() });
    let changing = api::internal_router(changing);
    for (given, expected) in [(&old, 200), (&new, 200), (&Secret::new("another one"), 401)] {
        let body = json!({"marks": []});
        let (status, _) = ask(&changing, given.reveal(), ("POST", "/internal/read"), body).await;
        assert_eq!(status, expected);
    }
    for (call, body) in
        [("open", json!({"sessions": [], "live_chats": 5})), ("changed", json!({"since": null}))]
    {
        let (status, answer) =
            ask(&app, &secret, ("POST", &format!("/internal/{call}")), body).await;
        assert_eq!(status, 200, "{answer}");
    }
}
