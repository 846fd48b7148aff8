//! Registering, signing in, renewing, signing out.

use crate::support::{Ask, Server, text};
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn registering_answers_the_user_and_its_tokens() {
    let t = Server::start().await;
    let ann = t.user("Ann").await;
    assert_eq!(ann["username"], "Ann");
    assert_eq!(ann["name"], "Ann");
    assert_eq!(ann["email"], "Ann@example.com");
    assert_eq!(ann["avatar"], "");
    assert_eq!(ann["status"], "offline");
    assert_eq!(ann["role"], "user");
    assert_eq!(ann["token_type"], "bearer");
    assert_eq!(ann["expires_in"], 900);
    assert!(ann["id"].is_i64() && ann["refresh_token"].is_string());
    assert!(ann.get("password_hash").is_none());

    let me = t.get("/me", text(&ann, "access_token")).await.ok(200);
    assert_eq!(me["id"], ann["id"]);
    assert_eq!(me["email"], "Ann@example.com");
}

#[tokio::test]
async fn names_and_emails_are_unique_whatever_their_case() {
    let t = Server::start().await;
    t.user("ann").await;
    let taken = [
        (json!({"username": "ANN", "password": "password123"}), "Username already registered"),
        (
            json!({"email": "ANN@Example.com", "password": "password123"}),
            "Email already registered",
        ),
        (json!({"username": "Admin", "password": "password123"}), "Username already registered"),
    ];
    for (body, detail) in taken {
        let answer = t.post("/register", body).await;
        assert_eq!(answer.status, 400);
        assert_eq!(answer.json["detail"], detail);
    }
    let unicode = json!({"username": "Ärger", "password": "password123"});
    t.post("/register", unicode).await.ok(201);
    let lower = json!({"username": "äRGER", "password": "password123"});
    t.post("/register", lower).await.refused(400, "username_taken");
}

#[tokio::test]
async fn of_many_who_want_one_name_one_gets_it() {
    let t = Server::start().await;
    let body = || json!({"username": "ann", "password": "password123"});
    let answers = futures_util::future::join_all((0..4).map(|_| t.post("/register", body()))).await;
    let made = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(made, 1);
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        answer.refused(400, "username_taken");
    }
}

#[tokio::test]
async fn without_a_username_one_is_made_from_the_email() {
    let t = Server::start().await;
    t.user("bob").await;
    let register = |email: &str| {
        t.post("/register", json!({"mail": email, "password": "password123", "name": "Боб"}))
    };
    let carol = register("carol@example.com").await.ok(201);
    assert_eq!((text(&carol, "username"), text(&carol, "name")), ("carol", "Боб"));
    let bob = register("bob@example.org").await.ok(201);
    assert!(text(&bob, "username").starts_with("bob") && bob["username"] != "bob");
    let admin = register("admin@example.org").await.ok(201);
    assert_ne!(admin["username"], "admin");
    assert_eq!(admin["role"], "user");
}

#[tokio::test]
async fn the_numbers_dialect_registers_and_signs_in_with_200() {
    let t = Server::start().await;
    let body = json!({"username": "ann", "email": "ann@example.com", "password": "password123"});
    let ann = t.post("/users/register", body.clone()).await.ok(200);
    assert_eq!(ann["status"], "offline");
    assert_eq!(t.post("/users/register", body).await.json["detail"], "Email already registered");
    let other = json!({"username": "ann", "email": "x@example.com", "password": "password123"});
    let other = t.post("/users/register", other).await;
    assert_eq!(other.json["detail"], "Username already registered");
    let nameless = json!({"email": "x@example.com", "password": "password123"});
    t.post("/users/register", nameless).await.refused(422, "validation_failed");

    let login = json!({"email": "ann@example.com", "password": "password123"});
    let login = t.post("/users/login", login).await;
    assert!(login.set_cookie().is_some());
    let login = login.ok(200);
    assert_eq!((login["id"].clone(), text(&login, "status")), (ann["id"].clone(), "online"));
}

#[tokio::test]
async fn signing_in_takes_either_name_as_json_or_form() {
    let t = Server::start().await;
    let ann = t.user("ann").await;
    let bodies = [
        json!({"username": "ANN", "password": "password123"}),
        json!({"username": "ann@example.com", "password": "password123"}),
        json!({"email": "Ann@Example.com", "password": "password123"}),
    ];
    for body in bodies {
        let json = t.post("/login", body.clone()).await.ok(200);
        let form = t.request(Method::POST, "/login").form(&body).answer().await.ok(200);
        for answer in [json, form] {
            assert_eq!(answer["id"], ann["id"]);
            assert_eq!(answer["token_type"], "bearer");
            assert_eq!(t.get("/me", text(&answer, "access_token")).await.status, 200);
        }
    }
    let oauth2 = [("grant_type", "password"), ("username", "ann"), ("password", "password123")];
    t.request(Method::POST, "/login").form(&oauth2).answer().await.ok(200);
}

#[tokio::test]
async fn an_unknown_name_and_a_wrong_password_look_alike() {
    let t = Server::start().await;
    t.user("ann").await;
    let wrong = t.login("ann", "password124").await;
    let unknown = t.login("nobody", "password123").await;
    for answer in [&wrong, &unknown] {
        answer.refused(401, "invalid_credentials");
        assert_eq!(answer.json["detail"], "Invalid credentials");
        assert!(answer.set_cookie().is_none());
    }
    t.login("ann@example.com", "").await.refused(401, "invalid_credentials");
    t.login(&"x".repeat(5_000), "password123").await.refused(401, "invalid_credentials");
    t.login("ann", &"x".repeat(5_000)).await.refused(401, "invalid_credentials");
}

