//! Whether what is said to the database could be said to several: every test on PostgreSQL reads, when it ends, each
//! statement of the api that its database has carried out, and each transaction, and holds them against the rules
//! below. They are what Citus and YugabyteDB publish (Citus: the pages on its support of SQL, on co-location, and on
//! `create_distributed_table`; YugabyteDB: the page on data sharding), and what follows for ordinary primaries, each
//! with some of the chats.
//!
//! 1. A chat's rows lie together, keyed by the chat's id: unique keys hold it (Citus refuses others), and no foreign
//!    key leads away from it (Citus: only to co-located and to reference tables). See `keys`.
//! 2. A statement names its chats, by a parameter each or by a list that its caller can make of one shard's (Citus:
//!    then all of SQL is supported). [`ShardFault::EachShard`].
//! 3. Rows meet rows of the same chat only (Citus: joins and correlated subqueries by the distribution column; PL/Proxy
//!    and several primaries: no others are possible). [`ShardFault::Across`].
//! 4. Only rows of named chats are locked (Citus: `FOR UPDATE` in one shard only). [`ShardFault::LocksUnnamed`].
//! 5. People's tables stand apart. Only `users` is read beside chats, as a reference table that each shard has a copy
//!    of (several primaries: by replication), and never written there. [`ShardFault::OtherPeoples`],
//!    [`ShardFault::WritesPeoples`].
//! 6. A transaction is one chat's, or those of a list; it does not write or lock people's rows as well (Citus: that
//!    takes two-phase commit; several primaries: there is none). [`ShardFault::SeveralChats`], [`ShardFault::TwoPlaces`].
//!
//! What breaks a rule stands in [`EXCUSES`], with what would become of it.

mod classes;
mod excuses;
mod executed;
mod footprint;
mod keys;
mod reach;
mod reader;

use excuses::EXCUSES;
use executed::Executed;
pub use executed::LogMark;
use footprint::{Footprint, Reach, footprint};
use std::{
    collections::{BTreeSet, HashMap},
    sync::Mutex,
};

/// What is wrong with a statement or a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum ShardFault {
    /// Names no chats: each shard must be asked, and the answers joined.
    EachShard,
    /// Joins rows of different chats.
    Across,
    /// Locks rows of chats that it does not name.
    LocksUnnamed,
    /// Reads people's tables other than `users` together with chats'.
    OtherPeoples,
    /// Writes people's tables by what it reads in chats'.
    WritesPeoples,
    /// Writes to chats that are named one by one.
    SeveralChats,
    /// Writes or locks people's rows and writes chats' in one transaction.
    TwoPlaces,
}

/// Something that a rule is broken by and that is known.
struct Excuse {
    fault: ShardFault,
    /// A part of the statement that no other one has; for a transaction, of one of its statements.
    of: &'static str,
    /// What becomes of it when chats are on several servers.
    then: &'static str,
}

impl Footprint {
    fn faults(&self) -> BTreeSet<ShardFault> {
        let mut faults = BTreeSet::new();
        match self.reach {
            Reach::Nothing | Reach::One | Reach::List => {}
            Reach::EachShard => drop(faults.insert(ShardFault::EachShard)),
            Reach::Across => drop(faults.insert(ShardFault::Across)),
        }
        if self.locks && self.reach > Reach::List {
            faults.insert(ShardFault::LocksUnnamed);
        }
        if !self.chats.is_empty() {
            if self.people.iter().any(|table| table != "users") {
                faults.insert(ShardFault::OtherPeoples);
            }
            if self.writes_people {
                faults.insert(ShardFault::WritesPeoples);
            }
        }
        faults
    }
}

/// Each text is read once in a process.
fn known(sql: &str) -> Result<Footprint, String> {
    static KNOWN: Mutex<Option<HashMap<String, Result<Footprint, String>>>> = Mutex::new(None);
    let mut known = KNOWN.lock().unwrap();
    let known = known.get_or_insert_default();
    if let Some(found) = known.get(sql) {
        return found.clone();
    }
    let found = footprint(sql);
    known.insert(sql.to_owned(), found.clone());
    found
}

fn is_excused(fault: ShardFault, sql: &str) -> bool {
    EXCUSES.iter().any(|excuse| excuse.fault == fault && sql.contains(excuse.of))
}

/// Holds that all that was carried out since keeps to the rules.
///
/// # Panics
/// With the statements that do not.
pub fn check(mark: &LogMark) {
    let mut wrong = BTreeSet::new();
    for transaction in mark.committed() {
        wrong.extend(faults_of(&transaction));
    }
    let wrong: Vec<String> = wrong.into_iter().collect();
    assert!(
        wrong.is_empty(),
        "for several servers, see tests/storage/shards:\n{}",
        wrong.join("\n")
    );
}

