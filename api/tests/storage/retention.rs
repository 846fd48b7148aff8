//! What is over goes, in small steps, and what is not stays.

use crate::{
    harness::{Place, T, actor, admin, both},
    retention_kinds::find_guest,
};
use api::{
    audit,
    chats::{manage, membership},
    db::{Db, DbConfig},
    internal,
    retention::{Chore, Step, step},
};
use protocol::{
    calls::Changed,
    command::{Action, Command},
    id::{ChatId, UserId},
};
use std::{sync::Arc, time::Duration};

both!(
    a_deleted_chat_goes_with_everything_in_it,
    what_is_off_stays,
    steps_are_small_and_go_on_where_they_stopped,
    a_step_that_fails_is_undone_and_the_others_go_on,
    between_steps_there_are_rests,
    the_task_makes_the_steps,
);

pub const HOUR: i64 = 3_600_000;
pub const DAY: i64 = 24 * HOUR;

/// Without rests, and with guests.
pub fn set(t: &mut T, step_rows: i64) {
    let config = Arc::make_mut(&mut t.api.config);
    config.guests = true;
    config.retention.rest = 0;
    config.retention.step_rows = step_rows;
}

/// Makes steps until nothing is due, as if the newest round were over. How many rows went in each.
pub async fn tidy(t: &T) -> Vec<(Chore, u64)> {
    t.sql("UPDATE chores SET next_at = 0".to_owned()).await;
    let mut made = Vec::new();
    loop {
        match step(t.api.db.home(), &t.api.config.retention).await.unwrap() {
            Step::Made { chore, removed, .. } => made.push((chore, removed)),
            Step::Nothing => return made,
            Step::NotNow => panic!("nobody else makes steps here"),
        }
    }
}

pub fn of(made: &[(Chore, u64)], chore: Chore) -> u64 {
    made.iter().filter(|(one, _)| *one == chore).map(|(_, removed)| removed).sum()
}

pub async fn count(t: &T, what: &str) -> i64 {
    t.number(format!("SELECT count(*) FROM {what}")).await
}

/// As if the chat had been deleted so long ago.
async fn deleted_ago(t: &T, chat: ChatId, ago: i64) {
    t.sql(format!("UPDATE chats SET deleted_at = deleted_at - {ago} WHERE id = {chat}")).await;
}

/// All tables that say of their rows to which chat they belong.
async fn tables_of_chats(t: &T) -> Vec<String> {
    let tables = match t.api.db.home() {
        Db::Postgres(pool, ..) => {
            let sql = "/* of a test */ SELECT table_name::TEXT FROM information_schema.columns
                WHERE column_name = 'chat_id' AND table_schema = current_schema() ORDER BY 1";
            sqlx::query_scalar(sql).fetch_all(pool).await
        }
        Db::Sqlite { write, .. } => {
            let sql = "SELECT s.name FROM sqlite_schema s JOIN pragma_table_info(s.name) c
                WHERE s.type = 'table' AND c.name = 'chat_id' ORDER BY 1";
            sqlx::query_scalar(sql).fetch_all(write).await
        }
    };
    tables.unwrap()
}

/// A chat with something in each of those tables.
pub async fn full_chat(t: &T, ann: UserId, bob: UserId) -> ChatId {
    let chat = t.group(ann, &[]).await;
    membership::add(&t.api, actor(ann), chat, &[bob]).await.unwrap();
    manage::rename(&t.api, actor(ann), chat, "another").await.unwrap();
    let id = t.say(ann, chat, "secret").await;
    let client_edit_id = Some("e1".to_owned());
    let action = Action::Edit { message_id: id, text: "still".to_owned(), client_edit_id };
    t.one(Command { user_id: ann, chat_id: chat, action }).await.unwrap();
    t.sql(format!(
        "INSERT INTO departures (chat_id, user_id, parted_at) SELECT {chat}, {bob}, now FROM clock;
         INSERT INTO wakes (woken_at, chat_id, user_id, after) SELECT now, {chat}, {bob}, 1 FROM clock;
         INSERT INTO bans (chat_id, user_id, banned_by, banned_at)
         SELECT {chat}, {bob}, {ann}, now FROM clock;
         INSERT INTO senders (chat_id, user_id, message_count) VALUES ({chat}, {ann}, 1);
         INSERT INTO stretches (chat_id, stretch, message_count) VALUES ({chat}, 0, 1);
         INSERT INTO statistics (chat_id, sender_count, text_chars, day, day_count)
         VALUES ({chat}, 1, 5, 0, 1);
         INSERT INTO audit_log (at, action, chat_id) VALUES (0, 'rename_chat', {chat})"
    ))
    .await;
    chat
}

