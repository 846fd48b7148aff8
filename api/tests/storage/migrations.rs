//! Starting processes bring the schema up to date, all at once if they like.

use crate::{
    harness::{Place, T, both},
    upgrade::older,
};
use api::db::{Db, DbConfig, MigrateError};
use std::time::{Duration, Instant};

both!(
    a_newer_schema_is_refused,
    beside_a_newer_schema_that_only_adds_one_goes_on,
    the_lobby_and_the_epoch_are_made_once,
    constraints_have_one_name,
);

async fn many_at_once(sqlite: bool) {
    let place = Place::fresh(sqlite).await;
    let url = place.url();
    let mut starting = Vec::new();
    for _ in 0..4 {
        // Each like a process of its own.
        let db = Db::connect(&url, &DbConfig::default()).await.unwrap();
        starting.push(async move {
            db.migrate().await.unwrap();
            db.check_schema().await.unwrap();
            db.close().await;
        });
    }
    futures_util::future::join_all(starting).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_at_once_sqlite() {
    many_at_once(true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_at_once_postgres() {
    many_at_once(false).await;
}

#[tokio::test]
async fn an_empty_database_must_be_migrated_first() {
    for sqlite in [true, false] {
        let place = Place::fresh(sqlite).await;
        let db = Db::connect(&place.url(), &DbConfig::default()).await.unwrap();
        let error = db.check_schema().await.unwrap_err();
        assert!(matches!(error, MigrateError::TooOld { found: 0, .. }), "{error}");
    }
}

async fn a_newer_schema_is_refused(t: T) {
    t.sql("INSERT INTO migrations (version, name) VALUES (999, 'of the future')".to_owned()).await;
    for result in [t.api.db.home().migrate().await, t.api.db.home().check_schema().await] {
        assert!(matches!(result, Err(MigrateError::TooNew { found: 999, .. })));
    }
}

/// Between two looks at something that does not come by itself; fails when it takes a minute.
async fn look_again(begun: Instant) {
    assert!(begun.elapsed() < Duration::from_secs(60), "what is waited for does not come");
    tokio::time::sleep(Duration::from_millis(20)).await;
}

/// As in a rolling upgrade whose migrations only add.
async fn beside_a_newer_schema_that_only_adds_one_goes_on(t: T) {
    let known = t.number("SELECT max(version) FROM migrations".to_owned()).await;
    let add = |version: i64, oldest: i64| {
        t.sql(format!(
            "INSERT INTO migrations (version, name) VALUES ({version}, 'of the future');
             INSERT INTO meta (key, value) VALUES ('oldest_program_{version}', '{oldest}')
             ON CONFLICT (key) DO UPDATE SET value = excluded.value"
        ))
    };
    for version in [known + 1, known + 2] {
        add(version, known).await;
        t.api.db.home().migrate().await.unwrap();
        t.api.db.home().check_schema().await.unwrap();
    }
    add(known + 3, known + 1).await;
    assert!(matches!(t.api.db.home().check_schema().await, Err(MigrateError::TooNew { .. })));
}

/// Whoever came later would wait behind a statement that waits for a table.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migration_that_waits_for_a_table_lets_go_and_tries_again() {
    let (db, _place) = older(false, 4).await;
    let Db::Postgres(pool, ..) = &db else { panic!("not PostgreSQL") };
    let mut holder = pool.begin().await.unwrap();
    let hold = "SET LOCAL idle_in_transaction_session_timeout = 0;
        LOCK TABLE migrations IN SHARE MODE";
    sqlx::raw_sql(hold).execute(&mut *holder).await.unwrap();
    let waits = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let begun = Instant::now();
    let holding = async {
        // It waits, gives up, and tries again.
        for wanted in [1, 0, 1] {
            loop {
                let (waiting,): (i64,) = sqlx::query_as(waits).fetch_one(pool).await.unwrap();
                if waiting == wanted {
                    break;
                }
                look_again(begun).await;
            }
        }
        holder.commit().await.unwrap();
    };
    let (migrated, ()) = tokio::join!(db.migrate(), holding);
    migrated.unwrap();
    db.check_schema().await.unwrap();
}

const IS_THERE: &str = "SELECT count(*) FROM pg_index WHERE indexrelid = to_regclass('messages_living') AND indisvalid";

#[tokio::test]
async fn an_index_whose_making_was_cut_off_is_made_anew() {
    let t = T::postgres().await;
    let cut_off = "UPDATE pg_index SET indisvalid = FALSE
        WHERE indexrelid IN ('messages_living'::REGCLASS, 'members_invited'::REGCLASS)";
    t.sql(cut_off.to_owned()).await;
    assert_eq!(t.number(IS_THERE.to_owned()).await, 0);
    // By several processes at once.
    let db = t.api.db.home();
    futures_util::future::join_all((0..3).map(|_| async { db.migrate().await.unwrap() })).await;
    assert_eq!(t.number(IS_THERE.to_owned()).await, 1);
    let invalid = "SELECT count(*) FROM pg_index WHERE NOT indisvalid";
    assert_eq!(t.number(invalid.to_owned()).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_for_an_index_that_is_being_made() {
    let t = T::postgres().await;
    let ann = t.user("ann").await;
    let chat = t.room(ann).await;
    t.sql("DROP INDEX messages_living".to_owned()).await;
    let Db::Postgres(pool, ..) = t.api.db.home() else { panic!("not PostgreSQL") };
    // The making of it waits for whoever is writing now.
    let mut writer = pool.begin().await.unwrap();
    let write = "SET LOCAL idle_in_transaction_session_timeout = 0;
        UPDATE messages SET text = text";
    sqlx::raw_sql(write).execute(&mut *writer).await.unwrap();
    let begun = Instant::now();
    let writing = async {
        let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
            AND wait_event_type = 'Lock' AND query LIKE 'CREATE INDEX%'";
        while t.number(waits.to_owned()).await == 0 {
            look_again(begun).await;
        }
        t.say(ann, chat, "beside it").await;
        assert_eq!(t.number(IS_THERE.to_owned()).await, 0);
        writer.commit().await.unwrap();
    };
    let (migrated, ()) = tokio::join!(t.api.db.home().migrate(), writing);
    migrated.unwrap();
    assert_eq!(t.number(IS_THERE.to_owned()).await, 1);
}

async fn the_lobby_and_the_epoch_are_made_once(t: T) {
    t.api.db.home().migrate().await.unwrap();
    t.api.db.home().ping().await.unwrap();
    let lobbies =
        "SELECT count(*) FROM chats WHERE id = 1 AND name = 'lobby' AND chat_type = 'room'";
    assert_eq!(t.number(lobbies.to_owned()).await, 1);
    let epochs = "SELECT count(*) FROM meta WHERE key = 'epoch' AND length(value) = 32";
    assert_eq!(t.number(epochs.to_owned()).await, 1);
    let ann = t.user("ann").await;
    assert_eq!(t.room(ann).await.0 / 4_096, 1, "numbers go on after the lobby's");
}

/// What services match on is spelled the same by both databases.
async fn constraints_have_one_name(t: T) {
    for (table, columns) in [
        ("users", vec!["username_key"]),
        ("users", vec!["email_key"]),
        ("username_skeletons", vec!["skeleton"]),
        ("chats", vec!["pair_key"]),
        ("messages", vec!["chat_id", "sender_id", "client_message_id"]),
    ] {
        let name = format!("{table}_{}", columns.join("_"));
        let known = match t.api.db.home() {
            Db::Postgres(..) => {
                format!("SELECT count(*) FROM pg_constraint WHERE conname = '{name}'")
            }
            Db::Sqlite { .. } => format!(
                "SELECT count(*) FROM pragma_index_list('{table}') l WHERE l.\"unique\" AND (
                     SELECT group_concat(i.name, '_') FROM pragma_index_info(l.name) i) = '{}'",
                columns.join("_")
            ),
        };
        assert_eq!(t.number(known).await, 1, "{name}");
    }
}

/// Somebody may wait for a table that the migration has, and hold one that it wants.
#[tokio::test]
async fn a_migration_that_waits_in_a_circle_tries_again() {
    let (db, _place) = older(false, 4).await;
    let Db::Postgres(pool, ..) = &db else { panic!("not PostgreSQL") };
    let circle = "CREATE SEQUENCE tries;
        CREATE FUNCTION circle() RETURNS TRIGGER LANGUAGE plpgsql AS $$BEGIN
            IF nextval('tries') = 1 THEN
                RAISE EXCEPTION USING ERRCODE = 'deadlock_detected', MESSAGE = 'as PostgreSQL ends it';
            END IF;
            RETURN NEW;
        END$$;
        CREATE TRIGGER circle BEFORE INSERT ON migrations FOR EACH ROW EXECUTE FUNCTION circle()";
    sqlx::raw_sql(circle).execute(pool).await.unwrap();
    db.migrate().await.unwrap();
    db.check_schema().await.unwrap();
    let (tries,): (i64,) =
        sqlx::query_as("SELECT last_value FROM tries").fetch_one(pool).await.unwrap();
    assert!(tries > 1, "{tries}");
}