fn faults_of(transaction: &[Executed]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut written: BTreeSet<String> = BTreeSet::new();
    let (mut people, mut chats) = (false, false);
    for Executed { sql, values } in transaction {
        if sql.starts_with(OF_A_TEST) {
            continue;
        }
        let found = match known(sql) {
            Ok(found) => found,
            Err(error) => {
                wrong.push(format!("{error}: {sql}"));
                continue;
            }
        };
        let unexcused = |fault: &ShardFault| !is_excused(*fault, sql);
        wrong.extend(
            found.faults().into_iter().filter(unexcused).map(|fault| format!("{fault:?}: {sql}")),
        );
        people |= found.writes_people
            || (found.locks && !found.people.is_empty() && found.chats.is_empty());
        chats |= found.writes_chats;
        if found.writes_chats && found.reach == Reach::One {
            let id = |name: &String| {
                values
                    .get(name)
                    .cloned()
                    .or_else(|| Some(name.clone()).filter(|name| name.parse::<i64>().is_ok()))
            };
            written.extend(found.names.iter().filter_map(id));
        }
    }
    let mut whole = Vec::new();
    if written.len() > 1 {
        whole.push(ShardFault::SeveralChats);
    }
    if people && chats {
        whole.push(ShardFault::TwoPlaces);
    }
    for fault in whole {
        if !transaction.iter().any(|one| is_excused(fault, &one.sql)) {
            let texts: Vec<&str> = transaction.iter().map(|one| one.sql.as_str()).collect();
            wrong.push(format!("{fault:?}: {}", texts.join("; ")));
        }
    }
    wrong
}

/// What a test's own statement begins with.
pub const OF_A_TEST: &str = "/* of a test */";

#[test]
fn what_breaks_a_rule_is_found() {
    for (sql, faults) in [
        ("SELECT id FROM messages WHERE chat_id = $1 AND id > $2", vec![]),
        ("SELECT x.id FROM messages x JOIN members m USING (chat_id) WHERE m.chat_id = $1", vec![]),
        (
            "SELECT 1 FROM chats WHERE id IN (SELECT value FROM json_each($1)) FOR NO KEY UPDATE",
            vec![],
        ),
        (
            "UPDATE chats c SET newest = r.n FROM UNNEST($1::BIGINT[], $2::BIGINT[]) AS r (id, n) WHERE c.id = r.id",
            vec![],
        ),
        ("INSERT INTO bans (chat_id, user_id) SELECT $1, u.value FROM json_each($2) u", vec![]),
        ("SELECT name FROM users WHERE id = $1", vec![]),
        (
            "SELECT u.name FROM members m JOIN users u ON u.id = m.user_id WHERE m.chat_id = $1",
            vec![],
        ),
        (
            "WITH held AS (SELECT id FROM chats WHERE id = $1) SELECT 1 FROM held h JOIN members m ON m.chat_id = h.id",
            vec![],
        ),
        ("SELECT chat_id FROM members WHERE user_id = $1", vec![ShardFault::EachShard]),
        ("SELECT id FROM messages WHERE (chat_id = $1 OR id = 2)", vec![ShardFault::EachShard]),
        (
            "INSERT INTO bans (user_id, chat_id) SELECT m.user_id, m.chat_id FROM members m",
            vec![ShardFault::EachShard],
        ),
        (
            "SELECT 1 FROM members m JOIN members o ON o.user_id = m.user_id",
            vec![ShardFault::Across],
        ),
        (
            "SELECT 1 FROM members WHERE user_id = $1 FOR UPDATE",
            vec![ShardFault::EachShard, ShardFault::LocksUnnamed],
        ),
        (
            "SELECT 1 FROM members m JOIN sessions s USING (user_id) WHERE m.chat_id = $1",
            vec![ShardFault::OtherPeoples],
        ),
        (
            "UPDATE users SET name = '' WHERE id IN (SELECT user_id FROM members WHERE chat_id = $1)",
            vec![ShardFault::WritesPeoples],
        ),
    ] {
        let found = footprint(sql).unwrap();
        assert_eq!(found.faults().into_iter().collect::<Vec<_>>(), faults, "{sql}: {found:?}");
    }
    for sql in ["SELECT 1 FROM something_new", "SELECT FROM WHERE"] {
        assert!(footprint(sql).is_err(), "{sql}");
    }
}

#[test]
fn transactions_are_of_one_chat() {
    let of = |sql: &str, chat: &str| Executed {
        sql: sql.to_owned(),
        values: HashMap::from([("$1".to_owned(), chat.to_owned())]),
    };
    let rename = "UPDATE chats SET name = '' WHERE id = $1";
    let forget = "UPDATE users SET name = '' WHERE id = $1";
    assert!(faults_of(&[of(rename, "1"), of(rename, "1")]).is_empty());
    assert!(faults_of(&[of(forget, "1"), of(forget, "2")]).is_empty());
    for (transaction, fault) in [
        ([of(rename, "1"), of(rename, "2")], "SeveralChats"),
        ([of(rename, "1"), of(forget, "1")], "TwoPlaces"),
    ] {
        let wrong = faults_of(&transaction);
        assert!(wrong.len() == 1 && wrong[0].starts_with(fault), "{wrong:?}");
    }
}
