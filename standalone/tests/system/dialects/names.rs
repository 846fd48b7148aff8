//! The dialect `names`: JSON web tokens, people by username, read state. Its administration is in
//! `administration`.

use super::{assert_time, cookie};
use crate::harness::{DialectSocket, PASSWORD, Rest, System, User, contains, unique, until_eq};
use reqwest::Method;
use serde_json::{Value, json};

in_both_modes!(
    registering_gives_a_user_and_a_token,
    signing_in_takes_a_form_or_json,
    a_message_reaches_every_device_and_is_confirmed,
    refused_messages_say_why,
    what_is_delivered_live_counts_as_read,
    read_state_is_kept_and_changed,
    chats_are_keyed_by_names,
    changing_calls_are_also_get_but_never_by_cookie,
);

/// A message in this dialect.
pub(super) fn to(user: &User, message: &str) -> Value {
    json!({ "username_to": user.username, "message": message })
}

/// The same as it arrives.
pub(super) fn from(user: &User, message: &str) -> Value {
    json!({ "username_from": user.username, "message": message })
}

pub(super) fn success() -> Value {
    json!({ "status": "success", "error": null })
}

pub(super) async fn names(user: &User, node: usize) -> DialectSocket {
    user.window(node, "/ws/chat").await
}

async fn registering_gives_a_user_and_a_token(t: System) {
    for mail in ["email", "mail"] {
        let username = unique("ann");
        let email = format!("{username}@example.com");
        let body =
            json!({ "username": username, "password": PASSWORD, mail: email, "name": "Ann" });
        let user = t.rest().post("/register", body).await.ok();
        let expected =
            json!({ "username": username, "email": email, "name": "Ann", "token_type": "bearer" });
        assert!(contains(&user, &expected), "{user}");
        let token = user["access_token"].as_str().expect("a token");
        assert_eq!(t.rest().with_token(token).get("/me").await.ok()["id"], user["id"]);
    }
}

async fn signing_in_takes_a_form_or_json(t: System) {
    let ann = t.user("ann").await;
    let form = [("grant_type", "password"), ("username", &ann.username), ("password", PASSWORD)];
    let by_form = Rest::send(t.rest().request(Method::POST, "/login").form(&form)).await;
    let body = json!({ "username": ann.username, "password": PASSWORD });
    let by_json = t.rest().post("/login", body).await;
    for answer in [by_form, by_json] {
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.body["token_type"], "bearer");
        assert!(answer.body["expires_in"].as_u64() > Some(0));
        let token = answer.body["access_token"].as_str().expect("a token");
        t.rest().with_token(token).get("/getallmessages").await.ok();
    }
    let form = [("username", ann.username.as_str()), ("password", "not the password")];
    let wrong = Rest::send(t.rest().request(Method::POST, "/login").form(&form)).await;
    wrong.refused(401, "invalid_credentials");
}

async fn a_message_reaches_every_device_and_is_confirmed(t: System) {
    let (ann, bob) = (t.user("ann").await, t.user("bob").await);
    let mut anns = [names(&ann, 0).await, names(&ann, 1).await];
    let mut bobs = [names(&bob, 1).await, bob.front_window("/ws/chat").await];

    // The very first message of the two.
    let stored = anns[0].ask(to(&bob, "hi"), success()).await;
    assert_time(&stored["timestamp"]);
    for device in &mut bobs {
        let got = device.expect(from(&ann, "hi")).await;
        assert_eq!((&got["id"], &got["timestamp"]), (&stored["id"], &stored["timestamp"]));
    }
    bobs[1]
        .ask(json!({ "username_to": ann.username.to_uppercase(), "message": "hi, Ann" }), success())
        .await;
    for device in &mut anns {
        // The other device has seen nothing of Ann's own.
        device.expect(from(&bob, "hi, Ann")).await;
    }
    let stored =
        [anns[1].ask(to(&bob, "a"), success()).await, anns[1].ask(to(&bob, "b"), success()).await];
    assert!(stored[0]["id"].as_i64() < stored[1]["id"].as_i64());
    for device in &mut bobs {
        device.expect(from(&ann, "a")).await;
        device.expect(from(&ann, "b")).await;
    }
}

