//! One's sessions, one's password, and that their end is heard everywhere.

use crate::support::{Ask, Server, text, within};
use api::auth::ended::Standing;
use platform::bus::BusEvent;
use protocol::{
    id::SessionId,
    relay::{Channel, ControlPayload, EndReason},
    time::Timestamp,
};
use reqwest::Method;
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn sessions_are_listed_and_ended_one_by_one() {
    let t = Server::start().await;
    let ann = t.user("ann").await;
    let body = json!({"username": "ann", "password": "password123"});
    let phone = t.request(Method::POST, "/login").header("user-agent", "phone").json(&body);
    let phone = phone.answer().await.ok(200);
    let token = text(&ann, "access_token");

    let list = t.get("/me/sessions", token).await.ok(200);
    let list = list.as_array().unwrap();
    assert_eq!(list.len(), 2);
    let other = list.iter().find(|session| session["current"] == false).unwrap();
    assert_eq!(other["user_agent"], "phone");
    assert!(other["created_at"].as_str().unwrap().ends_with('Z'));

    let path = format!("/me/sessions/{}", text(other, "id"));
    let bob = t.user("bob").await;
    let foreign = t.bearer(Method::DELETE, &path, text(&bob, "access_token")).await;
    foreign.refused(404, "session_not_found");
    assert_eq!(t.bearer(Method::DELETE, &path, token).await.status, 204);
    t.bearer(Method::DELETE, &path, token).await.refused(404, "session_not_found");
    t.get("/me", text(&phone, "access_token")).await.refused(401, "session_ended");
    assert_eq!(t.get("/me", token).await.status, 200);
}

#[tokio::test]
async fn all_other_sessions_end_at_once() {
    let t = Server::start().await;
    let (ann, bob) = (t.user("ann").await, t.user("bob").await);
    let others = [t.login("ann", "password123").await, t.login("ann", "password123").await];
    let token = text(&ann, "access_token");
    assert_eq!(t.bearer(Method::DELETE, "/me/sessions", token).await.status, 204);
    for other in others {
        t.get("/me", text(&other.ok(200), "access_token")).await.refused(401, "session_ended");
    }
    for still in [&ann, &bob] {
        assert_eq!(t.get("/me", text(still, "access_token")).await.status, 200);
    }
    let left = t.get("/me/sessions", token).await.ok(200);
    assert_eq!(left.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_new_password_signs_out_every_other_device() {
    let t = Server::start().await;
    let ann = t.user("ann").await;
    let other = t.login("ann", "password123").await.ok(200);
    let token = text(&ann, "access_token");
    let change = |current: &str, new: &str| {
        let body = json!({"current_password": current, "new_password": new});
        t.post_as("/me/password", token, body)
    };
    change("password124", "new password").await.refused(400, "wrong_password");
    change("password123", "short").await.refused(422, "validation_failed");
    assert_eq!(change("password123", "new password").await.status, 204);
    assert_eq!(t.get("/me", token).await.status, 200);
    t.get("/me", text(&other, "access_token")).await.refused(401, "session_ended");
    t.login("ann", "password123").await.refused(401, "invalid_credentials");
    t.login("ann", "new password").await.ok(200);
}

#[tokio::test]
async fn an_end_is_published_and_other_nodes_read_it_without_the_bus() {
    let t = Server::start().await;
    let twin = t.twin().await;
    let (sender, mut heard) = tokio::sync::mpsc::channel(8);
    let subscriber = t.api.bus.subscriber(move |event| {
        if let BusEvent::Message { payload, .. } = event {
            let _ = sender.try_send(payload);
        }
    });
    subscriber.add(&[Channel::Control]).await;

    let ann = t.user("ann").await;
    let token = text(&ann, "access_token");
    assert_eq!(twin.get("/me", token).await.status, 200);
    t.bearer(Method::POST, "/logout", token).await.ok(200);

    let payload = tokio::time::timeout(Duration::from_secs(10), heard.recv()).await;
    let payload: ControlPayload = serde_json::from_slice(&payload.unwrap().unwrap()).unwrap();
    let ControlPayload::Ended(ended) = payload;
    assert_eq!((ended.sessions.len(), ended.reason), (1, EndReason::SignedOut));
    // The twin has another bus: only the database tells it.
    let refused =
        within(Duration::from_secs(10), |answer| answer.status != 200, || twin.get("/me", token));
    refused.await.refused(401, "session_ended");
}

#[tokio::test]
async fn the_list_of_ended_sessions_follows_the_database_by_itself() {
    let t = Server::start().await;
    let twin = t.twin().await;
    let ann = t.user("ann").await;
    let token = text(&ann, "access_token");
    let now = Timestamp::now();
    let claims = t.api.tokens.verifier().verify(token, now).unwrap();
    let standing = || twin.api.ended.standing(claims.sid, claims.iat, now);
    let becomes = async |wanted: Standing| {
        let reached = async {
            while standing() != wanted {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), reached).await.unwrap();
    };
    becomes(Standing::Live).await;
    t.bearer(Method::POST, "/logout", token).await.ok(200);
    becomes(Standing::Ended(EndReason::SignedOut)).await;
    let old = claims.iat - 3_600;
    let other = SessionId("00000000-0000-4000-8000-000000000000".parse().unwrap());
    assert_eq!(twin.api.ended.standing(other, old, now), Standing::Unknown, "out of its reach");
}

#[tokio::test]
async fn a_node_that_starts_later_knows_who_is_out() {
    let t = Server::start().await;
    let ann = t.user("ann").await;
    let token = text(&ann, "access_token");
    t.bearer(Method::POST, "/logout", token).await.ok(200);
    t.twin().await.get("/me", token).await.refused(401, "session_ended");
}

#[tokio::test]
async fn when_too_many_sessions_ended_to_remember_each_one_is_looked_up() {
    let t = Server::start_with(|config| config.ended_capacity = 1).await;
    let [ann, bob, carol] = [t.user("ann").await, t.user("bob").await, t.user("carol").await];
    for user in [&ann, &bob] {
        t.bearer(Method::POST, "/logout", text(user, "access_token")).await.ok(200);
    }
    let polled = t.twin().await; // the same database, polled once before it serves
    for t in [&t, &polled] {
        t.get("/me", text(&ann, "access_token")).await.refused(401, "session_ended");
        t.get("/me", text(&bob, "access_token")).await.refused(401, "session_ended");
        assert_eq!(t.get("/me", text(&carol, "access_token")).await.status, 200);
    }
}

#[tokio::test]
async fn the_longest_unused_session_makes_room_for_a_new_one() {
    let t = Server::start_with(|config| config.sessions_per_user = 2).await;
    let first = t.user("ann").await;
    let second = t.login("ann", "password123").await.ok(200);
    let third = t.login("ann", "password123").await.ok(200);
    t.get("/me", text(&first, "access_token")).await.refused(401, "session_ended");
    for session in [&second, &third] {
        assert_eq!(t.get("/me", text(session, "access_token")).await.status, 200);
    }
}
