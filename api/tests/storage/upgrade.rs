//! A database of an older schema, with something in every table, brought to today's: nothing is lost, all of
//! it is of use, and programs of before go on beside those of today, as in a rolling upgrade.

use crate::{
    harness::{Place, T, actor},
    shards::OF_A_TEST,
};
use api::{
    audit,
    chats::membership,
    db::{Db, DbConfig},
    internal,
    retention::{Step, step},
};
use protocol::{
    calls::{Changed, Guests, Open, OpenSession, Shows},
    id::{ChatId, Seq, SessionId, UserId},
};
use sqlx::AssertSqlSafe;
use std::sync::Arc;

/// The scripts up to a version, by database.
macro_rules! scripts {
    ($database:literal, $($name:literal),*) => {
        vec![$(($name, include_str!(
            concat!("../../src/db/migrations/", $database, "/", $name, ".sql")
        ))),*]
    };
}

/// The oldest one that is somewhere in use, and the newest one beside whose programs today's may run.
const FIRST: usize = 2;
const BESIDE: usize = 4;

fn old_scripts(sqlite: bool, version: usize) -> Vec<(&'static str, &'static str)> {
    let mut scripts = match sqlite {
        true => scripts!("sqlite", "0001_start", "0002_families", "0003_names", "0004_no_hole"),
        false => scripts!("postgres", "0001_start", "0002_families", "0003_names", "0004_no_hole"),
    };
    scripts.truncate(version);
    scripts
}

const ANN: UserId = UserId(1);
const BOB: UserId = UserId(2);
const GUEST: UserId = UserId(3);
const GROUP: ChatId = ChatId(2);
const DELETED: ChatId = ChatId(4);
const LIVE: &str = "0198c6a0-0000-7000-8000-000000000001";

/// Rows for all tables of a version, as its programs wrote them.
pub fn rows(version: usize) -> String {
    let mut sql = format!(
        "INSERT INTO users (username, username_key, name, email, email_key, password_hash, created_at)
         VALUES ('Ann', 'ann', 'Ann', 'A@b.c', 'a@b.c', 'h', 1), ('bob', 'bob', 'Bob', NULL, NULL, 'h', 2);
         INSERT INTO users (username, username_key, name, password_hash, created_at, guest)
         VALUES ('vi', '@vi', 'vi', '', 3, TRUE), ('silent', '@silent', 'silent', '', 3, TRUE);
         INSERT INTO sessions (id, user_id, refresh_hash, previous_refresh_hash, user_agent, created_at,
             last_used_at, expires_at, ended_at, end_reason)
         VALUES ('{LIVE}', 1, 'r1', 'r0', 'phone', 1, 2, 99999999999999, NULL, NULL),
             ('0198c6a0-0000-7000-8000-000000000002', 1, 'r2', NULL, '', 1, 2, 3, 4, 'signed_out');
         INSERT INTO chats (chat_type, name, pair_key, created_by, created_at, changed_at, last_seq,
             message_count, member_count, deleted_at)
         VALUES ('group', 'ours', NULL, 1, 1, 5, 3, 1, 2, NULL),
             ('private', '', '1:2', 1, 1, 5, 0, 0, 2, NULL),
             ('group', 'gone', NULL, 2, 1, 5, 1, 1, 1, 6);
         INSERT INTO members (chat_id, user_id, role, joined_at, last_read, dormant)
         VALUES (2, 1, 'owner', 1, 2, FALSE), (2, 2, 'member', 1, 0, TRUE), (3, 1, 'member', 1, 0, FALSE),
             (3, 2, 'member', 1, 0, FALSE), (4, 2, 'owner', 1, 0, FALSE);
         INSERT INTO messages (chat_id, id, seq, sender_id, client_message_id, text, reply_to, created_at,
             edited_at, deleted_at, deleted_by)
         VALUES (2, 1, 3, 1, 'c1', 'hello', NULL, 5, 6, NULL, NULL), (4, 1, 1, 2, 'c1', 'old', NULL, 5, NULL, NULL, NULL),
             (1, 1, 1, 3, 'c1', 'hi all', NULL, 5, NULL, NULL, NULL);
         UPDATE chats SET last_seq = 1, message_count = 1 WHERE id = 1;
         INSERT INTO member_events (chat_id, seq, user_id, change, by_user, created_at)
         VALUES (2, 2, 2, 'joined', 1, 5);
         INSERT INTO senders (chat_id, user_id, message_count) VALUES (1, 3, 1);
         INSERT INTO stretches (chat_id, stretch, message_count) VALUES (1, 0, 1);
         UPDATE statistics SET sender_count = 1, text_chars = 6 WHERE chat_id = 1;
         INSERT INTO audit_log (at, actor_id, action, user_id, chat_id, message_id, reason)
         VALUES (7, 1, 'delete_chat', 2, 4, NULL, 'spam'), (8, NULL, 'create_admin', 1, NULL, NULL, '');"
    );
    if version >= 3 {
        sql += "INSERT INTO username_skeletons (skeleton, user_id) VALUES ('ann', 1), ('bob', 2);";
    }
    if version >= 4 {
        sql += "INSERT INTO chat_events (chat_id, seq, change, user_id, name, by_user, created_at)
             VALUES (2, 4, 'renamed', NULL, 'ours', 1, 5);
             INSERT INTO edits (chat_id, message_id, fingerprint, seq, created_at) VALUES (2, 1, 'f', 3, 6);
             INSERT INTO departures (chat_id, user_id, parted_at) VALUES (1, 2, 5);
             UPDATE chats SET last_seq = 4 WHERE id = 2;";
    }
    sql
}

