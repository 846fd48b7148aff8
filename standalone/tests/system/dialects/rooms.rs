//! The dialect `chat` in public rooms, from a page with a session cookie.

use super::{assert_time, code, cookie, page_dial};
use crate::harness::{
    Answer, DialectSocket, PASSWORD, Rest, System, User, contains, unique, until_eq,
};
use protocol::{close::Close, id::ChatId};
use reqwest::Method;
use serde_json::{Value, json};

in_both_modes!(
    an_account_is_made_and_signs_in_with_a_cookie,
    signing_out_ends_it_all,
    everyone_in_a_room_gets_everything,
    what_a_frame_says_must_match,
    rooms_are_made_renamed_and_deleted,
    the_page_is_there,
);
behind_haproxy!(an_account_is_made_and_signs_in_with_a_cookie, everyone_in_a_room_gets_everything,);

/// Somebody with the page open: a user and its session cookie.
struct Visitor {
    user: User,
    cookie: String,
}

impl Visitor {
    async fn new(t: &System, name: &str) -> Self {
        let user = t.user(name).await;
        let body = json!({ "username": user.username, "password": PASSWORD });
        let cookie = cookie(&t.rest().post("/login", body).await);
        Self { user, cookie }
    }

    async fn enter(&self, t: &System, node: usize, room: ChatId) -> DialectSocket {
        let dial = page_dial(t, node, &format!("/ws/{room}"), &self.cookie);
        DialectSocket::open(&self.user.username, &dial).await
    }

    /// A frame as the page writes it.
    fn says(&self, room: ChatId, content: &str) -> Value {
        let Self { user, .. } = self;
        json!({ "content": content, "room_id": room, "user_id": user.id, "username": user.username })
    }

    /// The same as everybody gets it, under the names of both kinds of clients that use this path.
    fn message_of(&self, room: ChatId, content: &str) -> Value {
        let Self { user, .. } = self;
        json!({
            "type": "message", "chat_id": room, "room_id": room, "sender_id": user.id,
            "user_id": user.id, "username": user.username, "text": content, "content": content,
        })
    }

    async fn call(&self, t: &System, method: Method, path: &str) -> Answer {
        let own = format!("http://{}", t.front());
        let request = t.rest().request(method, path).header("cookie", &self.cookie);
        Rest::send(request.header("origin", own)).await
    }
}

async fn an_account_is_made_and_signs_in_with_a_cookie(t: System) {
    let username = unique("ann");
    let body = json!({ "username": username, "password": PASSWORD });
    let made = t.rest().post("/register", body.clone()).await;
    assert_eq!(made.status, 201, "{made:?}");
    assert!(contains(&made.body, &json!({ "username": username })), "{made:?}");
    let again = t.rest().post("/register", body.clone()).await.refused(400, "username_taken");
    assert!(again.body["message"].is_string());

    let answer = t.rest().post("/login", body).await;
    assert_eq!(answer.status, 200);
    let set = answer.headers["set-cookie"].to_str().unwrap();
    assert!(set.contains("HttpOnly") && set.contains("SameSite=Lax") && set.contains("Path=/"));
    let me = t.rest().request(Method::GET, "/me").header("cookie", cookie(&answer));
    let me = Rest::send(me).await.ok();
    assert_eq!((&me["id"], &me["username"]), (&made.body["id"], &json!(username)));
    let token = answer.body["access_token"].as_str().unwrap();
    assert_eq!(t.rest().with_token(token).get("/me").await.ok(), me);
    t.rest().get("/me").await.refused(401, "unauthenticated");
}

async fn signing_out_ends_it_all(t: System) {
    let ann = Visitor::new(&t, "ann").await;
    let room = ann.user.room("square").await;
    let mut windows = [ann.enter(&t, 0, room).await, ann.enter(&t, 1, room).await];
    let evil = t.rest().request(Method::POST, "/logout").header("cookie", &ann.cookie);
    Rest::send(evil.header("origin", "https://evil.example")).await.refused(403, "wrong_origin");
    let answer = ann.call(&t, Method::POST, "/logout").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let set = answer.headers["set-cookie"].to_str().unwrap();
    assert!(set.starts_with("session=;") && set.contains("Max-Age=0"), "{set}");
    for window in &mut windows {
        window.expect_only_close(Close::SessionEnded).await;
    }
    for rest in t.rests() {
        let me = || Rest::send(rest.request(Method::GET, "/me").header("cookie", &ann.cookie));
        until_eq("every api to know", 401, async || me().await.status).await;
        me().await.refused(401, "session_ended");
    }
    let dial = page_dial(&t, 1, &format!("/ws/{room}"), &ann.cookie);
    dial.open().await.unwrap().expect_close(Close::SessionEnded).await;
}

