//! The session cookie: how it looks, and whose pages may use it.

use crate::support::{Ask, Server, text};
use reqwest::Method;
use std::time::Duration;

#[tokio::test]
async fn signing_in_sets_a_cookie_that_scripts_cannot_read() {
    let t = Server::start().await;
    assert!(t.user("ann").await["id"].is_i64());
    let plain = t.login("ann", "password123").await;
    let set = plain.set_cookie().unwrap();
    assert!(set.starts_with("session=ey"), "{set}");
    assert!(set.ends_with("; Path=/; Max-Age=2592000; HttpOnly; SameSite=Lax"), "{set}");

    let body = serde_json::json!({"username": "ann", "password": "password123"});
    let tls = t.request(Method::POST, "/login").json(&body).header("x-forwarded-proto", "https");
    let tls = tls.answer().await;
    assert!(tls.set_cookie().unwrap().ends_with("; HttpOnly; SameSite=Lax; Secure"));

    let me = t.request(Method::GET, "/me").header("cookie", plain.cookie()).answer().await;
    assert_eq!(me.ok(200)["username"], "ann");
    let logout = t.request(Method::POST, "/logout").header("cookie", plain.cookie()).answer().await;
    assert_eq!(logout.status, 200);
    let me = t.request(Method::GET, "/me").header("cookie", plain.cookie()).answer().await;
    me.refused(401, "session_ended");
}

/// A year of use, with a look in every day or two.
#[tokio::test]
async fn who_comes_back_stays_signed_in() {
    let t = Server::start_with(|config| config.cookie_renewal = Duration::ZERO).await;
    let ann = t.user("ann").await;
    let first = t.login("ann", "password123").await.cookie_named("session");
    // The session has all but ended, and was used last long ago.
    t.sql("UPDATE sessions SET expires_at = expires_at - 2591000000, last_used_at = 1").await;
    let me = |cookie: &str| t.request(Method::GET, "/me").header("cookie", cookie).answer();
    let answer = me(&first).await;
    let set = answer.set_cookie().unwrap();
    assert!(set.ends_with("; Path=/; Max-Age=2592000; HttpOnly; SameSite=Lax"), "{set}");
    assert_eq!(me(&answer.cookie()).await.ok(200)["username"], "ann");
    let sessions = t.request(Method::GET, "/me/sessions").header("cookie", answer.cookie());
    let sessions = sessions.answer().await.ok(200);
    let of = |current: bool| {
        let all = sessions.as_array().unwrap();
        all.iter().find(|session| session["current"] == current).unwrap().clone()
    };
    assert!(text(&of(true), "expires_at") > text(&of(false), "expires_at"));
    assert!(text(&of(true), "last_used_at") > text(&of(false), "last_used_at"));

    // Neither a Bearer token nor another site's page gets a cookie, and nobody does whose session has ended.
    assert!(t.get("/me", text(&ann, "access_token")).await.set_cookie().is_none());
    let elsewhere = t.request(Method::GET, "/me").header("cookie", &first);
    let elsewhere = elsewhere.header("origin", "https://evil.example.com").answer().await;
    assert!(elsewhere.set_cookie().is_none());
    t.request(Method::POST, "/logout").header("cookie", &first).answer().await.ok(200);
    me(&answer.cookie()).await.refused(401, "session_ended");
}

#[tokio::test]
async fn a_young_cookie_stays_as_it_is() {
    let t = Server::start().await;
    t.user("ann").await;
    let cookie = t.login("ann", "password123").await.cookie_named("session");
    let answer = t.request(Method::GET, "/me").header("cookie", cookie).answer().await;
    assert!(answer.set_cookie().is_none());
}

#[tokio::test]
async fn another_sites_page_may_not_act_with_the_cookie() {
    let t = Server::start_with(|config| {
        config.allowed_origins = vec!["https://app.example.com".parse().unwrap()];
    })
    .await;
    t.user("ann").await;
    let login = t.login("ann", "password123").await;
    let cookie = login.cookie();
    let change = |origin: &str| {
        let body = serde_json::json!({"name": "Ann"});
        let request = t.request(Method::PATCH, "/me").header("cookie", &cookie).json(&body);
        request.header("origin", origin.to_owned())
    };
    for origin in ["https://evil.example.com", "null", "http://127.0.0.1", "not an origin"] {
        change(origin).answer().await.refused(403, "wrong_origin");
    }
    assert_eq!(change(&t.url).answer().await.status, 200);
    let allowed = change("https://app.example.com").answer().await;
    assert_eq!(allowed.status, 200);
    assert_eq!(allowed.headers["access-control-allow-origin"], "https://app.example.com");
    assert_eq!(allowed.headers["access-control-allow-credentials"], "true");
    // A Bearer token is never sent by accident.
    let token = text(&login.json, "access_token");
    let bearer = change("https://evil.example.com").bearer_auth(token).answer().await;
    assert_eq!(bearer.status, 200);
    assert!(bearer.headers.get("access-control-allow-origin").is_none());
    // Reading is the browser's to forbid: it shows the answer to nobody else's page.
    let read = t.request(Method::GET, "/me").header("cookie", &cookie);
    let read = read.header("origin", "https://evil.example.com").answer().await;
    assert_eq!(read.status, 200);
    assert!(read.headers.get("access-control-allow-origin").is_none());
}

