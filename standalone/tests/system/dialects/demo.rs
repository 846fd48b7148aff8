//! Demo data: one command, four people, two chats; twice changes nothing.

use super::guests::guests_are_refused;
use crate::harness::{System, User, contains};
use protocol::id::ChatId;
use serde_json::{Value, json};

/// Who the demo's people are.
const PEOPLE: [(&str, &str); 4] =
    [("Alice", "alice"), ("Bob", "bob"), ("Charlie", "charlie"), ("David", "david")];

async fn sign_in(t: &System, local: &str) -> User {
    let body = json!({ "email": format!("{local}@example.com"), "password": "password123" });
    User::signed_in(t, &t.rest().post("/login", body).await.ok())
}

/// What one of them has: each chat with all of its messages.
async fn chats(user: &User) -> Vec<(Value, Vec<Value>)> {
    let listed = user.rest.get("/chats").await.ok();
    let mut all = Vec::new();
    for chat in listed.as_array().expect("an array") {
        let page = user.rest.get(&format!("/history/{}?limit=100", chat["id"])).await.ok();
        let items = page["items"].as_array().expect("items").clone();
        assert_eq!(page["total"], items.len());
        all.push((chat.clone(), items));
    }
    // The list is by last activity.
    all.sort_by_key(|(chat, _): &(Value, Vec<Value>)| chat["id"].as_i64());
    all
}

/// The demo's data are there, and there once. Gives all of it.
async fn assert_demo(t: &System) -> Vec<Vec<(Value, Vec<Value>)>> {
    let mut all = Vec::new();
    for (name, local) in PEOPLE {
        let user = sign_in(t, local).await;
        let me = user.rest.get("/me").await.ok();
        let expected = json!({ "name": name, "email": format!("{local}@example.com") });
        assert!(contains(&me, &expected), "{me}");
        all.push(chats(&user).await);
    }
    let count = |of: usize, chat_type: &str, messages: usize| {
        let chats = all[of].iter().filter(|(chat, _)| chat["chat_type"] == chat_type);
        let chats: Vec<_> = chats.collect();
        assert_eq!(chats.len(), 1, "{chats:?}");
        assert_eq!(chats[0].1.len(), messages);
        &chats[0].0
    };
    for of in 0..4 {
        assert_eq!(count(of, "group", 15)["name"], "Project team");
    }
    for of in 0..2 {
        count(of, "private", 10);
    }
    assert!(all[2].len() == 1 && all[3].len() == 1, "Charlie and David have only the group");
    all
}

/// What was said, without who read how much.
fn messages(all: &[Vec<(Value, Vec<Value>)>]) -> Vec<Vec<&Vec<Value>>> {
    all.iter().map(|chats| chats.iter().map(|(_, items)| items).collect()).collect()
}

#[tokio::test]
async fn a_cluster_as_shipped_refuses_guests_and_takes_demo_data() {
    let t = System::own_cluster().await;
    guests_are_refused(&t).await;
    t.api_command(&["demo"]).await;
    let before = assert_demo(&t).await;
    t.api_command(&["demo"]).await;
    assert_eq!(messages(&assert_demo(&t).await), messages(&before));
}

#[tokio::test]
async fn a_single_process_makes_demo_data_once() {
    let t = System::single(&[("DEMO", "true")]).await;
    let before = assert_demo(&t).await;
    // It is live: what Alice says there reaches Bob.
    let (alice, bob) = (sign_in(&t, "alice").await, sign_in(&t, "bob").await);
    let private = before[0].iter().find(|(chat, _)| chat["chat_type"] == "private").unwrap();
    let chat = ChatId(private.0["id"].as_i64().unwrap());
    let mut bobs = bob.window(0, "/ws/chat").await;
    let id = alice.post(chat, "привет").await;
    bobs.expect(json!({ "username_from": alice.username, "message": "привет" })).await;
    alice.rest.delete(&format!("/chats/{chat}/messages/{id}")).await.ok();

    t.alone().process.stop().await.unwrap();
    t.alone().restart().await;
    let after = assert_demo(&t).await;
    assert_eq!(messages(&after), messages(&before), "the second start changed nothing");
}
