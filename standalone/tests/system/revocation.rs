//! Who is out is out within a second, on every node: sessions that end, users who are blocked,
//! tokens that expire or are forged; and nobody else is touched.

use crate::harness::{Dial, PASSWORD, Socket, System, User, until, want::message, within};
use api::auth::tokens::{Subject, Tokens, generate_pem};
use protocol::{
    account::Role,
    close::Close,
    frames::{ClientFrame, ServerFrame},
    time::Timestamp,
};
use reqwest::header::AUTHORIZATION;
use serde_json::json;
use std::time::Duration;

in_both_modes!(
    logout_closes_the_sessions_sockets,
    a_deleted_session_is_out,
    a_blocked_user_is_out_everywhere,
    a_changed_password_ends_the_other_sessions,
    a_refresh_token_is_good_once,
    a_token_is_renewed_in_band,
    bad_tokens_are_refused,
    tokens_are_taken_from_header_query_and_cookie,
);
behind_haproxy!(
    tokens_are_taken_from_header_query_and_cookie,
    bad_tokens_are_refused,
    a_blocked_user_is_out_everywhere,
);

/// What the design promises.
const SECOND: Duration = Duration::from_secs(1);

/// A socket of this session on each gateway.
async fn sockets(t: &System, user: &User) -> Vec<Socket> {
    let mut sockets = Vec::new();
    for node in t.nodes() {
        let mut socket = Dial::new(*node).open().await.unwrap();
        socket.hello(Some(&user.token), None).await;
        sockets.push(socket);
    }
    sockets
}

/// All of these are closed for this reason within a second.
async fn all_out(sockets: Vec<Socket>, close: Close) {
    within(SECOND, close.reason(), async {
        for mut socket in sockets {
            socket.expect_close(close).await;
        }
    })
    .await;
}

/// This token opens nothing any more, on any gateway at once, on any api within a second.
async fn refused_everywhere(t: &System, user: &User, close: Close) {
    for node in t.nodes() {
        let mut socket = Dial::new(*node).open().await.unwrap();
        let token = Some(user.token.clone());
        socket.say(&ClientFrame::hello(token, None)).await;
        socket.expect_close(close).await;
    }
    for rest in t.rests() {
        let rest = rest.with_token(&user.token);
        let refused = async || matches!(rest.get("/me").await.status, 401 | 403);
        within(
            SECOND,
            "every api to know",
            until("a refusal", async || refused().await.then_some(())),
        )
        .await;
    }
}

async fn logout_closes_the_sessions_sockets(t: System) {
    let ann = t.user("ann").await;
    let elsewhere = ann.sign_in_again().await;
    let (ending, mut staying) = (sockets(&t, &ann).await, sockets(&t, &elsewhere).await);

    ann.rest.post("/logout", json!({})).await.ok();
    all_out(ending, Close::SessionEnded).await;
    refused_everywhere(&t, &ann, Close::SessionEnded).await;
    for socket in &mut staying {
        socket.expect_alive().await;
    }
    elsewhere.rest.get("/me").await.ok();
    let body = json!({ "refresh_token": ann.refresh_token });
    assert_eq!(t.rest().post("/token/refresh", body).await.status, 401);
}

async fn a_deleted_session_is_out(t: System) {
    let ann = t.user("ann").await;
    let stolen = ann.sign_in_again().await;
    let (mut staying, ending) = (sockets(&t, &ann).await, sockets(&t, &stolen).await);

    let sessions = ann.rest.get("/me/sessions").await.ok();
    let sessions = sessions.as_array().unwrap();
    assert_eq!(sessions.len(), 2, "{sessions:?}");
    let other = sessions.iter().find(|session| session["current"] == false).unwrap();
    let path = format!("/me/sessions/{}", other["id"].as_str().unwrap());
    ann.rest.delete(&path).await.ok();
    all_out(ending, Close::SessionEnded).await;
    refused_everywhere(&t, &stolen, Close::SessionEnded).await;
    for socket in &mut staying {
        socket.expect_alive().await;
    }
}

