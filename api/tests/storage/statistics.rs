//! The lobby's counters: whatever happens to its messages, they equal a recount.

use crate::harness::{T, both, delete, edit, send};
use api::{db::Db, lobby};
use futures_util::future::join_all;
use protocol::{
    code::Code,
    command::Command,
    id::{ChatId, Seq, UserId},
};
use rand::{Rng as _, RngExt as _, SeedableRng as _, rngs::StdRng};

both!(
    counters_equal_a_recount,
    batches_at_once_count_once_each,
    a_day_ends,
    a_clock_behind_waits_for_the_day,
    only_chats_with_a_row_are_counted,
    the_migration_counts_what_is_there,
    statistics_of_nothing,
    a_page_begins_where_its_offset_says,
);

const LOBBY: ChatId = ChatId(1);
const DAY_MS: i64 = 86_400_000;

/// Counters that are wrong, by name.
async fn wrong(t: &T) -> Vec<&'static str> {
    let live = "FROM messages WHERE chat_id = 1 AND deleted_at IS NULL";
    let mut wrong = Vec::new();
    for (name, kept, counted) in [
        ("messages", "message_count FROM chats WHERE id = 1", format!("count(*) {live}")),
        ("senders", "sender_count FROM statistics", format!("count(DISTINCT sender_id) {live}")),
        (
            "characters",
            "text_chars FROM statistics",
            format!("COALESCE(SUM(length(text)), 0) {live}"),
        ),
        (
            "of the day",
            "day_count FROM statistics",
            format!("count(*) {live} AND created_at / {DAY_MS} = (SELECT day FROM statistics)"),
        ),
        (
            "of each sender",
            "0",
            format!(
                "count(*) FROM users u WHERE (SELECT count(*) {live} AND sender_id = u.id) <>
                 COALESCE((SELECT n.message_count FROM senders n WHERE n.user_id = u.id), 0)"
            ),
        ),
        (
            "of each stretch",
            "0",
            format!(
                "count(*) FROM (SELECT id / 4096 AS stretch, count(*) AS n {live} GROUP BY 1) m
                 WHERE n <> COALESCE((SELECT s.message_count FROM stretches s
                     WHERE s.chat_id = 1 AND s.stretch = m.stretch), 0)"
            ),
        ),
        ("of all stretches", "SUM(message_count) FROM stretches", format!("count(*) {live}")),
    ] {
        // PostgreSQL has several types of numbers.
        let number =
            |what: &str| t.number(format!("SELECT CAST(COALESCE((SELECT {what}), 0) AS BIGINT)"));
        if number(kept).await != number(&counted).await {
            wrong.push(name);
        }
    }
    wrong
}

/// As if this much time had passed since everything that is stored.
async fn let_days_pass(t: &T, days: i64) {
    t.sql(format!("UPDATE messages SET created_at = created_at - {}", days * DAY_MS)).await;
    t.sql(format!("UPDATE statistics SET day = day - {days}")).await;
}

fn text(random: &mut impl rand::Rng) -> String {
    let letters = ['a', 'я', '字', '😀', ' '];
    let length = random.random_range(0..12);
    let middle: String = (0..length).map(|_| letters[random.random_range(0..5)]).collect();
    format!("x{middle}x")
}

/// A batch of anything by anybody, some of it refused or repeated.
fn batch(
    random: &mut impl rand::Rng,
    users: &[UserId],
    other: ChatId,
    round: usize,
) -> Vec<Command> {
    let newest = 1 + round as i64 * 6;
    let command = |place: usize| {
        let user = users[random.random_range(0..users.len())];
        let id = Seq(random.random_range(1..=newest));
        match random.random_range(0..10) {
            0..=3 => send(user, LOBBY, &format!("{round}-{}", place / 2), &text(random)),
            4 => send(user, other, &format!("{round}-{place}"), &text(random)),
            5 | 6 => edit(user, LOBBY, id, &text(random)),
            7 => edit(user, LOBBY, Seq(newest), "the same"),
            8 => delete(user, other, id),
            _ => delete(user, LOBBY, id),
        }
    };
    (0..10).map(command).collect()
}