pub async fn run(db: &Db, sql: String) {
    let sql = AssertSqlSafe(sql);
    match db {
        Db::Postgres(pool, ..) => drop(sqlx::raw_sql(sql).execute(pool).await.unwrap()),
        Db::Sqlite { write, .. } => drop(sqlx::raw_sql(sql).execute(write).await.unwrap()),
    }
}

async fn texts(db: &Db, sql: String) -> Vec<String> {
    let sql = AssertSqlSafe(sql);
    match db {
        Db::Postgres(pool, ..) => sqlx::query_scalar(sql).fetch_all(pool).await.unwrap(),
        Db::Sqlite { write, .. } => sqlx::query_scalar(sql).fetch_all(write).await.unwrap(),
    }
}

/// The tables that hold what people did, each with a query for all of its rows as texts.
async fn tables(db: &Db) -> Vec<(String, String)> {
    let (names, columns) = match db {
        Db::Postgres(..) => (
            "SELECT table_name::TEXT FROM information_schema.tables
             WHERE table_schema = current_schema() AND table_type = 'BASE TABLE'",
            "SELECT 'COALESCE(' || column_name || '::TEXT, ''-'')' FROM information_schema.columns
             WHERE table_schema = current_schema() AND table_name = '{}' ORDER BY ordinal_position",
        ),
        Db::Sqlite { .. } => (
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
            "SELECT 'quote(' || name || ')' FROM pragma_table_info('{}')",
        ),
    };
    let mut tables = Vec::new();
    for name in texts(db, names.to_owned()).await {
        if ["migrations", "meta"].contains(&name.as_str()) {
            continue;
        }
        let columns = texts(db, columns.replace("{}", &name)).await.join(" || '|' || ");
        let query = format!("{OF_A_TEST} SELECT {columns} FROM {name} ORDER BY 1");
        tables.push((name, query));
    }
    tables
}