/// Its form could sign the visitor in to an account of its author, who then reads what is written.
#[tokio::test]
async fn another_sites_page_sets_no_cookie() {
    let t = Server::start_with(|config| {
        config.allowed_origins = vec!["https://app.example.com".parse().unwrap()];
    })
    .await;
    let ann = t.user("ann").await;
    let form = [("username", "ann"), ("password", "password123")];
    let login = |name: &'static str, value: &str| {
        t.request(Method::POST, "/login").form(&form).header(name, value.to_owned()).answer()
    };
    for (name, value) in [
        ("origin", "https://evil.example.com"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
    ] {
        let answer = login(name, value).await;
        assert!(answer.set_cookie().is_none(), "{value}");
        assert!(answer.ok(200)["access_token"].is_string(), "{value}");
    }
    for (name, value) in [
        ("origin", t.url.as_str()),
        ("origin", "https://app.example.com"),
        ("sec-fetch-site", "same-origin"),
    ] {
        assert!(login(name, value).await.set_cookie().is_some(), "{value}");
    }
    let cookie = login("sec-fetch-site", "none").await.cookie();
    let body = serde_json::json!({"refresh_token": ann["refresh_token"]});
    let renew = t.request(Method::POST, "/token/refresh").header("cookie", cookie).json(&body);
    let renewed = renew.header("origin", "https://evil.example.com").answer().await;
    assert!(renewed.set_cookie().is_none());
}

#[tokio::test]
async fn another_applications_cookie_and_another_scheme_are_passed_over() {
    let t = Server::start().await;
    t.user("ann").await;
    let cookie = t.login("ann", "password123").await.cookie();
    let me = |cookie: String| {
        t.request(Method::GET, "/me")
            .header("cookie", cookie)
            .header("authorization", "Basic cHJveHk6c2VjcmV0")
            .answer()
    };
    let other = "session=eyJfZnJlc2giOmZhbHNlfQ.ZxY.abc";
    for both in [cookie.clone(), format!("{other}; {cookie}"), format!("{cookie}; {other}")] {
        assert_eq!(me(both).await.ok(200)["username"], "ann");
    }
    me(other.to_owned()).await.refused(401, "unauthenticated");
}

#[tokio::test]
async fn preflights_are_answered_for_allowed_origins_only() {
    let t = Server::start_with(|config| {
        config.allowed_origins = vec!["https://app.example.com".parse().unwrap()];
    })
    .await;
    for (origin, allowed) in
        [("https://app.example.com", true), ("https://evil.example.com", false)]
    {
        let request = t.request(Method::OPTIONS, "/me").header("origin", origin);
        let answer = request.header("access-control-request-method", "PATCH").answer().await;
        assert_eq!(answer.headers.contains_key("access-control-allow-origin"), allowed);
    }
}

#[tokio::test]
async fn the_header_wins_over_the_cookie() {
    let t = Server::start().await;
    t.user("ann").await;
    let bob = t.user("bob").await;
    let cookie = t.login("ann", "password123").await.cookie();
    let both =
        |token: &str| t.request(Method::GET, "/me").header("cookie", &cookie).bearer_auth(token);
    let me = both(text(&bob, "access_token")).answer().await.ok(200);
    assert_eq!(me["username"], "bob");
    both("nonsense").answer().await.refused(401, "invalid_token");
}

#[tokio::test]
async fn a_cookie_older_than_an_access_token_still_counts_until_its_session_ends() {
    let t = Server::start().await;
    let ann = t.user("ann").await;
    let now = protocol::time::Timestamp::now();
    let claims = t.api.tokens.verifier().verify(text(&ann, "access_token"), now).unwrap();
    let subject = api::auth::tokens::Subject {
        user_id: claims.sub,
        session_id: claims.sid,
        username: claims.name,
        role: claims.role,
    };
    let yesterday = protocol::time::Timestamp(now.0 - 24 * 60 * 60 * 1000);
    let lifetime = t.api.config.session_lifetime;
    let old = t.api.tokens.issue(&subject, yesterday, lifetime).unwrap();
    let me = || t.request(Method::GET, "/me").header("cookie", format!("session={old}"));
    assert_eq!(me().answer().await.status, 200);
    // Ended by another process, and long enough ago that no list of lately ended ones has it.
    let mut tx = t.api.db.home().begin().await.unwrap();
    match tx.link() {
        api::db::Link::Sqlite(conn) => {
            let sql = "UPDATE sessions SET ended_at = 1, end_reason = 'signed_out'";
            sqlx::query(sql).execute(conn).await.unwrap();
        }
        api::db::Link::Postgres(_) => unreachable!("these tests run on SQLite"),
    }
    tx.commit().await.unwrap();
    me().answer().await.refused(401, "session_ended");
}
