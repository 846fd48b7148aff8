//! What only SQLite can get wrong: a transaction that it ends by itself, and a statement without an end.
//! A disk that is really full is tried on the whole process.

use crate::harness::{Place, T};
use api::{
    db::{Db, DbConfig, DbError, Link},
    error::Error,
};
use platform::problem::Problem;
use protocol::id::ChatId;
use std::time::Duration;

/// Counts for ever.
const ENDLESS: &str =
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";

#[tokio::test]
async fn writing_works_again_after_a_full_disk() {
    let t = T::sqlite().await;
    let ann = t.user("ann").await;
    t.say(ann, ChatId(1), "before").await;
    // No page more than there are, for the connection that writes now.
    t.sql("PRAGMA max_page_count = 1".to_owned()).await;
    let mut tx = t.api.db.home().begin().await.unwrap();
    let large = "INSERT INTO meta VALUES ('large', hex(randomblob(100000)))";
    let full = run(tx.link(), large).await.unwrap_err();
    assert!(full.to_string().contains("full"), "{full}");
    let problem = Problem::from(Error::from(full));
    assert_eq!((problem.status.as_u16(), problem.retry_after), (503, Some(1)));
    drop(tx);

    t.say(ann, ChatId(1), "after").await;
    t.api.db.home().ping().await.unwrap();
}

/// On a database with one connection of each kind, which may run for 100 ms.
async fn impatient() -> (Db, Place) {
    let place = Place::fresh(true).await;
    let config = DbConfig {
        sqlite_readers: 1,
        sqlite_timeout: Duration::from_millis(100),
        ..DbConfig::default()
    };
    let db = Db::connect(&place.url(), &config).await.unwrap();
    db.migrate().await.unwrap();
    (db, place)
}

async fn run(link: Link<'_>, sql: &'static str) -> Result<(), DbError> {
    let Link::Sqlite(conn) = link else { panic!("it is SQLite") };
    let running = sqlx::raw_sql(sql).execute(conn);
    tokio::time::timeout(Duration::from_secs(20), running).await.unwrap()?;
    Ok(())
}

fn assert_busy(result: Result<(), DbError>) {
    let error = result.unwrap_err();
    assert!(error.to_string().contains("interrupted"), "{error}");
    assert_eq!(Problem::from(Error::from(error)).status.as_u16(), 503);
}

#[tokio::test]
async fn a_read_without_an_end_is_ended() {
    let (db, _place) = impatient().await;
    assert_busy(run(db.read().await.unwrap().link(), ENDLESS).await);
    assert_busy(run(db.snapshot().await.unwrap().link(), ENDLESS).await);
    // Whoever has the connection next has all the time again.
    run(db.read().await.unwrap().link(), "SELECT 1").await.unwrap();
    db.check_schema().await.unwrap();
}

#[tokio::test]
async fn a_write_without_an_end_is_ended_and_changes_nothing() {
    let (db, _place) = impatient().await;
    let mut tx = db.begin().await.unwrap();
    run(tx.link(), "INSERT INTO meta VALUES ('half', 'done')").await.unwrap();
    let endless = "INSERT INTO meta WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
                   SELECT i, '' FROM n WHERE i < 0";
    assert_busy(run(tx.link(), endless).await);
    assert!(tx.commit().await.is_err(), "SQLite has rolled it back");

    let mut tx = db.begin().await.unwrap();
    run(tx.link(), "INSERT INTO meta VALUES ('half', 'and whole')").await.unwrap();
    tx.commit().await.unwrap();
}

/// Version 1 of the schema with so many messages that counting them takes a while.
const MANY_MESSAGES: &str = "
    CREATE TABLE migrations (version BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL);
    INSERT INTO migrations VALUES (1, '0001_start');
    INSERT INTO users (id, username, username_key, name, password_hash, created_at)
    VALUES (1, 'ann', 'ann', 'Ann', '', 0);
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
    INSERT INTO messages (chat_id, id, seq, sender_id, client_message_id, text, created_at)
    SELECT 1, i, i, 1, i, '', 0 FROM n";

#[tokio::test]
async fn a_migration_takes_the_time_that_it_takes() {
    let place = Place::fresh(true).await;
    let url = place.url();
    let before = Db::connect(&url, &DbConfig::default()).await.unwrap();
    let mut tx = before.begin().await.unwrap();
    run(tx.link(), include_str!("../../src/db/migrations/sqlite/0001_start.sql")).await.unwrap();
    run(tx.link(), MANY_MESSAGES).await.unwrap();
    tx.commit().await.unwrap();
    before.close().await;

    let config = DbConfig { sqlite_timeout: Duration::ZERO, ..DbConfig::default() };
    Db::connect(&url, &config).await.unwrap().migrate().await.unwrap();
}
