//! Accounts from before names were prepared and look-alikes refused: they stay and sign in, and new names
//! are held against them.

use crate::harness::{Place, T, refused};
use api::{
    accounts::{
        admin,
        letters::Language,
        login::{Login, login},
        register::{Registration, register},
    },
    db::{Db, DbConfig},
    internal,
};
use platform::{problem::Problem, settings::Secret};
use protocol::{
    calls::{Pair, Peer, Peers},
    id::UserId,
};
use std::net::Ipv4Addr;

/// The schema of then, with the accounts of these names.
async fn from_before(sqlite: bool, names: &[&str]) -> T {
    let place = Place::fresh(sqlite).await;
    let scripts = match sqlite {
        true => [
            include_str!("../../src/db/migrations/sqlite/0001_start.sql"),
            include_str!("../../src/db/migrations/sqlite/0002_families.sql"),
        ],
        false => [
            include_str!("../../src/db/migrations/postgres/0001_start.sql"),
            include_str!("../../src/db/migrations/postgres/0002_families.sql"),
        ],
    };
    let mut sql = scripts.join("\n");
    sql += "CREATE TABLE migrations (version BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL);
        INSERT INTO migrations (version, name) VALUES (1, '0001_start'), (2, '0002_families');";
    for name in names {
        let key = name.to_lowercase();
        sql += &format!(
            "INSERT INTO users (username, username_key, name, password_hash, created_at)
             VALUES ('{name}', '{key}', '{name}', '', 0);"
        );
    }
    let sql = sqlx::AssertSqlSafe(sql);
    match Db::connect(&place.url(), &DbConfig::default()).await.unwrap() {
        Db::Postgres(pool, ..) => {
            sqlx::raw_sql(sql).execute(&pool).await.unwrap();
            pool.close().await;
        }
        Db::Sqlite { write, .. } => drop(sqlx::raw_sql(sql).execute(&write).await.unwrap()),
    }
    T::on(place).await
}

async fn sign_in(t: &T, identity: &str, password: &str) -> Result<UserId, u16> {
    let (identity, password) = (identity.to_owned(), Secret::new(password));
    let (user_agent, from) = (String::new(), Ipv4Addr::LOCALHOST.into());
    let attempt = Login { identity, password, user_agent, from, device: None };
    let signed_in = login(&t.api, attempt).await;
    signed_in.map(|it| it.user.id).map_err(|error| Problem::from(error).status.as_u16())
}

async fn try_register(t: &T, username: &str) -> Result<(), (u16, &'static str)> {
    let registration = Registration {
        username: Some(username.to_owned()),
        email: None,
        name: None,
        password: Secret::new("password123"),
        user_agent: String::new(),
        from: Ipv4Addr::LOCALHOST.into(),
        language: Language::default(),
    };
    match register(&t.api, registration).await.map(drop) {
        Ok(()) => Ok(()),
        error => Err(refused(error)),
    }
}

async fn accounts_from_before_stay_and_new_names_are_held_against_them(sqlite: bool) {
    const OLD: [&str; 7] =
        ["alice", "alice\u{3164}", "a1ice", "\u{430}dmin", "ann  smith", "cafe\u{301}", "bob"];
    let t = from_before(sqlite, &OLD).await;
    let hash = t.api.passwords.hash(Secret::new("password123")).await.unwrap();
    t.sql(format!("UPDATE users SET password_hash = '{hash}'")).await;
    for (place, name) in OLD.iter().enumerate() {
        let id = UserId(place as i64 + 1);
        assert_eq!(sign_in(&t, name, "password123").await, Ok(id), "{name:?}");
        assert_eq!(sign_in(&t, &name.to_uppercase(), "password123").await, Ok(id), "{name:?}");
        if id != UserId(7) {
            let pair = Pair { user_id: UserId(7), peer: Peer::Username((*name).to_owned()) };
            let found = internal::peers(&t.api, Peers { pairs: vec![pair] }).await.unwrap().chats;
            let chat = found[0].as_ref().unwrap();
            let with =
                format!("SELECT COUNT(*) FROM members WHERE chat_id = {chat} AND user_id = {id}");
            assert_eq!(t.number(with).await, 1, "{name:?}");
        }
    }

    let owner = |skeleton: &str| {
        t.number(format!("SELECT user_id FROM username_skeletons WHERE skeleton = '{skeleton}'"))
    };
    assert_eq!((owner("alice").await, owner("ann srnith").await), (1, 5), "the first one's");
    let taken = Err((400, "username_taken"));
    for name in ["alic\u{435}", "ALICE", "ann smith", "caf\u{e9}", "b\u{43e}b"] {
        assert_eq!(try_register(&t, name).await, taken, "{name:?}");
    }
    // The first administrator's name was never given away, whoever has one that looks like it.
    let password = Secret::new("correct horse");
    assert!(admin::create(t.api.db.home(), &t.api.passwords, password, |_| Ok(())).await.unwrap());
    assert_eq!(sign_in(&t, "admin", "correct horse").await, Ok(UserId(8)));
    assert_eq!(sign_in(&t, "\u{430}dmin", "correct horse").await, Err(401));
    assert_eq!(try_register(&t, "carol").await, Ok(()));
}

#[tokio::test]
async fn accounts_from_before_sqlite() {
    accounts_from_before_stay_and_new_names_are_held_against_them(true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accounts_from_before_postgres() {
    accounts_from_before_stay_and_new_names_are_held_against_them(false).await;
}
