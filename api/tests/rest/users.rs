//! Looking at users, and one's own profile.

use crate::support::{Ask, Server, here, text};
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn a_user_is_shown_without_its_email_to_others() {
    let t = Server::start().await;
    let [ann, bob] = [t.user("ann").await, t.user("bob").await];
    let path = format!("/users/{}", ann["id"]);
    let seen = t.get(&path, text(&bob, "access_token")).await.ok(200);
    assert_eq!(seen["username"], "ann");
    assert_eq!((text(&seen, "email"), text(&seen, "status")), ("", "offline"));
    assert!(seen.get("blocked").is_none());
    let own = t.get(&path, text(&ann, "access_token")).await.ok(200);
    assert_eq!(own["email"], "ann@example.com");
    for path in ["/users/999", "/users/0", "/users/-1"] {
        let answer = t.get(path, text(&ann, "access_token")).await;
        assert_eq!(answer.refused(404, "user_not_found").json["detail"], "User not found");
    }
    t.request(Method::GET, &path).answer().await.refused(401, "unauthenticated");
}

#[tokio::test]
async fn whoever_is_connected_is_online() {
    let t = Server::start().await;
    let ann = t.user("ann").await;
    let id = protocol::id::UserId(ann["id"].as_i64().unwrap());
    t.api.presence.enter(protocol::id::NodeId::random(), &here(&[id])).await.unwrap();
    let me = t.get("/me", text(&ann, "access_token")).await.ok(200);
    assert_eq!(me["status"], "online");
    let list = t.get("/users", text(&ann, "access_token")).await.ok(200);
    assert_eq!(list["items"][0]["status"], "online");
}

#[tokio::test]
async fn users_are_found_by_the_beginning_of_their_name_page_by_page() {
    let t = Server::start().await;
    let ann = t.user("ann").await;
    for name in ["Bob", "bobby", "BOBO", "b%b", "b_b", "Боб"] {
        let body = json!({"username": name, "password": "password123"});
        t.post("/register", body).await.ok(201);
    }
    let token = text(&ann, "access_token");
    let search = |query: &str| {
        let request = t.request(Method::GET, &format!("/users?{query}"));
        request.bearer_auth(token)
    };
    let names = |page: &serde_json::Value| -> Vec<String> {
        let items = page["items"].as_array().unwrap().iter();
        items.map(|user| text(user, "username").to_owned()).collect()
    };
    let page = search("query=BOB&limit=2").answer().await.ok(200);
    assert_eq!(names(&page), ["Bob", "bobby"]);
    let next = search(&format!("query=BOB&limit=2&after={}", text(&page, "next")));
    let next = next.answer().await.ok(200);
    assert_eq!(names(&next), ["BOBO"]);
    assert!(next["next"].is_null());
    // Nothing in a name is a pattern.
    assert_eq!(names(&search("query=b%25").answer().await.ok(200)), ["b%b"]);
    assert_eq!(names(&search("query=b_").answer().await.ok(200)), ["b_b"]);
    assert_eq!(names(&search("query=%D0%91%D0%BE").answer().await.ok(200)), ["Боб"]);
    assert_eq!(names(&search("").answer().await.ok(200)).len(), 7);
    assert_eq!(names(&search("query=zz").answer().await.ok(200)).len(), 0);
    for limit in ["0", "101", "-1", "x", "99999999999999999999"] {
        let answer = search(&format!("limit={limit}")).answer().await;
        assert_eq!(answer.refused(422, "validation_failed").fields(), ["limit"]);
    }
}

#[tokio::test]
async fn a_profile_is_changed_field_by_field() {
    let t = Server::start().await;
    let ann = t.user("ann").await;
    let token = text(&ann, "access_token");
    let patch = |body| t.request(Method::PATCH, "/me").bearer_auth(token).json(&body).answer();
    let avatar = "https://example.com/a.png";
    assert_eq!(patch(json!({"avatar": avatar})).await.ok(200)["name"], "ann");
    let me = patch(json!({"name": "Ann S."})).await.ok(200);
    assert_eq!((text(&me, "name"), text(&me, "avatar")), ("Ann S.", avatar));
    assert_eq!(patch(json!({"avatar": "", "role": "admin"})).await.ok(200)["role"], "user");
    for (body, field) in [
        (json!({"name": ""}), "name"),
        (json!({"name": "a\u{0}b"}), "name"),
        (json!({"name": "x".repeat(65)}), "name"),
        (json!({"avatar": "javascript:alert(1)"}), "avatar"),
    ] {
        assert_eq!(patch(body).await.refused(422, "validation_failed").fields(), [field]);
    }
}