async fn a_deleted_chat_goes_with_everything_in_it(mut t: T) {
    set(&mut t, 500);
    let [ann, bob, root] = t.users(["ann", "bob", "root"]).await;
    let mut chats = Vec::new();
    for _ in 0..4 {
        chats.push(full_chat(&t, ann, bob).await);
    }
    let [gone, month, moment, alive] = chats[..] else { panic!() };
    for chat in [gone, month, moment] {
        manage::delete(&t.api, admin(root), chat).await.unwrap();
    }
    deleted_ago(&t, gone, 30 * DAY + HOUR).await;
    deleted_ago(&t, month, 30 * DAY - HOUR).await;
    let tables = tables_of_chats(&t).await;
    assert!(tables.len() >= 12, "{tables:?}");
    let rows = async |chat: ChatId| {
        let mut rows = Vec::new();
        for table in &tables {
            rows.push((
                table.as_str(),
                count(&t, &format!("{table} WHERE chat_id = {chat}")).await,
            ));
        }
        rows
    };
    let before = rows(alive).await;
    for (table, rows) in &before {
        assert!(*rows > 0, "fill {table} too, and have the retention remove it");
    }
    let now =
        internal::changed(&t.api, Changed { since: None, ..Changed::default() }).await.unwrap().now;

    assert!(of(&tidy(&t).await, Chore::Chats) > 10);
    for (table, rows) in rows(gone).await {
        // The log stays; who was woken is forgotten after a day.
        assert_eq!(rows > 0, ["audit_log", "wakes"].contains(&table), "{rows} of {table}");
    }
    assert_eq!(count(&t, &format!("chats WHERE id = {gone}")).await, 0);
    assert_eq!(count(&t, &format!("members WHERE chat_id = {month}")).await, 0);
    assert_eq!(count(&t, &format!("messages WHERE chat_id = {month}")).await, 1);
    assert_eq!(rows(alive).await, before);
    assert_eq!(count(&t, &format!("members WHERE chat_id = {moment}")).await, 2);
    // A gateway that was away for a while is told of the deletion, with or without members.
    deleted_ago(&t, moment, 2 * HOUR).await;
    assert_eq!(of(&tidy(&t).await, Chore::Members), 2);
    assert_eq!(of(&tidy(&t).await, Chore::Members), 0, "once");
    let told = internal::changed(&t.api, Changed { since: Some(now), ..Changed::default() })
        .await
        .unwrap()
        .deleted;
    assert!(told.contains(&moment), "{told:?}");
    // What administrators did stays told of.
    let log = audit::list(t.api.db.home(), Default::default(), None, 100).await.unwrap().entries;
    assert_eq!(log.iter().filter(|entry| entry.chat_id == Some(gone)).count(), 2);
}

/// A chat may go before anybody has numbered it. PostgreSQL keeps a list of those.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chat_that_is_gone_is_not_to_be_numbered() {
    let mut t = T::postgres().await;
    set(&mut t, 500);
    let ann = t.user("ann").await;
    let chat = t.group(ann, &[]).await;
    t.sql(format!("INSERT INTO unnumbered_chats (id) VALUES ({chat})")).await;
    manage::delete(&t.api, actor(ann), chat).await.unwrap();
    deleted_ago(&t, chat, 30 * DAY + HOUR).await;
    tidy(&t).await;
    assert_eq!(count(&t, &format!("chats WHERE id = {chat}")).await, 0);
    assert_eq!(count(&t, "unnumbered_chats").await, 0);
}

