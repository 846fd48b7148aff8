//! What is over beside chats, and when it goes: sessions, guests, and what is remembered for repeats and
//! repairs.

use crate::{
    harness::{T, actor, both, delete, edit},
    retention::{DAY, HOUR, count, full_chat, of, set, tidy},
};
use api::{chats::membership, db::Db, internal, retention::Chore};
use protocol::{
    calls::Guests,
    chat::UserRef,
    id::{ChatId, UserId},
    refusal::Refusal,
};
use sqlx::AssertSqlSafe;

const MINUTE: i64 = 60_000;

both!(
    sessions_go_a_day_after_their_end,
    guests_who_never_wrote_go,
    links_go_when_they_are_good_no_more,
    what_is_remembered_of_clients_and_for_gateways_goes,
);

async fn sessions_go_a_day_after_their_end(mut t: T) {
    set(&mut t, 2);
    let ann = t.user("ann").await;
    let mut kept = Vec::new();
    for (column, ago, stays) in [
        ("ended_at", DAY + HOUR, false),
        ("ended_at", DAY - HOUR, true),
        ("expires_at", DAY + HOUR, false),
        ("expires_at", DAY - HOUR, true),
        ("created_at", 90 * DAY, true),
        ("ended_at", 9 * DAY, false),
        ("expires_at", 9 * DAY, false),
    ] {
        let session = t.session(ann).await;
        t.sql(format!(
            "UPDATE sessions SET {column} = (SELECT now FROM clock) - {ago} WHERE id = '{session}'"
        ))
        .await;
        if stays {
            kept.push(session);
        }
    }
    assert_eq!(of(&tidy(&t).await, Chore::Sessions), 4);
    for session in kept {
        assert_eq!(count(&t, &format!("sessions WHERE id = '{session}'")).await, 1);
    }
    // The walk begins anew the next time.
    t.sql("UPDATE sessions SET expires_at = 1000".to_owned()).await;
    assert_eq!(of(&tidy(&t).await, Chore::Sessions), 3);
}

async fn links_go_when_they_are_good_no_more(mut t: T) {
    set(&mut t, 2);
    let ann = t.user("ann").await;
    for (token, after) in [("a", -HOUR), ("b", -1), ("c", -DAY), ("d", HOUR)] {
        t.sql(format!(
            "INSERT INTO account_links (token_hash, user_id, purpose, created_at, expires_at)
             SELECT '{token}', {ann}, 'password', 1, now + {after} FROM clock"
        ))
        .await;
    }
    assert_eq!(of(&tidy(&t).await, Chore::Links), 3);
    assert_eq!(count(&t, "account_links WHERE token_hash = 'd'").await, 1);
}

/// The guest of a name, as gateways ask for it.
pub async fn find_guest(t: &T, name: &str) -> Result<UserRef, Refusal> {
    let names = vec![name.to_owned()];
    internal::guests(&t.api, Guests { names }).await.unwrap().guests.remove(0)
}

async fn guest(t: &T, name: &str) -> UserId {
    find_guest(t, name).await.unwrap().id
}

