//! `changed`: whatever the bus lost is found.

use crate::harness::{T, actor, both, edit};
use api::{
    chats::{manage, membership},
    db::Tx,
    internal::changed,
};
use protocol::{
    calls::{Changed, ChangedFound, Cut, UserChat, Woken},
    id::{ChatId, Seq, SessionId, UserId},
    limits::MAX_CHANGED,
    relay::{EndReason, EndedSessions},
    time::Timestamp,
};

both!(
    everything_recent_is_found,
    what_is_old_is_not,
    long_lists_are_cut,
    a_chat_woke_after_its_last_old_message,
    whoever_leaves_a_room_is_found,
);

async fn ask(t: &T, since: Option<Timestamp>) -> ChangedFound {
    changed(&t.api, Changed { since, ..Changed::default() }).await.unwrap()
}

fn pair(user_id: UserId, chat_id: ChatId) -> UserChat {
    UserChat { user_id, chat_id }
}

async fn end(t: &T, session: SessionId, reason: &str) {
    t.sql(format!(
        "UPDATE sessions SET ended_at = (SELECT now FROM clock), end_reason = '{reason}'
         WHERE id = '{session}'"
    ))
    .await;
}

async fn everything_recent_is_found(t: T) {
    let [ann, bob, cid] = t.users(["ann", "bob", "cid"]).await;
    let [chat, room, gone] =
        [t.group(ann, &[bob]).await, t.room(ann).await, t.group(ann, &[]).await];
    let before = ask(&t, None).await.now;
    t.say(ann, chat, "hello").await;
    t.say(ann, chat, "again").await;
    t.sql(format!("UPDATE members SET dormant = TRUE WHERE user_id = {bob}")).await;
    membership::join(&t.api, actor(cid), room).await.unwrap();
    membership::add(&t.api, actor(ann), chat, &[cid]).await.unwrap();
    membership::leave(&t.api, actor(cid), chat).await.unwrap();
    manage::delete(&t.api, actor(ann), gone).await.unwrap();
    let [a, b] = [t.session(ann).await, t.session(bob).await];
    end(&t, a, "signed_out").await;
    end(&t, b, "blocked").await;
    let found = ask(&t, Some(before)).await;
    assert!(found.now >= before && !found.truncated);
    assert!(found.chats.contains(&(chat, Seq(4))));
    assert_eq!(found.deleted, [gone]);
    assert!(found.joined.contains(&pair(cid, room)) && !found.joined.contains(&pair(cid, chat)));
    assert_eq!(found.parted, [pair(cid, chat)]);
    let woken = Woken { user_id: bob, chat_id: chat, after: Seq(0) };
    assert_eq!(found.woken, [woken]);
    let ended = |session, reason| EndedSessions { sessions: vec![session], reason };
    assert!(found.ended.contains(&ended(a, EndReason::SignedOut)));
    assert!(found.ended.contains(&ended(b, EndReason::Blocked)));
    // Whoever is back has not parted.
    membership::add(&t.api, actor(ann), chat, &[cid]).await.unwrap();
    let found = ask(&t, Some(before)).await;
    assert!(found.parted.is_empty() && found.joined.contains(&pair(cid, chat)));
}

async fn whoever_leaves_a_room_is_found(t: T) {
    let [ann, bob, cid] = t.users(["ann", "bob", "cid"]).await;
    let room = t.room(ann).await;
    let before = ask(&t, None).await.now;
    for user in [bob, cid] {
        membership::join(&t.api, actor(user), room).await.unwrap();
        membership::leave(&t.api, actor(user), room).await.unwrap();
    }
    let found = ask(&t, Some(before)).await;
    assert_eq!(found.parted.len(), 2);
    assert!(found.parted.contains(&pair(bob, room)) && found.parted.contains(&pair(cid, room)));
    membership::join(&t.api, actor(bob), room).await.unwrap();
    assert_eq!(ask(&t, Some(before)).await.parted, [pair(cid, room)]);
}

/// However long a commit takes, the window of the next poll begins before its transaction.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_being_written_is_found_when_it_is_there() {
    let t = T::postgres().await;
    let ann = t.user("ann").await;
    let chat = t.group(ann, &[]).await;
    let mut tx = t.api.db.home().begin().await.unwrap();
    let began = t.number("SELECT now FROM clock".to_owned()).await;
    let Tx::Postgres(conn) = &mut tx else { panic!("not PostgreSQL") };
    let change =
        "UPDATE chats SET last_seq = 1, changed_at = (SELECT now FROM clock) WHERE id = $1";
    sqlx::query(change).bind(chat.0).execute(&mut **conn).await.unwrap();
    // Until the clock has gone on by more than the window reaches back.
    let clock = async || t.number("SELECT now FROM clock".to_owned()).await;
    while clock().await <= began {
        tokio::task::yield_now().await;
    }
    let found = ask(&t, None).await;
    assert!(found.now.0 <= began, "{} is after {began}", found.now.0);
    tx.commit().await.unwrap();
    let found = ask(&t, Some(found.now)).await;
    assert!(found.now.0 > began && found.chats.contains(&(chat, Seq(1))), "{found:?}");
}

