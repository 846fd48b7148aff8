//! Bad input: it is refused with a stable code, nothing of it is stored, the connection stays up,
//! and nobody else notices.

use crate::harness::{Answer, Dial, Rest, Socket, System, want::*};
use protocol::{
    close::Close,
    frames::{ClientFrame, ServerFrame},
    id::ChatId,
    limits::MAX_TEXT_CHARS,
};
use reqwest::Method;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

in_both_modes!(
    malformed_frames_are_answered,
    texts_are_checked,
    unknown_and_foreign_chats_are_refused,
    a_frame_before_hello_is_refused,
    an_oversized_frame_closes_the_socket,
    repeated_abuse_closes_the_socket,
    too_fast_frames_are_slowed_down,
    absurd_lists_are_refused,
    malformed_requests_are_refused,
    names_are_checked,
    oversized_bodies_are_refused,
);
behind_haproxy!(
    malformed_frames_are_answered,
    an_oversized_frame_closes_the_socket,
    malformed_requests_are_refused,
    names_are_checked,
    oversized_bodies_are_refused,
);

#[tokio::test]
async fn no_hello_closes_the_socket() {
    let t = System::single(&[]).await;
    let mut socket = Dial::new(t.front()).open().await.unwrap();
    socket.expect_close(Close::HelloTimeout).await;
}

/// Sends this text and gives the code of the error that answers it.
async fn refusal(socket: &mut Socket, frame: &str) -> String {
    socket.say_text(frame).await;
    socket.error_code().await
}