async fn what_is_off_stays(mut t: T) {
    set(&mut t, 500);
    let config = &mut Arc::make_mut(&mut t.api.config).retention;
    (config.deleted_chats, config.guests) = (None, None);
    let [ann, bob] = t.users(["ann", "bob"]).await;
    let chat = full_chat(&t, ann, bob).await;
    manage::delete(&t.api, actor(ann), chat).await.unwrap();
    deleted_ago(&t, chat, 9_000 * DAY).await;
    find_guest(&t, "Zoë").await.unwrap();
    t.sql("UPDATE guest_visits SET seen_at = 0".to_owned()).await;
    let made = tidy(&t).await;
    assert_eq!((of(&made, Chore::Chats), of(&made, Chore::Guests)), (0, 0));
    assert_eq!(count(&t, &format!("messages WHERE chat_id = {chat}")).await, 1);
    assert_eq!(made.len() as i64, count(&t, "chores").await, "all are done");
}

async fn steps_are_small_and_go_on_where_they_stopped(mut t: T) {
    set(&mut t, 3);
    let [ann, bob, cid] = t.users(["ann", "bob", "cid"]).await;
    let chat = t.group(ann, &[bob, cid]).await;
    for n in 0..10 {
        t.say(ann, chat, &format!("{n}")).await;
    }
    manage::delete(&t.api, actor(ann), chat).await.unwrap();
    deleted_ago(&t, chat, 31 * DAY).await;
    t.sql("UPDATE chores SET next_at = 0".to_owned()).await;
    let messages = format!("messages WHERE chat_id = {chat}");
    let (mut left, mut steps) = (10, 0);
    // Each step might be another process's: nothing is known from one to the next.
    while let Step::Made { chore, removed, .. } =
        step(t.api.db.home(), &t.api.config.retention).await.unwrap()
    {
        // Three, and the chat itself.
        assert!(removed <= 4, "{removed} {chore:?}");
        let now = count(&t, &messages).await;
        assert!(now == left || chore == Chore::Chats);
        steps += i32::from(now < left);
        left = now;
    }
    assert_eq!((left, steps), (0, 4));
    assert_eq!(count(&t, &format!("chats WHERE id = {chat}")).await, 0);
}

async fn a_step_that_fails_is_undone_and_the_others_go_on(mut t: T) {
    set(&mut t, 500);
    let [ann, bob] = t.users(["ann", "bob"]).await;
    let chat = full_chat(&t, ann, bob).await;
    manage::delete(&t.api, actor(ann), chat).await.unwrap();
    deleted_ago(&t, chat, 31 * DAY).await;
    t.sql("UPDATE edits SET created_at = 0".to_owned()).await;
    t.sql("ALTER TABLE stretches RENAME TO elsewhere".to_owned()).await;
    t.sql("UPDATE chores SET next_at = 0".to_owned()).await;
    let mut failures = 0;
    loop {
        match step(t.api.db.home(), &t.api.config.retention).await {
            Ok(Step::Made { chore, .. }) => assert_ne!(chore, Chore::Chats),
            Ok(Step::Nothing) => break,
            // The failed one is being rolled back.
            Ok(Step::NotNow) => tokio::task::yield_now().await,
            Err(_) => {
                failures += 1;
                assert_eq!(failures, 1, "it waits for a while");
            }
        }
    }
    assert_eq!(failures, 1);
    assert_eq!(count(&t, &format!("messages WHERE chat_id = {chat}")).await, 1, "undone");
    assert_eq!(count(&t, "edits").await, 0, "the others go on");
    t.sql("ALTER TABLE elsewhere RENAME TO stretches".to_owned()).await;
    tidy(&t).await;
    assert_eq!(count(&t, &format!("chats WHERE id = {chat}")).await, 0);
}

