//! What /openapi.json refuses of a request, the server refuses, and the other way round: whoever generates a client
//! from the document does not learn its bounds by 422.

use crate::support::{Ask, Server, text};
use api::accounts::admin;
use platform::settings::Secret;
use reqwest::Method;
use serde_json::{Value, json};

/// The schema of an operation's JSON body.
fn body_schema(document: &Value, method: &Method, path: &str) -> jsonschema::Validator {
    let operation = &document["paths"][path][method.as_str().to_lowercase()];
    let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
    assert!(schema.is_object(), "{method} {path}");
    let whole = json!({ "components": document["components"], "allOf": [schema] });
    jsonschema::options().should_validate_formats(true).build(&whole).unwrap()
}

#[tokio::test]
async fn the_document_and_the_server_refuse_the_same_bodies() {
    let t = Server::start().await;
    let password = Secret::new("correct horse");
    assert!(admin::create(t.api.db.home(), &t.api.passwords, password, |_| Ok(())).await.unwrap());
    let boss = t.login("admin", "correct horse").await.ok(200);
    let boss = text(&boss, "access_token");
    let room = json!({"chat_type": "room", "name": "tea"});
    let room = t.post_as("/chats", boss, room).await.ok(201)["id"].clone();
    let message = t.post_as(&format!("/chats/{room}/messages"), boss, json!({"text": "hi"})).await;
    let message = message.ok(201)["id"].clone();
    let document = api::rest::document();

    let p = "password123";
    let long = "x".repeat(4_001);
    let mut cases: Vec<(Method, &str, Value, bool)> = Vec::new();
    let mut case =
        |method: &Method, path, body, good| cases.push((method.clone(), path, body, good));
    let (post, patch) = (Method::POST, Method::PATCH);
    for (username, good) in [
        ("ann", true),
        ("ann smith", true),
        ("O’Neil", true),
        ("名前", true),
        ("ann ", false),
        (" ann", false),
        ("a\nb", false),
        ("a@b", false),
        ("a\u{3164}", false),
        ("a\u{fe0f}", false),
        ("\u{2800}a", false),
    ] {
        case(&post, "/register", json!({"username": username, "password": p}), good);
        let email = format!("{}@example.com", username.len());
        let body = json!({"username": format!("{username}!"), "email": email, "password": p});
        case(&post, "/users/register", body, good || username == "ann ");
    }
    for (body, good) in [
        (json!({"password": p}), false),
        (json!({"username": "", "email": null, "password": p}), false),
        (json!({"username": "", "email": "a@b.example", "password": p}), true),
        (json!({"mail": "b@b.example", "name": "", "password": p}), true),
        (json!({"username": "carl", "name": "a\u{7}", "password": p}), false),
        (json!({"username": "carl", "name": "\u{3164}", "password": p}), false),
        (json!({"username": "carl", "name": "Carl ❤\u{fe0f}", "password": p}), true),
        (json!({"username": "dora", "password": "pass\u{200b}word"}), false),
        (json!({"username": "dora", "password": "passwort ü 🐒"}), true),
    ] {
        case(&post, "/register", body, good);
    }
    for (email, good) in [
        ("x", false),
        ("x@", false),
        ("@x.y", false),
        ("x@y", false),
        ("x@y.", false),
        ("x@-y.z", false),
        ("x y@y.z", false),
        ("x@y..z", false),
        ("<x@y.z>", false),
        ("x\u{3164}@y.z", false),
        ("x@y\u{115f}.z", false),
        ("x@y.z", true),
        ("ü.x+1@münchen.example", true),
        ("o'neil@a-b.c", true),
    ] {
        case(&post, "/register", json!({"email": email, "password": p}), good);
        let body = json!({"username": format!("u{}", email.len()), "email": format!("u{email}"), "password": p});
        case(&post, "/users/register", body, good || email == "@x.y");
    }
    for (body, good) in [
        (json!({"password": "x"}), false),
        (json!({"username": null, "email": "", "password": "x"}), false),
        (json!({"username": "ann", "password": "x"}), true),
        (json!({"mail": "x@y.z", "password": "x"}), true),
    ] {
        case(&post, "/login", body, good);
    }
    for (avatar, good) in [
        ("", true),
        ("https://example.com/a.png?x=1", true),
        ("http://x", true),
        ("x", false),
        ("javascript:alert(1)", false),
        ("https://", false),
        ("http:///x", false),
        ("https://a\"b", false),
        ("https://a\u{200b}", false),
        ("https://a b", false),
    ] {
        case(&patch, "/me", json!({"avatar": avatar}), good);
    }
    for (name, good) in [
        ("tea", true),
        (" tea ", true),
        ("½ · ❤\u{fe0f}", true),
        (" ", false),
        ("a\u{202e}b", false),
        ("\u{2800}", false),
        ("a\u{1b}", false),
    ] {
        case(&patch, "/me", json!({"name": name}), good && !name.starts_with(' '));
        case(&patch, "/chats/{chat_id}", json!({"name": name}), good);
        case(&post, "/chats", json!({"chat_type": "group", "name": name}), good);
        let chat = json!({"chat_type": "group", "name": name, "member_ids": [1]});
        case(&post, "/admin/chats/bulk", json!({"chats": [chat]}), good);
    }
    for (said, good) in [
        ("hi", true),
        (" \n hi\t", true),
        ("⠓⠑⠀", true),
        ("👨\u{200d}👩", true),
        ("", false),
        (" \n", false),
        ("\u{3164}\u{200b}", false),
        ("a\u{0}", false),
        ("a\u{9b}", false),
        (long.as_str(), false),
    ] {
        case(&post, "/chats/{chat_id}/messages", json!({"text": said}), good);
        case(&patch, "/chats/{chat_id}/messages/{message_id}", json!({"text": said}), good);
    }
    for (id, good) in [("c1", true), ("", false), ("a\n", false), ("a\u{7f}", false)] {
        let body = json!({"text": "hi", "client_message_id": id});
        case(&post, "/chats/{chat_id}/messages", body, good);
    }
    for (body, good) in [
        (json!({}), false),
        (json!({"user_ids": []}), false),
        (json!({"user_id": null}), false),
        (json!({"user_id": 1}), true),
        (json!({"user_ids": [1]}), true),
        (json!({"user_id": 1, "user_ids": []}), true),
    ] {
        case(&post, "/chats/{chat_id}/members", body, good);
    }
    for (prefix, good) in [
        ("x-", true),
        ("1x", true),
        ("x", true),
        ("", false),
        ("1", false),
        ("x1", false),
        ("a@b", false),
        (" x", false),
        ("x ", false),
        ("x\u{2060}y", false),
    ] {
        case(&post, "/admin/users/bulk", json!({"prefix": prefix, "from": 0, "count": 1}), good);
        case(&post, "/admin/users/bulk/remove", json!({"prefix": prefix}), good);
    }
    for (new, good) in [("short", false), ("pass\tword", false), ("a better one", true)] {
        let body = json!({"current_password": "wrong", "new_password": new});
        case(&post, "/me/password", body, good);
    }

    for (method, template, body, good) in cases {
        let documented = body_schema(&document, &method, template).is_valid(&body);
        let path = template.replace("{chat_id}", &room.to_string());
        let path = path.replace("{message_id}", &message.to_string());
        let answer = t.request(method.clone(), &path).bearer_auth(boss).json(&body).answer().await;
        let served = answer.status != 422;
        let answer = &answer.json;
        assert_eq!((documented, served), (good, good), "{method} {template} {body} {answer}");
    }
}

#[tokio::test]
async fn reasons_are_documented() {
    let document = api::rest::document();
    let parameters = &document["paths"]["/blockuser"]["post"]["parameters"];
    let reason = parameters.as_array().unwrap().iter().find(|it| it["name"] == "reason").unwrap();
    let schema = jsonschema::validator_for(&reason["schema"]).unwrap();
    for (text, good) in
        [("spam and more", true), ("❤\u{fe0f}", true), ("a\nb", false), ("a\u{3164}", false)]
    {
        assert_eq!(schema.is_valid(&json!(text)), good, "{text:?}");
        assert_eq!(api::audit::check_reason(text).is_ok(), good, "{text:?}");
    }
}
