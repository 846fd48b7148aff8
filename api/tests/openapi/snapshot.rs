//! A change of the contract is a visible difference in `spec/openapi.json`.

use serde_json::Value;
use std::{fs, path::Path};

/// Lines of difference that a failure shows.
const SHOWN: usize = 60;

#[test]
#[expect(clippy::disallowed_methods, reason = "a switch for people who run this test, no setting")]
fn the_document_is_the_reviewed_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("spec/openapi.json");
    let now = api::rest::document();
    let text = format!("{now:#}\n");
    let reviewed = fs::read_to_string(&path).unwrap_or_default();
    // Compared as values: the order of keys says nothing.
    if serde_json::from_str::<Value>(&reviewed).ok() == Some(now) {
        return;
    }
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        fs::write(&path, text).unwrap();
        return;
    }
    panic!(
        "The OpenAPI document has changed:\n{}\nIf that is meant: UPDATE_SNAPSHOTS=1 cargo test -p \
         api --test openapi, look at the difference, commit it.",
        difference(&reviewed, &text)
    );
}

/// What only one of the two has, line by line; enough to see where to look.
fn difference(before: &str, after: &str) -> String {
    let same_start = before.lines().zip(after.lines()).take_while(|(a, b)| a == b).count();
    let rest =
        |text: &str| -> Vec<String> { text.lines().skip(same_start).map(str::to_owned).collect() };
    let (mut before, mut after) = (rest(before), rest(after));
    while before.last().is_some_and(|line| after.last() == Some(line)) {
        before.pop();
        after.pop();
    }
    let removed = before.iter().take(SHOWN / 2).map(|line| format!("-{line}\n"));
    let added = after.iter().take(SHOWN / 2).map(|line| format!("+{line}\n"));
    format!("@@ line {} @@\n", same_start + 1) + &removed.chain(added).collect::<String>()
}
