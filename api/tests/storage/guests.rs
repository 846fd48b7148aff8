//! `guests`: names without accounts, and what those may do.

use crate::harness::{T, actor, both, delete, edit, refused, send};
use api::{
    accounts::{
        letters::Language,
        register::{Registration, register},
    },
    chats::membership,
    db::Db,
    internal,
};
use futures_util::future::join_all;
use platform::settings::Secret;
use protocol::{calls::Guests, chat::UserRef, code::Code, id::ChatId, refusal::Refusal};
use std::{net::Ipv4Addr, sync::Arc};

both!(
    a_name_is_one_guest,
    names_that_are_refused,
    names_that_look_like_an_accounts,
    a_name_is_one_guest_in_each_spelling,
    a_registered_name_is_its_owners,
    guests_write_in_the_lobby_only,
    a_blocked_guest_is_silent,
    many_calls_make_a_guest_once,
    calls_for_the_same_guests_wait_in_one_order,
    without_guest_access_nothing_is_made,
);

const LOBBY: ChatId = ChatId(1);

fn open(t: &mut T) {
    Arc::make_mut(&mut t.api.config).guests = true;
}

async fn guests(t: &T, names: &[&str]) -> Vec<Result<UserRef, Refusal>> {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    internal::guests(&t.api, Guests { names }).await.unwrap().guests
}

async fn guest(t: &T, name: &str) -> UserRef {
    guests(t, &[name]).await.pop().unwrap().unwrap()
}

fn codes(found: Vec<Result<UserRef, Refusal>>) -> Vec<Option<Code>> {
    found.into_iter().map(|found| found.err().map(|refusal| refusal.code)).collect()
}

async fn a_name_is_one_guest(mut t: T) {
    open(&mut t);
    let found = guests(&t, &["Zoë", "zOË", "bob", "Zoë"]).await;
    let found: Vec<UserRef> = found.into_iter().map(Result::unwrap).collect();
    assert_eq!(found[0].username, "Zoë", "as first written");
    assert!(found[0].guest);
    assert_eq!((&found[1], &found[3]), (&found[0], &found[0]));
    assert_ne!(found[2].id, found[0].id);
    assert_eq!(guest(&t, "ZOË").await, found[0], "the next visit");
    assert!(guests(&t, &[]).await.is_empty());
    let posted = t.post(vec![send(found[0].id, LOBBY, "k", "hi")]).await;
    let message = serde_json::to_value(&posted.events[0].events[0]).unwrap();
    assert_eq!(message["sender"]["guest"], true);
}

async fn names_that_are_refused(mut t: T) {
    open(&mut t);
    t.user("ann").await;
    let long = "x".repeat(33);
    let names = ["ANN", "Admin", "", " x", "a@b", "@x", "a\0", "a\u{200b}b", &long, "fine"];
    let found = codes(guests(&t, &names).await);
    let (taken, invalid) = (Some(Code::UsernameTaken), Some(Code::InvalidUsername));
    let mut expected = vec![taken, taken];
    expected.extend([invalid; 7]);
    expected.push(None);
    assert_eq!(found, expected);
}

async fn names_that_look_like_an_accounts(mut t: T) {
    open(&mut t);
    let alice = Registration {
        username: Some("alice".to_owned()),
        email: None,
        name: None,
        password: Secret::new("password123"),
        user_agent: String::new(),
        from: Ipv4Addr::LOCALHOST.into(),
        language: Language::default(),
    };
    register(&t.api, alice).await.unwrap();
    let (taken, invalid) = (Some(Code::UsernameTaken), Some(Code::InvalidUsername));
    for (name, expected) in [
        ("\u{430}lice", taken),
        ("a1ice", taken),
        ("ALlCE", taken),
        ("\u{430}dmin", taken),
        ("ADMlN", taken),
        ("Admin\u{2800}", invalid),
        ("alice\u{3164}", invalid),
        ("alice\u{fe0f}", invalid),
        ("alicia", None),
    ] {
        assert_eq!(codes(guests(&t, &[name]).await), [expected], "{name:?}");
    }
    assert_eq!(t.number("SELECT count(*) FROM users WHERE guest".to_owned()).await, 1);
}

async fn a_name_is_one_guest_in_each_spelling(mut t: T) {
    open(&mut t);
    let found = guests(&t, &["zoe\u{308}  x", "Zo\u{eb}\u{a0}x", "ｚｏ\u{eb} x"]).await;
    let found: Vec<UserRef> = found.into_iter().map(Result::unwrap).collect();
    assert_eq!(found[0].username, "zo\u{eb} x");
    assert_eq!((&found[1], &found[2]), (&found[0], &found[0]));
}

