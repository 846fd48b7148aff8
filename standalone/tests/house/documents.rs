//! The documents name files that are there.

use crate::read::root;
use std::{fs, path::Path};

/// Documents that lead a reader through the code.
const DOCUMENTS: [&str; 8] = [
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "README.md",
    "SECURITY.md",
    "docs/capacity.md",
    "docs/glossary.md",
    "docs/operations.md",
    "docs/protocol.md",
];

/// Names of files that are written short, as `feed.rs` is, where a paragraph has said which crate it speaks of.
fn is_known_by_its_end(path: &str, all: &[String]) -> bool {
    let path = path.trim_end_matches('/');
    all.iter().any(|known| known == path || known.ends_with(&format!("/{path}")))
}

#[test]
fn documents_name_files_that_are_there() {
    let mut all = Vec::new();
    list(&root(), "", &mut all);
    for document in DOCUMENTS {
        let text = fs::read_to_string(root().join(document)).expect(document);
        let named = text.split('`').skip(1).step_by(2).filter(|name| is_a_path(name));
        for name in named {
            assert!(is_known_by_its_end(name, &all), "{document} names `{name}`");
        }
    }
}

/// Rust files, and folders below a `src` or `tests`.
fn is_a_path(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '-' | '.');
    let is_folder = name.ends_with('/') && (name.contains("/src/") || name.contains("/tests/"));
    name.chars().all(is_plain) && (name.ends_with(".rs") || is_folder)
}

/// Files and folders below the workspace, from its root.
fn list(folder: &Path, before: &str, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let entry = entry.expect("an entry");
        let name = entry.file_name().to_string_lossy().into_owned();
        if name == "target" || name == "node_modules" || name.starts_with('.') {
            continue;
        }
        let path = format!("{before}{name}");
        if entry.path().is_dir() {
            list(&entry.path(), &format!("{path}/"), found);
        }
        found.push(path);
    }
}
