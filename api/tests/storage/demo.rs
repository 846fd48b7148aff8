//! Demo data is made once, whatever happens to it afterwards.

use crate::harness::{T, actor, admin, both, delete, edit};
use api::{
    accounts::login::{Login, login},
    chats::{manage, membership, messages},
    demo::{self, Demo},
};
use platform::settings::Secret;
use protocol::{
    chat::Message,
    id::{ChatId, UserId},
};

both!(
    what_is_made,
    again_changes_nothing,
    what_users_changed_stays,
    what_is_gone_is_made_again,
    an_account_that_is_there_is_taken,
    two_at_once_make_it_once,
    a_blocked_account_is_told,
);

async fn messages(t: &T, user: UserId, chat: ChatId) -> Vec<Message> {
    let page = messages::MessagesPage { limit: 100, ..Default::default() };
    messages::list(&t.api, user, chat, page).await.unwrap()
}

/// Everything that a second run could add to or change.
async fn everything(t: &T) -> Vec<i64> {
    let mut all = Vec::new();
    for what in [
        "count(*) FROM users",
        "count(*) FROM chats",
        "SUM(last_seq) FROM chats",
        "MAX(changed_at) FROM chats",
        "count(*) FROM members",
        "count(*) FROM messages",
        "MAX(seq) FROM messages",
    ] {
        // PostgreSQL's sums are of another type.
        all.push(t.number(format!("SELECT CAST((SELECT {what}) AS BIGINT)")).await);
    }
    all
}

async fn sign_in(t: &T, identity: &str) -> bool {
    let (identity, password) = (identity.to_owned(), Secret::new("password123"));
    login(
        &t.api,
        Login {
            identity,
            password,
            user_agent: String::new(),
            from: std::net::Ipv4Addr::LOCALHOST.into(),
            device: None,
        },
    )
    .await
    .is_ok()
}

async fn what_is_made(t: T) {
    let Demo { people, private, group } = demo::make(&t.api).await.unwrap();
    let names: Vec<&str> = people.iter().map(|person| person.username.as_str()).collect();
    assert_eq!(names, ["alice", "bob", "charlie", "david"]);
    for person in &people {
        assert!(
            person.made && sign_in(&t, person.email).await && sign_in(&t, &person.username).await
        );
    }
    let named = "SELECT count(*) FROM users WHERE name IN ('Alice', 'Bob', 'Charlie', 'David')";
    assert_eq!(t.number(named.to_owned()).await, 4);
    let [alice, bob, .., david] = people.as_slice() else { panic!() };
    assert_eq!(messages(&t, bob.id, private).await.len(), 10);
    assert_eq!(messages(&t, david.id, group).await.len(), 15);
    let access = t.number(format!("SELECT member_count FROM chats WHERE id = {private}")).await;
    assert_eq!(access, 2);
    let access = format!(
        "SELECT member_count FROM chats WHERE id = {group} AND name = 'Project team'
         AND chat_type = 'group' AND created_by = {}",
        alice.id
    );
    assert_eq!(t.number(access).await, 4);
    let talk = messages(&t, alice.id, group).await;
    let senders: Vec<UserId> = talk.iter().map(|message| message.sender.id).collect();
    assert!(senders.windows(2).all(|two| two[0] != two[1]), "they take turns");
    assert!(people.iter().all(|person| senders.contains(&person.id)));
}

async fn again_changes_nothing(t: T) {
    let first = demo::make(&t.api).await.unwrap();
    let before = everything(&t).await;
    let again = demo::make(&t.api).await.unwrap();
    assert_eq!((again.private, again.group), (first.private, first.group));
    assert!(again.people.iter().all(|person| !person.made));
    assert!(again.to_string().contains("its password was not changed"));
    assert!(first.to_string().contains("password123"));
    assert_eq!(everything(&t).await, before);
}

async fn what_users_changed_stays(t: T) {
    let Demo { people, private, group } = demo::make(&t.api).await.unwrap();
    let [alice, bob, charlie, david] = people.as_slice() else { panic!() };
    manage::rename(&t.api, actor(alice.id), group, "Другое имя").await.unwrap();
    t.say(bob.id, group, "ещё одно").await;
    let talk = messages(&t, alice.id, private).await;
    t.one(edit(talk[0].sender.id, private, talk[0].id, "иначе")).await.unwrap();
    t.one(delete(talk[1].sender.id, private, talk[1].id)).await.unwrap();
    membership::leave(&t.api, actor(charlie.id), group).await.unwrap();
    membership::remove(&t.api, actor(alice.id), group, david.id).await.unwrap();
    membership::leave(&t.api, actor(alice.id), group).await.unwrap();
    t.sql(format!(
        "UPDATE users SET username = 'bobby', username_key = 'bobby' WHERE id = {}",
        bob.id
    ))
    .await;
    let before = everything(&t).await;
    let again = demo::make(&t.api).await.unwrap();
    assert_eq!((again.private, again.group), (private, group));
    assert_eq!(again.people[1].username, "bobby");
    assert_eq!(everything(&t).await, before);
}

async fn what_is_gone_is_made_again(t: T) {
    let first = demo::make(&t.api).await.unwrap();
    let alice = first.people[0].id;
    manage::delete(&t.api, actor(alice), first.group).await.unwrap();
    manage::delete(&t.api, admin(alice), first.private).await.unwrap();
    let again = demo::make(&t.api).await.unwrap();
    assert!(again.group != first.group && again.private != first.private);
    assert_eq!(messages(&t, alice, again.group).await.len(), 15);
    assert_eq!(messages(&t, alice, again.private).await.len(), 10);
}

async fn an_account_that_is_there_is_taken(t: T) {
    t.sql(
        "INSERT INTO users (username, username_key, email, email_key, name, password_hash, created_at)
         VALUES ('Lissy', 'lissy', 'Alice@Example.com', 'alice@example.com', 'Lissy', '', 0)"
            .to_owned(),
    )
    .await;
    let bob = t.user("bob").await;
    let made = demo::make(&t.api).await.unwrap();
    assert_eq!((made.people[0].username.as_str(), made.people[0].made), ("Lissy", false));
    let other = &made.people[1];
    assert!(other.made && other.id != bob && other.username.starts_with("bob"), "{other:?}");
    let unchanged = "SELECT count(*) FROM users WHERE username = 'Lissy' AND password_hash = ''";
    assert_eq!(t.number(unchanged.to_owned()).await, 1);
    assert_eq!(messages(&t, made.people[0].id, made.private).await.len(), 10);
}

async fn two_at_once_make_it_once(t: T) {
    let (one, other) = tokio::join!(demo::make(&t.api), demo::make(&t.api));
    let (one, other) = (one.unwrap(), other.unwrap());
    assert_eq!((one.private, one.group), (other.private, other.group));
    assert_eq!(t.number("SELECT count(*) FROM users".to_owned()).await, 4);
    assert_eq!(t.number("SELECT count(*) FROM messages".to_owned()).await, 25);
    assert_eq!(t.number("SELECT count(*) FROM chats".to_owned()).await, 3);
}

async fn a_blocked_account_is_told(t: T) {
    let bob = t.user("b").await;
    t.sql(format!(
        "UPDATE users SET email_key = 'bob@example.com', blocked_at = 1 WHERE id = {bob}"
    ))
    .await;
    let refused = demo::make(&t.api).await.unwrap_err();
    assert!(refused.detail.contains("blocked"), "{}", refused.detail);
}
