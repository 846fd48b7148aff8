//! Whatever comes in, the answer is a documented error and nothing is stored.

use crate::support::{Ask, Server, text};
use protocol::time::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

#[tokio::test]
async fn bodies_that_are_no_json_or_of_the_wrong_kind() {
    let t = Server::start().await;
    let json = "application/json";
    let cases: [(&str, Vec<u8>, u16, &str); 10] = [
        (json, b"".into(), 400, "malformed_json"),
        (json, b"{".into(), 400, "malformed_json"),
        (json, b"{\"password\": \"a\"} x".into(), 400, "malformed_json"),
        (json, b"\xff\xfe".into(), 400, "malformed_json"),
        (json, format!("{{\"x\": {}", "[".repeat(10_000)).into(), 400, "malformed_json"),
        ("text/plain", b"{}".into(), 415, "unsupported_media_type"),
        ("application/x-www-form-urlencoded", b"username=a".into(), 415, "unsupported_media_type"),
        (json, format!("\"{}\"", "x".repeat(64 * 1024)).into(), 413, "body_too_large"),
        (json, b"[]".into(), 422, "validation_failed"),
        (json, br#"["ann", null, null, "password123"]"#.into(), 422, "validation_failed"),
    ];
    for (kind, body, status, code) in cases {
        let request = t.request(Method::POST, "/register").header("content-type", kind).body(body);
        request.answer().await.refused(status, code);
    }
    let bare = t.request(Method::POST, "/login").body("{}").answer().await;
    bare.refused(415, "unsupported_media_type");
}

#[tokio::test]
async fn fields_that_are_missing_of_the_wrong_type_or_out_of_bounds() {
    let t = Server::start().await;
    let p = "password123";
    let cases: [(Value, &[&str]); 16] = [
        (json!({}), &["password"]),
        (json!({"username": "ann"}), &["password"]),
        (json!({"password": p}), &["username"]),
        (json!({"username": "", "password": p}), &["username"]),
        (json!({"username": 7, "password": p}), &["username"]),
        (json!({"username": ["ann"], "password": p}), &["username"]),
        (json!({"username": "ann", "password": null}), &["password"]),
        (json!({"username": "ann", "password": "short"}), &["password"]),
        (json!({"username": "ann", "password": "x".repeat(129)}), &["password"]),
        (json!({"username": "a\u{0}b", "password": p}), &["username"]),
        (json!({"username": "a\nb", "password": p}), &["username"]),
        (json!({"username": " ann", "password": p}), &["username"]),
        (json!({"username": "a\u{202e}b", "password": p}), &["username"]),
        (json!({"username": "x".repeat(33), "password": p}), &["username"]),
        (json!({"email": "no email", "password": p}), &["email"]),
        (
            json!({"username": "a@b", "email": "x", "name": "\u{7}", "password": "x"}),
            &["username", "email", "name", "password"],
        ),
    ];
    for (body, fields) in cases {
        let answer = t.post("/register", body.clone()).await;
        assert_eq!(answer.refused(422, "validation_failed").fields(), fields, "{body}");
    }
    let twice =
        t.post("/register", json!({"email": "a@b.c", "mail": "a@b.c", "password": p})).await;
    twice.refused(422, "validation_failed");
    // None of it was stored.
    let ann = t.user("ann").await;
    assert_eq!(ann["id"], 1);
    t.post("/login", json!({"password": p})).await.refused(422, "validation_failed");
    let form = t.request(Method::POST, "/login").form(&[("username", "ann")]).answer().await;
    assert_eq!(form.refused(422, "validation_failed").fields(), ["password"]);
}

#[tokio::test]
async fn paths_and_methods_that_do_not_exist() {
    let t = Server::start().await;
    let ann = t.user("ann").await;
    let token = text(&ann, "access_token");
    for path in ["/nowhere", "/users/1/nothing", "/me/", "/%00", "/users/%ff"] {
        let status = t.get(path, token).await.status;
        assert!(status == 404 || status == 422, "{path}: {status}");
    }
    t.get("/nowhere", token).await.refused(404, "not_found");
    let wrong = t.bearer(Method::DELETE, "/me", token).await;
    assert!(wrong.refused(405, "method_not_allowed").headers.contains_key("allow"));
    let id = t.get("/users/abc", token).await;
    assert_eq!(id.refused(422, "validation_failed").fields(), ["user_id"]);
    let huge = t.get("/users/99999999999999999999", token).await;
    huge.refused(422, "validation_failed");
    let session = t.bearer(Method::DELETE, "/me/sessions/abc", token).await;
    session.refused(422, "validation_failed");
}

#[tokio::test]
async fn tokens_that_prove_nothing() {
    let t = Server::start().await;
    let ann = t.user("ann").await;
    let token = text(&ann, "access_token");
    let now = Timestamp::now();
    let claims = t.api.tokens.verifier().verify(token, now).unwrap();
    let subject = api::auth::tokens::Subject {
        user_id: claims.sub,
        session_id: claims.sid,
        username: claims.name,
        role: protocol::account::Role::Admin,
    };
    let stranger = api::auth::tokens::generate_pem().unwrap();
    let stranger = api::auth::tokens::Tokens::from_pem(stranger.reveal()).unwrap();
    let hour = Duration::from_secs(3_600);
    let forged = stranger.issue(&subject, now, hour).unwrap();
    let expired = t.api.tokens.issue(&subject, Timestamp(now.0 - 3_700_000), hour).unwrap();
    let nobody = api::auth::tokens::Subject {
        session_id: protocol::id::SessionId(
            "00000000-0000-4000-8000-000000000000".parse().unwrap(),
        ),
        ..subject
    };
    let long_ago = Timestamp(now.0 - 2_000_000);
    let sessionless = t.api.tokens.issue(&nobody, long_ago, hour).unwrap();
    let cut = &token[..token.len() - 4];
    for (token, code) in [
        (forged.as_str(), "invalid_token"),
        (cut, "invalid_token"),
        ("", "invalid_token"),
        ("a.b.c", "invalid_token"),
        (expired.as_str(), "token_expired"),
        (sessionless.as_str(), "session_ended"),
    ] {
        let answer = t.get("/me", token).await;
        answer.refused(401, code);
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
    }
    let basic = t.request(Method::GET, "/me").basic_auth("ann", Some("password123"));
    // Of another scheme: perhaps a proxy asked for it.
    basic.answer().await.refused(401, "unauthenticated");
}

#[tokio::test]
async fn answers_are_not_kept_nor_sniffed() {
    let t = Server::start().await;
    let ann = t.user("ann").await;
    for path in ["/me", "/nowhere"] {
        let answer = t.get(path, text(&ann, "access_token")).await;
        assert_eq!(answer.headers["cache-control"], "no-store");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
        assert_eq!(answer.headers["referrer-policy"], "no-referrer");
    }
    let page = t.request(Method::GET, "/").answer().await;
    assert_eq!(page.status, 200);
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(
        policy.contains("script-src 'self'") || policy.contains("default-src 'self'"),
        "{policy}"
    );
}
