//! The lobby by the names of the `lobby` dialect: who may read it, in which order, within which limits.

use crate::support::{Ask, Server, text};
use api::{
    auth::tokens::{Subject, Tokens, generate_pem},
    internal,
};
use protocol::{
    account::Role,
    calls::{Guests, Post},
    command::{Action, Command},
    id::{ChatId, SessionId, UserId},
    time::Timestamp,
};
use reqwest::{Method, header};
use serde_json::{Value, json};
use std::time::Duration;
use uuid::Uuid;

const PATHS: [&str; 4] =
    ["/api/messages", "/api/messages/recent", "/api/messages/user/ann", "/api/messages/stats"];

/// Posts in the lobby as this registered user; the message's id.
async fn say(t: &Server, user: &Value, message: &str) -> i64 {
    let token = text(user, "access_token");
    let sent = t.post_as("/chats/1/messages", token, json!({"text": message})).await.ok(201);
    sent["id"].as_i64().unwrap()
}

async fn say_as_guest(t: &Server, name: &str, message: &str) {
    let request = Guests { names: vec![name.to_owned()] };
    let mut found = internal::guests(&t.api, request).await.unwrap();
    let user_id = found.guests.pop().unwrap().unwrap().id;
    let client_message_id = message.to_owned();
    let action = Action::Send { client_message_id, text: message.to_owned(), reply_to: None };
    let command = Command { user_id, chat_id: ChatId::LOBBY, action };
    let posted = internal::post(&t.api, Post::patient(vec![command])).await.unwrap();
    assert!(posted.results[0].is_ok());
}

async fn ask(t: &Server, path: &str) -> Value {
    t.request(Method::GET, path).answer().await.ok(200)
}

fn texts(page: &Value) -> Vec<&str> {
    page["messages"].as_array().unwrap().iter().map(|item| text(item, "message")).collect()
}

#[tokio::test]
async fn with_guest_access_anybody_reads() {
    let t = Server::start_with(|config| config.guests = true).await;
    let ann = t.user("ann").await;
    say(&t, &ann, "hello").await;
    for path in PATHS {
        ask(&t, path).await;
        t.get(path, text(&ann, "access_token")).await.ok(200);
        t.get(path, "nonsense").await.refused(401, "invalid_token");
        // A cookie of another application on this host, and one of another deployment of ours.
        let deployment = Tokens::from_pem(generate_pem().unwrap().reveal()).unwrap();
        let subject = Subject {
            user_id: UserId(1),
            session_id: SessionId(Uuid::nil()),
            username: "ann".to_owned(),
            role: Role::User,
        };
        let token = deployment.issue(&subject, Timestamp::now(), Duration::from_secs(60)).unwrap();
        for other in ["nonsense", &token] {
            let cookie =
                t.request(Method::GET, path).header(header::COOKIE, format!("session={other}"));
            cookie.answer().await.ok(200);
        }
    }
}

#[tokio::test]
async fn without_guest_access_readers_sign_in() {
    let t = Server::start().await;
    let ann = t.user("ann").await;
    for path in PATHS {
        t.request(Method::GET, path).answer().await.refused(401, "unauthenticated");
        t.get(path, text(&ann, "access_token")).await.ok(200);
    }
}

async fn pages(t: Server) {
    let ann = t.user("Ann").await;
    for n in 1..=7 {
        say(&t, &ann, &format!("m{n}")).await;
    }
    let token = text(&ann, "access_token");
    t.bearer(Method::DELETE, "/chats/1/messages/3", token).await;
    let all = ask(&t, "/api/messages").await;
    assert_eq!(texts(&all), ["m1", "m2", "m4", "m5", "m6", "m7"]);
    assert_eq!((&all["total"], &all["limit"], &all["offset"]), (&json!(6), &json!(50), &json!(0)));
    let first = &all["messages"][0];
    assert_eq!(
        (&first["id"], &first["username"], &first["guest"]),
        (&json!(1), &json!("Ann"), &json!(false))
    );
    assert!(text(first, "timestamp").ends_with('Z'));
    // Every place is the same one, whichever end it is counted from.
    let everything = texts(&all);
    for offset in 0..=8 {
        for limit in 1..=7 {
            let page = ask(&t, &format!("/api/messages?limit={limit}&offset={offset}")).await;
            let from = offset.min(everything.len());
            let expected = &everything[from..(from + limit).min(everything.len())];
            assert_eq!(texts(&page), expected, "{limit} after {offset}");
            assert_eq!((&page["total"], &page["offset"]), (&json!(6), &json!(offset)));
        }
    }
    let far = ask(&t, "/api/messages?offset=9223372036854775807&limit=100").await;
    assert_eq!((texts(&far).len(), &far["total"]), (0, &json!(6)));
    let recent = ask(&t, "/api/messages/recent?limit=2").await;
    assert_eq!(texts(&recent), ["m6", "m7"]);
    assert_eq!((&recent["total"], &recent["limit"]), (&json!(6), &json!(2)));
}

#[tokio::test]
async fn pages_are_chronological() {
    pages(Server::start_with(|config| config.guests = true).await).await;
}

#[tokio::test]
async fn pages_are_chronological_on_postgresql() {
    pages(Server::on_postgres(|config| config.guests = true).await).await;
}

