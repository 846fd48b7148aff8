//! The dialect `chat` with tokens: private and group chats, read marks. Its public rooms are in `rooms`.

use super::{assert_time, code, nothing_came};
use crate::harness::{Dial, DialectSocket, PASSWORD, System, User, contains, unique};
use protocol::{close::Close, id::ChatId};
use reqwest::Method;
use serde_json::{Value, json};

in_both_modes!(
    an_email_is_enough_for_an_account,
    chats_are_made_and_listed,
    a_message_is_posted_once,
    messages_and_history_come_in_pages,
    a_message_reaches_all_in_the_chat,
    a_repeat_is_answered_to_its_sender_alone,
    read_marks_are_told,
    a_chat_is_for_its_members,
    the_documents_are_served,
);

/// A socket as these clients open it: with the token in the query.
async fn enter(t: &System, user: &User, node: usize, chat: ChatId) -> DialectSocket {
    let dial = Dial::new(t.node(node)).at(&format!("/ws/{chat}"));
    DialectSocket::open(&user.username, &dial.query(&format!("token={}", user.token))).await
}

/// A message as all in the chat get it.
fn message_of(chat: ChatId, sender: &User, text: &str) -> Value {
    json!({
        "type": "message", "chat_id": chat, "room_id": chat, "sender_id": sender.id,
        "user_id": sender.id, "username": sender.username, "text": text, "content": text,
    })
}

async fn an_email_is_enough_for_an_account(t: System) {
    let local = unique("ann");
    let email = format!("{local}@example.com");
    let body = json!({ "email": email, "password": PASSWORD, "name": "Ann" });
    let made = t.rest().post("/register", body.clone()).await;
    assert_eq!(made.status, 201, "{made:?}");
    let expected = json!({ "email": email, "name": "Ann", "username": local });
    assert!(contains(&made.body, &expected), "{made:?}");
    let taken = t.rest().post("/register", body).await.refused(400, "email_taken");
    assert_eq!(taken.body["error"], true);
    // The same local part at another provider: another username is found.
    let body = json!({ "email": format!("{local}@example.org"), "password": PASSWORD });
    let other = t.rest().post("/register", body).await.ok();
    assert_ne!(other["username"], made.body["username"]);

    let body = json!({ "email": email, "password": PASSWORD });
    let login = t.rest().post("/login", body).await.ok();
    assert_eq!(login["token_type"], "bearer");
    assert!(login["expires_in"].as_u64() > Some(0));
    let me = t.rest().with_token(login["access_token"].as_str().unwrap()).get("/me").await.ok();
    let expected = json!({ "id": made.body["id"], "email": email, "name": "Ann" });
    assert!(contains(&me, &expected), "{me}");
}

async fn chats_are_made_and_listed(t: System) {
    let (ann, bob, cat) = (t.user("ann").await, t.user("bob").await, t.user("cat").await);
    let make = async |body: Value| ann.rest.post("/chats", body).await;
    let private = json!({ "chat_type": "private", "member_ids": [bob.id] });
    let made = make(private.clone()).await;
    assert!(matches!(made.status, 200 | 201), "{made:?}");
    assert!(contains(&made.body, &json!({ "chat_type": "private" })) && made.body["id"].is_i64());
    let again = make(private).await;
    assert_eq!(again.status, 400);
    assert_eq!(again.body["chat_id"], made.body["id"], "it names the existing one: {again:?}");

    let group = json!({ "name": "team", "chat_type": "group", "member_ids": [bob.id, cat.id] });
    let group = make(group).await.ok();
    let room = make(json!({ "name": "square", "chat_type": "room" })).await.ok();
    assert_eq!((&group["name"], &room["chat_type"]), (&json!("team"), &json!("room")));
    for (chat_type, members) in [("private", json!([])), ("private", json!([bob.id, cat.id]))] {
        let body = json!({ "chat_type": chat_type, "member_ids": members });
        assert_eq!(make(body).await.status, 422);
    }
    for chat_type in ["private", "group"] {
        let body = json!({ "name": "x", "chat_type": chat_type, "member_ids": [987_654_321] });
        make(body).await.refused(422, "validation_failed");
    }
    make(json!({ "chat_type": "zoo", "member_ids": [] })).await.invalid("chat_type");

    let listed = bob.rest.get("/chats").await.ok();
    let listed = listed.as_array().expect("an array");
    let find = |id: &Value| listed.iter().find(|chat| chat["id"] == *id);
    let expected = json!({ "name": "team", "chat_type": "group" });
    assert!(contains(find(&group["id"]).expect("the group"), &expected));
    assert!(find(&made.body["id"]).is_some() && find(&room["id"]).is_none(), "{listed:?}");
}

