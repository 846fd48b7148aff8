//! `guests`: finds or makes the senders that stand for people without an account, by the names they chose.

use crate::{
    accounts::input,
    db::{Conn, DbError, List, column, execute, fetch_all, json_rows, row, skeletons},
    error::Result,
    lookalikes::{is_reserved, skeletons},
    state::Api,
};
use platform::text::guest_name;
use protocol::{
    calls::{Guests, GuestsFound},
    chat::UserRef,
    code::Code,
    id::UserId,
    refusal::Refusal,
};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap, HashSet};

/// That a guest is there is noted at most once in this time: it is removed by the day.
const NOTED_MS: i64 = 60 * 60 * 1000;

/// A guest that comes while it is being removed is found, noted in vain, made, and found.
const TRIES: usize = 3;

/// What stands before a guest's name in `username_key`. No account's begins so.
const MARK: char = '@';

/// The `username_key` of the guest of a name as it is kept. Two that differ in case only are one guest,
/// shown as first written.
pub(crate) fn guest_key(name: &str) -> String {
    format!("{MARK}{}", input::key(name))
}

/// Each name's guest, made when it is new.
pub async fn guests(api: &Api, request: Guests) -> Result<GuestsFound> {
    let checked: Vec<Result<String, Refusal>> =
        request.names.iter().map(|name| check(api, name)).collect();
    // In the order of their keys, in which all calls make guests: two that make the same ones wait
    // for each other once, not in a circle.
    let names: BTreeMap<String, &str> =
        checked.iter().flatten().rev().map(|name| (guest_key(name), name.as_str())).collect();
    let mut known = KnownNames::default();
    for _ in 0..TRIES {
        known = find(&mut api.db.home().read().await?, &names).await?;
        let coming: Vec<NewGuest> = names
            .iter()
            .filter(|(key, name)| known.is_coming(key, name))
            .map(|(key, name)| NewGuest { key, name })
            .collect();
        if coming.is_empty() {
            break;
        }
        make(api, &coming).await?;
    }
    let guest = |name: String| match known.get(&guest_key(&name), &name) {
        Some(found) => found,
        None => name_taken(),
    };
    Ok(GuestsFound { guests: checked.into_iter().map(|name| name.and_then(guest)).collect() })
}

/// The name as it is kept.
fn check(api: &Api, name: &str) -> Result<String, Refusal> {
    if !api.config.guests {
        return Err(Code::GuestsOff.into());
    }
    let name = guest_name(name)?;
    if is_reserved(&name) { name_taken() } else { Ok(name) }
}

#[derive(Default)]
struct KnownNames {
    /// Accounts and guests by `username_key`.
    users: HashMap<String, (i64, String)>,
    /// Those of them who are guests and were not here lately.
    back: HashSet<i64>,
    /// The skeletons that are an account's.
    looks: HashMap<String, i64>,
}

impl KnownNames {
    /// The guest, or the refusal because somebody registered the name or one that looks like it; `None`
    /// when it is nobody's.
    fn get(&self, key: &str, name: &str) -> Option<Result<UserRef, Refusal>> {
        let alike = || skeletons(name).iter().any(|one| self.looks.contains_key(one));
        if self.users.contains_key(&input::key(name)) || alike() {
            return Some(name_taken());
        }
        let (id, username) = self.users.get(key)?;
        Some(Ok(UserRef { guest: true, ..UserRef::registered(UserId(*id), username) }))
    }

    /// Whether it is a guest who is to be made, or noted to be here.
    fn is_coming(&self, key: &str, name: &str) -> bool {
        match self.get(key, name) {
            None => true,
            Some(Ok(guest)) => self.back.contains(&guest.id.0),
            Some(Err(_)) => false,
        }
    }
}

row! {
    struct NameRow {
        username_key: String,
        id: i64,
        username: String,
        /// A guest who was not here lately.
        back: bool,
    }
}

async fn find(conn: &mut Conn, names: &BTreeMap<String, &str>) -> Result<KnownNames, DbError> {
    let keys: List<String> =
        names.iter().flat_map(|(key, name)| [key.clone(), input::key(name)]).collect();
    if keys.0.is_empty() {
        return Ok(KnownNames::default());
    }
    let rows: Vec<NameRow> = fetch_all!(
        conn,
        "SELECT u.username_key, u.id, u.username, u.guest AND NOT EXISTS (
             SELECT 1 FROM guest_visits v WHERE v.user_id = u.id AND v.seen_at > c.now - $2) AS back
         FROM users u CROSS JOIN clock c
         WHERE u.username_key IN (SELECT value FROM json_each($1))",
        keys,
        NOTED_MS
    )?;
    let back = rows.iter().filter(|row| row.back).map(|row| row.id).collect();
    let users = rows.into_iter().map(|row| (row.username_key, (row.id, row.username))).collect();
    let looks = names.values().flat_map(|name| skeletons(name)).collect();
    Ok(KnownNames { users, back, looks: skeletons::owners(conn.link(), looks).await? })
}

#[derive(Serialize)]
struct NewGuest<'a> {
    key: &'a str,
    name: &'a str,
}

/// Makes these guests, in the order of their keys, where they are missing, and notes that they are here.
async fn make(api: &Api, guests: &[NewGuest<'_>]) -> Result<(), DbError> {
    // The empty hash verifies no password, and no name or email leads to it anyway.
    let mut tx = api.db.home().begin().await?;
    execute!(
        tx,
        postgres: "INSERT INTO users (username, username_key, name, password_hash, created_at, guest)
            SELECT r.name, r.key, r.name, '', c.now, TRUE
            FROM UNNEST($1::TEXT[], $2::TEXT[]) AS r (key, name) CROSS JOIN clock c ORDER BY r.key
            ON CONFLICT (username_key) DO NOTHING",
        (
            column!(guests, key),
            column!(guests, name),
        ),
        sqlite: "INSERT INTO users (username, username_key, name, password_hash, created_at, guest)
            SELECT r.value ->> 'name', r.value ->> 'key', r.value ->> 'name', '', c.now, TRUE
            FROM json_each($1) r CROSS JOIN clock c WHERE TRUE ORDER BY r.value ->> 'key'
            ON CONFLICT (username_key) DO NOTHING",
        (json_rows(guests)),
    )?;
    let keys: List<String> = guests.iter().map(|guest| guest.key.to_owned()).collect();
    execute!(
        tx,
        "INSERT INTO guest_visits (user_id, seen_at)
         SELECT u.id, c.now FROM users u CROSS JOIN clock c
         WHERE u.username_key IN (SELECT value FROM json_each($1)) AND u.guest ORDER BY u.id
         ON CONFLICT (user_id) DO UPDATE SET seen_at = excluded.seen_at",
        keys
    )?;
    tx.commit().await
}

fn name_taken<T>() -> Result<T, Refusal> {
    Err(Refusal::new(
        Code::UsernameTaken,
        "This name is, or looks like, the name of somebody with an account.",
    ))
}
