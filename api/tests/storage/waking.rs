//! Dormant chats: a message wakes each member once, and nobody misses it.

use crate::harness::{T, both, send};
use api::{db::Db, internal};
use protocol::{
    calls::{Changed, Dormant, Open, OpenSession, Shows, UserChat, Woken},
    chat::ChatView,
    id::{ChatId, Seq, UserId},
    relay::Channel,
    time::Timestamp,
};

both!(
    a_member_is_woken_once,
    who_comes_back_finds_the_chat_and_is_woken_again,
    a_mark_that_is_set_too_late_is_found,
    those_beyond_the_most_keep_their_marks,
);

async fn mark(t: &T, user_id: UserId, chat_id: ChatId) {
    let marked = internal::dormant(&t.api, Dormant { chats: vec![UserChat { user_id, chat_id }] });
    assert_eq!(marked.await.unwrap().members, [true]);
}

async fn marks(t: &T, chat: ChatId) -> i64 {
    t.number(format!("SELECT count(*) FROM members WHERE chat_id = {chat} AND dormant")).await
}

async fn woken(t: &T, since: Option<Timestamp>) -> Vec<Woken> {
    internal::changed(&t.api, Changed { since, ..Changed::default() }).await.unwrap().woken
}

async fn open(t: &T, user_id: UserId) -> Vec<ChatView> {
    let session_id = t.session(user_id).await;
    let sessions = vec![OpenSession { user_id, session_id, shows: Shows::All }];
    let opened = internal::open(&t.api, Open { sessions, live_chats: 1 }).await;
    opened.unwrap().sessions.remove(0).unwrap().chats
}

fn wake(chat: ChatId, after: i64) -> serde_json::Value {
    serde_json::json!({"kind": "wake", "chat_id": chat, "after": after})
}

async fn a_member_is_woken_once(t: T) {
    let [ann, bob] = t.users(["ann", "bob"]).await;
    let [chat, other] = [t.group(ann, &[bob]).await, t.group(ann, &[bob]).await];
    t.say(ann, chat, "before").await;
    mark(&t, bob, chat).await;
    mark(&t, bob, other).await;
    t.change_at(1000).await;
    let mut heard = t.listen(&[Channel::User(bob)]).await;
    t.post(vec![send(ann, chat, "a", "wakes"), send(ann, chat, "b", "says")]).await;
    assert_eq!(marks(&t, chat).await, 0);
    // Whoever did not hear it finds it, as often as it asks.
    let missed = Woken { user_id: bob, chat_id: chat, after: Seq(1) };
    assert_eq!(woken(&t, None).await, [missed]);
    t.say(ann, chat, "says").await;
    assert_eq!(woken(&t, None).await, [missed]);
    // Of the first chat nothing is said again.
    t.say(ann, other, "wakes").await;
    heard.expect(Channel::User(bob), wake(chat, 1)).await;
    heard.expect(Channel::User(bob), wake(other, 0)).await;
    // But not for ever.
    t.sql("UPDATE wakes SET woken_at = 1000".to_owned()).await;
    assert_eq!(woken(&t, None).await, []);
    assert_eq!(woken(&t, Some(Timestamp(11_000))).await.len(), 2);
}

async fn who_comes_back_finds_the_chat_and_is_woken_again(t: T) {
    let [ann, bob] = t.users(["ann", "bob"]).await;
    let [chat, busy] = [t.group(ann, &[bob]).await, t.group(ann, &[bob]).await];
    mark(&t, bob, chat).await;
    t.say(ann, chat, "while bob was away").await;
    // The newest is live, and the other one is marked again: bob's connection does not hold it.
    assert_eq!(open(&t, bob).await[0].id, chat);
    t.sql(format!("UPDATE chats SET changed_at = changed_at + 1000 WHERE id = {busy}")).await;
    let chats = open(&t, bob).await;
    assert_eq!((chats.len(), chats[0].id), (1, busy));
    assert_eq!(marks(&t, chat).await, 1);
    let mut heard = t.listen(&[Channel::User(bob)]).await;
    t.say(ann, chat, "again").await;
    heard.expect(Channel::User(bob), wake(chat, 1)).await;
}

/// By a connection that asked before the message and lets go of the chat after it.
async fn a_mark_that_is_set_too_late_is_found(t: T) {
    let [ann, bob] = t.users(["ann", "bob"]).await;
    let chat = t.group(ann, &[bob]).await;
    t.say(ann, chat, "told to nobody").await;
    mark(&t, bob, chat).await;
    let missed = Woken { user_id: bob, chat_id: chat, after: Seq(0) };
    assert_eq!(woken(&t, None).await, [missed]);
}

async fn those_beyond_the_most_keep_their_marks(t: T) {
    let ann = t.user("ann").await;
    let room = t.room(ann).await;
    let numbers = match t.api.db.home() {
        Db::Postgres(..) => "SELECT n FROM generate_series(1, 10005) n",
        Db::Sqlite { .. } => {
            "WITH RECURSIVE g AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM g WHERE n < 10005)
             SELECT n FROM g"
        }
    };
    t.sql(format!(
        "INSERT INTO users (username, username_key, name, password_hash, created_at)
         SELECT 'u' || n, 'u' || n, 'u', '', 0 FROM ({numbers}) r;
         INSERT INTO members (chat_id, user_id, joined_at, dormant)
         SELECT {room}, id, 0, TRUE FROM users WHERE username LIKE 'u%'"
    ))
    .await;
    for left in [5, 0] {
        t.say(ann, room, "hello").await;
        assert_eq!(marks(&t, room).await, left);
    }
    assert_eq!(t.number("SELECT count(*) FROM wakes".to_owned()).await, 10_005);
}

/// A batch holds its chats: it must not wait for one member's row.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_does_not_wait_for_a_mark() {
    let t = T::postgres().await;
    let [ann, bob, cid] = t.users(["ann", "bob", "cid"]).await;
    let chat = t.group(ann, &[bob, cid]).await;
    mark(&t, bob, chat).await;
    mark(&t, cid, chat).await;
    let mut heard = t.listen(&[Channel::User(bob)]).await;
    let Db::Postgres(pool, ..) = t.api.db.home() else { panic!("not PostgreSQL") };
    let mut marking = pool.begin().await.unwrap();
    let hold = "UPDATE members SET dormant = TRUE WHERE chat_id = $1 AND user_id = $2";
    sqlx::query(hold).bind(chat.0).bind(bob.0).execute(&mut *marking).await.unwrap();
    t.say(ann, chat, "hello").await;
    heard.expect(Channel::User(bob), wake(chat, 0)).await;
    assert_eq!(marks(&t, chat).await, 1, "bob's, which is being set");
    marking.commit().await.unwrap();
    t.say(ann, chat, "again").await;
    heard.expect(Channel::User(bob), wake(chat, 1)).await;
    assert_eq!(marks(&t, chat).await, 0);
}