async fn between_steps_there_are_rests(mut t: T) {
    set(&mut t, 500);
    // So that a step of a microsecond has a rest that does not end within the test.
    Arc::make_mut(&mut t.api.config).retention.rest = 1_000_000_000;
    let retention = &t.api.config.retention;
    let Step::Made { rest, .. } = step(t.api.db.home(), retention).await.unwrap() else { panic!() };
    assert_eq!(rest, Duration::from_secs(60), "bounded");
    assert_eq!(step(t.api.db.home(), retention).await.unwrap(), Step::NotNow);
    // Nobody rests until a time that a wrong clock set.
    let rests = "UPDATE meta SET value = '99999999999999' WHERE key = 'retention_rests_until'";
    t.sql(rests.to_owned()).await;
    t.sql("UPDATE chores SET next_at = 99999999999999".to_owned()).await;
    assert!(matches!(step(t.api.db.home(), retention).await.unwrap(), Step::Made { .. }));
}

/// Two processes that do nothing but make steps: each row goes once, and nobody waits for the other.
async fn two_at_once(sqlite: bool) {
    let place = Place::fresh(sqlite).await;
    let url = place.url();
    let mut t = T::on(place).await;
    set(&mut t, 3);
    let t = &t;
    let ann = t.user("ann").await;
    for _ in 0..30 {
        let session = t.session(ann).await;
        t.sql(format!("UPDATE sessions SET ended_at = 1000 WHERE id = '{session}'")).await;
    }
    let chores = count(t, "chores").await;
    let other = Db::connect(&url, &DbConfig::default()).await.unwrap();
    let both = [t.api.db.home(), &other].map(async |db| {
        let (mut removed, mut steps) = (0, 0);
        loop {
            match step(db, &t.api.config.retention).await.unwrap() {
                Step::Made { removed: some, .. } => {
                    removed += some;
                    steps += 1;
                }
                Step::NotNow => tokio::task::yield_now().await,
                Step::Nothing => return (removed, steps),
            }
        }
    });
    let [(some, a), (others, b)] = futures_util::future::join_all(both).await[..] else { panic!() };
    assert_eq!((some + others, count(t, "sessions").await), (30, 0));
    // Ten for the sessions, one that finds no more, and one for each of the others.
    assert_eq!(a + b, 10 + 1 + chores - 1);
    other.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_at_once_sqlite() {
    two_at_once(true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_at_once_postgres() {
    two_at_once(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_one_makes_a_step_nobody_waits_for_it() {
    let t = T::postgres().await;
    let Db::Postgres(pool, ..) = t.api.db.home() else { panic!("not PostgreSQL") };
    let mut other = pool.begin().await.unwrap();
    let hold = "SELECT value FROM meta WHERE key = 'retention_rests_until' FOR UPDATE";
    sqlx::query(hold).execute(&mut *other).await.unwrap();
    assert_eq!(step(t.api.db.home(), &t.api.config.retention).await.unwrap(), Step::NotNow);
    other.rollback().await.unwrap();
    let made = step(t.api.db.home(), &t.api.config.retention).await.unwrap();
    assert!(matches!(made, Step::Made { .. }));
}

/// Whoever starts an api need not do anything.
async fn the_task_makes_the_steps(t: T) {
    let lifecycle = platform::lifecycle::Lifecycle::new();
    let mut config = (*t.api.config).clone();
    config.retention.look_every = Duration::from_millis(1);
    let parts = api::Parts {
        db: t.api.db.clone(),
        people: t.api.people.clone(),
        bus: t.api.bus.clone(),
        presence: t.api.presence.clone(),
        limiter: t.api.limiter.clone(),
        tokens: t.api.tokens.clone(),
    };
    t.sql("INSERT INTO wakes (woken_at, chat_id, user_id, after) VALUES (0, 1, 1, 0)".to_owned())
        .await;
    api::start(parts, config, &lifecycle).await.unwrap();
    let waited = async {
        while count(&t, "wakes").await > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waited).await.unwrap();
    lifecycle.stop();
    lifecycle.finish(Duration::ZERO).await;
}
