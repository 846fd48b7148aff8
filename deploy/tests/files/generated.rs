//! Compares a file that the code writes with what the code says now, or writes it again. The files are documents
//! that people and other programs read where they are, so no snapshot crate fits: those keep files of their own.

use deploy::known::root;
use std::fs;

/// Whether the person who runs the tests wants the files written again: `UPDATE_SNAPSHOTS=1`.
#[expect(clippy::disallowed_methods, reason = "a switch for people who run this test, no setting")]
fn update() -> bool {
    std::env::var_os("UPDATE_SNAPSHOTS").is_some()
}

/// Panics when the file at `path` (from the root of the checkout) is not `is_current`, or then writes `expected`
/// into it. `filter` names the tests that write it.
pub fn check(path: &str, filter: &str, expected: &str, is_current: impl FnOnce(&str) -> bool) {
    let file = root().join(path);
    if is_current(&fs::read_to_string(&file).unwrap_or_default()) {
        return;
    }
    assert!(
        update(),
        "{path} does not say what it is made from: \
         UPDATE_SNAPSHOTS=1 cargo test -p switchboard-deploy --test files {filter}, look at the difference, commit it"
    );
    fs::write(&file, expected).unwrap();
}
