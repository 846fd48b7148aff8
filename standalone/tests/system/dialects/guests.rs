//! Guest access as a setting: on in the single process, off in a cluster as shipped, and limited for
//! each address where it is on.

use super::{LOBBY, code, guest_window};
use crate::harness::{Dial, DialectSocket, System, contains, unique};
use protocol::close::Close;
use serde_json::json;

/// Guests get nothing; users get everything.
pub(super) async fn guests_are_refused(t: &System) {
    for node in 0..t.nodes().len() {
        let mut socket = Dial::new(t.node(node)).at("/ws").open().await.unwrap();
        socket.expect_close(Close::Unauthenticated).await;
    }
    let ann = t.user("ann").await;
    let lists = ["", "/recent", "/stats", &format!("/user/{}", ann.username)];
    for list in lists.map(|list| format!("/api/messages{list}")) {
        for rest in t.rests() {
            rest.get(&list).await.refused(401, "unauthenticated");
        }
        ann.rest.get(&list).await.ok();
    }
    for path in ["/health", "/status"] {
        t.rest().get(path).await.ok();
    }
    let mut anns = ann.window(1, "/ws").await.among(&[&ann.username]);
    anns.ask(json!({ "type": "chat_message", "message": "hi" }), json!({ "message": "hi" })).await;
}

#[tokio::test]
async fn a_single_process_can_refuse_guests() {
    guests_are_refused(&System::single(&[("GUESTS", "false")]).await).await;
}

#[tokio::test]
async fn a_flood_of_guest_messages_is_slowed_down() {
    let t = System::single(&[("GUEST_MESSAGES_PER_MINUTE", "2")]).await;
    let (gus, hal) = (unique("gus"), unique("hal"));
    let ann = t.user("ann").await;
    let mut anns = ann.window(0, "/ws").await.among(&[&ann.username]);
    let mut guest = guest_window(&t, 0, &[&gus]).await;
    let frame = |name: &str, text: &str| json!({ "type": "chat_message", "username": name, "message": text });
    let mut stored = 0;
    let refused = loop {
        guest.say(frame(&gus, "again")).await;
        let answer = guest.next().await;
        if answer["type"] == "error" {
            break answer;
        }
        stored += 1;
        assert!(stored < 100, "no limit");
    };
    assert_eq!(code(&refused), "rate_limited");
    assert!(refused["retry_after_ms"].as_u64() > Some(0), "{refused}");
    assert!(stored > 0);
    // The limit is the address's, not the connection's; and users have none of it.
    let mut other = guest_window(&t, 0, &[&hal]).await;
    other.say(frame(&hal, "me too")).await;
    assert_eq!(code(&other.next().await), "rate_limited");
    anns.ask(frame(&ann.username, "hello"), json!({ "message": "hello" })).await;
    let said = ann.rest.get(&format!("/api/messages/user/{gus}")).await.ok();
    assert_eq!(said["total_messages"], stored);
}

#[tokio::test]
async fn a_flood_of_guest_names_is_slowed_down() {
    let t = System::single(&[]).await;
    let mut guest = guest_window(&t, 0, &[]).await;
    // One who only takes names gets no answer while it may.
    for number in 0..100 {
        guest.say(json!({ "type": "user_joined", "username": format!("gus {number}") })).await;
    }
    let refused = guest.next().await;
    assert_eq!(code(&refused), "rate_limited");
    assert!(refused["retry_after_ms"].as_u64() > Some(0), "{refused}");
}

#[tokio::test]
async fn a_guest_is_nobody_elsewhere() {
    let t = System::single(&[]).await;
    let (ann, gus) = (t.user("ann").await, unique("gus"));
    let mut guest = guest_window(&t, 0, &[&gus]).await;
    guest.say(json!({ "type": "chat_message", "username": gus, "message": "hi" })).await;
    let said = guest.expect(json!({ "message": "hi" })).await;
    let stored = ann.rest.get(&format!("/chats/{LOBBY}/messages")).await.ok();
    assert!(contains(&stored[0], &json!({ "id": said["id"], "username": gus })), "{stored}");
    let id = stored[0]["sender_id"].as_i64().expect("an id");

    // No account: not shown, not found, not added, not written to, not signed in.
    ann.rest.get(&format!("/users/{id}")).await.refused(404, "user_not_found");
    let found = ann.rest.get(&format!("/users?query={gus}")).await.ok();
    assert!(!found.to_string().contains(&gus), "{found}");
    let group = json!({ "name": "x", "chat_type": "group", "member_ids": [id] });
    ann.rest.post("/chats", group).await.refused(422, "validation_failed");
    let mut names = ann.window(0, "/ws/chat").await;
    for name in [gus.clone(), format!("@{gus}")] {
        let frame = json!({ "username_to": name, "message": "x" });
        names.ask(frame, json!({ "status": "error", "code": "recipient_not_found" })).await;
    }
    let login = json!({ "username": format!("@{gus}"), "password": "" });
    assert!(matches!(t.rest().post("/login", login).await.status, 401 | 422));

    // An admin can take the name's voice away.
    let admin = t.admin().await;
    admin.rest.post(&format!("/blockuser?username=@{gus}"), json!({})).await.ok();
    let mut late =
        DialectSocket::open("the guest", &Dial::new(t.front()).at("/ws")).await.among(&[&gus]);
    late.say(json!({ "type": "chat_message", "username": gus, "message": "hi" })).await;
    assert_eq!(code(&late.next().await), "blocked");
}
