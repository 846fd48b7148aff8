//! Accounts and chats in bulk: what is made, taken again, refused and removed, and who hears of it.

use crate::harness::{T, actor, both, refused, send};
use api::{
    accounts::{
        bulk::{self, BulkAccount, NameRange},
        bulk_removal::{self, Removed},
    },
    chats::{
        bulk::{self as chats, NewBulkChat},
        manage,
    },
};
use protocol::{
    calls::{Open, OpenSession, SessionRefusal, Shows},
    chat::ChatType,
    id::{ChatId, SessionId, UserId},
    relay::Channel,
};
use serde_json::json;
use std::collections::BTreeSet;

both!(
    accounts_are_made_and_taken_again,
    nobody_elses_account_is_given,
    chats_are_made_as_if_by_their_first_members,
    a_call_is_all_or_nothing,
    what_was_made_is_removed,
    a_thousand_fit_into_a_call,
);

async fn administrator(t: &T) -> UserId {
    let user = t.user("root").await;
    t.session(user).await;
    user
}

fn range(prefix: &str, from: usize, count: usize) -> NameRange {
    NameRange { prefix: prefix.to_owned(), from, count }
}

fn session_of(t: &T, account: &BulkAccount) -> SessionId {
    let now = protocol::time::Timestamp::now();
    let claims = t.api.tokens.verifier().verify(&account.access_token, now).unwrap();
    assert_eq!((claims.sub, &claims.name), (account.id, &account.username));
    claims.sid
}

async fn opens(t: &T, account: &BulkAccount) -> Result<UserId, SessionRefusal> {
    let session_id = session_of(t, account);
    let sessions = vec![OpenSession { user_id: account.id, session_id, shows: Shows::All }];
    let opened = api::internal::open(&t.api, Open { sessions, live_chats: 10 }).await.unwrap();
    opened.sessions.into_iter().next().unwrap().map(|view| view.user.id)
}

fn chat(chat_type: ChatType, members: &[&BulkAccount]) -> NewBulkChat {
    let member_ids = members.iter().map(|account| account.id).collect();
    NewBulkChat { chat_type, name: Some("a chat".to_owned()), member_ids }
}

async fn accounts_are_made_and_taken_again(t: T) {
    let admin = administrator(&t).await;
    let made = bulk::create(&t.api, admin, &range("Trial-", 8, 3)).await.unwrap();
    let names: Vec<&str> = made.iter().map(|account| account.username.as_str()).collect();
    assert_eq!(names, ["Trial-8", "Trial-9", "Trial-10"], "in the order of their numbers");
    assert_eq!(opens(&t, &made[0]).await, Ok(made[0].id));
    let renewed = platform::settings::Secret::new(made[1].refresh_token.clone());
    assert!(api::accounts::refresh::refresh(&t.api, renewed).await.is_ok());

    // In another case, beside new ones.
    let again = bulk::create(&t.api, admin, &range("tRIAL-", 9, 3)).await.unwrap();
    let ids: Vec<UserId> = again.iter().map(|account| account.id).collect();
    assert_eq!(ids[..2], [made[1].id, made[2].id]);
    assert_eq!((again[0].username.as_str(), again[2].username.as_str()), ("Trial-9", "tRIAL-11"));
    assert_eq!(opens(&t, &again[0]).await, Ok(made[1].id));
    assert_eq!(opens(&t, &made[1]).await, Err(SessionRefusal::Ended), "one session each");
    assert_eq!(opens(&t, &made[0]).await, Ok(made[0].id), "not asked for, not touched");
    let live = t.number("SELECT count(*) FROM sessions WHERE ended_at IS NULL".to_owned()).await;
    assert_eq!(live, 1 + 4);
    let log =
        api::audit::list(t.api.db.home(), Default::default(), None, 10).await.unwrap().entries;
    let told: Vec<_> = log.iter().map(|e| (e.action.as_str(), e.reason.as_str())).collect();
    assert_eq!(
        told,
        [("create_users", "tRIAL-9 to tRIAL-11"), ("create_users", "Trial-8 to Trial-10")]
    );
}