async fn refused_messages_say_why(t: System) {
    let (ann, bob, eve) = (t.user("ann").await, t.user("bob").await, t.user("eve").await);
    let admin = t.admin().await;
    admin.rest.post(&format!("/blockuser?username={}", eve.username), json!({})).await.ok();
    let mut phone = names(&ann, 0).await;
    for (frame, expected) in [
        (json!({ "username_to": unique("nobody"), "message": "x" }), "recipient_not_found"),
        (to(&eve, "x"), "recipient_blocked"),
        (to(&ann, "x"), "recipient_is_yourself"),
        (to(&bob, ""), "invalid_text"),
        (to(&bob, &"ж".repeat(4001)), "invalid_text"),
        (json!({ "username_to": bob.username }), "invalid_frame"),
        (json!({ "username_to": 7, "message": "x" }), "invalid_frame"),
        (json!({ "message": "x" }), "invalid_frame"),
    ] {
        let answer = phone.ask(frame.clone(), json!({ "status": "error", "code": expected })).await;
        assert!(answer["error"].as_str().is_some_and(|text| !text.is_empty()), "{answer}");
    }
    let mut other = names(&bob, 1).await;
    phone.ask(to(&bob, "better"), success()).await;
    other.expect(from(&ann, "better")).await;
    assert_eq!(
        ann.rest.get("/getallmessages").await.ok()[&bob.username].as_array().unwrap().len(),
        1
    );
}

async fn what_is_delivered_live_counts_as_read(t: System) {
    let (ann, bob) = (t.user("ann").await, t.user("bob").await);
    let chat = ann.private(&bob).await;
    let missed = ann.post(chat, "while Bob was away").await;
    let mut here = names(&bob, 1).await;
    let unread = bob.rest.get("/getnotreadedmessages").await.ok();
    assert_eq!(unread[&ann.username][0]["text"], "while Bob was away");
    let sent = ann.post(chat, "now he is there").await;
    here.expect(from(&ann, "now he is there")).await;
    until_eq("both to be read", json!([sent, 0]), async || {
        let chat = bob.chat(chat).await;
        json!([chat["last_read"], chat["unread"]])
    })
    .await;
    assert!(missed < sent);
    assert_eq!(bob.rest.get("/getnotreadedmessages").await.ok(), json!({}));
    let anns = ann.rest.get("/getallmessages").await.ok();
    assert_eq!(anns[&bob.username][1]["is_read"], true, "{anns}");
}

/// The texts in a list of chats, under one key.
fn texts(lists: &Value, key: &str) -> Vec<String> {
    let list = lists[key].as_array().cloned().unwrap_or_default();
    list.iter().map(|one| one["text"].as_str().expect("a text").to_owned()).collect()
}

async fn read_state_is_kept_and_changed(t: System) {
    let (ann, bob, cat) = (t.user("ann").await, t.user("bob").await, t.user("cat").await);
    let with_ann = ann.private(&bob).await;
    let with_cat = cat.private(&bob).await;
    for text in ["one", "two"] {
        ann.post(with_ann, text).await;
    }
    // Whoever writes has read what was there.
    bob.post(with_cat, "my own").await;
    cat.post(with_cat, "meow").await;
    let get = async |path: &str| bob.rest.get(path).await.ok();

    let unread = get("/getnotreadedmessages").await;
    assert_eq!(texts(&unread, &ann.username), ["one", "two"]);
    let read = get("/getreadedmessages").await;
    assert!(read.get(&ann.username).is_none(), "nothing read is there: {read}");
    assert!(!unread.to_string().contains("my own"), "only received ones: {unread}");

    let path = format!("/readnotreadedfromuser?user_from={}", ann.username);
    let marked = bob.rest.post(&path, json!({})).await.ok();
    assert!(contains(&marked, &success()), "{marked}");
    let read = get("/getreadedmessages").await;
    assert_eq!(texts(&read, &ann.username), ["one", "two"]);
    assert_eq!(read[&ann.username][0]["is_read"], true);
    let unread = get("/getnotreadedmessages").await;
    assert!(unread.get(&ann.username).is_none() && unread.get(&cat.username).is_some(), "{unread}");
    let nobody = format!("/readnotreadedfromuser?user_from={}", unique("nobody"));
    bob.rest.post(&nobody, json!({})).await.refused(404, "user_not_found");

    cat.post(with_cat, "and again").await;
    ann.post(with_ann, "three").await;
    let marked = bob.rest.post("/readnotreaded", json!({})).await.ok();
    assert!(
        contains(&marked, &json!({ "status": "success", "error": null, "marked": 2 })),
        "{marked}"
    );
    assert_eq!(get("/getnotreadedmessages").await, json!({}));
    assert_eq!(texts(&get("/getreadedmessages").await, &cat.username), ["meow", "and again"]);
}