async fn counters_equal_a_recount(t: T) {
    let users = t.users(["u0", "u1", "u2", "u3", "u4"]).await;
    t.sql(format!("UPDATE users SET role = 'admin' WHERE id = {}", users[0])).await;
    t.sql(format!("UPDATE users SET blocked_at = 1 WHERE id = {}", users[4])).await;
    let other = t.group(users[0], &users[1..]).await;
    let seed = rand::rng().next_u64();
    let mut random = StdRng::seed_from_u64(seed);
    for round in 0..60 {
        t.post(batch(&mut random, &users, other, round)).await;
        if random.random_bool(0.1) {
            let_days_pass(&t, 1).await;
        }
        assert_eq!(wrong(&t).await, [""; 0], "seed {seed}, round {round}");
    }
    let kept = t.number("SELECT count(*) FROM senders WHERE message_count > 0".to_owned()).await;
    assert!(kept > 0, "seed {seed}: nothing happened");
    assert_eq!(t.number("SELECT count(*) FROM senders WHERE chat_id <> 1".to_owned()).await, 0);
}

async fn batches_at_once_count_once_each(t: T) {
    let users = t.users(["u0", "u1", "u2", "u3"]).await;
    let other = t.group(users[0], &users[1..]).await;
    let (t, users) = (&t, &users);
    let tasks = (0..6).map(|task| async move {
        let mut random = StdRng::seed_from_u64(task);
        for round in 0..15 {
            let commands = batch(&mut random, users, other, round);
            // Twice at once, as after a lost reply.
            tokio::join!(t.post(commands.clone()), t.post(commands));
        }
    });
    join_all(tasks).await;
    assert_eq!(wrong(t).await, [""; 0]);
}

async fn a_day_ends(t: T) {
    let [ann, bob] = t.users(["ann", "bob"]).await;
    let old = t.say(ann, LOBBY, "four").await;
    t.say(bob, LOBBY, "and five").await;
    assert_eq!(lobby::statistics(&t.api).await.unwrap().messages_today, 2);
    let_days_pass(&t, 1).await;
    let next_day = lobby::statistics(&t.api).await.unwrap();
    assert_eq!((next_day.messages_today, next_day.total_messages), (0, 2), "nobody wrote yet");
    t.one(delete(ann, LOBBY, old)).await.unwrap();
    assert_eq!(lobby::statistics(&t.api).await.unwrap().messages_today, 0, "it was of yesterday");
    t.say(ann, LOBBY, "new").await;
    let id = t.say(ann, LOBBY, "new").await;
    assert_eq!(lobby::statistics(&t.api).await.unwrap().messages_today, 2);
    t.one(delete(ann, LOBBY, id)).await.unwrap();
    assert_eq!(lobby::statistics(&t.api).await.unwrap().messages_today, 1);
    assert_eq!(wrong(&t).await, [""; 0]);
}

async fn a_clock_behind_waits_for_the_day(t: T) {
    let ann = t.user("ann").await;
    t.say(ann, LOBBY, "today").await;
    // What is stored is of tomorrow now: the clock went back over midnight.
    let_days_pass(&t, -1).await;
    t.say(ann, LOBBY, "today again").await;
    assert_eq!(wrong(&t).await, [""; 0]);
    let_days_pass(&t, 1).await;
    t.say(ann, LOBBY, "today at last").await;
    assert_eq!(t.number("SELECT day_count FROM statistics".to_owned()).await, 2);
}

async fn only_chats_with_a_row_are_counted(t: T) {
    let [ann, bob] = t.users(["ann", "bob"]).await;
    let [counted, other] = [t.room(ann).await, t.room(ann).await];
    t.sql(format!("INSERT INTO statistics VALUES ({counted}, 0, 0, 0, 0)")).await;
    t.post(vec![
        send(ann, counted, "1", "one"),
        send(bob, counted, "2", "two"),
        send(bob, LOBBY, "3", "three"),
        send(ann, other, "4", "four"),
    ])
    .await;
    for (chat, senders, chars) in [(counted, 2, 6), (LOBBY, 1, 5)] {
        let one =
            |column| t.number(format!("SELECT {column} FROM statistics WHERE chat_id = {chat}"));
        assert_eq!((one("sender_count").await, one("text_chars").await), (senders, chars));
    }
    let rows = |chat| t.number(format!("SELECT count(*) FROM senders WHERE chat_id = {chat}"));
    assert_eq!((rows(counted).await, rows(LOBBY).await, rows(other).await), (2, 1, 0));
}

