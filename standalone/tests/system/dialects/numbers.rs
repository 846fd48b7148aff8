//! The dialect `numbers` and the REST paths of its clients: direct messages between numeric user ids, times in Unix seconds.

use super::{assert_seconds, bearer_dial, code, cookie, numbers_path};
use crate::harness::{Answer, PASSWORD, System, User, contains, unique, until_eq};
use protocol::{close::Close, id::UserId};
use serde_json::{Value, json};

in_both_modes!(
    an_account_is_made_and_its_names_are_taken,
    signing_in_gives_the_user_the_tokens_and_the_cookie,
    a_user_is_shown_without_the_email,
    a_message_reaches_every_device_of_its_receiver,
    frames_are_checked,
    only_the_own_socket_opens,
    the_conversation_is_the_two_peoples_only,
    the_conversation_comes_in_pages,
);

async fn register(t: &System, username: &str, email: &str) -> Answer {
    let body = json!({ "username": username, "email": email, "password": PASSWORD });
    t.rest().post("/users/register", body).await
}

/// A message in this dialect.
fn frame(from: &User, to: &User, content: &str) -> Value {
    json!({ "senderId": from.id, "receiverId": to.id, "content": content, "timestamp": 1_700_000_000 })
}

/// The same as it arrives: with the server's time.
fn arriving(from: &User, to: &User, content: &str) -> Value {
    json!({ "senderId": from.id, "receiverId": to.id, "content": content })
}

async fn an_account_is_made_and_its_names_are_taken(t: System) {
    let (ann, bob) = (unique("ann"), unique("bob"));
    let email = format!("{ann}@example.com");
    let answer = register(&t, &ann, &email).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let user = &answer.body;
    assert!(user["id"].is_i64(), "{user}");
    assert!(contains(user, &json!({ "username": ann, "email": email, "avatar": "" })), "{user}");
    assert!(matches!(user["status"].as_str(), Some("online" | "offline")), "{user}");

    let taken = register(&t, &bob, &email.to_uppercase()).await.refused(400, "email_taken");
    assert_eq!(taken.body["detail"], "Email already registered");
    let other = format!("{bob}@example.com");
    let taken = register(&t, &ann.to_uppercase(), &other).await.refused(400, "username_taken");
    assert_eq!(taken.body["detail"], "Username already registered");
    let body = json!({ "username": bob, "password": PASSWORD });
    t.rest().post("/users/register", body).await.invalid("email");
    register(&t, &bob, "no address").await.invalid("email");
}

async fn signing_in_gives_the_user_the_tokens_and_the_cookie(t: System) {
    let username = unique("ann");
    let email = format!("{username}@example.com");
    let id = register(&t, &username, &email).await.ok()["id"].clone();
    let sign_in = async |email: &str, password: &str| {
        t.rest().post("/users/login", json!({ "email": email, "password": password })).await
    };
    let answer = sign_in(&email, PASSWORD).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let user =
        json!({ "id": id, "username": username, "email": email, "avatar": "", "status": "online" });
    assert!(contains(&answer.body, &user), "{answer:?}");
    let token = answer.body["access_token"].as_str().expect("a token");
    assert_eq!(t.rest().with_token(token).get("/me").await.ok()["id"], id);
    let page = t.rest().request(reqwest::Method::GET, "/me").header("cookie", cookie(&answer));
    assert_eq!(crate::harness::Rest::send(page).await.ok()["id"], id);

    let nobody = format!("{}@example.com", unique("nobody"));
    for (email, password) in [(email.as_str(), "not the password"), (nobody.as_str(), PASSWORD)] {
        let refused = sign_in(email, password).await.refused(401, "invalid_credentials");
        assert_eq!(refused.body["detail"], "Invalid credentials");
    }
}

async fn a_user_is_shown_without_the_email(t: System) {
    let username = unique("ann");
    let email = format!("{username}@example.com");
    let ann = User::signed_in(&t, &register(&t, &username, &email).await.ok());
    let (bob, admin) = (t.user("bob").await, t.admin().await);
    let path = format!("/users/{}", ann.id);
    for (viewer, shown) in [(&ann, email.as_str()), (&admin, &email), (&bob, "")] {
        let user = viewer.rest.get(&path).await.ok();
        let expected = json!({ "id": ann.id, "username": username, "email": shown, "avatar": "" });
        assert!(contains(&user, &expected), "{user}");
        assert_eq!(user["status"], "offline");
    }
    // Connected in whatever window, on whatever gateway: online, as every api tells.
    let _phone = ann.window(1, &numbers_path(&ann)).await;
    for rest in t.rests() {
        let rest = rest.with_token(&bob.token);
        let status = async || rest.get(&path).await.ok()["status"].clone();
        until_eq("Ann to be online", json!("online"), status).await;
    }
    let nobody = bob.rest.get("/users/987654321").await.refused(404, "user_not_found");
    assert_eq!(nobody.body["detail"], "User not found");
}

