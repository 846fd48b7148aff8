//! Which tables a statement touches, and whether it names the chats whose rows it touches: what decides whether it
//! can be carried out where these chats are. Whether it may is for [`super`] to say.

use super::reader::StatementReader;
use sqlparser::{ast::Visit as _, dialect::PostgreSqlDialect, parser::Parser};
use std::collections::BTreeSet;

/// What a statement touches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Footprint {
    /// Tables of people that it reads or writes.
    pub people: BTreeSet<String>,
    /// Tables of chats that it reads or writes.
    pub chats: BTreeSet<String>,
    /// How it names the chats.
    pub reach: Reach,
    /// The parameters that each name one chat, such as `$1`, and fixed ids.
    pub names: BTreeSet<String>,
    pub writes_people: bool,
    pub writes_chats: bool,
    /// Locks rows.
    pub locks: bool,
}

/// How a statement names the chats whose rows it touches. A later one reaches further.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// Touches none.
    #[default]
    Nothing,
    /// Each by a parameter.
    One,
    /// Some by a list, which the caller can make for one shard.
    List,
    /// Not at all, but rows meet only rows of the same chat: each shard can answer for itself.
    EachShard,
    /// Rows of one chat meet rows of another one.
    Across,
}

/// The column that is the chat's id. `None`: not a table of chats.
pub fn chat_key(table: &str) -> Option<&'static str> {
    match table {
        "chats" | "unnumbered_chats" => Some("id"),
        "members" | "messages" | "member_events" | "chat_events" | "edits" | "departures"
        | "bans" | "statistics" | "senders" | "stretches" | "wakes" => Some("chat_id"),
        _ => None,
    }
}

/// What stands where accounts are.
pub fn is_of_people(table: &str) -> bool {
    [
        "users",
        "sessions",
        "username_skeletons",
        "blocklist",
        "guest_visits",
        "account_links",
        "second_factors",
        "recovery_codes",
        "announcement",
        "unused_avatars",
    ]
    .contains(&table)
}

/// Each server has one of its own, of what happens there; or brings it.
pub fn is_everywhere(table: &str) -> bool {
    ["clock", "meta", "migrations", "chores", "changes", "audit_log"].contains(&table)
        || table.starts_with("pg_")
}

/// # Errors
/// When the statement cannot be read, or names a table that nobody has placed.
pub fn footprint(sql: &str) -> Result<Footprint, String> {
    // The parser does not know the weaker locks, which are held by the same rows.
    let sql = sql.replace("FOR NO KEY UPDATE", "FOR UPDATE").replace("FOR KEY SHARE", "FOR SHARE");
    let statements = Parser::parse_sql(&PostgreSqlDialect {}, &sql)
        .map_err(|error| format!("cannot be read: {error}"))?;
    let mut reader = StatementReader::default();
    for statement in &statements {
        let _ = statement.visit(&mut reader);
    }
    reader.finish()
}