/// A fresh database of that version, and where it is.
pub async fn older(sqlite: bool, version: usize) -> (Db, Place) {
    let place = Place::fresh(sqlite).await;
    let old = Db::connect(&place.url(), &DbConfig::default()).await.unwrap();
    let scripts = old_scripts(sqlite, version);
    assert_eq!(scripts.len(), version);
    for (_, script) in &scripts {
        run(&old, (*script).to_owned()).await;
    }
    let made = "CREATE TABLE migrations (version BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL)";
    run(&old, made.to_owned()).await;
    for (number, (name, _)) in (1..).zip(&scripts) {
        let made = format!("INSERT INTO migrations (version, name) VALUES ({number}, '{name}')");
        run(&old, made).await;
    }
    (old, place)
}

async fn upgraded(sqlite: bool, version: usize) {
    let (old, place) = older(sqlite, version).await;
    run(&old, rows(version)).await;
    let mut before = Vec::new();
    for (table, query) in tables(&old).await {
        let rows = texts(&old, query.clone()).await;
        assert!(!rows.is_empty(), "nothing is in {table}");
        before.push((table, query, rows));
    }

    let mut t = T::on(place).await;
    for (table, query, rows) in before {
        // The same columns of the same rows, whatever was added.
        assert_eq!(texts(t.api.db.home(), query).await, rows, "{table}");
    }
    is_of_use(&mut t).await;
    if version == BESIDE {
        programs_of_before_go_on(&t, &old).await;
    }
    old.close().await;
}

async fn is_of_use(t: &mut T) {
    let config = Arc::make_mut(&mut t.api.config);
    config.guests = true;
    config.retention.rest = 0;
    let session_id: SessionId = LIVE.parse().unwrap();
    let sessions = vec![OpenSession { user_id: ANN, session_id, shows: Shows::All }];
    let opened = internal::open(&t.api, Open { sessions, live_chats: 5 }).await.unwrap();
    let chats = &opened.sessions[0].as_ref().unwrap().chats;
    assert_eq!(chats.len(), 2, "{chats:?}");
    assert!(t.events_after(GROUP, Seq(0), 200).await.len() >= 2);
    let head = t.head(GROUP).await;
    assert_eq!(t.say(BOB, GROUP, "still here").await, head.next());
    assert_eq!(
        audit::list(t.api.db.home(), Default::default(), None, 9).await.unwrap().entries.len(),
        2
    );
    let guest = internal::guests(&t.api, Guests { names: vec!["vi".to_owned()] }).await.unwrap();
    assert_eq!(guest.guests[0].as_ref().unwrap().id, GUEST);
    t.say(GUEST, ChatId(1), "hello").await;
    while step(t.api.db.home(), &t.api.config.retention).await.unwrap() != Step::Nothing {}
    let gone = format!("SELECT count(*) FROM chats WHERE id = {DELETED}");
    assert_eq!(t.number(gone).await, 0);
    let sessions = "SELECT count(*) FROM sessions".to_owned();
    assert_eq!(t.number(sessions).await, 1, "the one that lives");
    let guests = "SELECT count(*) FROM users WHERE guest".to_owned();
    assert_eq!(t.number(guests).await, 1, "the one who wrote");
}

