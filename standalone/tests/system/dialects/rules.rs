//! The rules of every dialect's sockets and paths: where credentials may be, how a refusal looks,
//! how large a frame may be, what nonsense gets.

use super::{LOBBY, Paths, bearer_dial, code, cookie, page_dial};
use crate::harness::{Dial, DialectSocket, PASSWORD, Rest, Socket, System, User, until_eq};
use api::auth::tokens::Subject;
use protocol::{
    account::Role,
    close::Close,
    id::{ChatId, SessionId},
    time::Timestamp,
};
use reqwest::{
    Method,
    header::{COOKIE, ORIGIN},
};
use serde_json::{Value, json};
use std::time::Duration;
use tokio_tungstenite::tungstenite::Message;

in_both_modes!(
    credentials_come_by_header_query_and_cookie,
    sockets_without_good_credentials_are_closed,
    paths_that_are_none,
    nonsense_is_answered_in_the_dialect,
    a_frame_too_big_closes,
    abuse_closes,
    dialects_share_the_shape_of_errors,
    cookies_change_nothing_from_other_sites,
);
behind_haproxy!(
    credentials_come_by_header_query_and_cookie,
    paths_that_are_none,
    cookies_change_nothing_from_other_sites,
);

/// Ann, and a chat of hers.
async fn ann_and_chat(t: &System) -> (User, ChatId, Paths) {
    let ann = t.user("ann").await;
    let chat = ann.group("notes", &[]).await;
    let paths = Paths::of(&ann, chat);
    (ann, chat, paths)
}

/// That a socket is open, and nothing came before this was asked.
async fn assert_open(dial: &Dial, what: &str) {
    let mut window = DialectSocket::open(what, dial).await.among(&[]);
    super::nothing_came(&mut window).await;
}

async fn credentials_come_by_header_query_and_cookie(t: System) {
    let (ann, _, paths) = ann_and_chat(&t).await;
    let body = json!({ "username": ann.username, "password": PASSWORD });
    let cookie = cookie(&t.rest().post("/login", body).await);
    for path in paths.all() {
        for node in [0, 1] {
            assert_open(&bearer_dial(&t, node, path, &ann.token), "by header").await;
            assert_open(&page_dial(&t, node, path, &cookie), "by cookie").await;
            let query = Dial::new(t.node(node)).at(path).query(&format!("token={}", ann.token));
            assert_open(&query, "by query").await;
        }
        let front = Dial::new(t.front()).at(path).query(&format!("token={}", ann.token));
        assert_open(&front, "through the load balancer").await;
        let foreign = Dial::new(t.front()).at(path).header(COOKIE, &cookie);
        let foreign = foreign.header(ORIGIN, "https://evil.example");
        foreign.open().await.unwrap().expect_close(Close::WrongOrigin).await;
    }
    assert!(t.logs_with(&ann.token).is_empty(), "a token reached {:?}", t.logs_with(&ann.token));
    let secret = cookie.split('=').nth(1).unwrap();
    assert!(t.logs_with(secret).is_empty(), "a cookie reached {:?}", t.logs_with(secret));
}

async fn sockets_without_good_credentials_are_closed(t: System) {
    let (ann, chat, paths) = ann_and_chat(&t).await;
    let refused = async |dial: Dial, close: Close| {
        dial.open().await.expect("the upgrade").expect_close(close).await;
    };
    for path in paths.all() {
        for node in [0, 1] {
            if path != paths.lobby {
                refused(Dial::new(t.node(node)).at(path), Close::Unauthenticated).await;
            }
            // Nobody becomes a guest by a bad token.
            refused(bearer_dial(&t, node, path, "rubbish"), Close::Unauthenticated).await;
            let query = Dial::new(t.node(node)).at(path).query("token=");
            refused(query, Close::Unauthenticated).await;
        }
    }
    // A bad token is told before anything about the chat.
    refused(bearer_dial(&t, 0, "/ws/987654321", "rubbish"), Close::Unauthenticated).await;
    refused(bearer_dial(&t, 0, "/ws/987654321", &ann.token), Close::ChatNotFound).await;
    let bob = t.user("bob").await;
    refused(bearer_dial(&t, 1, &format!("/ws/{chat}"), &bob.token), Close::NotAMember).await;
}