async fn guests_who_never_wrote_go(mut t: T) {
    set(&mut t, 2);
    let mut ids = Vec::new();
    for name in ["silent", "wrote", "took back", "blocked", "came back", "new"] {
        ids.push(guest(&t, name).await);
    }
    let [silent, wrote, took_back, blocked, came_back, new] = ids[..] else { panic!() };
    t.say(wrote, ChatId::LOBBY, "hello").await;
    let id = t.say(took_back, ChatId::LOBBY, "oops").await;
    t.one(delete(took_back, ChatId::LOBBY, id)).await.unwrap();
    t.sql(format!("UPDATE users SET blocked_at = 1 WHERE id = {blocked}")).await;
    t.sql(format!("UPDATE guest_visits SET seen_at = seen_at - {}", 31 * DAY)).await;
    t.sql(format!("UPDATE guest_visits SET seen_at = seen_at + {} WHERE user_id = {new}", 2 * DAY))
        .await;
    assert_eq!(guest(&t, "came back").await, came_back);
    let made = tidy(&t).await;
    assert_eq!(of(&made, Chore::Guests), 1);
    let is_there = async |user: UserId| count(&t, &format!("users WHERE id = {user}")).await;
    assert_eq!(is_there(silent).await, 0);
    for user in [wrote, took_back, blocked, came_back, new] {
        assert_eq!(is_there(user).await, 1, "{user}");
    }
    // Those who stay for good are not looked at again.
    assert_eq!(count(&t, "guest_visits").await, 2);
    // An account is never touched.
    let ann = t.user("ann").await;
    t.sql(format!("INSERT INTO guest_visits (user_id, seen_at) VALUES ({ann}, 0)")).await;
    tidy(&t).await;
    assert_eq!(is_there(ann).await, 1);
    // By the same name comes somebody new, who may write.
    let again = guest(&t, "silent").await;
    assert_ne!(again, silent);
    t.say(again, ChatId::LOBBY, "hello").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_who_comes_while_being_removed_is_made_anew() {
    // As the retention does it. The guest comes before the row is removed, or after.
    const LOCK: &str = "SELECT user_id FROM guest_visits FOR UPDATE";
    const REMOVE: &str = "DELETE FROM users WHERE guest; DELETE FROM guest_visits";
    for (before, after) in [(LOCK.to_owned(), REMOVE), (format!("{LOCK}; {REMOVE}"), "SELECT 1")] {
        let mut t = T::postgres().await;
        set(&mut t, 2);
        let old = guest(&t, "Zoë").await;
        t.sql("UPDATE guest_visits SET seen_at = 0".to_owned()).await;
        let Db::Postgres(pool, ..) = t.api.db.home() else { panic!("not PostgreSQL") };
        let mut removing = pool.begin().await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(before)).execute(&mut *removing).await.unwrap();
        let waits = "SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock'";
        let removed = async {
            loop {
                let (waiting,): (i64,) = sqlx::query_as(waits).fetch_one(pool).await.unwrap();
                if waiting > 0 {
                    break;
                }
                tokio::task::yield_now().await;
            }
            sqlx::raw_sql(after).execute(&mut *removing).await.unwrap();
            removing.commit().await.unwrap();
        };
        let (found, ()) = tokio::join!(find_guest(&t, "Zoë"), removed);
        let found = found.unwrap();
        assert_ne!(found.id, old);
        assert_eq!(count(&t, &format!("users WHERE id = {}", found.id)).await, 1);
    }
}

async fn what_is_remembered_of_clients_and_for_gateways_goes(mut t: T) {
    set(&mut t, 2);
    let [ann, bob] = t.users(["ann", "bob"]).await;
    let chat = full_chat(&t, ann, bob).await;
    let room = t.room(ann).await;
    membership::join(&t.api, actor(bob), room).await.unwrap();
    membership::leave(&t.api, actor(bob), room).await.unwrap();
    let mut kinds = vec![
        ("edits", "created_at", 7 * DAY),
        ("departures", "parted_at", DAY),
        ("wakes", "woken_at", DAY),
    ];
    if let Db::Postgres(..) = t.api.db.home() {
        kinds.push(("changes", "at", 10 * MINUTE));
    }
    for (table, column, stays) in kinds {
        let before = count(&t, table).await;
        assert!(before > 0);
        t.sql(format!("UPDATE {table} SET {column} = {column} - {}", stays - 5 * MINUTE)).await;
        tidy(&t).await;
        assert_eq!(count(&t, table).await, before, "{table} are needed");
        t.sql(format!("UPDATE {table} SET {column} = {column} - {}", 6 * MINUTE)).await;
        tidy(&t).await;
        assert_eq!(count(&t, table).await, 0, "{table}");
    }
    // The message itself is as it was.
    t.one(edit(ann, chat, t.head(chat).await, "x")).await.unwrap_err();
    assert_eq!(count(&t, &format!("messages WHERE chat_id = {chat} AND text = 'still'")).await, 1);
}
