//! Accounts and the page: registering, signing in every way, renewing, looking people up, and what
//! a browser gets at `/`.

use crate::harness::{PASSWORD, Rest, System, User};
use reqwest::Method;
use serde_json::json;

in_both_modes!(
    sign_in_with_json_form_and_email,
    names_and_emails_are_taken_once,
    tokens_rotate,
    people_are_found,
    keys_are_public,
    the_page_is_served_strictly,
);
behind_haproxy!(sign_in_with_json_form_and_email, the_page_is_served_strictly,);

#[tokio::test]
async fn a_flood_of_registrations_is_slowed_down() {
    let t = System::single(&[]).await;
    for _ in 0..400 {
        let answer = t.rest().post("/register", json!({ "password": "x" })).await;
        if answer.status == 429 {
            let answer = answer.refused(429, "rate_limited");
            assert!(answer.retry_after().is_some_and(|seconds| seconds >= 1), "{answer:?}");
            return;
        }
        assert_eq!(answer.status, 422);
    }
    panic!("400 registrations in a row and no limit");
}

async fn sign_in_with_json_form_and_email(t: System) {
    let username = format!("ann_{}", &uuid::Uuid::new_v4().simple().to_string()[..12]);
    let email = format!("{username}@example.com");
    let body = json!({ "username": username, "email": email, "password": PASSWORD });
    let ann = User::signed_in(&t, &t.rest().post("/register", body).await.ok());

    let json = json!({ "username": ann.username.to_uppercase(), "password": PASSWORD });
    let mail = json!({ "email": email.to_uppercase(), "password": PASSWORD });
    for body in [json, mail] {
        let answer = t.rest().post("/login", body).await.ok();
        assert_eq!(answer["token_type"], "bearer");
        assert!(answer["expires_in"].as_u64().is_some_and(|seconds| seconds > 60));
    }
    let form = [("username", ann.username.as_str()), ("password", PASSWORD)];
    let answer = Rest::send(t.rest().request(Method::POST, "/login").form(&form)).await.ok();
    let token = answer["access_token"].as_str().unwrap();
    let me = t.rest().with_token(token).get("/me").await.ok();
    assert_eq!((&me["id"], &me["email"]), (&json!(ann.id), &json!(email)));

    let wrong = json!({ "username": ann.username, "password": "not the password" });
    let nobody = json!({ "username": "nobody at all", "password": "not the password" });
    let wrong = t.rest().post("/login", wrong).await;
    let nobody = t.rest().post("/login", nobody).await;
    assert_eq!((wrong.status, nobody.status), (401, 401));
    assert_eq!(wrong.body["detail"], nobody.body["detail"], "no hint who exists");
}

async fn names_and_emails_are_taken_once(t: System) {
    let ann = t.user("ann").await;
    let email = format!("{}@example.com", ann.username);
    let register = async |username: &str, email: &str| {
        let body = json!({ "username": username, "email": email, "password": PASSWORD });
        t.rest().post("/register", body).await
    };
    let other = format!("{}x", ann.username);
    assert_eq!(register(&ann.username.to_uppercase(), &email).await.status, 400);
    register(&other, &email).await.ok();
    let third = format!("{}y", ann.username);
    assert_eq!(register(&third, &email.to_uppercase()).await.status, 400);
    assert!(matches!(register("Admin", "").await.status, 400 | 422));
}

async fn tokens_rotate(t: System) {
    let ann = t.user("ann").await;
    let refresh = async |token: &str| {
        let body = json!({ "refresh_token": token });
        t.rest().post("/token/refresh", body).await
    };
    let first = refresh(&ann.refresh_token).await.ok();
    let second = refresh(first["refresh_token"].as_str().unwrap()).await.ok();
    for answer in [&first, &second] {
        let token = answer["access_token"].as_str().unwrap();
        t.rest().with_token(token).get("/me").await.ok();
    }
    assert_eq!(refresh(&ann.refresh_token).await.status, 401);
}

async fn people_are_found(t: System) {
    let (ann, bob) = (t.user("ann").await, t.user("bob").await);
    let seen = ann.rest.get(&format!("/users/{}", bob.id)).await.ok();
    assert_eq!((&seen["username"], &seen["email"]), (&json!(bob.username), &json!("")));
    ann.rest.get("/users/987654321").await.refused(404, "user_not_found");
    let found = ann.rest.get(&format!("/users?query={}", bob.username)).await.ok();
    assert!(found.to_string().contains(&bob.username), "{found}");
}

async fn keys_are_public(t: System) {
    let keys = t.rest().get("/.well-known/jwks.json").await.ok();
    assert_eq!(keys["keys"][0]["kty"], "OKP");
    assert!(keys["keys"][0].get("d").is_none(), "the private half stays at home");
}

async fn the_page_is_served_strictly(t: System) {
    let answer = t.rest().request(Method::GET, "/").send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let header = |name: &str| {
        answer.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    };
    assert!(header("content-type").starts_with("text/html"));
    let policy = header("content-security-policy").to_owned();
    assert!(policy.contains("default-src") && !policy.contains("unsafe-inline"), "{policy}");
    assert_eq!(header("x-content-type-options"), "nosniff");
    let page = answer.text().await.unwrap();
    assert!(page.contains("<script type=\"module\" src="), "{page}");
    assert!(!page.contains("onclick=") && !page.contains("<style>"), "nothing inline");
}
