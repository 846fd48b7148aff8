//! The walls between the rooms of `src/`: which room may not know which other, and what services know
//! nothing of. Read from the code's own paths, so a new file is held by them without being listed here.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    fs,
    path::{Path, PathBuf},
};

/// What faces people and gateways, and the root that knows everything.
const FACES: [&str; 7] = [
    "crate::Api",
    "crate::commands",
    "crate::http",
    "crate::internal",
    "crate::rest",
    "crate::settings",
    "crate::start",
];

/// HTTP: extractors, statuses, answers, and the document that describes them.
const HTTP: [&str; 7] =
    ["axum", "http", "hyper", "tower_http", "utoipa", "utoipa_axum", "platform::problem"];

/// What the product is.
const SERVICES: [&str; 5] =
    ["crate::accounts", "crate::chats", "crate::demo", "crate::lobby", "crate::retention"];

/// Files and folders, and what they may not name.
const WALLS: [(&[&str], &[&[&str]]); 4] = [
    (&["rest"], &[&["crate::internal", "crate::commands", "crate::settings"]]),
    (&["internal"], &[&["crate::rest", "crate::commands", "crate::settings"]]),
    (&["accounts", "chats", "demo.rs", "lobby", "retention"], &[&FACES, &HTTP]),
    (
        &[
            "audit.rs",
            "auth",
            "code.rs",
            "config.rs",
            "db",
            "error.rs",
            "lookalikes.rs",
            "news.rs",
            "state.rs",
        ],
        &[&FACES, &HTTP, &SERVICES],
    ),
];

fn files(at: &Path, found: &mut Vec<PathBuf>) {
    if at.is_file() {
        return found.push(at.to_owned());
    }
    for entry in fs::read_dir(at).unwrap() {
        files(&entry.unwrap().path(), found);
    }
}

/// The code of a file without its comments and without its tests, which are at its end.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]").next().unwrap();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// All paths of a `use`, such as `a::{b, c::d}`.
fn expand(tree: &str, before: &str, found: &mut Vec<String>) {
    let Some((head, rest)) = tree.split_once('{') else {
        return found.push(format!("{before}{}", tree.trim()));
    };
    let inner = rest.rsplit_once('}').unwrap().0;
    let (mut depth, mut start) = (0, 0);
    for (at, c) in inner.char_indices().chain([(inner.len(), ',')]) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                let branch = &inner[start..at];
                if !branch.trim().is_empty() {
                    expand(branch, &format!("{before}{}", head.trim()), found);
                }
                start = at + 1;
            }
            _ => {}
        }
    }
}

/// Every path that a file names: in its `use` declarations, and where it stands in the code.
fn paths(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    let declarations = code.lines().enumerate().filter_map(|(number, line)| {
        let line = line.trim_start();
        let line = line.strip_prefix("pub(crate) ").or(line.strip_prefix("pub ")).unwrap_or(line);
        line.starts_with("use ").then_some(number)
    });
    for number in declarations {
        let rest: Vec<&str> = code.lines().skip(number).collect();
        let declaration = rest.join("\n");
        let (_, tree) = declaration.split_once("use ").unwrap();
        expand(tree.split(';').next().unwrap(), "", &mut found);
    }
    let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    found.extend(code.split(|c| !is_path(c)).filter(|word| word.contains("::")).map(str::to_owned));
    found
}

fn names(path: &str, forbidden: &str) -> bool {
    path.trim_start_matches(':')
        .strip_prefix(forbidden)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::") || rest.starts_with(" as "))
}

#[test]
fn no_room_knows_what_is_above_it() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut broken = Vec::new();
    for (rooms, forbidden) in WALLS {
        let mut found = Vec::new();
        rooms.iter().for_each(|room| files(&src.join(room), &mut found));
        for file in found.iter().filter(|file| file.extension().is_some_and(|kind| kind == "rs")) {
            let paths = paths(&code(&fs::read_to_string(file).unwrap()));
            for forbidden in forbidden.iter().flat_map(|names| names.iter()) {
                if let Some(path) = paths.iter().find(|path| names(path, forbidden)) {
                    broken.push(format!("{}: {path}", file.strip_prefix(&src).unwrap().display()));
                }
            }
        }
    }
    assert!(broken.is_empty(), "through a wall:\n{}", broken.join("\n"));
}

#[test]
fn paths_are_found_wherever_they_stand() {
    let text = "//! crate::rest\nuse crate::{db::Db, rest::{self, x::Y}};\nfn f() -> axum::Body {}";
    let paths = paths(&code(text));
    for (forbidden, is_named) in
        [("crate::db", true), ("crate::rest", true), ("axum", true), ("crate::re", false)]
    {
        assert_eq!(paths.iter().any(|path| names(path, forbidden)), is_named, "{forbidden}");
    }
}