async fn chats_are_keyed_by_names(t: System) {
    let (ann, bob, cat) = (t.user("ann").await, t.user("bob").await, t.user("cat").await);
    let private = ann.private(&bob).await;
    let group = ann.group("team", &[&bob, &cat]).await;
    let twin = cat.group("team", &[&ann]).await;
    ann.post(private, "first").await;
    bob.post(private, "second").await;
    cat.post(group, "to all").await;

    for path in ["/getallmessages", "/getallchats"] {
        let all = ann.rest.get(path).await.ok();
        let expected = json!({ bob.username.clone(): [
            { "from": ann.username, "to": bob.username, "text": "first", "is_read": true, "chat_id": private },
            { "from": bob.username, "to": ann.username, "text": "second", "is_read": false, "chat_id": private },
        ]});
        assert!(contains(&all, &expected), "{all}");
        let first = &all[&bob.username][0];
        assert_time(&first["date"]);
        assert!(first["id"].is_i64());
        // Two groups of one name: the second one's key says which it is.
        let keys: Vec<_> = all.as_object().unwrap().keys().cloned().collect();
        let second = [format!("team (#{group})"), format!("team (#{twin})")];
        assert!(keys.contains(&"team".to_owned()), "{keys:?}");
        assert_eq!(second.iter().filter(|key| keys.contains(key)).count(), 1, "{keys:?}");
        assert!(all.to_string().contains("to all"));
        let newest = ann.rest.get(&format!("{path}?limit=1")).await.ok();
        assert_eq!(texts(&newest, &bob.username), ["second"]);
        for bad in ["0", "1001", "x"] {
            ann.rest.get(&format!("{path}?limit={bad}")).await.invalid("limit");
        }
    }
    let cats = cat.rest.get("/getallchats").await.ok();
    assert!(cats.get(&bob.username).is_none(), "{cats}");
    assert_eq!(texts(&cats, "team"), ["to all"]);
}

async fn changing_calls_are_also_get_but_never_by_cookie(t: System) {
    let (admin, ann, bob) = (t.admin().await, t.user("ann").await, t.user("bob").await);
    let chat = ann.private(&bob).await;
    ann.post(chat, "unread").await;
    let body = json!({ "username": bob.username, "password": PASSWORD });
    let cookie = cookie(&t.rest().post("/login", body).await);
    let by_cookie = async |method: Method, path: &str| {
        Rest::send(t.rest().request(method, path).header("cookie", &cookie)).await
    };
    let from = format!("/readnotreadedfromuser?user_from={}", ann.username);
    let block = format!("/blockuser?username={}", ann.username);
    let unblock = format!("/unblockuser?username={}", ann.username);
    for path in ["/readnotreaded", &from, &block, &unblock] {
        assert_eq!(by_cookie(Method::GET, path).await.status, 401, "{path}");
        assert_eq!(t.rest().get(path).await.status, 401, "{path}");
    }
    assert_eq!(bob.chat(chat).await["unread"], 1, "nothing of that did anything");
    bob.rest.get(&from).await.ok();
    assert_eq!(bob.chat(chat).await["unread"], 0);
    ann.post(chat, "unread again").await;
    bob.rest.get("/readnotreaded").await.ok();
    assert_eq!(bob.chat(chat).await["unread"], 0);
    ann.post(chat, "and again").await;
    by_cookie(Method::POST, "/readnotreaded").await.ok();
    assert_eq!(bob.chat(chat).await["unread"], 0);
    admin.rest.get(&block).await.ok();
    let body = json!({ "username": ann.username, "password": PASSWORD });
    t.rest().post("/login", body.clone()).await.refused(403, "blocked");
    admin.rest.get(&unblock).await.ok();
    t.rest().post("/login", body).await.ok();
}
