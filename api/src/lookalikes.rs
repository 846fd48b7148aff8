//! What usernames look like, so that no two accounts look the same to people: texts whose skeletons (UTS 39, 4)
//! are equal can be taken for each other. Pure; the skeletons of accounts are in the table of
//! `db::skeletons`, and which names are well formed is [`platform::text`]'s to say.

use platform::text::{is_unseen, username};
use unicode_security::skeleton;

/// The username of the first administrator, which nobody else gets.
pub const ADMIN: &str = "admin";

/// What a name looks like: as it is written, in lower case and in upper case, because a name is its owner's in
/// whatever case and some letters look alike in one case only (`ADMlN`). Each once.
pub(crate) fn skeletons(name: &str) -> Vec<String> {
    // As it would be kept now, or what is seen of it.
    let seen = || name.chars().filter(|c| !is_unseen(*c)).collect();
    let name = username(name).unwrap_or_else(|_| seen());
    let cases = [name.to_lowercase(), name.to_uppercase(), name];
    let mut skeletons: Vec<String> = cases.iter().map(|name| skeleton(name).collect()).collect();
    skeletons.sort_unstable();
    skeletons.dedup();
    skeletons
}

/// Whether the username is kept for the product itself, or looks like one that is.
pub(crate) fn is_reserved(name: &str) -> bool {
    let reserved = skeletons(ADMIN);
    skeletons(name).iter().any(|one| reserved.contains(one))
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