/// What the programs of version [`BESIDE`] say to the database, in their words.
async fn programs_of_before_go_on(t: &T, old: &Db) {
    const NOW: &str = "(SELECT now FROM clock)";
    let head = t.head(GROUP).await.0;
    for sql in [
        // A sign-in that clears up, a renewal, a sign-out.
        format!("DELETE FROM sessions WHERE user_id = 1 AND ended_at < {NOW} - 86400000"),
        format!(
            "INSERT INTO sessions (id, user_id, refresh_hash, user_agent, created_at, last_used_at, expires_at)
             VALUES ('0198c6a0-0000-7000-8000-000000000003', 2, 'r3', '', {NOW}, {NOW}, {NOW} + 1000)"
        ),
        format!(
            "UPDATE sessions SET previous_refresh_hash = refresh_hash, refresh_hash = 'r4', last_used_at = {NOW}
             WHERE user_id = 2"
        ),
        format!("UPDATE sessions SET ended_at = {NOW}, end_reason = 'signed_out' WHERE user_id = 2"),
        // A message and an edit, with a dormant member, who stays so.
        "UPDATE members SET dormant = TRUE WHERE chat_id = 2 AND user_id = 1".to_owned(),
        format!(
            "UPDATE chats SET last_seq = last_seq + 1, message_count = message_count + 1, changed_at = {NOW}
             WHERE id = 2"
        ),
        format!(
            "INSERT INTO messages (chat_id, id, seq, sender_id, client_message_id, text, reply_to, created_at)
             VALUES (2, {0}, {0}, 2, 'k', 'by an old one', NULL, {NOW})",
            head + 1
        ),
        format!(
            "INSERT INTO edits (chat_id, message_id, fingerprint, seq, created_at) VALUES (2, 1, 'g', 3, {NOW})"
        ),
        // Somebody joins a room and leaves it.
        format!(
            "INSERT INTO members (chat_id, user_id, joined_at, last_read) VALUES (1, 2, {NOW}, 0);
             UPDATE chats SET member_count = member_count + 1 WHERE id = 1;
             DELETE FROM members WHERE chat_id = 1 AND user_id = 2;
             UPDATE chats SET member_count = member_count - 1 WHERE id = 1;
             DELETE FROM departures WHERE parted_at < {NOW} - 86400000;
             INSERT INTO departures (chat_id, user_id, parted_at) VALUES (1, 2, {NOW})
             ON CONFLICT (chat_id, user_id) DO UPDATE SET parted_at = excluded.parted_at"
        ),
        // A guest, a group, an act of an administrator.
        format!(
            "INSERT INTO users (username, username_key, name, password_hash, created_at, guest)
             VALUES ('zo', '@zo', 'zo', '', {NOW}, TRUE) ON CONFLICT (username_key) DO NOTHING"
        ),
        format!(
            "INSERT INTO chats (chat_type, name, pair_key, created_by, created_at, changed_at, member_count)
             VALUES ('group', 'new', NULL, 2, {NOW}, {NOW}, 0)"
        ),
        format!(
            "INSERT INTO audit_log (at, actor_id, action, user_id, chat_id, message_id, reason)
             VALUES ({NOW}, 1, 'rename_chat', NULL, 2, NULL, '')"
        ),
    ] {
        run(old, sql).await;
    }
    // Those of today find it.
    let found =
        internal::changed(&t.api, Changed { since: None, ..Changed::default() }).await.unwrap();
    assert!(found.chats.contains(&(GROUP, Seq(head + 1))), "{found:?}");
    assert!(found.woken.iter().any(|one| one.user_id == ANN && one.chat_id == GROUP));
    assert!(found.parted.iter().any(|one| one.user_id == BOB && one.chat_id == ChatId(1)));
    assert_eq!(found.ended.len(), 1);
    let names = vec!["zo".to_owned()];
    let guest = internal::guests(&t.api, Guests { names }).await.unwrap().guests.remove(0).unwrap();
    t.say(guest.id, ChatId(1), "hello").await;
    assert_eq!(t.say(ANN, GROUP, "by a new one").await, Seq(head + 2));
    membership::leave(&t.api, actor(BOB), GROUP).await.unwrap();
    assert_eq!(
        audit::list(t.api.db.home(), Default::default(), None, 9).await.unwrap().entries.len(),
        3
    );
}

#[tokio::test]
async fn from_the_first_schema_sqlite() {
    upgraded(true, FIRST).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_the_first_schema_postgres() {
    upgraded(false, FIRST).await;
}

#[tokio::test]
async fn from_the_schema_of_programs_that_go_on_sqlite() {
    upgraded(true, BESIDE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_the_schema_of_programs_that_go_on_postgres() {
    upgraded(false, BESIDE).await;
}
