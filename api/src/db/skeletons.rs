//! The table of what accounts' usernames look like: an account keeps the skeletons of its name, and no two
//! accounts have the same one. Accounts from before this was so keep their names, also where they look alike:
//! the first of them has the skeleton, and only new names are held against it.

use super::{DbError, Link, List, Tx, column, execute, fetch_all, json_rows};
use crate::lookalikes::{ADMIN, skeletons};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};

/// The constraint that the later one of two registrations at once violates.
pub(crate) const TAKEN: &str = "username_skeletons_skeleton";

/// Names that a back-fill reads at a time.
const PAGE: i64 = 1_000;

/// The owners of those of these skeletons that are somebody's.
pub(crate) async fn owners(
    mut link: Link<'_>,
    skeletons: Vec<String>,
) -> Result<HashMap<String, i64>, DbError> {
    let rows: Vec<(String, i64)> = fetch_all!(
        link,
        "SELECT skeleton, user_id FROM username_skeletons
         WHERE skeleton IN (SELECT value FROM json_each($1))",
        List(skeletons)
    )?;
    Ok(rows.into_iter().collect())
}

#[derive(Serialize)]
struct OwnedSkeleton {
    skeleton: String,
    user_id: i64,
}

/// Gives skeletons to users. One that is somebody's by now violates [`TAKEN`]. In their order, in which all
/// calls take them: two that take the same ones wait for each other once, not in a circle.
pub(crate) async fn keep(tx: &mut Tx, owners: BTreeMap<String, i64>) -> Result<(), DbError> {
    let row = |(skeleton, user_id)| OwnedSkeleton { skeleton, user_id };
    let rows: Vec<OwnedSkeleton> = owners.into_iter().map(row).collect();
    execute!(
        tx,
        postgres: "INSERT INTO username_skeletons (skeleton, user_id)
            SELECT r.skeleton, r.user_id
            FROM UNNEST($1::TEXT[], $2::BIGINT[]) AS r (skeleton, user_id) ORDER BY r.skeleton",
        (column!(rows, skeleton), column!(rows, user_id)),
        sqlite: "INSERT INTO username_skeletons (skeleton, user_id)
            SELECT value ->> 'skeleton', value ->> 'user_id' FROM json_each($1)
            ORDER BY value ->> 'skeleton'",
        (json_rows(&rows)),
    )?;
    Ok(())
}

/// Gives the accounts that are there the skeletons of their names, the older ones first. A reserved name's are
/// left to the account of that name, which may be made later.
pub(super) async fn back_fill(tx: &mut Tx) -> Result<(), DbError> {
    let reserved = skeletons(ADMIN);
    let mut after = 0;
    loop {
        let users: Vec<(i64, String, String)> = fetch_all!(
            tx,
            "SELECT id, username, username_key FROM users
             WHERE id > $1 AND NOT guest ORDER BY id LIMIT $2",
            after,
            PAGE
        )?;
        let Some((last, ..)) = users.last() else { return Ok(()) };
        after = *last;
        let mut free = BTreeMap::new();
        for (id, name, key) in users {
            let may = |one: &String| key == ADMIN || !reserved.contains(one);
            for skeleton in skeletons(&name).into_iter().filter(may) {
                free.entry(skeleton).or_insert(id);
            }
        }
        for taken in owners(tx.link(), free.keys().cloned().collect()).await?.keys() {
            free.remove(taken);
        }
        keep(tx, free).await?;
    }
}
