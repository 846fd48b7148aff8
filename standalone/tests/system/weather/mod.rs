//! Bad weather for those who did nothing wrong: bursts, long absences, storms, slow neighbors, more
//! chats than a connection holds. Whatever a client that reads gets of a chat, it gets all of it, once
//! and in order, and nobody is closed for what others send; all of it is judged by content.

mod away;
mod burst;
mod crowded;
mod cursors;
mod pace;
mod stalled;
mod subscribing;
mod unread;

use crate::harness::{Device, SentMessage, User, unique};
use protocol::id::{ChatId, Seq};
use serde_json::{Value, json};
use std::time::Duration;

/// For what takes some seconds on a machine that has other things to do.
const PATIENCE: Duration = Duration::from_secs(30);

/// Accounts with a session each. No password is hashed for them, so that fifty take no time.
pub async fn people(admin: &User, count: usize) -> Vec<User> {
    let prefix = format!("{}-", unique("weather"));
    let body = json!({ "prefix": prefix, "from": 0, "count": count });
    let made = admin.rest.post("/admin/users/bulk", body).await.ok();
    let made = made["users"].as_array().expect("users");
    made.iter().map(|user| User::signed_in(admin.system(), user)).collect()
}

/// So many chats of these members, the first of them the owner.
async fn chats(admin: &User, kind: &str, members: &[&User], count: usize) -> Vec<ChatId> {
    /// A call takes 64 KiB.
    const AT_ONCE: usize = 500;
    let members: Vec<_> = members.iter().map(|user| user.id).collect();
    let chat = json!({ "chat_type": kind, "name": "weather", "member_ids": members });
    let mut ids = Vec::new();
    while ids.len() < count {
        let body = json!({ "chats": vec![&chat; AT_ONCE.min(count - ids.len())] });
        let made = admin.rest.post("/admin/chats/bulk", body).await.ok();
        let made = made["chat_ids"].as_array().expect("ids");
        ids.extend(made.iter().filter_map(Value::as_i64).map(ChatId));
    }
    ids
}

/// A text of so many of these letters, which no other message has.
fn long(number: usize, letter: &str, letters: usize) -> String {
    format!("{number:04}{}", letter.repeat(letters - 4))
}

/// The device has all of a chat after this place, once, in order, and as it is stored.
async fn assert_has_all(device: &Device, chat: ChatId, after: Seq) {
    assert_has(device, chat, after, &device.user.messages(chat).await);
}

/// The same, with the chat's messages as they are stored.
fn assert_has(device: &Device, chat: ChatId, after: Seq, stored: &[SentMessage]) {
    let stored: Vec<&SentMessage> = stored.iter().filter(|said| said.id > after).collect();
    let wanted: Vec<i64> = stored.iter().map(|said| said.id.0).collect();
    let name = &device.user.username;
    assert_eq!(device.track.seqs(chat), wanted, "what {name} has after {after}");
    let mut heard = device.track.messages();
    heard.retain(|said| said.chat == chat);
    assert!(heard.iter().eq(stored), "{name} has other texts than are stored");
}

/// Reads for so long, whatever comes.
async fn read_for(device: &mut Device, time: Duration) {
    let reading = async {
        loop {
            device.pump().await;
        }
    };
    let _: Result<(), _> = tokio::time::timeout(time, reading).await;
}