async fn paths_that_are_none(t: System) {
    let ann = t.user("ann").await;
    for path in
        ["/ws/", "/ws/one", "/ws/-1", "/ws/99999999999999999999", "/messages/me", "/nowhere"]
    {
        for at in [t.node(0), t.front()] {
            let dial = Dial::new(at).at(path).query(&format!("token={}", ann.token));
            match dial.open().await {
                Err(tokio_tungstenite::tungstenite::Error::Http(answer)) => {
                    assert_eq!(answer.status(), 404, "{path}");
                }
                other => panic!("{path}: {other:?}"),
            }
        }
    }
    // Without the upgrade, there is no socket: some of these paths are nothing, or need two ids.
    for path in ["/ws", "/ws/chat", "/ws/1", "/messages/1"] {
        let answer = ann.rest.get(path).await;
        assert!(matches!(answer.status, 404 | 405 | 426), "{path}: {answer:?}");
    }
}

/// What is no frame of any dialect, and the code it gets.
const NONSENSE: [(&str, &str); 6] = [
    ("", "malformed"),
    ("{", "malformed"),
    ("[]", "malformed"),
    ("7", "malformed"),
    ("\"message\"", "malformed"),
    ("null", "malformed"),
];

async fn nonsense_is_answered_in_the_dialect(t: System) {
    let (ann, chat, paths) = ann_and_chat(&t).await;
    let mut guest =
        DialectSocket::open("a guest", &Dial::new(t.node(1)).at("/ws")).await.among(&[]);
    for (text, expected) in NONSENSE {
        guest.socket().say_text(text).await;
        assert_eq!(code(&guest.next().await), expected, "{text:?}");
    }
    for path in paths.all() {
        let mut window = ann.window(0, path).await.among(&[]);
        let read_code = |frame: Value| match path {
            "/ws/chat" => {
                assert_eq!(frame["status"], "error", "{frame}");
                assert!(frame["error"].is_string(), "{frame}");
                frame["code"].as_str().expect("a code").to_owned()
            }
            _ => code(&frame),
        };
        for (text, expected) in NONSENSE {
            window.socket().say_text(text).await;
            assert_eq!(read_code(window.next().await), expected, "{path} {text:?}");
        }
        window.socket().say_message(Message::binary(vec![1, 2, 3])).await;
        assert_eq!(read_code(window.next().await), "text_only", "{path}");
        window.say(json!({ "unknown": [1, 2, { "deep": null }] })).await;
        let given = read_code(window.next().await);
        assert!(matches!(given.as_str(), "invalid_frame" | "malformed"), "{path}: {given}");
    }
    assert!(ann.texts(chat).await.is_empty());
}