async fn a_message_reaches_every_device_of_its_receiver(t: System) {
    let (ann, bob) = (t.user("ann").await, t.user("bob").await);
    let mut anns =
        [ann.window(0, &numbers_path(&ann)).await, ann.window(1, &numbers_path(&ann)).await];
    let mut bobs =
        [bob.window(1, &numbers_path(&bob)).await, bob.front_window(&numbers_path(&bob)).await];

    // The two have never talked before: the very first message arrives.
    anns[0].say(frame(&ann, &bob, "hi")).await;
    for device in &mut bobs {
        let got = device.expect(arriving(&ann, &bob, "hi")).await;
        assert_seconds(&got["timestamp"]);
    }
    bobs[0].say(frame(&bob, &ann, "hi, Ann")).await;
    for device in &mut anns {
        // Its sender's devices have not seen "hi".
        device.expect(arriving(&bob, &ann, "hi, Ann")).await;
    }
    anns[1].say(frame(&ann, &bob, "how are you?")).await;
    for device in &mut bobs {
        device.expect(arriving(&ann, &bob, "how are you?")).await;
    }
    let path = format!("/messages/{}/{}", ann.id, bob.id);
    let stored = ann.rest.get(&path).await.ok();
    let said = json!([
        arriving(&ann, &bob, "hi"),
        arriving(&bob, &ann, "hi, Ann"),
        arriving(&ann, &bob, "how are you?"),
    ]);
    assert!(contains(&stored, &said), "{stored}");
    for message in stored.as_array().expect("an array") {
        assert_seconds(&message["timestamp"]);
    }
}

async fn frames_are_checked(t: System) {
    let (ann, bob) = (t.user("ann").await, t.user("bob").await);
    let mut phone = ann.window(0, &numbers_path(&ann)).await;
    let mut other = bob.window(1, &numbers_path(&bob)).await;
    let nobody =
        json!({ "senderId": ann.id, "receiverId": 987_654_321, "content": "x", "timestamp": 1 });
    let missing = json!({ "senderId": ann.id, "content": "x" });
    let typed = json!({ "senderId": ann.id, "receiverId": [bob.id], "content": 7, "timestamp": 1 });
    for bad in [missing, typed, json!({})] {
        phone.say(bad.clone()).await;
        assert_eq!(code(&phone.next().await), "invalid_frame", "{bad}");
    }
    let rules = [
        (nobody, "recipient_not_found"),
        (frame(&ann, &ann, "to myself"), "recipient_is_yourself"),
        (frame(&ann, &bob, "  "), "invalid_text"),
        (frame(&ann, &bob, &"ж".repeat(4001)), "invalid_text"),
        (frame(&bob, &ann, "not me"), "identity_mismatch"),
    ];
    for (bad, expected) in rules {
        phone.say(bad.clone()).await;
        assert_eq!(code(&phone.next().await), expected, "{bad}");
    }
    // The connection goes on, and nothing of that was sent.
    phone.say(frame(&ann, &bob, "better")).await;
    other.expect(arriving(&ann, &bob, "better")).await;
    let path = format!("/messages/{}/{}", bob.id, ann.id);
    assert_eq!(ann.rest.get(&path).await.ok().as_array().map(Vec::len), Some(1));
}

async fn only_the_own_socket_opens(t: System) {
    let (ann, bob) = (t.user("ann").await, t.user("bob").await);
    for node in [0, 1] {
        let mut spy = bob.window(node, &numbers_path(&ann)).await;
        spy.expect_only_close(Close::OtherUser).await;
        let dial = bearer_dial(&t, node, "/messages/987654321", &ann.token);
        dial.open().await.unwrap().expect_close(Close::OtherUser).await;
    }
}

async fn the_conversation_is_the_two_peoples_only(t: System) {
    let (ann, bob, eve) = (t.user("ann").await, t.user("bob").await, t.user("eve").await);
    let path = |one: UserId, other: UserId| format!("/messages/{one}/{other}");
    assert_eq!(ann.rest.get(&path(ann.id, bob.id)).await.ok(), json!([]), "no word yet");
    let chat = ann.private(&bob).await;
    ann.post(chat, "for Bob only").await;
    let said = json!([arriving(&ann, &bob, "for Bob only")]);
    for (reader, one, other) in
        [(&ann, ann.id, bob.id), (&ann, bob.id, ann.id), (&bob, ann.id, bob.id)]
    {
        let got = reader.rest.get(&path(one, other)).await.ok();
        assert!(contains(&got, &said), "{got}");
    }
    let admin = t.admin().await.rest.get(&path(ann.id, bob.id)).await.ok();
    assert!(contains(&admin, &said), "{admin}");
    assert_eq!(eve.rest.get(&path(ann.id, bob.id)).await.status, 403);
    assert_eq!(eve.rest.get(&path(bob.id, ann.id)).await.status, 403);
    assert_eq!(t.rest().get(&path(ann.id, bob.id)).await.status, 401);
}

async fn the_conversation_comes_in_pages(t: System) {
    let (ann, bob) = (t.user("ann").await, t.user("bob").await);
    let chat = ann.private(&bob).await;
    for number in 0..5 {
        let sender = if number % 2 == 0 { &ann } else { &bob };
        sender.post(chat, &format!("number {number}")).await;
    }
    let base = format!("/messages/{}/{}", ann.id, bob.id);
    let page = async |query: &str| {
        let page = bob.rest.get(&format!("{base}?{query}")).await.ok();
        let all = page.as_array().expect("an array").clone();
        let numbers = all.iter().map(|one| one["content"].as_str().unwrap()[7..].to_owned());
        (numbers.collect::<Vec<_>>(), all.first().map(|oldest| oldest["id"].clone()))
    };
    let (all, _) = page("").await;
    assert_eq!(all, ["0", "1", "2", "3", "4"], "oldest first");
    let (newest, oldest) = page("limit=2").await;
    assert_eq!(newest, ["3", "4"]);
    let (before, oldest) = page(&format!("limit=2&before={}", oldest.unwrap())).await;
    assert_eq!(before, ["1", "2"]);
    let (first, _) = page(&format!("before={}", oldest.unwrap())).await;
    assert_eq!(first, ["0"]);
    for bad in ["limit=0", "limit=1001", "limit=x"] {
        bob.rest.get(&format!("{base}?{bad}")).await.invalid("limit");
    }
    bob.rest.get(&format!("{base}?before=x")).await.invalid("before");
}
