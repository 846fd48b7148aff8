//! The dialect `lobby`: one public lobby. Its clients connect without credentials and
//! choose a name in the frame. In the cluster the lobby is shared with all other tests, so exact
//! numbers are looked at in a process of its own.

use super::{LOBBY, assert_time, code, guest_window};
use crate::harness::{Answer, Mode, System, User, contains, unique, until, want::message};
use serde_json::{Value, json};

in_both_modes!(
    health_is_for_everybody,
    a_guest_chats_with_everybody,
    a_newcomer_is_announced,
    users_come_under_their_own_name,
    names_are_checked,
    bad_frames_are_answered,
    ones_messages_are_listed,
    pages_have_limits,
);

/// A message in this dialect.
fn message_of(username: &str, message: &str) -> Value {
    json!({ "type": "chat_message", "username": username, "message": message })
}

fn joined(username: &str) -> Value {
    json!({ "type": "user_joined", "username": username })
}

async fn health_is_for_everybody(t: System) {
    let health = t.rest().get("/health").await.ok();
    assert_eq!(health["status"], "healthy");
    assert!(health["app"].is_string() && health["version"].is_string(), "{health}");
    assert_time(&health["timestamp"]);

    let ann = t.user("ann").await;
    let _phone = ann.window(0, "/ws").await;
    let _desk = ann.window(1, "/ws").await;
    let status = t.rest().get("/status").await.ok();
    assert_eq!(status["status"], "healthy", "{status}");
    assert_eq!(status["database"]["status"], "connected");
    assert!(status["database"]["message_count"].is_u64(), "{status}");
    assert_eq!(status["websocket"]["status"], "active");
    let uptime = status["system"]["uptime"].as_str().expect("an uptime");
    assert!(uptime.contains("hour") || uptime.contains("minute") || uptime.contains("second"));
    assert!(status["system"]["memory_usage"].as_str().expect("a share").ends_with('%'));
    for field in ["app", "timestamp", "version"] {
        assert!(status[field].is_string(), "{field} is missing in {status}");
    }
    // One on each gateway, or two on the one: the sum over all of them.
    until("the sockets to be counted", async || {
        let status = t.rest().get("/status").await.ok();
        (status["websocket"]["active_connections"].as_u64() >= Some(2)).then_some(())
    })
    .await;
}

async fn a_guest_chats_with_everybody(t: System) {
    let (ann, dan) = (t.user("ann").await, t.user("dan").await);
    let (gus, hal) = (unique("gus"), unique("hal"));
    let all = [gus.as_str(), &hal, &ann.username];
    let mut native = dan.connect_to(1).await;
    native.subscribe(LOBBY, None).await.unwrap();
    let mut anns = ann.window(1, "/ws").await.among(&all);
    let mut guest = guest_window(&t, 0, &all).await;
    let mut other = guest_window(&t, 1, &all).await;
    // Named and announced, so that the frames below are the only ones.
    guest.say(joined(&gus)).await;
    other.say(joined(&hal)).await;
    anns.expect_all([joined(&gus), joined(&hal)]).await;
    // Ann's own arrival may still have been on its way to here.
    guest.expect_until(joined(&hal)).await;
    other.expect_until(joined(&gus)).await;

    guest.say(message_of(&gus, "hello, lobby")).await;
    let own = guest.expect(message_of(&gus, "hello, lobby")).await;
    assert!(own["id"].is_i64(), "{own}");
    assert_time(&own["timestamp"]);
    assert_eq!(other.next().await, own, "everybody gets the same");
    assert_eq!(anns.next().await, own);
    let seen = native.expect(message("hello, lobby")).await;
    assert!(seen.sender.guest, "a guest is shown as one");
    assert_eq!((seen.sender.username, json!(seen.id)), (gus.clone(), own["id"].clone()));

    anns.say(message_of(&ann.username, "hello, guest")).await;
    for window in [&mut guest, &mut other, &mut anns] {
        window.expect(message_of(&ann.username, "hello, guest")).await;
    }
    assert!(!native.expect(message("hello, guest")).await.sender.guest);
    let mut with_time = message_of(&gus, "with a time of its own");
    with_time["timestamp"] = json!("2001-01-01T00:00:00Z");
    guest.say(with_time).await;
    let got = other.expect(message_of(&gus, "with a time of its own")).await;
    assert!(!got["timestamp"].as_str().unwrap().starts_with("2001"), "the server's time counts");
}

async fn a_newcomer_is_announced(t: System) {
    let (ann, bob) = (t.user("ann").await, t.user("bob").await);
    let gus = unique("gus");
    let all = [gus.as_str(), &ann.username, &bob.username];
    let mut anns = ann.window(0, "/ws").await.among(&all);
    // Ann's arrival may still be on its way to Bob's gateway.
    let mut bobs = bob.window(1, "/ws").await.among(&all[..1]);
    let announced = anns.expect(joined(&bob.username)).await;
    assert_time(&announced["timestamp"]);

    // Bob is not told of himself, and a guest who says something is announced by it.
    let mut guest = guest_window(&t, 0, &all).await;
    guest.say(message_of(&gus, "I am new here")).await;
    for window in [&mut anns, &mut bobs] {
        window.expect_all([joined(&gus), message_of(&gus, "I am new here")]).await;
    }
    guest.expect(message_of(&gus, "I am new here")).await;
    guest.say(message_of(&gus, "and stay")).await;
    for window in [&mut anns, &mut bobs, &mut guest] {
        window.expect(message_of(&gus, "and stay")).await;
    }
}