async fn nobody_elses_account_is_given(t: T) {
    let admin = administrator(&t).await;
    t.user("trial-1").await;
    let create = async |prefix: &str, from, count| {
        bulk::create(&t.api, admin, &range(prefix, from, count)).await
    };
    assert_eq!(refused(create("trial-", 0, 3).await.map(drop)), (400, "username_taken"));
    let count = t.number("SELECT count(*) FROM users WHERE username LIKE 'trial-%'".to_owned());
    assert_eq!(count.await, 1, "all or none");
    // One that looks like what others were named.
    create("y1-", 0, 1).await.unwrap();
    assert_eq!(refused(create("yl-", 0, 1).await.map(drop)), (400, "username_taken"));
    create("y1-", 0, 2).await.unwrap();
    // A blocked one, and one that became an administrator.
    create("x-", 0, 2).await.unwrap();
    t.sql("UPDATE users SET blocked_at = 1 WHERE username = 'x-0'".to_owned()).await;
    t.sql("UPDATE users SET role = 'admin' WHERE username = 'x-1'".to_owned()).await;
    assert_eq!(refused(create("x-", 0, 1).await.map(drop)), (400, "username_taken"));
    assert_eq!(refused(create("x-", 1, 1).await.map(drop)), (400, "username_taken"));
    for (prefix, from, count) in [
        ("", 0, 1),
        ("x1", 0, 1),
        ("a@b", 0, 1),
        (" x-", 0, 1),
        ("x-", 0, 0),
        ("x-", 0, 1_001),
        ("x-", usize::MAX, 1),
        ("a name of more than thirty-two chars-", 0, 1),
    ] {
        let answer = create(prefix, from, count).await.map(drop);
        assert_eq!(refused(answer), (422, "validation_failed"), "{prefix:?} {from} {count}");
    }
}

async fn chats_are_made_as_if_by_their_first_members(t: T) {
    let admin = administrator(&t).await;
    let people = bulk::create(&t.api, admin, &range("p-", 0, 4)).await.unwrap();
    let [a, b, c, d] = &people[..] else { panic!("four") };
    let mut heard = t.listen(&[Channel::User(b.id)]).await;
    let new = [
        chat(ChatType::Group, &[b, a]),
        chat(ChatType::Private, &[d, c]),
        chat(ChatType::Room, &[c]),
        chat(ChatType::Private, &[c, d]),
    ];
    let made = chats::create(&t.api, admin, &new).await.unwrap();
    let [group, private, room, same] = made[..] else { panic!("four") };
    assert_eq!(private, same);
    assert_eq!(BTreeSet::from([group, private, room]).len(), 3);
    heard.expect(Channel::User(b.id), json!({"kind": "added", "chat_id": group})).await;

    let of = async |chat: ChatId| {
        let mut conn = t.api.db.home().read().await.unwrap();
        let view = api::chats::overview::get(&mut conn.link(), d.id, chat).await.unwrap();
        (view.view.chat_type, view.view.member_count)
    };
    assert_eq!(of(private).await, (ChatType::Private, 2));
    assert_eq!(of(room).await, (ChatType::Room, 1));
    manage::rename(&t.api, actor(b.id), group, "mine").await.unwrap();
    let by_other = manage::rename(&t.api, actor(a.id), group, "mine").await;
    assert_eq!(refused(by_other), (403, "not_the_owner"));
    t.one(send(a.id, group, "k", "hi")).await.unwrap();
    t.one(send(d.id, private, "k", "hi")).await.unwrap();
    assert!(t.one(send(d.id, group, "k", "hi")).await.is_err(), "not a member");

    // The pair has its chat already.
    let again = chats::create(&t.api, admin, &[chat(ChatType::Private, &[c, d])]).await.unwrap();
    assert_eq!(again, [private]);
    assert_eq!(of(private).await, (ChatType::Private, 2));
}