async fn a_blocked_user_is_out_everywhere(t: System) {
    let (admin, ann, bob) = (t.admin().await, t.user("ann").await, t.user("bob").await);
    let chat = ann.group("team", &[&bob]).await;
    let second = ann.sign_in_again().await;
    let mut ending = sockets(&t, &ann).await;
    ending.extend(sockets(&t, &second).await);
    let mut other = bob.connect_to(1).await;

    let path = |verb: &str| format!("/{verb}?username={}", ann.username);
    assert_eq!(bob.rest.post(&path("blockuser"), json!({})).await.status, 403);
    admin.rest.post(&path("blockuser"), json!({})).await.ok();
    all_out(ending, Close::Blocked).await;
    refused_everywhere(&t, &ann, Close::Blocked).await;
    let body = json!({ "username": ann.username, "password": PASSWORD });
    assert_eq!(t.rest().post("/login", body).await.status, 403);
    other.send(chat, "where is Ann?").await;

    admin.rest.post(&path("unblockuser"), json!({})).await.ok();
    let mut back = ann.sign_in_again().await.connect_to(1).await;
    other.send(chat, "there she is").await;
    back.expect(message("there she is")).await;
    assert_eq!(ann.sign_in_again().await.texts(chat).await.len(), 2);
}

async fn a_changed_password_ends_the_other_sessions(t: System) {
    let ann = t.user("ann").await;
    let other = ann.sign_in_again().await;
    let ending = sockets(&t, &other).await;

    let wrong = json!({ "current_password": "not it at all", "new_password": "a new password" });
    assert!(matches!(ann.rest.post("/me/password", wrong).await.status, 400 | 401 | 403));
    let right = json!({ "current_password": PASSWORD, "new_password": "a new password" });
    ann.rest.post("/me/password", right).await.ok();
    all_out(ending, Close::SessionEnded).await;
    refused_everywhere(&t, &other, Close::SessionEnded).await;
    let old = json!({ "username": ann.username, "password": PASSWORD });
    assert_eq!(t.rest().post("/login", old).await.status, 401);
    t.sign_in(&ann.username, "a new password").await;
}

async fn a_refresh_token_is_good_once(t: System) {
    let ann = t.user("ann").await;
    let body = json!({ "refresh_token": ann.refresh_token });
    let renewed = t.rest().post("/token/refresh", body.clone()).await.ok();
    let token = renewed["access_token"].as_str().unwrap().to_owned();
    let mut socket = Dial::new(t.front()).open().await.unwrap();
    socket.hello(Some(&token), None).await;

    // So soon it is another tab, or one whose answer was lost, on whichever api: it gets the same.
    for rest in t.rests() {
        let again = rest.post("/token/refresh", body.clone()).await.ok();
        assert_eq!(again["refresh_token"], renewed["refresh_token"]);
    }
    socket.expect_alive().await;
    let newer = json!({ "refresh_token": renewed["refresh_token"] });
    t.rest().post("/token/refresh", newer).await.ok();
    let forged = json!({ "refresh_token": "not a token" });
    assert_eq!(t.rest().post("/token/refresh", forged).await.status, 401);
}

async fn a_token_is_renewed_in_band(t: System) {
    let (ann, bob) = (t.user("ann").await, t.user("bob").await);
    let mut socket = ann.socket().await;
    let body = json!({ "refresh_token": ann.refresh_token });
    let renewed = t.rest().post("/token/refresh", body).await.ok();
    let token = renewed["access_token"].as_str().unwrap().to_owned();

    socket.say(&ClientFrame::Token { id: Some("new".to_owned()), token }).await;
    let answer = socket.frame().await;
    let ServerFrame::TokenAccepted { id, expires_at } = answer else { panic!("{answer:?}") };
    assert_eq!(id.as_deref(), Some("new"));
    assert!(expires_at > Timestamp::now());

    for bad in [bob.token.clone(), "rubbish".to_owned()] {
        socket.say(&ClientFrame::Token { id: None, token: bad }).await;
        let code = socket.error_code().await;
        assert!(!code.is_empty());
    }
    socket.expect_alive().await;
}

async fn bad_tokens_are_refused(t: System) {
    let ann = t.user("ann").await;
    let (head, signature) = ann.token.rsplit_once('.').unwrap();
    let altered: String = signature.chars().rev().collect();
    let none = "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIiwicm9sZSI6ImFkbWluIn0.";
    for bad in ["", "rubbish", &format!("{head}.{altered}"), none] {
        let mut socket = Dial::new(t.front()).open().await.unwrap();
        socket.say(&ClientFrame::hello(Some(bad.to_owned()), None)).await;
        socket.expect_close(Close::Unauthenticated).await;
        let answer = t.rest().with_token(bad).get("/me").await;
        assert_eq!(answer.status, 401, "{bad:?}");
        assert!(answer.headers.contains_key("www-authenticate"));
    }
    let mut socket = Dial::new(t.front()).open().await.unwrap();
    socket.say(&ClientFrame::hello(None, None)).await;
    socket.expect_close(Close::Unauthenticated).await;
}