async fn users_come_under_their_own_name(t: System) {
    let (ann, bob) = (t.user("ann").await, t.user("bob").await);
    let mut anns = ann.window(1, "/ws").await.among(&[&ann.username, &bob.username]);
    anns.say(json!({ "type": "chat_message", "message": "no name needed" })).await;
    anns.expect(message_of(&ann.username, "no name needed")).await;
    anns.say(message_of(&bob.username, "I am Bob")).await;
    let refused = anns.next().await;
    assert_eq!(code(&refused), "identity_mismatch");
    assert_time(&refused["timestamp"]);
    anns.say(message_of(&ann.username, "I am Ann")).await;
    anns.expect(message_of(&ann.username, "I am Ann")).await;
    let listed = lines(&ann, &ann.username).await;
    assert_eq!(listed, ["no name needed", "I am Ann"]);
}

async fn names_are_checked(t: System) {
    let ann = t.user("ann").await;
    let gus = unique("gus");
    let mut guest = guest_window(&t, 0, &[&gus, &ann.username]).await;
    for (name, expected) in [
        (ann.username.clone(), "username_taken"),
        (ann.username.to_uppercase(), "username_taken"),
        ("admin".to_owned(), "username_taken"),
        (" ".to_owned(), "invalid_username"),
        ("a\u{202e}b".to_owned(), "invalid_username"),
        ("x".repeat(33), "invalid_username"),
    ] {
        guest.say(message_of(&name, "let me in")).await;
        assert_eq!(code(&guest.next().await), expected, "{name:?}");
        guest.say(joined(&name)).await;
        assert_eq!(code(&guest.next().await), expected, "{name:?}");
    }
    guest.say(message_of(&gus, "under a free name")).await;
    guest.expect(message_of(&gus, "under a free name")).await;
    // A guest's name takes nothing from anybody; but then it is that account's.
    let body = json!({ "username": gus, "password": "long enough" });
    t.rest().post("/register", body).await.ok();
    let mut late = guest_window(&t, 1, &[&gus]).await;
    late.say(message_of(&gus, "who am I?")).await;
    assert_eq!(code(&late.next().await), "username_taken");
}

async fn bad_frames_are_answered(t: System) {
    let gus = unique("gus");
    let mut guest = guest_window(&t, 1, &[&gus]).await;
    for (bad, expected) in [
        (json!({ "type": "chat_message", "username": gus }), "invalid_frame"),
        (json!({ "type": "chat_message", "message": "nobody says this" }), "invalid_frame"),
        (json!({ "type": "chat_message", "username": gus, "message": 7 }), "invalid_frame"),
        (json!({ "type": "chat_message", "username": [gus], "message": "x" }), "invalid_frame"),
        (json!({ "type": "user_joined" }), "invalid_frame"),
        (json!({ "type": "dance", "username": gus }), "unknown_type"),
        (message_of(&gus, ""), "invalid_text"),
        (message_of(&gus, &"ж".repeat(4001)), "invalid_text"),
    ] {
        guest.say(bad.clone()).await;
        let refused = guest.next().await;
        assert_eq!(code(&refused), expected, "{bad}");
        assert_time(&refused["timestamp"]);
    }
    guest.say(message_of(&gus, "the connection goes on")).await;
    guest.expect(message_of(&gus, "the connection goes on")).await;
}

/// What somebody said, as the lobby's list for one name shows it.
async fn lines(reader: &User, name: &str) -> Vec<String> {
    let page = reader.rest.get(&format!("/api/messages/user/{name}?limit=100")).await.ok();
    let all = page["messages"].as_array().expect("messages").clone();
    assert_eq!(page["total_messages"], all.len(), "{page}");
    all.iter().map(|one| one["message"].as_str().expect("a text").to_owned()).collect()
}