async fn a_call_is_all_or_nothing(t: T) {
    let admin = administrator(&t).await;
    let people = bulk::create(&t.api, admin, &range("p-", 0, 6)).await.unwrap();
    let [a, b, ..] = &people[..] else { panic!("six") };
    let all: Vec<&BulkAccount> = people.iter().collect();
    let before = t.number("SELECT count(*) FROM chats".to_owned()).await;
    let nobody = NewBulkChat { member_ids: vec![a.id, UserId(9_999)], ..chat(ChatType::Room, &[]) };
    for (wrong, code) in [
        (chat(ChatType::Private, &[a]), "validation_failed"),
        (chat(ChatType::Private, &[a, a]), "validation_failed"),
        (chat(ChatType::Room, &[]), "validation_failed"),
        (NewBulkChat { name: None, ..chat(ChatType::Room, &[a]) }, "validation_failed"),
        (
            NewBulkChat { name: Some("a\nb".to_owned()), ..chat(ChatType::Group, &[a]) },
            "validation_failed",
        ),
        (nobody, "validation_failed"),
        (chat(ChatType::Group, &all), "group_full"),
    ] {
        let answer = chats::create(&t.api, admin, &[chat(ChatType::Room, &[a, b]), wrong]).await;
        assert_eq!(refused(answer).1, code);
    }
    assert_eq!(refused(chats::create(&t.api, admin, &[]).await), (422, "validation_failed"));
    assert_eq!(t.number("SELECT count(*) FROM chats".to_owned()).await, before);
}

async fn what_was_made_is_removed(t: T) {
    let admin = administrator(&t).await;
    let people = bulk::create(&t.api, admin, &range("p-", 0, 3)).await.unwrap();
    let [a, b, c] = &people[..] else { panic!("three") };
    let ann = t.user("p-ann").await;
    let anns = t.group(ann, &[a.id]).await;
    let new = [chat(ChatType::Group, &[a, b]), chat(ChatType::Private, &[b, c])];
    let made = chats::create(&t.api, admin, &new).await.unwrap();
    let mut heard = t.listen(&[Channel::Chat(made[0])]).await;

    let removed = bulk_removal::remove(&t.api, admin, "P-").await.unwrap();
    assert_eq!(removed, Removed { users: 3, chats: 2, more: false });
    heard.expect(Channel::Chat(made[0]), json!({"kind": "chat_deleted"})).await;
    assert_eq!(opens(&t, a).await, Err(SessionRefusal::Blocked));
    assert!(t.one(send(b.id, made[0], "k", "hi")).await.is_err());
    t.one(send(ann, anns, "k", "still here")).await.unwrap();
    let again = bulk_removal::remove(&t.api, admin, "P-").await.unwrap();
    assert_eq!(again, Removed { users: 0, chats: 0, more: false });
    assert_eq!(refused(bulk_removal::remove(&t.api, admin, "").await), (422, "validation_failed"));

    // The same accounts, with none of their chats.
    let back = bulk::create(&t.api, admin, &range("p-", 0, 1)).await.unwrap();
    assert_eq!(back[0].id, a.id);
    assert_eq!(opens(&t, &back[0]).await, Ok(a.id));
}

async fn a_thousand_fit_into_a_call(t: T) {
    let admin = administrator(&t).await;
    let people = bulk::create(&t.api, admin, &range("p-", 0, 1_000)).await.unwrap();
    assert!(people.iter().zip(0..).all(|(one, number)| one.username == format!("p-{number}")));
    let groups: Vec<NewBulkChat> =
        people.chunks(2).map(|two| chat(ChatType::Group, &[&two[0], &two[1]])).collect();
    let made = chats::create(&t.api, admin, &groups).await.unwrap();
    assert!(made.is_sorted() && made.len() == 500);
    // Each of them has the members that were asked for.
    let place = 417;
    t.one(send(groups[place].member_ids[1], made[place], "k", "hi")).await.unwrap();
    let removed = bulk_removal::remove(&t.api, admin, "p-").await.unwrap();
    assert_eq!(removed, Removed { users: 1_000, chats: 500, more: true });
    let rest = bulk_removal::remove(&t.api, admin, "p-").await.unwrap();
    assert_eq!(rest, Removed { users: 0, chats: 0, more: false });
}
