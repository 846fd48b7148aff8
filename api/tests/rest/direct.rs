//! Conversations of two by number, over HTTP.

use crate::{
    admin::with_admin,
    support::{Ask, text},
};
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn two_users_read_what_they_wrote() {
    let (t, admin) = with_admin().await;
    let [ann, bob, eve] = [t.user("ann").await, t.user("bob").await, t.user("eve").await];
    let [a, b, e] = [&ann, &bob, &eve].map(|user| text(user, "access_token"));
    let path = format!("/messages/{}/{}", ann["id"], bob["id"]);
    assert_eq!(t.get(&path, a).await.ok(200), json!([]), "they have no chat yet");
    t.get(&path, e).await.refused(403, "other_user");
    t.request(Method::GET, &path).answer().await.refused(401, "unauthenticated");

    let chat = json!({"chat_type": "private", "member_ids": [bob["id"]]});
    let chat = t.post_as("/chats", a, chat).await.ok(201);
    let messages = format!("/chats/{}/messages", chat["id"]);
    let mut sent = Vec::new();
    for (user, said) in [(a, "1"), (b, "2"), (a, "3")] {
        sent.push(t.post_as(&messages, user, json!({"text": said})).await.ok(201));
    }
    let all = t.get(&path, b).await.ok(200);
    let seconds = all[1]["timestamp"].as_i64().unwrap();
    assert_eq!(
        all[1],
        json!({"id": 2, "senderId": bob["id"], "receiverId": ann["id"], "content": "2",
               "timestamp": seconds})
    );
    let at: protocol::time::Timestamp =
        serde_json::from_value(sent[1]["timestamp"].clone()).unwrap();
    assert_eq!(at.unix_seconds(), seconds);
    let contents = |page: &Value| -> Vec<String> {
        let page = page.as_array().unwrap().iter();
        page.map(|message| text(message, "content").to_owned()).collect()
    };
    assert_eq!(contents(&all), ["1", "2", "3"]);
    let turned = format!("/messages/{}/{}", bob["id"], ann["id"]);
    assert_eq!(t.get(&turned, b).await.ok(200), all, "whoever is named first");
    let page = |query: &str| {
        let path = format!("{path}?{query}");
        t.request(Method::GET, &path).bearer_auth(a).answer()
    };
    assert_eq!(contents(&page("limit=2").await.ok(200)), ["2", "3"]);
    assert_eq!(contents(&page("limit=2&before=2").await.ok(200)), ["1"]);
    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=x", "limit"),
        ("before=x", "before"),
    ] {
        assert_eq!(page(query).await.refused(422, "validation_failed").fields(), [field]);
    }

    t.get(&path, e).await.refused(403, "other_user");
    let seen = t.get(&path, &admin).await.ok(200);
    assert_eq!(seen, all);
    let log = t.get("/admin/audit", &admin).await.ok(200);
    let entry = &log["items"][0];
    assert_eq!(entry["action"], "read_conversation");
    assert_eq!((&entry["target_user"]["id"], &entry["chat_id"]), (&ann["id"], &chat["id"]));
    assert_eq!(log["items"].as_array().unwrap().len(), 2, "theirs is not in it");
}
