//! `docs/guarantees.md` names the tests that show each guarantee. They are there.

use super::read::root;
use std::{fs, path::Path};

#[test]
fn each_test_that_guarantees_names_is_there() {
    let page = fs::read_to_string(root().join("docs/guarantees.md")).unwrap();
    // Names of tests are sentences; other words in code style are shorter, or paths.
    let is_test = |word: &&str| {
        word.matches('_').count() >= 2 && word.chars().all(|c| c == '_' || c.is_ascii_lowercase())
    };
    let named: Vec<&str> = page.split('`').skip(1).step_by(2).filter(is_test).collect();
    assert!(named.len() > 20, "{named:?}");
    let mut sources = String::new();
    for folder in ["api", "gateway", "standalone/tests", "shared"] {
        read(&root().join(folder), &mut sources);
    }
    let missing: Vec<&str> = named
        .into_iter()
        .filter(|name| {
            // A test of its own, or one of those that a macro runs on each system.
            !sources.contains(&format!("fn {name}("))
        })
        .collect();
    assert!(missing.is_empty(), "no test is called {missing:?}");
}

fn read(folder: &Path, sources: &mut String) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("a file").path();
        if path.is_dir() {
            read(&path, sources);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            sources.push_str(&fs::read_to_string(&path).expect("a text"));
        }
    }
}