async fn what_is_old_is_not(t: T) {
    let ann = t.user("ann").await;
    let chat = t.group(ann, &[]).await;
    t.say(ann, chat, "hello").await;
    t.change_at(1000).await;
    t.sql("UPDATE members SET joined_at = 1000".to_owned()).await;
    let found = ask(&t, None).await;
    assert_eq!((found.chats.len(), found.joined.len()), (0, 0));
    let found = ask(&t, Some(Timestamp(11_000))).await;
    assert_eq!(found.chats.len(), 2, "the lobby and the chat, within the overlap");
    assert_eq!(ask(&t, Some(Timestamp(11_001))).await.chats.len(), 0);
}

/// Whoever asks for more than is kept must look at all of its chats.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_kept_is_cut() {
    const KEPT_MS: i64 = 600_000;
    let t = T::postgres().await;
    let now = ask(&t, None).await.now.0;
    let asked = async |ago: i64| ask(&t, Some(Timestamp(now - ago))).await;
    // A little is looked further back, and the clock goes on.
    assert!(!asked(KEPT_MS - 60_000).await.truncated);
    let found = asked(KEPT_MS).await;
    assert!(found.truncated);
    assert_eq!(found.cut, Cut { chats: true, woken: true, ..Cut::default() });
}

/// Else each message would write its chat's row anew, and all of that row's index entries.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_index_of_chats_names_what_a_message_changes() {
    let t = T::postgres().await;
    let named = "SELECT count(*) FROM pg_index i JOIN pg_depend d ON d.objid = i.indexrelid
        JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
        WHERE i.indrelid = 'chats'::REGCLASS AND d.refobjid = i.indrelid AND a.attname";
    let changed = "('changed_at', 'last_seq', 'message_count', 'newest', 'sent_count', 'sent_seq')";
    assert_eq!(t.number(format!("{named} IN {changed}")).await, 0);
    assert!(t.number(format!("{named} = 'deleted_at'")).await > 2, "those of conditions, too");
}

async fn long_lists_are_cut(t: T) {
    let ann = t.user("ann").await;
    let numbers = match t.api.db.home() {
        api::db::Db::Postgres(..) => "generate_series(1, 10005)",
        api::db::Db::Sqlite { .. } => {
            "generate AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM generate WHERE n < 10005)"
        }
    };
    let insert = "INSERT INTO chats (chat_type, name, created_at, changed_at, created_by)";
    t.sql(match t.api.db.home() {
        api::db::Db::Postgres(..) => {
            format!("{insert} SELECT 'group', 'x', 0, clock.now + n, {ann} FROM clock, {numbers} n")
        }
        api::db::Db::Sqlite { .. } => format!(
            "WITH RECURSIVE {numbers} {insert} SELECT 'group', 'x', 0, clock.now + n, {ann} FROM clock, generate"
        ),
    })
    .await;
    let found = ask(&t, None).await;
    assert!(found.truncated);
    assert_eq!(found.cut, Cut { chats: true, ..Cut::default() });
    assert_eq!(found.chats.len(), MAX_CHANGED);
    assert!(
        !found.chats.iter().any(|(chat, _)| *chat == ChatId(1)),
        "the least recent are left out"
    );
}

/// What woke a chat is after the place that is told, whatever else happened to the chat meanwhile.
async fn a_chat_woke_after_its_last_old_message(t: T) {
    let [ann, bob] = t.users(["ann", "bob"]).await;
    let chat = t.group(ann, &[bob]).await;
    let after = async || {
        let found = ask(&t, None).await;
        assert_eq!(found.woken.len(), 1, "bob's, once: {:?}", found.woken);
        assert_eq!((found.woken[0].user_id, found.woken[0].chat_id), (bob, chat));
        found.woken[0].after
    };
    for n in 0..4 {
        t.say(ann, chat, &format!("old {n}")).await;
    }
    t.one(edit(ann, chat, Seq(4), "changed once more")).await.unwrap();
    // Marked only now: whoever is marked before is woken.
    t.sql(format!("UPDATE members SET dormant = TRUE WHERE user_id = {bob}")).await;
    assert_eq!(after().await, Seq(0), "all of it is new");
    t.sql("UPDATE messages SET created_at = 1000".to_owned()).await;
    t.say(ann, chat, "new").await;
    t.one(edit(ann, chat, Seq(1), "old, changed")).await.unwrap();
    t.sql(format!("UPDATE members SET dormant = TRUE WHERE user_id = {bob}; DELETE FROM wakes"))
        .await;
    assert_eq!(after().await, Seq(4), "the new message is 6");
    // In a chat that is as busy as none is, no more than the newest are looked through.
    t.sql(format!("UPDATE chats SET last_seq = 5000 WHERE id = {chat}")).await;
    assert_eq!(after().await, Seq(4000));
}