async fn ones_messages_are_listed(t: System) {
    let ann = t.user("ann").await;
    let gus = unique("gus");
    let mut guest = guest_window(&t, 0, &[&gus, &ann.username]).await;
    let mut anns = ann.window(1, "/ws").await.among(&[&gus, &ann.username]);
    guest.expect(joined(&ann.username)).await;
    guest.say(joined(&gus)).await;
    anns.expect(joined(&gus)).await;
    for number in 0..3 {
        for (window, name) in [(&mut guest, &gus), (&mut anns, &ann.username)] {
            let text = format!("{name} {number}");
            window.say(message_of(name, &text)).await;
            window.expect_until(message_of(name, &text)).await;
        }
    }
    for rest in t.rests() {
        let page = rest.get(&format!("/api/messages/user/{gus}?limit=2")).await.ok();
        let expected = json!({
            "username": gus, "total_messages": 3, "limit": 2,
            "messages": [{ "username": gus, "message": format!("{gus} 1"), "guest": true },
                         { "username": gus, "message": format!("{gus} 2"), "guest": true }],
        });
        assert!(contains(&page, &expected), "{page}");
        assert!(page["messages"][0]["id"].is_i64());
        assert_time(&page["messages"][0]["timestamp"]);
        let name = ann.username.to_uppercase();
        let page = rest.get(&format!("/api/messages/user/{name}")).await.ok();
        assert_eq!((&page["total_messages"], &page["limit"]), (&json!(3), &json!(50)));
        assert_eq!(page["messages"][0]["guest"], false);
    }
    t.rest().get("/api/messages/user/nobody_of_that_name").await.refused(404, "user_not_found");

    let recent = ann.rest.get("/api/messages/recent?limit=100").await.ok();
    assert_eq!(recent["limit"], 100);
    assert!(recent["total"].as_u64() >= Some(6), "{recent}");
    let ids: Vec<_> = recent["messages"].as_array().unwrap().iter().map(|m| &m["id"]).collect();
    assert!(ids.is_sorted_by_key(|id| id.as_i64()), "chronological: {ids:?}");
    // A good token is as welcome as none; a bad one is still refused.
    assert_eq!(t.rest().with_token("rubbish").get("/api/messages").await.status, 401);
}

async fn pages_have_limits(t: System) {
    let get = async |path: String| -> Answer { t.rest().get(&path).await };
    let base = "/api/messages";
    let lists = [base.to_owned(), format!("{base}/recent"), format!("{base}/user/admin")];
    for list in lists {
        for bad in ["0", "101", "-1", "x"] {
            get(format!("{list}?limit={bad}")).await.invalid("limit");
        }
        assert_eq!(get(list.clone()).await.ok()["limit"], 50);
    }
    for bad in ["-1", "x"] {
        get(format!("{base}?offset={bad}")).await.invalid("offset");
    }
    let far = get(format!("{base}?limit=1&offset=1000000000")).await.ok();
    assert!(contains(&far, &json!({ "messages": [], "limit": 1, "offset": 1_000_000_000 })));
}

/// Posts as a user, by REST.
async fn post(user: &User, text: &str) -> i64 {
    user.post(LOBBY, text).await.0
}

#[tokio::test]
async fn the_numbers_are_exact() {
    let t = System::start(Mode::Single).await;
    let stats = async || t.rest().get("/api/messages/stats").await.ok();
    let nothing = json!({
        "total_messages": 0, "total_users": 0, "most_active_user": null, "messages_today": 0,
        "average_message_length": 0.0,
    });
    assert!(contains(&stats().await, &nothing), "{}", stats().await);

    let (ann, bob) = (t.user("ann").await, t.user("bob").await);
    post(&ann, "aaaa").await;
    let longest = post(&bob, "жжжжжжж").await;
    post(&ann, "aaa").await;
    let gus = unique("gus");
    let mut guest = guest_window(&t, 0, &[&gus]).await;
    guest.say(message_of(&gus, "gg")).await;
    guest.expect(message_of(&gus, "gg")).await;
    // In another chat: not the lobby's.
    let group = ann.group("elsewhere", &[]).await;
    ann.post(group, "not counted").await;
    let four = json!({
        "total_messages": 4, "total_users": 3, "messages_today": 4, "average_message_length": 4.0,
        "most_active_user": { "username": ann.username, "message_count": 2 },
    });
    assert!(contains(&stats().await, &four), "{}", stats().await);

    let page = t.rest().get("/api/messages?limit=2&offset=1").await.ok();
    let expected = json!({
        "messages": [{ "username": bob.username, "message": "жжжжжжж" },
                     { "username": ann.username, "message": "aaa" }],
        "total": 4, "limit": 2, "offset": 1,
    });
    assert!(contains(&page, &expected), "{page}");
    let recent = t.rest().get("/api/messages/recent?limit=2").await.ok();
    let expected =
        json!({ "messages": [{ "message": "aaa" }, { "message": "gg" }], "total": 4, "limit": 2 });
    assert!(contains(&recent, &expected), "{recent}");

    bob.rest.delete(&format!("/chats/{LOBBY}/messages/{longest}")).await.ok();
    let three = json!({ "total_messages": 3, "total_users": 2, "average_message_length": 3.0 });
    assert!(contains(&stats().await, &three), "{}", stats().await);
    let page = t.rest().get(&format!("/api/messages/user/{}", bob.username)).await.ok();
    assert!(contains(&page, &json!({ "messages": [], "total_messages": 0 })), "{page}");
    let status = t.rest().get("/status").await.ok();
    assert_eq!(status["database"]["message_count"], 3, "the lobby's: {status}");
}