/// Counts anew, as the migration did.
async fn recount(t: &T) {
    let script = match t.api.db.home() {
        Db::Postgres(..) => include_str!("../../src/db/migrations/postgres/0002_families.sql"),
        Db::Sqlite { .. } => include_str!("../../src/db/migrations/sqlite/0002_families.sql"),
    };
    for table in ["statistics", "senders", "stretches"] {
        t.sql(format!("DELETE FROM {table}")).await;
    }
    for statement in script.split(';').map(str::trim).filter(|text| text.starts_with("INSERT INTO"))
    {
        t.sql(statement.to_owned()).await;
    }
}

async fn the_migration_counts_what_is_there(t: T) {
    let users = t.users(["u0", "u1", "u2"]).await;
    let other = t.group(users[0], &users[1..]).await;
    let mut random = StdRng::seed_from_u64(7);
    for round in 0..10 {
        t.post(batch(&mut random, &users, other, round)).await;
    }
    recount(&t).await;
    assert_eq!(t.number("SELECT count(*) FROM statistics".to_owned()).await, 1);
    assert_eq!(wrong(&t).await, [""; 0]);
}

async fn statistics_of_nothing(t: T) {
    let empty = lobby::statistics(&t.api).await.unwrap();
    assert_eq!((empty.total_messages, empty.total_users, empty.messages_today), (0, 0, 0));
    assert_eq!((empty.most_active_user, empty.average_message_length), (None, 0.0));
    let [ann, bob] = t.users(["ann", "bob"]).await;
    let id = t.say(bob, LOBBY, "first").await;
    t.say(ann, LOBBY, "as many").await;
    let both = lobby::statistics(&t.api).await.unwrap();
    assert_eq!(both.most_active_user.unwrap().username, "ann", "the first account of two alike");
    assert_eq!(both.average_message_length, 6.0);
    t.one(delete(bob, LOBBY, id)).await.unwrap();
    assert_eq!(lobby::statistics(&t.api).await.unwrap().total_users, 1);
    let refused = t.one(delete(ann, LOBBY, Seq(99))).await.unwrap_err();
    assert_eq!(refused.code, Code::MessageNotFound);
}

async fn a_page_begins_where_its_offset_says(t: T) {
    let ann = t.user("ann").await;
    let last = 4 * 4_096 + 10;
    // With holes of all sizes; one is longer than a stretch.
    let gone = |id: i64| id % 7 == 0 || (4_000..9_000).contains(&id);
    t.sql(format!(
        "INSERT INTO messages (chat_id, id, seq, sender_id, client_message_id, text, created_at, deleted_at)
         WITH RECURSIVE ids (id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM ids WHERE id < {last})
         SELECT 1, id, id, {ann}, 'k' || id, 'x', 0,
             CASE WHEN id % 7 = 0 OR (id >= 4000 AND id < 9000) THEN 1 END FROM ids"
    ))
    .await;
    let ids: Vec<i64> = (1..=last).filter(|id| !gone(*id)).collect();
    let total = ids.len();
    t.sql(format!("UPDATE chats SET last_seq = {last}, message_count = {total} WHERE id = 1"))
        .await;
    recount(&t).await;
    // And one more by the usual way, in the newest stretch.
    let newest = t.say(ann, LOBBY, "the newest").await.0;
    let ids: Vec<i64> = ids.into_iter().chain([newest]).collect();
    let at = |id: i64| ids.iter().position(|known| *known >= id).unwrap();
    let borders = [0, at(3_999), at(9_000), at(2 * 4_096), at(3 * 4_096), at(4 * 4_096), ids.len()];
    for offset in borders.iter().flat_map(|border| border.saturating_sub(2)..border + 3) {
        let (page, total) = lobby::page(&t.api, offset as i64, 3).await.unwrap();
        let found: Vec<i64> = page.iter().map(|message| message.id.0).collect();
        let expected: Vec<i64> = ids.iter().skip(offset).take(3).copied().collect();
        assert_eq!((found, total), (expected, ids.len() as i64), "after {offset}");
    }
    assert!(lobby::page(&t.api, i64::MAX, 3).await.unwrap().0.is_empty());
}