async fn a_frame_too_big_closes(t: System) {
    let (ann, chat, paths) = ann_and_chat(&t).await;
    for path in paths.all() {
        let mut window = ann.window(0, path).await;
        window.socket().say_text("x".repeat(1024 * 1024)).await;
        window.expect_close(Close::FrameTooBig).await;
    }
    // Bounded, but never smaller than the longest text in the longest spelling.
    let mut window = ann.window(1, &paths.chat).await;
    let longest: String = "\\ud83d\\ude00".repeat(4000);
    window.socket().say_text(format!(r#"{{"type":"message","text":"{longest}"}}"#)).await;
    window.expect(json!({ "text": "😀".repeat(4000) })).await;
    assert_eq!(ann.texts(chat).await.len(), 1);
}

async fn abuse_closes(t: System) {
    let (ann, _, paths) = ann_and_chat(&t).await;
    let flood = async |mut socket: Socket| {
        for _ in 0..200 {
            socket.say_text("nonsense").await;
        }
        socket.expect_close(Close::Abuse).await;
    };
    for path in paths.all() {
        flood(bearer_dial(&t, 0, path, &ann.token).open().await.unwrap()).await;
    }
    flood(Dial::new(t.node(1)).at("/ws").open().await.unwrap()).await;
}

async fn dialects_share_the_shape_of_errors(t: System) {
    let ann = t.user("ann").await;
    let chat = ann.group("notes", &[]).await;
    let anonymous = [
        format!("/messages/{}/{}", ann.id, ann.id),
        "/getallmessages".to_owned(),
        "/me".to_owned(),
        "/chats".to_owned(),
        format!("/history/{chat}"),
    ];
    for path in &anonymous {
        let refused = t.rest().get(path).await.refused(401, "unauthenticated");
        assert!(refused.headers.contains_key("www-authenticate"));
        t.rest().with_token("rubbish").get(path).await.refused(401, "invalid_token");
    }
    ann.rest.get("/admin/audit").await.refused(403, "admin_only");
    ann.rest.get("/users/987654321").await.refused(404, "user_not_found");
    ann.rest.get("/history/987654321").await.refused(404, "chat_not_found");
    ann.rest.get("/no/such/path").await.refused(404, "not_found");
    for path in ["/login", "/users/login", "/register", "/logout"] {
        ann.rest.get(path).await.refused(405, "method_not_allowed");
    }
    ann.rest.get(&format!("/history/{chat}?limit=0")).await.invalid("limit");
    let text = |path: &'static str, body: String, kind: &'static str| {
        let request = ann.rest.request(Method::POST, path).header("content-type", kind);
        Rest::send(request.body(body))
    };
    for path in ["/login", "/users/login", "/register", "/users/register", "/chats"] {
        text(path, "{".to_owned(), "application/json").await.refused(400, "malformed_json");
        text(path, "x".to_owned(), "text/plain").await.refused(415, "unsupported_media_type");
        text(path, "x".repeat(300_000), "application/json").await.refused(413, "body_too_large");
    }
}

async fn cookies_change_nothing_from_other_sites(t: System) {
    let ann = t.user("ann").await;
    let body = json!({ "username": ann.username, "password": PASSWORD });
    let cookie = cookie(&t.rest().post("/login", body).await);
    let post = async |path: &str, origin: &str| {
        let request = t.rest().request(Method::POST, path).header(COOKIE, &cookie);
        Rest::send(request.header(ORIGIN, origin).json(&json!({ "text": "forged" }))).await
    };
    let message = format!("/chats/{LOBBY}/messages");
    for path in [message.as_str(), "/readnotreaded", "/logout", "/chats"] {
        post(path, "https://evil.example").await.refused(403, "wrong_origin");
    }
    post("/readnotreaded", &format!("http://{}", t.front())).await.ok();
}

/// Where a frame is only handed on. The two windows that name a person ask for their chat first, one
/// frame after the other, and may be slower than the limit.
#[tokio::test]
async fn frames_that_come_too_fast_are_refused_with_a_time() {
    let t = System::single(&[]).await;
    let (ann, _, paths) = ann_and_chat(&t).await;
    let lobby = json!({ "type": "chat_message", "message": "x" });
    // An account each: all that one sends counts together.
    let eve = t.user("eve").await;
    let chat = json!({ "content": "x" });
    for (user, path, frame) in [(&eve, &paths.lobby, lobby), (&ann, &paths.chat, chat)] {
        let mut window = user.window(0, path).await;
        // 200 at once are allowed, 50 refusals are forgiven.
        for _ in 0..240 {
            window.say(frame.clone()).await;
        }
        let refused = window.expect_until(json!({ "type": "error" })).await;
        assert_eq!(refused["code"], "rate_limited", "{refused}");
        assert!(refused["retry_after_ms"].as_u64() > Some(0), "{refused}");
    }
}

/// A token of Ann's session that is good for so many seconds; negative: that expired so long ago.
async fn signed(t: &System, ann: &User, seconds: i64) -> String {
    let sessions = ann.rest.get("/me/sessions").await.ok();
    let session_id: SessionId = sessions[0]["id"].as_str().unwrap().parse().unwrap();
    let username = ann.username.clone();
    let subject = Subject { user_id: ann.id, session_id, username, role: Role::User };
    let issued = Timestamp(Timestamp::now().0 + (seconds - 60) * 1000);
    t.alone().keys().issue(&subject, issued, Duration::from_secs(60)).unwrap()
}

#[tokio::test]
async fn an_expired_token_opens_nothing_and_closes_nothing() {
    let t = System::single(&[]).await;
    let (ann, chat, paths) = ann_and_chat(&t).await;
    let expired = signed(&t, &ann, -60).await;
    for path in paths.all() {
        let mut socket = bearer_dial(&t, 0, path, &expired).open().await.unwrap();
        socket.expect_close(Close::TokenExpired).await;
    }
    // These dialects have no frame to renew a token, so a connection lives as long as its session.
    let short = signed(&t, &ann, 2).await;
    let mut window = DialectSocket::open("ann", &bearer_dial(&t, 0, &paths.chat, &short)).await;
    until_eq("the token to expire", 401, async || {
        t.rest().with_token(&short).get("/me").await.status
    })
    .await;
    window.ask(json!({ "content": "still here" }), json!({ "content": "still here" })).await;
    assert_eq!(ann.texts(chat).await, ["still here"]);
    ann.rest.post("/logout", json!({})).await.ok();
    window.expect_only_close(Close::SessionEnded).await;
}
