//! What usernames look like, so that no two accounts look the same to people. An account keeps the skeletons of
//! its name (UTS 39, 4): texts whose skeletons are equal can be taken for each other. Which names are
//! well formed is [`super::input`]'s to say.
//!
//! Accounts from before this was so keep their names, also where they look alike: the first of them has the
//! skeleton, and only new names are held against it.

use super::{admin, input};
use crate::db::{DbError, Link, List, Tx, column, execute, fetch_all, json_rows};
use std::collections::{BTreeMap, HashMap};
use unicode_security::skeleton;

/// The constraint that the later one of two registrations at once violates.
pub(crate) const TAKEN: &str = "username_skeletons_skeleton";

/// Names that a back-fill reads at a time.
const PAGE: i64 = 1_000;

/// What a name looks like: as it is written, in lower case and in upper case, because a name is its owner's in
/// whatever case and some letters look alike in one case only (`ADMlN`). Each once.
pub fn skeletons(name: &str) -> Vec<String> {
    // As it would be kept now, or what is seen of it.
    let seen = || name.chars().filter(|c| !input::is_unseen(*c)).collect();
    let name = input::username(name).unwrap_or_else(|_| seen());
    let cases = [name.to_lowercase(), name.to_uppercase(), name];
    let mut skeletons: Vec<String> = cases.iter().map(|name| skeleton(name).collect()).collect();
    skeletons.sort_unstable();
    skeletons.dedup();
    skeletons
}

/// Whether the username is kept for the product itself, or looks like one that is.
pub fn is_reserved(username: &str) -> bool {
    let reserved = skeletons(admin::USERNAME);
    skeletons(username).iter().any(|one| reserved.contains(one))
}

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

/// Gives skeletons to users. One that is somebody's by now violates [`TAKEN`]. In their order, in which all
/// calls take them: two that take the same ones wait for each other once, not in a circle.
pub(crate) async fn keep(tx: &mut Tx, owners: BTreeMap<String, i64>) -> Result<(), DbError> {
    let rows: Vec<(String, i64)> = owners.into_iter().collect();
    execute!(
        tx,
        postgres: "INSERT INTO username_skeletons (skeleton, user_id)
            SELECT r.skeleton, r.user_id
            FROM UNNEST($1::TEXT[], $2::BIGINT[]) AS r (skeleton, user_id) ORDER BY r.skeleton",
        (rows.iter().map(|row| row.0.clone()).collect::<Vec<_>>(), column!(rows, 1)),
        sqlite: "INSERT INTO username_skeletons (skeleton, user_id)
            SELECT value ->> 0, value ->> 1 FROM json_each($1) ORDER BY value ->> 0",
        (json_rows(&rows)),
    )?;
    Ok(())
}

/// Gives the accounts that are there the skeletons of their names, the older ones first. A reserved name's are
/// left to the account of that name, which may be made later.
pub(crate) async fn back_fill(tx: &mut Tx) -> Result<(), DbError> {
    let reserved = skeletons(admin::USERNAME);
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
            let may = |one: &String| key == admin::USERNAME || !reserved.contains(one);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn alike(one: &str, other: &str) -> bool {
        let skeletons = [skeletons(one), skeletons(other)];
        skeletons[0].iter().any(|one| skeletons[1].contains(one))
    }

    #[test]
    fn names_that_people_take_for_each_other() {
        for (one, other) in [
            ("admin", "Admin"),
            ("admin", "\u{430}dmin"),
            ("admin", "ADMlN"),
            ("admin", "AdmIn"),
            ("admin", "adrnin"),
            ("paypal", "раураl"),
            ("Kai", "kaI"),
            ("KaI", "Kal"),
            ("café", "cafe\u{301}"),
            ("ann smith", "ann  smith"),
            ("fiona", "ﬁona"),
            ("user0", "userO"),
            // From before these were refused.
            ("admin", "admin\u{fe0f}"),
            ("alice", "alice\u{3164}"),
        ] {
            assert!(alike(one, other), "{one} {other}");
        }
        for (one, other) in [
            ("Kai", "Kal"),
            ("ann", "anna"),
            ("cafe", "café"),
            ("Алиса", "Алина"),
            ("ann smith", "annsmith"),
            ("trial-10", "trial-11"),
            ("user1", "user2"),
        ] {
            assert!(!alike(one, other), "{one} {other}");
        }
    }

    #[test]
    fn reserved_usernames() {
        for reserved in ["Admin", "\u{430}dmin", "ADMlN", "ａｄｍｉｎ", "admin\u{2800}"] {
            assert!(is_reserved(reserved), "{reserved:?}");
        }
        assert!(!is_reserved("administrator") && !is_reserved("adm"));
    }

    /// The database keeps skeletons: where newer tables give other ones, a migration must make them again.
    #[test]
    fn the_tables_are_those_of_the_stored_skeletons() {
        assert_eq!(unicode_security::UNICODE_VERSION, (18, 0, 0));
    }
}