async fn a_message_is_posted_once(t: System) {
    let (ann, bob) = (t.user("ann").await, t.user("bob").await);
    let chat = ann.private(&bob).await;
    let path = format!("/chats/{chat}/messages");
    let body = json!({ "text": "hi", "client_message_id": "c1" });
    let first = ann.rest.post(&path, body.clone()).await;
    assert_eq!(first.status, 201);
    let expected =
        json!({ "chat_id": chat, "sender_id": ann.id, "text": "hi", "client_message_id": "c1" });
    assert!(contains(&first.body, &expected), "{first:?}");
    let again = ann.rest.post(&path, body.clone()).await;
    assert_eq!((again.status, &again.body), (201, &first.body), "the stored one");
    let other = json!({ "text": "another text", "client_message_id": "c1" });
    ann.rest.post(&path, other).await.refused(400, "client_message_id_reused");
    // Another sender's id is another message.
    bob.rest.post(&path, body).await.ok();
    assert_eq!(ann.texts(chat).await, ["hi", "hi"]);
    ann.rest.post(&path, json!({ "text": "" })).await.invalid("text");
    ann.rest.post(&path, json!({})).await.invalid("text");
}

async fn messages_and_history_come_in_pages(t: System) {
    let (ann, bob) = (t.user("ann").await, t.user("bob").await);
    let chat = ann.private(&bob).await;
    for number in 0..4 {
        ann.post(chat, &number.to_string()).await;
    }
    let texts = |page: &Value| -> String {
        page.as_array().unwrap().iter().map(|one| one["text"].as_str().unwrap()).collect()
    };
    let get = async |path: String| bob.rest.get(&path).await.ok();
    let all = get(format!("/chats/{chat}/messages")).await;
    assert_eq!(texts(&all), "0123");
    let ids: Vec<_> =
        all.as_array().unwrap().iter().map(|one| one["id"].as_i64().unwrap()).collect();
    let message = &all[0];
    let expected = json!({ "id": ids[0], "chat_id": chat, "sender_id": ann.id, "text": "0" });
    assert!(contains(message, &expected), "{message}");
    assert_time(&message["timestamp"]);
    assert_eq!(message["timestamp"], message["created_at"]);
    assert!(message.get("client_message_id").is_some(), "{message}");
    assert_eq!(texts(&get(format!("/chats/{chat}/messages?limit=2&after={}", ids[0])).await), "12");
    assert_eq!(
        texts(&get(format!("/chats/{chat}/messages?limit=2&before={}", ids[3])).await),
        "12"
    );

    let page = get(format!("/history/{chat}?limit=2&offset=1")).await;
    assert!(contains(&page, &json!({ "total": 4, "limit": 2, "offset": 1 })), "{page}");
    assert_eq!(texts(&page["items"]), "12");
    let page = get(format!("/history/{chat}")).await;
    assert!(contains(&page, &json!({ "total": 4, "limit": 50, "offset": 0 })), "{page}");
    for (field, bad) in [("limit", "0"), ("limit", "101"), ("offset", "-1")] {
        bob.rest.get(&format!("/history/{chat}?{field}={bad}")).await.invalid(field);
    }
}

async fn a_message_reaches_all_in_the_chat(t: System) {
    let (ann, bob) = (t.user("ann").await, t.user("bob").await);
    for chat in [ann.private(&bob).await, ann.group("team", &[&bob]).await] {
        let mut windows = [
            enter(&t, &ann, 0, chat).await,
            enter(&t, &ann, 1, chat).await,
            enter(&t, &bob, 1, chat).await,
            bob.front_window(&format!("/ws/{chat}")).await,
        ];
        windows[0].say(json!({ "type": "message", "text": "hi", "client_message_id": "c1" })).await;
        let mut seen = Vec::new();
        for window in &mut windows {
            seen.push(window.expect(message_of(chat, &ann, "hi")).await);
        }
        assert!(seen.iter().all(|frame| *frame == seen[0]), "one frame for all: {seen:?}");
        assert_eq!(seen[0]["client_message_id"], "c1");
        assert_time(&seen[0]["timestamp"]);
        windows[2].say(json!({ "type": "message", "text": "hi, Ann" })).await;
        for window in &mut windows {
            window.expect(message_of(chat, &bob, "hi, Ann")).await;
        }
        let stored = ann.rest.get(&format!("/chats/{chat}/messages")).await.ok();
        assert_eq!((&stored[0]["id"], &stored[0]["text"]), (&seen[0]["id"], &json!("hi")));
        // What changes later is not this window's business.
        let id = seen[0]["id"].as_i64().unwrap();
        let path = format!("/chats/{chat}/messages/{id}");
        ann.rest.patch(&path, json!({ "text": "edited" })).await.ok();
        ann.rest.delete(&path).await.ok();
        ann.post(chat, "by REST").await;
        for window in &mut windows {
            window.expect(message_of(chat, &ann, "by REST")).await;
        }
    }
}

