//! Checks that documents point at what exists: links and anchors within the repository, and paths in
//! backticks. Addresses of other hosts are not asked; whether prose is right, nobody can check.

use deploy::known::root;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Component, Path, PathBuf},
    process::Command,
};

/// A line of a document outside of its blocks of code, with its number.
type NumberedLine = (usize, String);

/// Every file that belongs to the repository, by its path from the root.
fn tracked() -> BTreeSet<String> {
    let listing = Command::new("git").arg("-C").arg(root()).args(["ls-files", "-z"]).output();
    let listing = String::from_utf8(listing.unwrap().stdout).unwrap();
    let files: BTreeSet<_> =
        listing.split('\0').filter(|path| root().join(path).is_file()).map(str::to_owned).collect();
    assert!(files.contains("README.md"), "git lists nothing");
    files
}

fn prose(document: &str) -> Vec<NumberedLine> {
    let mut fence = None;
    let mut lines = Vec::new();
    for (number, line) in fs::read_to_string(root().join(document)).unwrap().lines().enumerate() {
        let start = line.trim_start();
        let marks = start.chars().take_while(|mark| *mark == '`').count();
        match fence {
            None if marks >= 3 => fence = Some(marks),
            None => lines.push((number + 1, line.to_owned())),
            Some(open) if marks >= open && start.trim_end().len() == marks => fence = None,
            Some(_) => {}
        }
    }
    assert!(fence.is_none(), "{document}: a block of code has no end");
    lines
}

/// The parts of a line in backticks, and the line without them.
fn code(line: &str) -> (Vec<&str>, String) {
    let parts: Vec<_> = line.split('`').collect();
    let inside = parts.iter().skip(1).step_by(2).copied();
    let outside = parts.iter().step_by(2).copied().collect::<Vec<_>>();
    (inside.collect(), outside.join("``"))
}

/// The targets of a line's links: `[text](target)`, and `[name]: target` at its beginning.
fn targets(line: &str) -> Vec<&str> {
    let inline = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let named = line.strip_prefix('[').and_then(|rest| rest.split_once("]: "));
    let target = |text: &'_ str| text.split_whitespace().next().map(str::len);
    inline
        .chain(named.map(|(_, target)| target))
        .filter_map(|text| target(text).map(|length| &text.trim_start()[..length]))
        .collect()
}

/// The anchors of a document's headings, as GitHub makes them: lower case, blanks to hyphens, most
/// other signs left out, a number behind what was there before.
fn anchors(lines: &[NumberedLine]) -> BTreeSet<String> {
    let mut counts = BTreeMap::new();
    let mut anchors = BTreeSet::new();
    for (_, line) in lines {
        let Some(title) = line.strip_prefix('#').map(|rest| rest.trim_start_matches('#')) else {
            continue;
        };
        let Some(title) = title.strip_prefix(' ') else { continue };
        // Of a link only the text is shown.
        let shown = title.split("](").enumerate().map(|(index, part)| match part.split_once(')') {
            Some((_, behind)) if index > 0 => behind,
            _ => part,
        });
        let shown = shown.collect::<String>();
        let keep = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
        let slug: String = shown.trim().to_lowercase().chars().filter(keep).collect();
        let slug = slug.replace(' ', "-");
        let count = counts.entry(slug.clone()).or_insert(0);
        anchors.insert(if *count == 0 { slug } else { format!("{slug}-{count}") });
        *count += 1;
    }
    anchors
}

/// A path without `.` and `..`; none when it leads out of the repository.
fn plain(path: &Path) -> Option<PathBuf> {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(part) => plain.push(part),
            Component::ParentDir if !plain.pop() => return None,
            Component::ParentDir | Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(plain)
}