#[tokio::test]
async fn renewing_replaces_both_tokens() {
    let t = Server::start().await;
    let ann = t.user("ann").await;
    let body = json!({"refresh_token": ann["refresh_token"]});
    let renewed = t.post("/token/refresh", body).await.ok(200);
    assert_ne!(renewed["refresh_token"], ann["refresh_token"]);
    assert_eq!(renewed["expires_in"], 900);
    // The session goes on, so the access token that is still good stays good.
    for token in [&ann, &renewed] {
        assert_eq!(t.get("/me", text(token, "access_token")).await.status, 200);
    }
    let body = json!({"refresh_token": renewed["refresh_token"]});
    t.post("/token/refresh", body).await.ok(200);
    for token in ["", "nonsense", text(&ann, "access_token")] {
        let answer = t.post("/token/refresh", json!({"refresh_token": token})).await;
        answer.refused(401, "invalid_refresh_token");
    }
}

#[tokio::test]
async fn a_copied_refresh_token_ends_the_session() {
    let t = Server::start_with(|config| config.refresh_grace = std::time::Duration::ZERO).await;
    let ann = t.user("ann").await;
    let refresh = |json: &serde_json::Value| {
        t.post("/token/refresh", json!({"refresh_token": json["refresh_token"]}))
    };
    let renewed = refresh(&ann).await.ok(200);
    refresh(&ann).await.refused(401, "invalid_refresh_token");
    // Neither the thief nor the victim goes on.
    refresh(&renewed).await.refused(401, "invalid_refresh_token");
    t.get("/me", text(&renewed, "access_token")).await.refused(401, "session_ended");
}

#[tokio::test]
async fn a_thief_who_renews_twice_is_caught_all_the_same() {
    let t = Server::start().await;
    let ann = t.user("ann").await;
    let refresh = |json: &serde_json::Value| {
        t.post("/token/refresh", json!({"refresh_token": json["refresh_token"]}))
    };
    let stolen = refresh(&ann).await.ok(200);
    let stolen = refresh(&stolen).await.ok(200);
    // Even at once: only the direct predecessor has a grace.
    refresh(&ann).await.refused(401, "invalid_refresh_token");
    refresh(&stolen).await.refused(401, "invalid_refresh_token");
    t.get("/me", text(&stolen, "access_token")).await.refused(401, "session_ended");
}

#[tokio::test]
async fn two_tabs_may_renew_at_once() {
    let t = Server::start().await;
    let ann = t.user("ann").await;
    let refresh = || t.post("/token/refresh", json!({"refresh_token": ann["refresh_token"]}));
    let (a, b) = tokio::join!(refresh(), refresh());
    let (a, b) = (a.ok(200), b.ok(200));
    assert_eq!(a["refresh_token"], b["refresh_token"], "they go on together");
    for tab in [a, b] {
        assert_eq!(t.get("/me", text(&tab, "access_token")).await.status, 200);
    }
}

#[tokio::test]
async fn a_refresh_whose_answer_was_lost_can_be_asked_again() {
    let t = Server::start().await;
    let ann = t.user("ann").await;
    let refresh = |json: &serde_json::Value| {
        t.post("/token/refresh", json!({"refresh_token": json["refresh_token"]}))
    };
    let lost = refresh(&ann).await.ok(200);
    let again = refresh(&ann).await.ok(200);
    assert_eq!(again["refresh_token"], lost["refresh_token"]);
    let next = refresh(&again).await.ok(200);
    assert_ne!(next["refresh_token"], again["refresh_token"]);
    // Another process with the same keys says the same.
    assert_eq!(refresh(&again).await.ok(200)["refresh_token"], next["refresh_token"]);
}

#[tokio::test]
async fn signing_out_ends_the_session_at_once() {
    let t = Server::start().await;
    let ann = t.user("ann").await;
    let other = t.login("ann", "password123").await.ok(200);
    let token = text(&ann, "access_token");
    let answer = t.bearer(Method::POST, "/logout", token).await;
    assert_eq!(answer.status, 200);
    assert!(answer.set_cookie().unwrap().starts_with("session=; Path=/; Max-Age=0; HttpOnly"));
    t.get("/me", token).await.refused(401, "session_ended");
    t.bearer(Method::POST, "/logout", token).await.refused(401, "session_ended");
    let body = json!({"refresh_token": ann["refresh_token"]});
    t.post("/token/refresh", body).await.refused(401, "invalid_refresh_token");
    assert_eq!(t.get("/me", text(&other, "access_token")).await.status, 200);
}

#[tokio::test]
async fn the_published_keys_check_the_tokens() {
    let t = Server::start().await;
    let ann = t.user("ann").await;
    let jwks = t.request(Method::GET, "/.well-known/jwks.json").answer().await.ok(200);
    let verifier = platform::token::Verifier::new();
    verifier.replace(&serde_json::from_value(jwks.clone()).unwrap()).unwrap();
    let now = protocol::time::Timestamp::now();
    let claims = verifier.verify(text(&ann, "access_token"), now).unwrap();
    assert_eq!(ann["id"], claims.sub.0);
    assert_eq!(jwks["keys"][0]["use"], "sig");
    assert!(jwks["keys"][0].get("d").is_none(), "the private part stays here");
}
