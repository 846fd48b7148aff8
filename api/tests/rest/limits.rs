//! Too many tries are turned away, with the time to come back.

use crate::support::{Ask, Server};
use reqwest::Method;
use serde_json::json;
use shared::limit::Rate;
use std::time::Duration;

const TWO: Rate = Rate { per: Duration::from_secs(3_600), burst: 2 };

#[tokio::test]
async fn registering_is_limited_by_address() {
    let t = Server::start_with(|config| config.register_per_address = TWO).await;
    let register = |name: &str, address: &str| {
        let body = json!({"username": name, "password": "password123"});
        t.request(Method::POST, "/register")
            .header("x-forwarded-for", address.to_owned())
            .json(&body)
    };
    for name in ["a", "b"] {
        assert_eq!(register(name, "192.0.2.1").answer().await.status, 201);
    }
    register("c", "192.0.2.1").answer().await.refused(429, "rate_limited");
    register("c", "203.0.113.9, 192.0.2.1").answer().await.refused(429, "rate_limited");
    assert_eq!(register("c", "192.0.2.2").answer().await.status, 201);
}

#[tokio::test]
async fn signing_in_is_limited_by_address() {
    let t = Server::start_with(|config| config.login_per_address = TWO).await;
    t.user("ann").await;
    for _ in 0..2 {
        t.login("nobody", "password123").await.refused(401, "invalid_credentials");
    }
    t.login("ann", "password123").await.refused(429, "rate_limited");
}

#[tokio::test]
async fn one_account_is_limited_by_all_its_names_together() {
    let t = Server::start_with(|config| config.login_per_account = TWO).await;
    t.user("ann").await;
    t.user("bob").await;
    t.login("ann", "wrong password").await.refused(401, "invalid_credentials");
    t.login("ANN@example.com", "wrong password").await.refused(401, "invalid_credentials");
    t.login("Ann", "password123").await.refused(429, "rate_limited");
    assert_eq!(t.login("bob", "password123").await.status, 200);
    // A name that nobody has is limited alike.
    for status in [401, 401, 429] {
        assert_eq!(t.login("nobody", "password123").await.status, status);
    }
}

#[tokio::test]
async fn renewing_is_limited_by_address() {
    let t = Server::start_with(|config| config.refresh_per_address = TWO).await;
    for status in [401, 401, 429] {
        let answer = t.post("/token/refresh", json!({"refresh_token": "x"})).await;
        assert_eq!(answer.status, status);
    }
}
