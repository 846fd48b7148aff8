//! The keys of the tables that hold what belongs to chats, as PostgreSQL itself names them.

use super::footprint::{chat_key, is_everywhere, is_of_people};
use crate::harness::T;
use api::db::Db;

/// Unique all the same within the shard that a chat is on: the chat's bucket follows from them.
const FOLLOWED_BY_THE_BUCKET: [&str; 1] = ["chats_pair_key"];

#[tokio::test]
async fn a_chats_keys_begin_with_the_chat() {
    let t = T::postgres().await;
    let Db::Postgres(pool, ..) = t.api.db.home() else { panic!("not PostgreSQL") };
    let tables =
        "/* of a test */ SELECT tablename::TEXT FROM pg_tables WHERE schemaname = current_schema()";
    let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(pool).await.unwrap();
    for table in &tables {
        let kinds = [chat_key(table).is_some(), is_of_people(table), is_everywhere(table)];
        assert_eq!(kinds.iter().filter(|kind| **kind).count(), 1, "whose is the table {table}?");
    }
    // Unique indexes with their columns, as far as these are plain ones.
    let unique = "/* of a test */ SELECT i.indrelid::REGCLASS::TEXT, i.indexrelid::REGCLASS::TEXT, ARRAY(
            SELECT a.attname::TEXT FROM pg_attribute a WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey))
        FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
        WHERE i.indisunique AND c.relnamespace = current_schema()::REGNAMESPACE";
    let unique: Vec<(String, String, Vec<String>)> =
        sqlx::query_as(unique).fetch_all(pool).await.unwrap();
    assert!(unique.len() > 10, "{unique:?}");
    for (table, index, columns) in unique {
        let Some(key) = chat_key(&table) else { continue };
        let holds = columns.iter().any(|column| column == key);
        assert!(holds || FOLLOWED_BY_THE_BUCKET.contains(&index.as_str()), "{index}: {columns:?}");
    }
    let foreign = "/* of a test */ SELECT conrelid::REGCLASS::TEXT, confrelid::REGCLASS::TEXT, conname::TEXT FROM pg_constraint
        WHERE contype = 'f' AND connamespace = current_schema()::REGNAMESPACE";
    let foreign: Vec<(String, String, String)> =
        sqlx::query_as(foreign).fetch_all(pool).await.unwrap();
    for (from, to, name) in foreign {
        assert!(is_of_people(&from) && is_of_people(&to), "{name} leads from {from} to {to}");
    }
    // The file that says the same to Citus.
    let places = include_str!("../../../../deploy/postgres/citus.sql");
    for table in &tables {
        let own = chat_key(table).map(|key| format!("create_distributed_table('{table}', '{key}'"));
        assert_eq!(
            places.contains(&format!("create_distributed_table('{table}'")),
            own.is_some(),
            "{table}"
        );
        assert!(own.is_none_or(|own| places.contains(&own)), "{table}");
    }
    assert_eq!(places.matches("create_reference_table").count(), 1);
    assert!(places.contains("create_reference_table('users')"));
}