async fn a_repeat_is_answered_to_its_sender_alone(t: System) {
    let (ann, bob) = (t.user("ann").await, t.user("bob").await);
    let chat = ann.private(&bob).await;
    let mut anns = enter(&t, &ann, 0, chat).await;
    let mut desk = enter(&t, &ann, 1, chat).await;
    let mut bobs = enter(&t, &bob, 1, chat).await;
    let frame = json!({ "type": "message", "text": "once", "client_message_id": "c1" });
    let first = anns.ask(frame.clone(), message_of(chat, &ann, "once")).await;
    bobs.expect(message_of(chat, &ann, "once")).await;
    desk.expect(message_of(chat, &ann, "once")).await;
    anns.say(frame).await;
    assert_eq!(anns.next().await, first, "the stored message again");
    let other = json!({ "type": "message", "text": "twice", "client_message_id": "c1" });
    anns.say(other).await;
    let refused = anns.next().await;
    assert_eq!(code(&refused), "client_message_id_reused");
    assert_eq!(refused["client_message_id"], "c1");
    anns.say(json!({ "type": "message", "text": "next" })).await;
    for window in [&mut bobs, &mut desk, &mut anns] {
        window.expect(message_of(chat, &ann, "next")).await;
    }
    assert_eq!(ann.texts(chat).await, ["once", "next"]);
}

async fn read_marks_are_told(t: System) {
    let (ann, bob) = (t.user("ann").await, t.user("bob").await);
    let chat = ann.private(&bob).await;
    let mut anns = enter(&t, &ann, 0, chat).await;
    let mut bobs = enter(&t, &bob, 1, chat).await;
    let sent = anns
        .ask(json!({ "type": "message", "text": "read me" }), message_of(chat, &ann, "read me"));
    let id = sent.await["id"].clone();
    bobs.expect(message_of(chat, &ann, "read me")).await;
    bobs.say(json!({ "type": "read", "message_id": id })).await;
    let mark = json!({ "type": "read", "message_id": id, "reader_id": bob.id });
    anns.expect(mark.clone()).await;
    bobs.expect(mark).await;
    let chat_now = bob.chat(chat).await;
    assert_eq!((&chat_now["last_read"], &chat_now["unread"]), (&id, &json!(0)));
    bobs.say(json!({ "type": "read", "message_id": "which?" })).await;
    assert_eq!(code(&bobs.next().await), "invalid_frame");
}

async fn a_chat_is_for_its_members(t: System) {
    let (ann, bob, eve) = (t.user("ann").await, t.user("bob").await, t.user("eve").await);
    let group = ann.group("team", &[&bob]).await;
    for chat in [ann.private(&bob).await, group] {
        for node in [0, 1] {
            enter(&t, &eve, node, chat).await.expect_only_close(Close::NotAMember).await;
        }
        for path in [format!("/chats/{chat}/messages"), format!("/history/{chat}")] {
            eve.rest.get(&path).await.refused(403, "not_a_member");
        }
        let path = format!("/chats/{chat}/messages");
        eve.rest.post(&path, json!({ "text": "x" })).await.refused(403, "not_a_member");
    }
    let mut bobs = enter(&t, &bob, 1, group).await;
    let mut anns = enter(&t, &ann, 0, group).await;
    ann.remove_member(group, &bob).await;
    bobs.expect_only_close(Close::NotAMember).await;
    nothing_came(&mut anns).await;
    let nowhere = ChatId(987_654_321);
    enter(&t, &ann, 0, nowhere).await.expect_only_close(Close::ChatNotFound).await;
}

async fn the_documents_are_served(t: System) {
    let fetch = async |path: &str| {
        let answer = t.rest().request(Method::GET, path).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        answer.text().await.unwrap()
    };
    for path in ["/docs", "/redoc"] {
        let page = fetch(path).await;
        assert!(page.contains("<html") || page.contains("<!doctype html>"), "{page}");
        assert!(!page.contains("https://"), "{path} loads from elsewhere: {page}");
    }
    let document: Value = serde_json::from_str(&fetch("/openapi.json").await).unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3."));
    let document: Value = serde_json::from_str(&fetch("/asyncapi.json").await).unwrap();
    assert!(document["asyncapi"].as_str().unwrap().starts_with("3."));
}