#[test]
fn links_and_anchors_lead_somewhere() {
    let tracked = tracked();
    let mut wrong = Vec::new();
    let mut checked = 0;
    for document in tracked.iter().filter(|path| path.ends_with(".md")) {
        for (number, line) in prose(document) {
            for target in targets(&code(&line).1) {
                // The api shows its own documents, and there `/docs` is a page of its own.
                let served = document.starts_with("api/") && target.starts_with('/');
                if target.contains("://") || target.starts_with("mailto:") || served {
                    continue;
                }
                checked += 1;
                if let Err(why) = resolve(document, target, &tracked) {
                    wrong.push(format!("{document}:{number}: {target} {why}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(checked >= 10, "only {checked} links were found");
}

fn resolve(document: &str, target: &str, tracked: &BTreeSet<String>) -> Result<(), &'static str> {
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let file = if path.is_empty() {
        document.to_owned()
    } else {
        let folder = Path::new(document).parent().unwrap_or(Path::new(""));
        let path = plain(&folder.join(path)).ok_or("leads out of the repository")?;
        path.to_string_lossy().into_owned()
    };
    let folder = format!("{file}/");
    if !tracked.contains(&file) && !tracked.iter().any(|path| path.starts_with(&folder)) {
        return Err("does not exist");
    }
    if anchor.is_empty() || (file.ends_with(".md") && anchors(&prose(&file)).contains(anchor)) {
        return Ok(());
    }
    Err("has no such heading")
}

/// In these, what looks like a path in backticks is one. Elsewhere it may be a client's, say.
fn documents_of_paths(path: &str) -> bool {
    path.ends_with(".md") && (!path.contains('/') || path.starts_with("docs/"))
}

#[test]
fn paths_in_backticks_exist() {
    let tracked = tracked();
    let tops: BTreeSet<_> =
        tracked.iter().filter_map(|path| path.split_once('/')).map(|(top, _)| top).collect();
    let mut wrong = Vec::new();
    let mut checked = 0;
    for document in tracked.iter().filter(|path| documents_of_paths(path)) {
        for (number, line) in prose(document) {
            for path in code(&line).0 {
                if !path.chars().all(|c| c.is_alphanumeric() || "._-/".contains(c)) {
                    continue;
                }
                // Short, where the text has said of which crate it speaks: `feed.rs`, `connection/session.rs`.
                let (top, rest) = path.split_once('/').unwrap_or(("", path));
                if !tops.contains(top) && path.ends_with(".rs") {
                    checked += 1;
                    if !tracked.iter().any(|file| file.ends_with(&format!("/{path}"))) {
                        wrong.push(format!("{document}:{number}: there is no file {path}"));
                    }
                    continue;
                }
                // `shared/` and `docs/protocol.md` are paths; `application/json` and `/livez` are not.
                if !tops.contains(top) {
                    continue;
                }
                checked += 1;
                let folder = format!("{}/", path.trim_end_matches('/'));
                let known = tracked.contains(path)
                    || rest.is_empty()
                    || tracked.iter().any(|file| file.starts_with(&folder));
                if !known {
                    wrong.push(format!("{document}:{number}: {path} does not exist"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(checked >= 10, "only {checked} paths were found");
}

#[test]
fn anchors_are_made_as_github_makes_them() {
    let lines =
        ["# One & two", "## `code`, *stress*", "## One & two", "### [Link](x.md) here", "#no"];
    let lines: Vec<NumberedLine> = lines.iter().map(|line| (1, (*line).to_owned())).collect();
    let anchors = anchors(&lines).into_iter().collect::<Vec<_>>();
    assert_eq!(anchors, ["code-stress", "link-here", "one--two", "one--two-1"]);
}

#[test]
fn links_are_found_outside_of_code() {
    let (inside, outside) = code("see [a](b.md#c) and `[no](x)` and [d](e \"title\")");
    assert_eq!(inside, ["[no](x)"]);
    assert_eq!(targets(&outside), ["b.md#c", "e"]);
    assert_eq!(targets("[name]: docs/x.md"), ["docs/x.md"]);
}
