//! The REST half of the table.

use super::{Each, Kind, World};
use crate::harness::Rest;
use reqwest::Method;
use std::collections::BTreeSet;

/// What a caller gets.
#[derive(Clone, Copy, Debug)]
enum Answer {
    /// This status and code.
    No(u16, &'static str),
    /// A success, rightly: why.
    Yes(&'static str),
}
use Answer::{No, Yes};

const fn signed_in(answer: Answer) -> Each<Answer> {
    let unknown = No(401, "unauthenticated");
    [answer, answer, No(403, "blocked"), unknown, unknown]
}

const fn all(answer: Answer) -> Each<Answer> {
    [answer; 5]
}

/// Only who is in the chat.
const MEMBERS: Each<Answer> = signed_in(No(403, "not_a_member"));
const ADMINS: Each<Answer> = signed_in(No(403, "admin_only"));
const OWN: Each<Answer> = signed_in(Yes("it is about the caller's own things only"));
const PUBLIC: Each<Answer> = all(Yes("it is for everybody and tells nothing of anybody"));
const LOBBY: Each<Answer> = [
    Yes("the lobby is public"),
    Yes("the lobby is public"),
    No(403, "blocked"),
    Yes("guests may read the lobby"),
    No(401, "unauthenticated"),
];

/// The operation, its query and body with names to fill in, and what each kind of caller gets.
type RestCase = (&'static str, &'static str, &'static str, Each<Answer>);

const TABLE: &[RestCase] = &[
    // Somebody else's chat.
    ("GET /chats/{chat_id}", "", "", MEMBERS),
    ("PATCH /chats/{chat_id}", "", r#"{"name":"mine now"}"#, MEMBERS),
    ("DELETE /chats/{chat_id}", "", "", MEMBERS),
    ("PATCH /chats/{chat_id}/me", "", r#"{"muted":true}"#, MEMBERS),
    ("POST /chats/{chat_id}/join", "", "{}", MEMBERS),
    ("POST /chats/{chat_id}/leave", "", "{}", MEMBERS),
    ("GET /chats/{chat_id}/members", "", "", MEMBERS),
    ("POST /chats/{chat_id}/members", "", r#"{"user_ids":[{own_id}]}"#, MEMBERS),
    ("DELETE /chats/{chat_id}/members/{user_id}", "", "", MEMBERS),
    ("GET /chats/{chat_id}/bans", "", "", MEMBERS),
    ("PUT /chats/{chat_id}/bans/{user_id}", "", "{}", MEMBERS),
    ("DELETE /chats/{chat_id}/bans/{user_id}", "", "", MEMBERS),
    ("GET /chats/{chat_id}/messages", "", "", MEMBERS),
    ("POST /chats/{chat_id}/messages", "", r#"{"text":"let me in"}"#, MEMBERS),
    ("PATCH /chats/{chat_id}/messages/{message_id}", "", r#"{"text":"changed"}"#, MEMBERS),
    ("DELETE /chats/{chat_id}/messages/{message_id}", "", "", MEMBERS),
    ("POST /chats/{chat_id}/read", "", r#"{"message_id":{message_id}}"#, MEMBERS),
    ("GET /history/{chat_id}", "", "", MEMBERS),
    ("GET /messages/{sender_id}/{receiver_id}", "", "", signed_in(No(403, "other_user"))),
    // Somebody else.
    (
        "GET /users/{user_id}",
        "",
        "",
        signed_in(Yes("people see each other; the email is left out")),
    ),
    ("GET /users", "?query={username}", "", signed_in(Yes("people find each other"))),
    (
        "POST /chats",
        "",
        r#"{"chat_type":"group","name":"mine","member_ids":[{user_id}]}"#,
        signed_in(Yes("anybody may invite anybody into a chat of their own")),
    ),
    ("DELETE /me/sessions/{session_id}", "", "", signed_in(No(404, "session_not_found"))),
    ("GET /admin/audit", "", "", ADMINS),
    ("GET /admin/announcement", "", "", ADMINS),
    ("PUT /admin/announcement", "", r#"{"text":"hello"}"#, ADMINS),
    ("DELETE /admin/announcement", "", "", ADMINS),
    ("GET /admin/nodes", "", "", ADMINS),
    ("GET /admin/settings", "", "", ADMINS),
    ("GET /admin/users/{user_id}/connections", "", "", ADMINS),
    ("DELETE /admin/users/{user_id}/connections", "", "", ADMINS),
    ("GET /admin/chats", "", "", ADMINS),
    ("GET /admin/chats/{chat_id}/members", "", "", ADMINS),
    ("GET /admin/users", "?query={username}", "", ADMINS),
    ("GET /admin/users/{user_id}", "", "", ADMINS),
    ("PUT /admin/users/{user_id}/role", "", r#"{"role":"admin"}"#, ADMINS),
    ("GET /admin/users/{user_id}/sessions", "", "", ADMINS),
    ("DELETE /admin/users/{user_id}/sessions", "", "", ADMINS),
    ("DELETE /admin/users/{user_id}/sessions/{session_id}", "", "", ADMINS),
    ("POST /admin/users/bulk", "", r#"{"prefix":"x-","from":0,"count":1}"#, ADMINS),
    ("POST /admin/users/bulk/remove", "", r#"{"prefix":"x-"}"#, ADMINS),
    (
        "POST /admin/chats/bulk",
        "",
        r#"{"chats":[{"chat_type":"private","member_ids":[{own_id},{user_id}]}]}"#,
        ADMINS,
    ),
    ("GET /getallactiveusers", "", "", ADMINS),
    ("GET /readuserchats", "?username={username}", "", ADMINS),
    ("POST /blockuser", "?username={username}", "{}", ADMINS),
    ("GET /blockuser", "?username={username}", "", ADMINS),
    ("POST /unblockuser", "?username={username}", "{}", ADMINS),
    ("GET /unblockuser", "?username={username}", "", ADMINS),
    ("POST /readnotreadedfromuser", "?user_from={username}", "{}", OWN),
    ("GET /readnotreadedfromuser", "?user_from={username}", "", OWN),
    (
        "POST /login",
        "",
        r#"{"username":"{username}","password":"not the password"}"#,
        all(No(401, "invalid_credentials")),
    ),
    (
        "POST /users/login",
        "",
        r#"{"email":"{username}@secret.example","password":"not the password"}"#,
        all(No(401, "invalid_credentials")),
    ),
    (
        "POST /register",
        "",
        r#"{"username":"{username}","password":"{password}"}"#,
        all(No(400, "username_taken")),
    ),
    (
        "POST /users/register",
        "",
        r#"{"username":"other","email":"{username}@secret.example","password":"{password}"}"#,
        all(No(400, "email_taken")),
    ),
    (
        "POST /token/refresh",
        "",
        r#"{"refresh_token":"{token}"}"#,
        all(No(401, "invalid_refresh_token")),
    ),
    (
        "POST /password/reset",
        "",
        r#"{"token":"{token}","new_password":"another password"}"#,
        all(No(400, "invalid_link")),
    ),
    (
        "POST /password/forgot",
        "",
        r#"{"email":"{username}@secret.example"}"#,
        all(No(404, "mail_off")),
    ),
    ("POST /email/verify", "", r#"{"token":"{token}"}"#, all(No(400, "invalid_link"))),
    (
        "PUT /me/email",
        "",
        r#"{"email":"{username}@secret.example","password":"not the password"}"#,
        signed_in(No(400, "wrong_password")),
    ),
    ("GET /me/email", "", "", OWN),
    (
        "POST /login/second-step",
        "",
        r#"{"token":"{token}","code":"000000"}"#,
        all(No(401, "invalid_second_step")),
    ),
    ("GET /me/second-factor", "", "", OWN),
    (
        "POST /me/second-factor",
        "",
        r#"{"password":"not the password"}"#,
        signed_in(No(400, "wrong_password")),
    ),
    (
        "POST /me/second-factor/confirm",
        "",
        r#"{"code":"000000"}"#,
        signed_in(No(400, "wrong_code")),
    ),
    (
        "POST /me/second-factor/remove",
        "",
        r#"{"password":"not the password","code":"000000"}"#,
        signed_in(No(400, "wrong_password")),
    ),
    (
        "POST /me/delete",
        "",
        r#"{"password":"not the password"}"#,
        signed_in(No(400, "wrong_password")),
    ),
    ("DELETE /admin/users/{user_id}/second-factor", "", "", ADMINS),
    ("DELETE /admin/users/{user_id}/avatar", "", "", ADMINS),
    ("POST /admin/users/{user_id}/password-link", "", "{}", ADMINS),
    // The lobby.
    ("GET /api/messages", "", "", LOBBY),
    ("GET /api/messages/recent", "", "", LOBBY),
    ("GET /api/messages/stats", "", "", LOBBY),
    ("GET /api/messages/user/{username}", "", "", LOBBY),
    // The caller's own.
    ("GET /rooms", "", "", signed_in(Yes("rooms are public"))),
    ("GET /chats", "", "", OWN),
    ("GET /getallchats", "", "", OWN),
    ("GET /getallmessages", "", "", OWN),
    ("GET /getreadedmessages", "", "", OWN),
    ("GET /getnotreadedmessages", "", "", OWN),
    ("POST /readnotreaded", "", "{}", OWN),
    ("GET /readnotreaded", "", "", OWN),
    ("GET /me", "", "", OWN),
    ("PATCH /me", "", r#"{"avatar":"https://example.com/a.png"}"#, OWN),
    ("GET /avatars", "", "", signed_in(Yes("it is about pictures and not about anybody's"))),
    ("GET /avatars/{name}", "", "", signed_in(No(404, "avatar_not_found"))),
    ("PUT /me/avatar", "", "{}", signed_in(No(415, "unsupported_media_type"))),
    ("DELETE /me/avatar", "", "", OWN),
    ("GET /me/sessions", "", "", OWN),
    ("DELETE /me/sessions", "", "", OWN),
    ("GET /me/blocklist", "", "", OWN),
    ("PUT /me/blocklist/{user_id}", "", "", OWN),
    ("DELETE /me/blocklist/{user_id}", "", "", OWN),
    // For everybody.
    ("GET /health", "", "", PUBLIC),
    ("GET /status", "", "", PUBLIC),
    ("GET /openapi.json", "", "", PUBLIC),
    ("GET /asyncapi.json", "", "", PUBLIC),
    ("GET /.well-known/jwks.json", "", "", PUBLIC),
    // Last: after these the caller has no session.
    (
        "POST /me/password",
        "",
        r#"{"current_password":"{password}","new_password":"another password"}"#,
        OWN,
    ),
    ("POST /logout", "", "", OWN),
];

#[test]
fn every_operation_has_a_row() {
    let document = api::rest::document();
    let paths = document["paths"].as_object().expect("paths");
    let documented: BTreeSet<String> = paths
        .iter()
        .flat_map(|(path, item)| {
            let methods = item.as_object().expect("operations").keys();
            methods.map(move |method| format!("{} {path}", method.to_ascii_uppercase()))
        })
        .collect();
    let rows: BTreeSet<String> = TABLE.iter().map(|row| row.0.to_owned()).collect();
    assert_eq!(documented.difference(&rows).collect::<Vec<_>>(), [""; 0], "without a row");
    assert_eq!(rows.difference(&documented).collect::<Vec<_>>(), [""; 0], "there is no such");
    assert_eq!(rows.len(), TABLE.len(), "an operation has one row");
}

/// Performs the table.
pub(super) async fn run(world: &World, kinds: &[Kind]) {
    let before = world.state().await;
    for row in TABLE {
        let in_chat = row.0.contains("{chat_id}");
        for kind in kinds {
            perform(world, row, *kind, world.group).await;
            // Of the private chat nobody was ever removed.
            if in_chat && *kind != Kind::Removed {
                perform(world, row, *kind, world.private).await;
            }
        }
        assert_eq!(world.state().await, before, "{} changed something", row.0);
    }
}

async fn perform(world: &World, row: &RestCase, kind: Kind, chat: protocol::id::ChatId) {
    let (operation, query, body, answers) = row;
    let (method, path) = operation.split_once(' ').expect("a method and a path");
    let method: Method = method.parse().expect("a method");
    let target = world.fill(&format!("{path}{query}"), kind, chat).await;
    let mut request = world.rest(kind).request(method, &target);
    if !body.is_empty() {
        let body = world.fill(body, kind, chat).await;
        request = request.header("content-type", "application/json").body(body);
    }
    let answer = Rest::send(request).await;
    let what = format!("{operation} by {kind:?}");
    match answers[kind as usize] {
        No(status, code) => {
            let expected = (status, code);
            let got = (answer.status, answer.body["code"].as_str().unwrap_or_default());
            assert_eq!(got, expected, "{what}: {answer:?}");
            world.assert_kept(&answer.body.to_string(), &what);
            answer.refused(status, code);
        }
        Yes(why) => {
            assert!((200..300).contains(&answer.status), "{what}, since {why}: {answer:?}");
            world.assert_kept(&answer.body.to_string(), &what);
        }
    }
}