async fn malformed_frames_are_answered(t: System) {
    let ann = t.user("ann").await;
    let chat = ann.group("notes", &[]).await;
    let mut socket = ann.socket().await;

    assert_eq!(refusal(&mut socket, r#"{"type":"dance"}"#).await, "unknown_type");
    let broken = ["", "{", "null", "[]", "7", r#""send""#, "{}", r#"{"type":7}"#, "\u{0}"];
    for frame in broken {
        assert_eq!(refusal(&mut socket, frame).await, "malformed", "{frame:?}");
    }
    socket.expect_alive().await;
    let mut socket = ann.socket().await;
    let wrong = [
        json!({ "type": "send" }),
        json!({ "type": "send", "chat_id": "one", "text": "x" }),
        json!({ "type": "send", "chat_id": chat, "text": 7 }),
        json!({ "type": "send", "chat_id": 1e300, "text": "x" }),
        json!({ "type": "edit", "chat_id": chat, "message_id": null, "text": "x" }),
        json!({ "type": "subscribe", "chat_id": [chat] }),
    ];
    for frame in wrong {
        assert_eq!(refusal(&mut socket, &frame.to_string()).await, "invalid_frame", "{frame}");
    }
    socket.say_text(json!({ "type": "ping", "id": "p", "unknown": [1, 2] }).to_string()).await;
    assert_eq!(socket.frame().await, ServerFrame::Pong { id: Some("p".to_owned()) });
    assert!(ann.texts(chat).await.is_empty());
}

async fn texts_are_checked(t: System) {
    let (ann, bob) = (t.user("ann").await, t.user("bob").await);
    let chat = ann.group("team", &[&bob]).await;
    let mut phone = ann.connect_to(0).await;
    let mut other = bob.connect_to(1).await;
    let longest = "ж".repeat(MAX_TEXT_CHARS);
    let path = format!("/chats/{chat}/messages");

    for bad in
        ["", "   ", "\u{3164}", "\u{200b}\n\u{2800}", "\u{0}", "a\u{0}b", &format!("{longest}x")]
    {
        assert_eq!(phone.try_send(chat, bad).await.unwrap_err().code, "invalid_text", "{bad:?}");
        ann.rest.post(&path, json!({ "text": bad })).await.invalid("text");
    }
    let id = phone.send(chat, &longest).await.message_id;
    for bad in ["", "\u{2060}"] {
        assert_eq!(phone.edit(chat, id, bad).await.unwrap_err().code, "invalid_text", "{bad:?}");
    }
    other.expect(message(&longest)).await;
    phone.send(chat, "line\nbreaks\tand 👩‍👩‍👧‍👦 are fine").await;
    assert_eq!(bob.texts(chat).await.len(), 2);

    let long_id = "x".repeat(65);
    for id in ["", "a\nb", &long_id] {
        let body = json!({ "text": "x", "client_message_id": id });
        assert_eq!(ann.rest.post(&path, body).await.status, 422, "{id:?}");
    }
    assert_eq!(bob.texts(chat).await.len(), 2);
}

async fn unknown_and_foreign_chats_are_refused(t: System) {
    let (ann, eve) = (t.user("ann").await, t.user("eve").await);
    let chat = ann.group("secrets", &[]).await;
    let mut spy = eve.connect_to(1).await;
    for unknown in [0, -1, 987_654_321, i64::MAX, i64::MIN] {
        let refused = spy.try_send(ChatId(unknown), "x").await.unwrap_err();
        assert_eq!(refused.code, "chat_not_found", "{unknown}");
    }
    assert_eq!(spy.try_send(chat, "x").await.unwrap_err().code, "not_a_member");
    let answer = eve.rest.post(&format!("/chats/{chat}/messages"), json!({ "text": "x" })).await;
    answer.refused(403, "not_a_member");
    assert!(ann.texts(chat).await.is_empty());
}

async fn a_frame_before_hello_is_refused(t: System) {
    let ann = t.user("ann").await;
    let chat = ann.group("notes", &[]).await;
    let mut socket = Dial::new(t.front()).open().await.unwrap();
    let send = json!({ "type": "send", "id": "x", "chat_id": chat, "text": "too early" });
    socket.say_text(send.to_string()).await;
    assert_eq!(socket.error_code().await, "hello_required");
    socket.hello(Some(&ann.token), None).await;
    let came = json!(socket.expect_alive().await);
    let of_it = |frame: &Value| frame["type"] == "ack" || frame["type"] == "message";
    assert!(!came.as_array().unwrap().iter().any(of_it), "of the early frame: {came}");
    assert!(ann.texts(chat).await.is_empty());
}

async fn an_oversized_frame_closes_the_socket(t: System) {
    let ann = t.user("ann").await;
    // The reason must arrive although the server leaves most of the frame unread.
    for _ in 0..10 {
        let mut socket = ann.socket().await;
        socket.say_text("x".repeat(1024 * 1024)).await;
        socket.expect_close(Close::FrameTooBig).await;
    }
}

async fn repeated_abuse_closes_the_socket(t: System) {
    let ann = t.user("ann").await;
    let mut socket = ann.socket().await;
    socket.say_message(Message::binary(vec![1, 2, 3])).await;
    assert_eq!(socket.error_code().await, "text_only", "one binary frame is forgiven");
    socket.expect_alive().await;
    for _ in 0..200 {
        socket.say_message(Message::binary(vec![0; 100])).await;
    }
    socket.expect_close(Close::Abuse).await;
}

async fn too_fast_frames_are_slowed_down(t: System) {
    const MANY: usize = 240;
    let ann = t.user("ann").await;
    let chat = ann.group("notes", &[]).await;
    let mut phone = ann.connect().await;
    // 200 at once are allowed, 50 refusals are forgiven.
    for number in 0..MANY {
        phone.submit(chat, &format!("number {number}")).await;
    }
    let (id, wait) = phone.expect(error("rate_limited")).await;
    assert!(id.is_some());
    assert!(wait.is_some_and(|wait| wait > 0), "it says when to come back: {wait:?}");
    while phone.track.in_flight() > 0 {
        phone.pump().await;
    }
    assert_eq!(phone.connections, 1);
    assert_eq!(ann.messages(chat).await.len(), MANY, "who waits gets everything through");
}

async fn absurd_lists_are_refused(t: System) {
    let ann = t.user("ann").await;
    let chat = ann.group("notes", &[]).await;
    let lists = [
        (format!("/chats/{chat}/messages"), vec!["limit"]),
        (format!("/history/{chat}"), vec!["limit", "offset"]),
        ("/rooms".to_owned(), vec!["limit"]),
        ("/users".to_owned(), vec!["limit"]),
    ];
    for (path, fields) in lists {
        for field in fields {
            for absurd in ["-1", "x", "1e9", "99999999999999999999"] {
                ann.rest.get(&format!("{path}?{field}={absurd}")).await.invalid(field);
            }
        }
        for absurd in [0, 1_000_000] {
            ann.rest.get(&format!("{path}?limit={absurd}")).await.invalid("limit");
        }
    }
    let path = format!("/chats/{chat}/messages");
    for cursor in ["after=x", "before=x", "after=9999999999999999999999"] {
        assert_eq!(ann.rest.get(&format!("{path}?{cursor}")).await.status, 422, "{cursor}");
    }
}

async fn malformed_requests_are_refused(t: System) {
    let ann = t.user("ann").await;
    let post = async |path: &str, body: &str, kind: &str| -> Answer {
        let request = ann.rest.request(Method::POST, path);
        Rest::send(request.header("content-type", kind).body(body.to_owned())).await
    };
    post("/chats", "{", "application/json").await.refused(400, "malformed_json");
    post("/chats", "{}", "text/plain").await.refused(415, "unsupported_media_type");
    post("/chats", r#"{"chat_type":"zoo","member_ids":[]}"#, "application/json")
        .await
        .invalid("chat_type");
    post("/chats", r#"{"chat_type":"group","member_ids":"all"}"#, "application/json")
        .await
        .invalid("member_ids");
    ann.rest.get("/chats/one").await.refused(422, "validation_failed");
    assert_eq!(ann.rest.get("/no/such/path").await.status, 404);
    assert_eq!(ann.rest.patch("/chats", json!({})).await.status, 405);
    for path in ["/me", "/chats", "/me/sessions"] {
        let answer = t.rest().get(path).await;
        assert_eq!(answer.status, 401, "{path}");
    }
}

async fn names_are_checked(t: System) {
    let ann = t.user("ann").await;
    for bad in ["", " ", "a\nb", "a\u{0}", "a\u{202e}b", &"x".repeat(1000)] {
        let body = json!({ "username": bad, "password": "long enough" });
        t.rest().post("/register", body).await.invalid("username");
    }
    for bad in ["", " ", "a\nb", "a\u{0}", &"x".repeat(1000)] {
        let body = json!({ "name": bad, "chat_type": "group", "member_ids": [] });
        ann.rest.post("/chats", body).await.invalid("name");
    }
    let body = json!({ "username": ann.username.to_uppercase(), "password": "long enough" });
    assert_eq!(t.rest().post("/register", body).await.status, 400, "taken, whatever the case");
    let body = json!({ "username": "shorty", "password": "short" });
    t.rest().post("/register", body).await.invalid("password");
}

async fn oversized_bodies_are_refused(t: System) {
    let ann = t.user("ann").await;
    let chat = ann.group("notes", &[]).await;
    let body: Value = json!({ "text": "x".repeat(300_000) });
    let answer = ann.rest.post(&format!("/chats/{chat}/messages"), body).await;
    assert_eq!(answer.status, 413, "{answer:?}");
    assert!(ann.texts(chat).await.is_empty());
}

#[tokio::test]
async fn an_answer_to_a_bad_frame_names_it() {
    let t = System::single(&[]).await;
    let mut socket = t.user("ann").await.socket().await;
    let frame = ClientFrame::Send {
        id: Some("mine".to_owned()),
        chat_id: ChatId(987_654_321),
        text: "x".to_owned(),
        reply_to: None,
    };
    socket.say(&frame).await;
    let answer = socket.frame().await;
    assert!(
        matches!(&answer, ServerFrame::Error { id: Some(id), code, .. } if id == "mine" && code == "chat_not_found"),
        "{answer:?}"
    );
}
