//! Too many tries are turned away, with the time to come back.

use crate::support::{Answer, Ask, Server, text};
use futures_util::future::join_all;
use platform::{
    limit::{Limiter, LimiterConfig, Rate},
    redis::{RedisConfig, State},
    settings::Secret,
};
use reqwest::Method;
use serde_json::json;
use std::time::{Duration, Instant};

const AN_HOUR: Duration = Duration::from_secs(3_600);
const TWO: Rate = Rate { per: AN_HOUR, burst: 2 };
const TEN: Rate = Rate { per: AN_HOUR, burst: 10 };

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

/// A field of a `RateLimit` header of one policy: `"account";r=5;t=1`.
fn field(answer: &Answer, header: &str, policy: &str, name: &str) -> u64 {
    let text = answer.headers[header].to_str().unwrap();
    let fields = text.strip_prefix(&format!("\"{policy}\";")).unwrap_or_else(|| panic!("{text}"));
    let found = fields.split(';').find_map(|field| field.strip_prefix(&format!("{name}=")));
    found.unwrap_or_else(|| panic!("no {name}: {text}")).parse().unwrap()
}

fn left(answer: &Answer, policy: &str) -> u64 {
    assert_eq!(field(answer, "ratelimit-policy", policy, "q"), 10);
    assert_eq!(field(answer, "ratelimit-policy", policy, "w"), 36_000);
    let (left, back) =
        (field(answer, "ratelimit", policy, "r"), field(answer, "ratelimit", policy, "t"));
    assert!(left <= 10 && back <= (10 - left) * 3_600, "{left} {back}");
    assert!(left == 10 || back > (9 - left) * 3_600, "{left} {back}");
    left
}

#[tokio::test]
async fn an_account_has_a_share_that_every_answer_tells_of() {
    let t = Server::start_with(|config| config.requests = TEN).await;
    let (ann, bob) = (t.user("ann").await, t.user("bob").await);
    let token = text(&ann, "access_token");
    let say = || t.post_as("/chats/1/messages", token, json!({"text": "hi"}));
    let me = t.get("/me", token).await;
    assert_eq!((me.status.as_u16(), left(&me, "account")), (200, 9));
    let said = say().await;
    assert_eq!((said.status.as_u16(), left(&said, "account")), (201, 4));
    let missing = t.get("/chats/99", token).await;
    assert_eq!((missing.status.as_u16(), left(&missing, "account")), (404, 3));
    for address in ["127.0.0.1", "192.0.2.1"] {
        let refused = t
            .request(Method::POST, "/chats/1/messages")
            .header("x-forwarded-for", address)
            .bearer_auth(token)
            .json(&json!({"text": "hi"}))
            .answer()
            .await;
        refused.refused(429, "rate_limited");
        assert_eq!(left(&refused, "account"), 3, "nothing was taken");
        let wait: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((3_600..=7_200).contains(&wait), "two more: {wait}");
    }
    let page = t.get("/chats/1/messages?limit=100", token).await;
    assert_eq!((page.json.as_array().unwrap().len(), left(&page, "account")), (1, 0));
    t.get("/me", token).await.refused(429, "rate_limited");
    // Not for another account, and not for what asks nobody.
    let other = t.get("/me", text(&bob, "access_token")).await;
    assert_eq!((other.status.as_u16(), left(&other, "account")), (200, 9));
    let health = t.get("/health", token).await;
    assert_eq!(health.status, 200);
    assert!(!health.headers.contains_key("ratelimit"));
}

#[tokio::test]
async fn without_an_account_the_network_has_a_share() {
    let t = Server::start_with(|config| config.requests_without_account = TEN).await;
    let ann = t.user("ann").await;
    let ask = |path: &str, address: &str| {
        t.request(Method::GET, path).header("x-forwarded-for", address.to_owned())
    };
    for (number, path) in
        ["/status", "/me", "/api/messages/recent?limit=1"].iter().cycle().take(10).enumerate()
    {
        let answer = ask(path, "192.0.2.1").answer().await;
        assert_ne!(answer.status, 429, "{path}");
        assert_eq!(left(&answer, "network"), 9 - number as u64, "{path}");
    }
    for path in ["/status", "/me", "/api/messages"] {
        ask(path, "192.0.2.1").answer().await.refused(429, "rate_limited");
    }
    ask("/me", "192.0.2.1").bearer_auth("x").answer().await.refused(429, "rate_limited");
    let body = json!({"username": "ann", "password": "password123"});
    let login = t.request(Method::POST, "/login").header("x-forwarded-for", "192.0.2.1");
    login.json(&body).answer().await.refused(429, "rate_limited");
    // Neither for those there who show an account, nor elsewhere, nor for load balancers.
    let me = ask("/me", "192.0.2.1").bearer_auth(text(&ann, "access_token")).answer().await;
    assert_eq!(me.status, 200);
    assert_eq!(ask("/status", "192.0.2.2").answer().await.status, 200);
    assert_eq!(ask("/health", "192.0.2.1").answer().await.status, 200);
}

#[tokio::test]
async fn two_apis_on_one_redis_share_the_count() {
    let redis = cluster::Redis::start().await.unwrap();
    let config = RedisConfig::new(&Secret::new(redis.url())).unwrap();
    let patient =
        LimiterConfig { redis_timeout: Duration::from_secs(10), ..LimiterConfig::default() };
    let limiter = || Limiter::redis(State::new(&config).unwrap(), patient);
    let first = Server::start_with(|config| config.requests = TEN).await;
    let (here, there) = (first.with_limiter(limiter()).await, first.with_limiter(limiter()).await);
    let ann = here.user("ann").await;
    let token = text(&ann, "access_token");
    for (server, expected) in [(&here, 5), (&there, 0)] {
        let said = server.post_as("/chats/1/messages", token, json!({"text": "hi"})).await;
        assert_eq!((said.status.as_u16(), left(&said, "account")), (201, expected));
    }
    for server in [&here, &there] {
        server.get("/me", token).await.refused(429, "rate_limited");
    }
}

/// At the defaults: two hundred deep pages at once, and posting as fast as it goes.
#[tokio::test]
async fn one_account_can_neither_read_nor_write_without_end() {
    let t = Server::start().await;
    let (ann, bob) = (t.user("ann").await, t.user("bob").await);
    let (reader, writer) = (text(&ann, "access_token"), text(&bob, "access_token"));
    let deep = "/history/1?limit=1&offset=1499990";
    let start = Instant::now();
    let pages = join_all((0..200).map(|_| t.get(deep, reader))).await;
    let read = pages.iter().filter(|page| page.status == 200).count() as u64;
    // Each costs 11 of 1,000, and 250 come back in a second.
    let most = 90 + start.elapsed().as_millis() as u64 / 44 + 1;
    assert!((90..=most).contains(&read), "{read} of at most {most}");
    assert!(pages.iter().all(|page| page.status == 200 || page.status == 429));

    let start = Instant::now();
    let posts = (0..8).map(async |_| {
        let mut said = 0;
        for _ in 0..100 {
            let answer = t.post_as("/chats/1/messages", writer, json!({"text": "hi"})).await;
            assert!([201, 429].contains(&answer.status.as_u16()), "{answer:?}");
            said += u64::from(answer.status == 201);
        }
        said
    });
    let said: u64 = join_all(posts).await.iter().sum();
    let most = 200 + start.elapsed().as_millis() as u64 / 20 + 1;
    assert!((200..=most).contains(&said), "{said} of at most {most}");
}