async fn a_registered_name_is_its_owners(mut t: T) {
    open(&mut t);
    let [guest, other] = [guest(&t, "Eve").await, guest(&t, "Mallory").await];
    let sent = t.one(send(guest.id, LOBBY, "1", "hi")).await.unwrap();
    let owner = t.user("eve").await;
    assert_ne!(owner, guest.id);
    assert_eq!(codes(guests(&t, &["Eve"]).await), [Some(Code::UsernameTaken)]);
    let later = t.one(send(guest.id, LOBBY, "2", "still me")).await;
    assert_eq!(later.unwrap_err().code, Code::UsernameTaken);
    assert_eq!(t.one(send(guest.id, LOBBY, "1", "hi")).await, Ok(sent), "committed is committed");
    assert!(t.one(send(owner, LOBBY, "1", "me")).await.is_ok());
    assert!(t.one(send(other.id, LOBBY, "1", "me too")).await.is_ok());
}

async fn guests_write_in_the_lobby_only(mut t: T) {
    open(&mut t);
    let ann = t.user("ann").await;
    let [room, group] = [t.room(ann).await, t.group(ann, &[]).await];
    let guest = guest(&t, "visitor").await.id;
    for chat in [room, group] {
        let id = t.say(ann, chat, "hello").await;
        for command in
            [send(guest, chat, "k", "hi"), edit(guest, chat, id, "hi"), delete(guest, chat, id)]
        {
            assert_eq!(t.one(command).await.unwrap_err().code, Code::NotAMember);
        }
    }
    assert!(t.one(send(guest, LOBBY, "k", "hi")).await.is_ok());
    let hers = t.say(ann, LOBBY, "hello").await;
    assert_eq!(t.one(delete(guest, LOBBY, hers)).await.unwrap_err().code, Code::NotYours);
    // Nor does anybody get a guest into a chat.
    let added = membership::add(&t.api, actor(ann), group, &[guest]).await;
    assert_eq!(refused(added), (422, "validation_failed"));
    let joined = membership::join(&t.api, actor(guest), LOBBY).await;
    assert_eq!(refused(joined), (422, "validation_failed"));
}

async fn a_blocked_guest_is_silent(mut t: T) {
    open(&mut t);
    let [troll, other] = [guest(&t, "Troll").await, guest(&t, "Other").await];
    t.sql("UPDATE users SET blocked_at = 1 WHERE username_key = '@troll'".to_owned()).await;
    assert_eq!(t.one(send(troll.id, LOBBY, "1", "hi")).await.unwrap_err().code, Code::Blocked);
    assert_eq!(guest(&t, "tRoll").await, troll, "no other guest by another spelling");
    assert!(t.one(send(other.id, LOBBY, "1", "hi")).await.is_ok());
}

async fn many_calls_make_a_guest_once(mut t: T) {
    open(&mut t);
    let names = ["g0", "g1", "g2", "g3", "g4", "g5", "g6", "g7"];
    let calls = (0..6).map(|call| {
        let (t, mut names) = (&t, names);
        // Each in another order: none waits for one that waits for it.
        if call % 2 == 1 {
            names.reverse();
        }
        names.rotate_left(call);
        async move { guests(t, &names).await }
    });
    let found = join_all(calls).await;
    let mut ids: Vec<_> = found.iter().flatten().map(|found| found.as_ref().unwrap().id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), names.len());
    assert_eq!(t.number("SELECT count(*) FROM users".to_owned()).await, names.len() as i64);
}

/// Two calls that make the same guests, named the other way round, both wait for one of them.
async fn calls_for_the_same_guests_wait_in_one_order(mut t: T) {
    open(&mut t);
    // SQLite has one writer at a time.
    let Db::Postgres(pool, ..) = t.api.db.home() else { return };
    let mut held = pool.begin().await.unwrap();
    sqlx::raw_sql(
        "INSERT INTO users (username, username_key, name, password_hash, created_at, guest)
         VALUES ('b', '@b', 'b', '', 0, TRUE)",
    )
    .execute(&mut *held)
    .await
    .unwrap();
    let release = async {
        let waiting = "SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock'";
        while t.number(waiting.to_owned()).await < 2 {}
        held.rollback().await.unwrap();
    };
    let (one, other, ()) =
        tokio::join!(guests(&t, &["a", "b", "c"]), guests(&t, &["c", "b", "a"]), release);
    assert_eq!(one.into_iter().rev().collect::<Vec<_>>(), other);
}

async fn without_guest_access_nothing_is_made(t: T) {
    assert_eq!(codes(guests(&t, &["ann", ""]).await), [Some(Code::GuestsOff); 2]);
    assert_eq!(t.number("SELECT count(*) FROM users".to_owned()).await, 0);
    let names = vec!["x".to_owned(); protocol::limits::MAX_BATCH + 1];
    let too_many = internal::guests(&t.api, Guests { names }).await;
    assert_eq!(refused(too_many).0, 422);
}
