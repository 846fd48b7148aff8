//! Migrations beside programs that go on: from the first schema to today's while people write, read, join and leave;
//! and no script may keep them waiting for as long as a table is read.

use crate::{
    harness::{Place, T},
    upgrade::{older, rows, run},
};
use api::db::{Db, DbConfig};
use protocol::id::{ChatId, Seq, UserId};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use std::{
    collections::BTreeMap,
    fs,
    sync::atomic::{AtomicBool, AtomicI64, Ordering},
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// A migration waits for a table for a second at most, and makes others wait behind it for as long; with it and a busy
/// machine, no statement takes as long as this.
const LONGEST: Duration = Duration::from_millis(2_500);

/// Scripts of released versions stay as they are.
const FIRST_CHECKED: usize = 16;

const CHAT: i64 = 2;

/// One user of a program of before.
struct OldProgram {
    conn: PgConnection,
    user: i64,
    longest: Duration,
}

impl OldProgram {
    async fn start(url: &str, user: i64) -> Self {
        let mut conn = PgConnection::connect(url).await.unwrap();
        let settings = "SET lock_timeout = '3s'; SET statement_timeout = '5s'";
        sqlx::raw_sql(settings).execute(&mut conn).await.unwrap();
        Self { conn, user, longest: Duration::ZERO }
    }

    async fn say(&mut self, sql: String) -> Result<(), sqlx::Error> {
        let begun = Instant::now();
        let said = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut self.conn).await;
        self.longest = self.longest.max(begun.elapsed());
        said.map(drop)
    }

    /// A message.
    async fn post(&mut self, key: i64) -> Result<(), sqlx::Error> {
        let user = self.user;
        self.say("BEGIN".to_owned()).await?;
        self.say(format!("SELECT last_seq FROM chats WHERE id = {CHAT} FOR NO KEY UPDATE")).await?;
        self.say(format!(
            "INSERT INTO messages (chat_id, id, seq, sender_id, client_message_id, text, reply_to, created_at)
             SELECT id, last_seq + 1, last_seq + 1, {user}, 'k{key}', 'hello', NULL, (SELECT now FROM clock)
             FROM chats WHERE id = {CHAT} ON CONFLICT DO NOTHING"
        ))
        .await?;
        self.say(format!(
            "UPDATE chats SET last_seq = last_seq + 1, message_count = message_count + 1,
                changed_at = (SELECT now FROM clock) WHERE id = {CHAT}"
        ))
        .await?;
        self.say("COMMIT".to_owned()).await
    }

    /// A page, and a visit to a room.
    async fn look_around(&mut self) -> Result<(), sqlx::Error> {
        let user = self.user;
        self.say(format!(
            "SELECT m.id, m.text, s.username FROM messages m JOIN users s ON s.id = m.sender_id
             WHERE m.chat_id = {CHAT} ORDER BY m.id DESC LIMIT 50"
        ))
        .await?;
        self.say(format!(
            "BEGIN; SELECT id FROM chats WHERE id = 1 FOR NO KEY UPDATE;
             INSERT INTO members (chat_id, user_id, joined_at, last_read)
             VALUES (1, {user}, (SELECT now FROM clock), 0) ON CONFLICT DO NOTHING;
             DELETE FROM members WHERE chat_id = 1 AND user_id = {user}; COMMIT"
        ))
        .await
    }

    /// Whether it was not refused because of a lock.
    async fn is_done(&mut self, said: Result<(), sqlx::Error>) -> bool {
        let Err(error) = said else { return true };
        let code = error.as_database_error().and_then(|cause| cause.code());
        let code = code.unwrap_or_default().into_owned();
        assert!(["55P03", "40P01"].contains(&code.as_str()), "{error}");
        sqlx::raw_sql("ROLLBACK").execute(&mut self.conn).await.unwrap();
        false
    }

    /// Until told to stop. What is refused is tried again, as gateways do. How many messages were stored.
    async fn run(mut self, stop: &AtomicBool, rounds: &AtomicI64) -> (i64, Duration) {
        let mut stored = 0;
        while !stop.load(Ordering::Relaxed) {
            let posted = self.post(stored).await;
            if self.is_done(posted).await {
                stored += 1;
                rounds.fetch_add(1, Ordering::Relaxed);
            }
            let looked = self.look_around().await;
            self.is_done(looked).await;
            tokio::task::yield_now().await;
        }
        (stored, self.longest)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_schema_since_the_first_is_left_while_people_go_on() {
    let (db, place) = older(false, 1).await;
    let url = place.url();
    run(&db, old_rows()).await;
    let (stop, rounds) = (AtomicBool::new(false), AtomicI64::new(0));
    let until = async |more: i64| {
        let upto = rounds.load(Ordering::Relaxed) + more;
        while rounds.load(Ordering::Relaxed) < upto {
            sleep(Duration::from_millis(5)).await;
        }
    };
    let (ann, bob) = (OldProgram::start(&url, 1).await, OldProgram::start(&url, 2).await);
    let migrate = async {
        until(20).await;
        let today = Db::connect(&url, &DbConfig::default()).await.unwrap();
        today.migrate().await.unwrap();
        today.close().await;
        until(20).await;
        stop.store(true, Ordering::Relaxed);
    };
    let run_ann = ann.run(&stop, &rounds);
    let run_bob = bob.run(&stop, &rounds);
    let ((anns, slow), (bobs, slower), ()) = tokio::join!(run_ann, run_bob, migrate);
    println!(
        "{} messages while it migrated, the slowest statement took {:?}",
        anns + bobs,
        slow.max(slower)
    );
    assert!(slow.max(slower) < LONGEST, "{slow:?}, {slower:?}");
    // Nothing is lost, and today's program finds all of it.
    let t = T::at(&url).await;
    assert_eq!(t.head(ChatId(CHAT)).await, Seq(anns + bobs));
    let events = t.events_after(ChatId(CHAT), Seq(0), 200).await;
    assert_eq!(events.len() as i64, anns + bobs);
    assert_eq!(t.say(UserId(1), ChatId(CHAT), "today").await, Seq(anns + bobs + 1));
    db.close().await;
}

fn old_rows() -> String {
    "INSERT INTO users (username, username_key, name, password_hash, created_at)
     VALUES ('ann', 'ann', 'Ann', 'h', 1), ('bob', 'bob', 'Bob', 'h', 2);
     INSERT INTO chats (chat_type, name, created_by, created_at, changed_at, member_count)
     VALUES ('group', 'ours', 1, 1, 1, 2);
     INSERT INTO members (chat_id, user_id, role, joined_at) VALUES (2, 1, 'owner', 1), (2, 2, 'member', 1)"
        .to_owned()
}

/// PostgreSQL's scripts in order, each with its number.
fn scripts() -> BTreeMap<usize, String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/db/migrations/postgres");
    let script = |entry: std::io::Result<fs::DirEntry>| {
        let path = entry.unwrap().path();
        let number = path.file_name().unwrap().to_str().unwrap()[..4].parse().unwrap();
        (number, fs::read_to_string(path).unwrap())
    };
    fs::read_dir(folder).unwrap().map(script).collect()
}

/// What tables are made of: a rewritten table and a new index have files of their own.
const FILES: &str = "SELECT t.relname::TEXT, f.relname::TEXT || ' ' || f.relfilenode::TEXT
    FROM pg_class t JOIN pg_class f ON f.oid = t.oid
        OR f.oid IN (SELECT indexrelid FROM pg_index WHERE indrelid = t.oid)
    WHERE t.relkind = 'r' AND t.relnamespace = 'public'::regnamespace ORDER BY 1, 2";

/// The tables that the transaction holds against writers, each with how many of its rows were read one after the other.
const HELD: &str = "SELECT DISTINCT c.relname::TEXT, pg_stat_get_xact_tuples_returned(c.oid)
    FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
    WHERE l.pid = pg_backend_pid() AND c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace
        AND l.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')";

/// The tables that a script keeps from writers for as long as it takes to read or write them whole. The script is
/// carried out, and stays if `stays`.
async fn held_for_long(url: &str, script: &str, stays: bool) -> Vec<String> {
    let mut conn = PgConnection::connect(url).await.unwrap();
    let mut tx = conn.begin().await.unwrap();
    let files = async |tx: &mut PgConnection| -> BTreeMap<String, Vec<String>> {
        let rows: Vec<(String, String)> = sqlx::query_as(FILES).fetch_all(tx).await.unwrap();
        let mut files: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (table, file) in rows {
            files.entry(table).or_default().push(file);
        }
        files
    };
    let before = files(&mut tx).await;
    sqlx::raw_sql(AssertSqlSafe(script.to_owned())).execute(&mut *tx).await.unwrap();
    let after = files(&mut tx).await;
    let held: Vec<(String, i64)> = sqlx::query_as(HELD).fetch_all(&mut *tx).await.unwrap();
    if stays {
        tx.commit().await.unwrap();
    } else {
        tx.rollback().await.unwrap();
    }
    let is_new = |table: &str| before[table] != after.get(table).cloned().unwrap_or_default();
    let held = held.into_iter().filter(|(table, read)| {
        before.contains_key(table) && (*read > 1 || (after.contains_key(table) && is_new(table)))
    });
    held.map(|(table, _)| table).collect()
}

#[tokio::test]
async fn no_script_keeps_writers_waiting_while_a_table_is_read() {
    let place = Place::fresh(false).await;
    let url = place.url();
    let mut conn = PgConnection::connect(&url).await.unwrap();
    for (number, script) in scripts() {
        if number == FIRST_CHECKED {
            let rows = AssertSqlSafe(rows(4));
            sqlx::raw_sql(rows).execute(&mut conn).await.unwrap();
        }
        if number >= FIRST_CHECKED {
            let held = held_for_long(&url, &script, true).await;
            assert!(
                held.is_empty(),
                "{number:04} holds {held:?}: see CONTRIBUTING.md, \"A column\""
            );
        } else {
            sqlx::raw_sql(AssertSqlSafe(script)).execute(&mut conn).await.unwrap();
        }
    }
    for bad in [
        "CREATE INDEX bad ON messages (sender_id)",
        "ALTER TABLE messages ADD COLUMN bad TEXT DEFAULT gen_random_uuid()::TEXT",
        "ALTER TABLE messages ALTER COLUMN ordinal TYPE NUMERIC",
        "ALTER TABLE messages ADD CHECK (id > 0)",
        "ALTER TABLE messages ALTER COLUMN seq DROP NOT NULL, ADD CHECK (seq > 0)",
        "LOCK TABLE messages IN SHARE MODE; UPDATE messages SET text = text WHERE id + 0 > 0",
    ] {
        assert_eq!(held_for_long(&url, bad, false).await, ["messages"], "{bad}");
    }
    for good in [
        "ALTER TABLE messages ADD COLUMN good BIGINT, ADD COLUMN better TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE messages ADD CHECK (id > 0) NOT VALID",
        "CREATE TABLE good (id BIGINT PRIMARY KEY); CREATE INDEX better ON good (id)",
        "ALTER TABLE users ALTER COLUMN email SET DEFAULT NULL",
    ] {
        assert!(held_for_long(&url, good, false).await.is_empty(), "{good}");
    }
}