async fn senders(t: Server) {
    let ann = t.user("Ann").await;
    let bob = t.user("bob").await;
    say_as_guest(&t, "Zoë", "from afar").await;
    say_as_guest(&t, "eve", "before the account").await;
    let eve = t.user("eve").await;
    for n in 1..=3 {
        say(&t, &ann, &format!("a{n}")).await;
    }
    say(&t, &eve, "with an account").await;
    let newest = ask(&t, "/api/messages/user/ANN?limit=2").await;
    assert_eq!(texts(&newest), ["a2", "a3"]);
    assert_eq!((text(&newest, "username"), &newest["total_messages"]), ("Ann", &json!(3)));
    assert_eq!(newest["limit"], 2);
    let none = ask(&t, "/api/messages/user/bob").await;
    assert_eq!(
        (texts(&none).len(), &none["total_messages"], &none["limit"]),
        (0, &json!(0), &json!(50))
    );
    let guest = ask(&t, "/api/messages/user/zo%C3%8B").await;
    assert_eq!((text(&guest, "username"), texts(&guest)), ("Zoë", vec!["from afar"]));
    assert_eq!(guest["messages"][0]["guest"], true);
    let account = ask(&t, "/api/messages/user/eve").await;
    assert_eq!(texts(&account), ["with an account"], "the account, not the guest of that name");
    for name in ["nobody", "a%00b", "@zo%C3%8B", "%20", &"x".repeat(500)] {
        let answer = t.request(Method::GET, &format!("/api/messages/user/{name}")).answer().await;
        answer.refused(404, "user_not_found");
    }
    // A block hides nothing that was said.
    let sql = format!("UPDATE users SET blocked_at = 1 WHERE id = {}", ann["id"]);
    t.sql(&sql).await;
    assert_eq!(texts(&ask(&t, "/api/messages/user/ann").await).len(), 3);
    drop(bob);
}

#[tokio::test]
async fn one_senders_messages() {
    senders(Server::start_with(|config| config.guests = true).await).await;
}

#[tokio::test]
async fn one_senders_messages_on_postgresql() {
    senders(Server::on_postgres(|config| config.guests = true).await).await;
}

async fn numbers(t: Server) {
    let empty = json!({"total_messages": 0, "total_users": 0, "most_active_user": null,
        "messages_today": 0, "average_message_length": 0.0});
    assert_eq!(ask(&t, "/api/messages/stats").await, empty);
    let ann = t.user("ann").await;
    let bob = t.user("bob").await;
    say(&t, &bob, "привет").await;
    let gone = say(&t, &bob, "gone soon").await;
    say(&t, &ann, "hi").await;
    say(&t, &ann, "hm").await;
    say_as_guest(&t, "guest", "o").await;
    let path = format!("/chats/1/messages/{gone}");
    t.bearer(Method::DELETE, &path, text(&bob, "access_token")).await;
    let expected = json!({"total_messages": 4, "total_users": 3, "messages_today": 4,
        "most_active_user": {"username": "ann", "message_count": 2, "guest": false},
        "average_message_length": 2.75});
    assert_eq!(ask(&t, "/api/messages/stats").await, expected);
}

#[tokio::test]
async fn statistics() {
    numbers(Server::start_with(|config| config.guests = true).await).await;
}

#[tokio::test]
async fn statistics_on_postgresql() {
    numbers(Server::on_postgres(|config| config.guests = true).await).await;
}

#[tokio::test]
async fn limits_and_offsets_out_of_range_are_named() {
    let t = Server::start_with(|config| config.guests = true).await;
    t.user("ann").await;
    let paged = PATHS.iter().take(3);
    for (path, limit) in paged.flat_map(|path| ["0", "101", "-1", "x", "1.5"].map(|l| (path, l))) {
        let answer = t.request(Method::GET, &format!("{path}?limit={limit}")).answer().await;
        assert_eq!(answer.refused(422, "validation_failed").fields(), ["limit"], "{path} {limit}");
    }
    for offset in ["-1", "x", "99999999999999999999"] {
        let path = format!("/api/messages?offset={offset}");
        let answer = t.request(Method::GET, &path).answer().await;
        assert_eq!(answer.refused(422, "validation_failed").fields(), ["offset"]);
    }
    for path in PATHS {
        let answer = t.request(Method::POST, path).answer().await;
        answer.refused(405, "method_not_allowed");
    }
}

#[tokio::test]
async fn a_guests_name_can_be_blocked() {
    let t = Server::start_with(|config| config.guests = true).await;
    t.user("ann").await;
    t.sql("UPDATE users SET role = 'admin'").await;
    let admin = t.login("ann", "password123").await.ok(200);
    say_as_guest(&t, "Troll", "grr").await;
    let path = "/blockuser?username=@tRoll";
    t.bearer(Method::POST, path, text(&admin, "access_token")).await.ok(200);
    let names = vec!["troll".to_owned()];
    let mut found = internal::guests(&t.api, Guests { names }).await.unwrap();
    let user_id = found.guests.pop().unwrap().unwrap().id;
    let action =
        Action::Send { client_message_id: "k".to_owned(), text: "grr".to_owned(), reply_to: None };
    let command = Command { user_id, chat_id: ChatId::LOBBY, action };
    let posted = internal::post(&t.api, Post::patient(vec![command])).await.unwrap();
    assert_eq!(posted.results[0].as_ref().unwrap_err().code.as_str(), "blocked");
    // A guest is no account: nobody signs in as one.
    for name in ["@troll", "troll"] {
        t.login(name, "").await.refused(401, "invalid_credentials");
    }
}