async fn tokens_are_taken_from_header_query_and_cookie(t: System) {
    let ann = t.user("ann").await;
    let cookie = t.rest().post("/login", json!({ "username": ann.username, "password": PASSWORD }));
    let cookie = cookie.await.headers["set-cookie"].to_str().unwrap().to_owned();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite"), "{cookie}");
    let cookie = cookie.split(';').next().unwrap().to_owned();
    let dial = || Dial::new(t.front());
    let own = format!("http://{}", t.front());
    let ways = [
        dial().header(AUTHORIZATION, format!("Bearer {}", ann.token)),
        dial().query(&format!("token={}", ann.token)),
        dial().header("cookie".parse().unwrap(), &cookie).header("origin".parse().unwrap(), own),
    ];
    for way in ways {
        way.open().await.unwrap().hello(None, None).await;
    }
    let foreign = dial()
        .header("cookie".parse().unwrap(), &cookie)
        .header("origin".parse().unwrap(), "https://evil.example");
    let mut foreign = foreign.open().await.unwrap();
    foreign.say(&ClientFrame::hello(None, None)).await;
    foreign.expect_close(Close::WrongOrigin).await;

    let page = t.rest().request(reqwest::Method::POST, "/logout");
    let page = page.header("cookie", &cookie).header("origin", "https://evil.example");
    assert_eq!(crate::harness::Rest::send(page).await.status, 403);
    assert!(t.logs_with(&ann.token).is_empty(), "a token reached {:?}", t.logs_with(&ann.token));
}

/// A token of Ann's session, signed by these keys, that is good for so long from now; negative:
/// that expired so long ago.
async fn signed(keys: &Tokens, ann: &User, seconds: i64) -> String {
    let sessions = ann.rest.get("/me/sessions").await.ok();
    let session = sessions[0]["id"].as_str().unwrap().parse().unwrap();
    let username = ann.username.clone();
    let subject = Subject { user_id: ann.id, session_id: session, username, role: Role::User };
    const LIFETIME: i64 = 900;
    let lifetime = Duration::from_secs(LIFETIME.unsigned_abs());
    let issued = Timestamp(Timestamp::now().0 + (seconds - LIFETIME) * 1000);
    keys.issue(&subject, issued, lifetime).unwrap()
}

#[tokio::test]
async fn an_expired_token_opens_nothing() {
    let t = System::single(&[]).await;
    let ann = t.user("ann").await;
    let keys = t.alone().keys();
    let good = signed(&keys, &ann, 60).await;
    t.rest().with_token(&good).get("/me").await.ok();
    let expired = signed(&keys, &ann, -60).await;
    let mut socket = Dial::new(t.front()).open().await.unwrap();
    socket.say(&ClientFrame::hello(Some(expired.clone()), None)).await;
    socket.expect_close(Close::TokenExpired).await;
    assert_eq!(t.rest().with_token(&expired).get("/me").await.status, 401);

    let strangers = Tokens::from_pem(generate_pem().unwrap().reveal()).unwrap();
    let forged = signed(&strangers, &ann, 60).await;
    let mut socket = Dial::new(t.front()).open().await.unwrap();
    socket.say(&ClientFrame::hello(Some(forged.clone()), None)).await;
    socket.expect_close(Close::Unauthenticated).await;
    assert_eq!(t.rest().with_token(&forged).get("/me").await.status, 401);
}

#[tokio::test]
async fn a_connection_lives_as_long_as_its_token() {
    let t = System::single(&[]).await;
    let ann = t.user("ann").await;
    let keys = t.alone().keys();
    let short = signed(&keys, &ann, 3).await;
    let mut ending = Dial::new(t.front()).open().await.unwrap();
    ending.hello(Some(&short), None).await;
    let mut renewing = Dial::new(t.front()).open().await.unwrap();
    renewing.hello(Some(&short), None).await;
    let token = signed(&keys, &ann, 600).await;
    renewing.say(&ClientFrame::Token { id: None, token }).await;
    let answer = renewing.frame().await;
    assert!(matches!(answer, ServerFrame::TokenAccepted { .. }), "{answer:?}");
    ending.expect_close(Close::TokenExpired).await;
    renewing.expect_alive().await;
}