async fn everyone_in_a_room_gets_everything(t: System) {
    let (ann, bob, cat) = (
        Visitor::new(&t, "ann").await,
        Visitor::new(&t, "bob").await,
        Visitor::new(&t, "cat").await,
    );
    let room = ann.user.room("square").await;
    let other = ann.user.room("another").await;
    // Bob and Cat are no members: the room is public.
    let mut windows =
        [ann.enter(&t, 0, room).await, bob.enter(&t, 1, room).await, cat.enter(&t, 0, room).await];
    let mut elsewhere = bob.enter(&t, 1, other).await;
    for (place, visitor) in [&ann, &bob, &cat].into_iter().enumerate() {
        let text = format!("from {}", visitor.user.username);
        windows[place].say(visitor.says(room, &text)).await;
        let mut seen = Vec::new();
        for window in &mut windows {
            seen.push(window.expect(visitor.message_of(room, &text)).await);
        }
        assert!(seen.iter().all(|frame| *frame == seen[0]), "one frame for all: {seen:?}");
        assert!(seen[0]["id"].is_i64());
        assert_time(&seen[0]["timestamp"]);
    }
    let mut anns = ann.enter(&t, 0, other).await;
    anns.say(ann.says(other, "over here")).await;
    elsewhere.expect(ann.message_of(other, "over here")).await;
    // Only the content is needed.
    windows[1].say(json!({ "content": "short" })).await;
    for window in &mut windows {
        window.expect(bob.message_of(room, "short")).await;
    }
}

async fn what_a_frame_says_must_match(t: System) {
    let (ann, bob) = (Visitor::new(&t, "ann").await, Visitor::new(&t, "bob").await);
    let (room, other) = (ann.user.room("square").await, ann.user.room("another").await);
    let mut anns = ann.enter(&t, 0, room).await;
    let mut watcher = bob.enter(&t, 1, room).await;
    let with = |field: &str, value: Value| {
        let mut frame = ann.says(room, "forged");
        frame[field] = value;
        frame
    };
    for (frame, expected) in [
        (with("room_id", json!(other)), "room_mismatch"),
        (with("user_id", json!(bob.user.id)), "identity_mismatch"),
        (with("username", json!(bob.user.username)), "identity_mismatch"),
        (bob.says(room, "I am Bob"), "identity_mismatch"),
        (with("content", json!("  ")), "invalid_text"),
        (with("content", json!(7)), "invalid_frame"),
        (json!({ "room_id": room }), "invalid_frame"),
        (json!({ "type": "dance", "content": "x" }), "unknown_type"),
    ] {
        anns.say(frame.clone()).await;
        let refused = anns.next().await;
        assert_eq!(code(&refused), expected, "{frame}");
        assert_time(&refused["timestamp"]);
    }
    anns.say(ann.says(room, "genuine")).await;
    watcher.expect(ann.message_of(room, "genuine")).await;
    assert_eq!(ann.user.texts(room).await, ["genuine"]);
}

async fn rooms_are_made_renamed_and_deleted(t: System) {
    let (ann, bob) = (Visitor::new(&t, "ann").await, Visitor::new(&t, "bob").await);
    let room = ann.user.room("old name").await;
    let mut windows = [ann.enter(&t, 0, room).await, bob.enter(&t, 1, room).await];
    ann.user.rename(room, "new name").await;
    assert_eq!(bob.user.chat(room).await["name"], "new name");
    bob.user.rest.delete(&format!("/chats/{room}")).await.refused(403, "not_the_owner");
    windows[1].say(bob.says(room, "still here")).await;
    for window in &mut windows {
        window.expect(bob.message_of(room, "still here")).await;
    }
    ann.user.delete_chat(room).await;
    for window in &mut windows {
        window.expect_only_close(Close::ChatNotFound).await;
    }
    bob.enter(&t, 0, room).await.expect_only_close(Close::ChatNotFound).await;
}

async fn the_page_is_there(t: System) {
    let answer = t.rest().request(Method::GET, "/").send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("text/html"));
}
