//! The load tester prepares a cast on a real deployment, by the administrators' bulk routes and by
//! everybody's, and takes it away again.

use crate::harness::{System, unique, until_eq};
use loadtest::{
    cast::{Cast, CastMember},
    prepare::{
        AdminCredentials, LoadTarget, Preparation, PrepareError, PreparedCast, clean_up, prepare,
        remove_saved,
    },
    scenario::Scenario,
};
use platform::settings::Secret;
use protocol::{chat::ChatType, id::ChatId};
use serde_json::json;
use std::path::Path;

in_both_modes!(
    a_cast_is_made_in_bulk_and_taken_away,
    a_cast_is_made_without_an_administrator_and_used_again,
    nobody_elses_accounts_are_used,
);

fn scenario(accounts: usize) -> Scenario {
    serde_json::from_value(json!({
        "name": "prepared",
        "people": { "accounts": accounts, "dialects": { "native": 1.0, "lobby": 1.0 } },
        "chats": [
            { "kind": "group", "count": 3, "members": 4 },
            { "kind": "direct", "count": 4, "members": 2 },
            { "kind": "room", "count": 1, "members": accounts },
        ],
        "phases": [],
    }))
    .unwrap()
}

fn run_name(name: &str) -> String {
    unique(name).replace('_', "-")
}

fn target(t: &System, admin: Option<&str>) -> LoadTarget {
    let admin = admin.map(|password| AdminCredentials {
        username: "admin".to_owned(),
        password: Secret::new(password),
    });
    LoadTarget { url: format!("http://{}", t.front()), trust: Default::default(), admin }
}

async fn made(
    target: &LoadTarget,
    scenario: &Scenario,
    run: &str,
    accounts: Option<&Path>,
) -> Result<PreparedCast, PrepareError> {
    prepare(Preparation { scenario, target, run, accounts }, &|_| {}).await
}

/// Every member can read each of its chats, which has these members.
async fn assert_good(t: &System, cast: &Cast) {
    let rest = |person: &CastMember| t.rest().with_token(&person.token);
    for (place, chat) in cast.chats.iter().enumerate() {
        for member in &chat.members {
            assert!(cast.people[*member].chats.contains(&place));
        }
        let last = &cast.people[*chat.members.last().unwrap()];
        let view = rest(last).get(&format!("/chats/{}", chat.id)).await.ok();
        assert_eq!(view["chat_type"], json!(chat.chat_type), "{view}");
        if chat.id != ChatId::LOBBY {
            assert_eq!(view["member_count"], json!(chat.members.len()), "{view}");
            assert!(view["role"].is_string(), "{view}");
        }
    }
    for person in &cast.people {
        let me = rest(person).get("/me").await.ok();
        assert_eq!((&me["id"], &me["username"]), (&json!(person.id), &json!(person.username)));
    }
}

fn kinds(cast: &Cast) -> Vec<ChatType> {
    cast.chats.iter().map(|chat| chat.chat_type).collect()
}

async fn a_cast_is_made_in_bulk_and_taken_away(t: System) {
    let target = target(&t, Some(t.admin_password()));
    let (run, scenario) = (run_name("bulk"), scenario(8));
    let prepared = made(&target, &scenario, &run, None).await.unwrap();
    let PreparedCast { cast, prefix } = &prepared;
    assert_eq!(*prefix, format!("lt-{run}-"));
    assert_eq!(cast.people[7].username, format!("lt-{run}-7"));
    let (group, private, room) = (ChatType::Group, ChatType::Private, ChatType::Room);
    assert_eq!(
        kinds(cast),
        [group, group, group, private, private, private, private, room, room],
        "the lobby is the last"
    );
    assert_good(&t, cast).await;
    // Nobody knows a password of theirs.
    let body = json!({ "username": cast.people[0].username, "password": "!bulk" });
    t.rest().post("/login", body).await.refused(401, "invalid_credentials");
    // The run once more: the same people, with other sessions.
    let again = made(&target, &scenario, &run, None).await.unwrap();
    assert_eq!(again.cast.people[3].id, cast.people[3].id);
    assert_good(&t, &again.cast).await;

    clean_up(&target, &again, &|_| {}).await.unwrap();
    let ann = t.user("ann").await;
    let gone = format!("/users/{}", cast.people[0].id);
    ann.rest.get(&gone).await.refused(404, "user_not_found");
    for chats in [&cast.chats[..8], &again.cast.chats[..8]] {
        for chat in chats {
            let path = format!("/chats/{}", chat.id);
            t.admin().await.rest.get(&path).await.refused(404, "chat_not_found");
        }
    }
}

async fn a_cast_is_made_without_an_administrator_and_used_again(t: System) {
    let target = target(&t, None);
    let (run, scenario) = (run_name("open"), scenario(5));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("accounts.json");
    let first = made(&target, &scenario, &run, Some(&file)).await.unwrap();
    assert_good(&t, &first.cast).await;
    // As after a run: one session was renewed, so its refresh token in the file is void.
    let body = json!({ "refresh_token": first.cast.people[1].refresh });
    t.rest().post("/token/refresh", body).await.ok();
    t.rest().with_token(&first.cast.people[2].token).post("/logout", json!({})).await.ok();

    let second = made(&target, &scenario, "another-run", Some(&file)).await.unwrap();
    let ids = |cast: &Cast| {
        let people: Vec<i64> = cast.people.iter().map(|person| person.id.0).collect();
        let chats: Vec<i64> = cast.chats.iter().map(|chat| chat.id.0).collect();
        (people, chats)
    };
    assert_eq!(ids(&second.cast), ids(&first.cast));
    assert_good(&t, &second.cast).await;

    remove_saved(&target, &file, &|_| {}).await.unwrap();
    assert!(!file.exists());
    // One api may hear of it a moment after the other.
    let rest = t.rest().with_token(&second.cast.people[0].token);
    until_eq("the session to be over", 401, async || rest.get("/me").await.status).await;
}

async fn nobody_elses_accounts_are_used(t: System) {
    let (run, scenario) = (run_name("taken"), scenario(5));
    let body = json!({ "username": format!("lt-{run}-2"), "password": "correct horse" });
    t.rest().post("/register", body).await.ok();
    for admin in [Some(t.admin_password()), None] {
        let refused = made(&target(&t, admin), &scenario, &run, None).await;
        assert!(matches!(refused, Err(PrepareError::Taken(_))), "{refused:?}");
    }
    let wrong = made(&target(&t, Some("not the password")), &scenario, &run, None).await;
    assert!(matches!(wrong, Err(PrepareError::AdminRefused(_))), "{wrong:?}");
}
