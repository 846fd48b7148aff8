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
async fn one_account_is_limited_for_each_address_and_for_all_together() {
    let t = Server::start_with(|config| {
        config.login_per_account_and_address = TWO;
        config.login_per_account = Rate { burst: 4, ..TWO };
    })
    .await;
    t.user("ann").await;
    t.user("bob").await;
    let login = |name: &str, password: &str, address: &str| {
        t.request(Method::POST, "/login")
            .header("x-forwarded-for", address.to_owned())
            .json(&json!({"username": name, "password": password}))
            .answer()
    };
    // A name that nobody has is limited alike.
    for name in ["ann", "nobody"] {
        for address in ["192.0.2.1", "192.0.2.2"] {
            for status in [401, 401, 429] {
                assert_eq!(login(name, "wrong password", address).await.status, status);
            }
        }
        login(name, "wrong password", "192.0.2.3").await.refused(429, "rate_limited");
    }
    assert_eq!(login("bob", "password123", "192.0.2.1").await.status, 200);
}

/// However many strangers guess a password, and from wherever.
#[tokio::test]
async fn strangers_keep_nobody_from_signing_in() {
    let t = Server::start_with(|config| {
        config.login_per_account_and_address = TWO;
        config.login_per_account = Rate { burst: 4, ..TWO };
    })
    .await;
    t.user("ann").await;
    let login = |password: &str, address: &str, cookie: &str| {
        t.request(Method::POST, "/login")
            .header("x-forwarded-for", address.to_owned())
            .header("cookie", cookie.to_owned())
            .json(&json!({"username": "ann", "password": password}))
            .answer()
    };
    let before = login("password123", "192.0.2.9", "").await;
    let device = before.cookie_named("device");
    for _ in 0..3 {
        login("wrong password", "192.0.2.1", "").await;
    }
    // One stranger's guesses are another address's affair.
    assert_eq!(login("password123", "192.0.2.8", "").await.status, 200);
    for address in ["192.0.2.2", "192.0.2.3", "192.0.2.4"] {
        for _ in 0..3 {
            login("wrong password", address, "").await;
        }
    }
    // All of them together keep new devices out, and none that has been here.
    login("password123", "192.0.2.7", "").await.refused(429, "rate_limited");
    let forged = "device=0123456789abcdef0123456789abcdef.AAAA";
    login("password123", "192.0.2.6", forged).await.refused(429, "rate_limited");
    let known = login("password123", "192.0.2.5", &device).await;
    assert_eq!(known.status, 200);
    // It is limited by itself.
    assert_eq!(login("wrong password", "192.0.2.10", &device).await.status, 401);
    login("password123", "192.0.2.11", &device).await.refused(429, "rate_limited");
}

#[tokio::test]
async fn renewing_is_limited_by_address() {
    let t = Server::start_with(|config| config.refresh_per_address = TWO).await;
    for status in [401, 401, 429] {
        let answer = t.post("/token/refresh", json!({"refresh_token": "x"})).await;
        assert_eq!(answer.status, status);
    }
}
