//! The house: which rooms each crate has, that imports point down, and figures that may only get better.
//! `cargo test -p switchboard-standalone --test house -- --nocapture` prints them.

#![expect(clippy::expect_used, reason = "a test that cannot go on fails")]

mod figures;
mod graph;
mod packages;
mod promises;
mod read;

use figures::Figures;

/// The rooms of the api, from the top down.
const API: &[&str] = &[
    "main",
    "commands",
    "lib",
    "metric",
    "demo",
    "internal",
    "rest",
    "http",
    "settings",
    "lobby",
    "chats",
    "accounts",
    "announcement",
    "retention",
    "audit",
    "gateways",
    "news",
    "state",
    "post_queue",
    "auth",
    "db",
    "avatars",
    "mail",
    "lookalikes",
    "parts",
    "config",
    "conflict",
    "error",
];

/// The rooms of the api that may know how it is reached; every other one knows only what the product is.
const FACES: &[&str] =
    &["main", "commands", "lib", "metric", "internal", "rest", "http", "settings"];

/// The rooms of the api that ask other servers over HTTP, and know nothing of how the api is reached.
const CLIENTS: &[&str] = &["avatars"];

/// How it is reached: extractors, statuses, answers, and the document that describes them.
const HTTP: &[&str] = &["axum::", "http::", "hyper", "tower_http", "utoipa", "platform::problem"];

/// The rooms of the gateway, from the top down.
const GATEWAY: &[&str] = &[
    "main",
    "lib",
    "metric",
    "upgrade",
    "connection",
    "state",
    "repair",
    "hub",
    "settings",
    "backend",
    "dialect",
    "wire",
    "config",
];

/// How many type names are defined more than once. Lower this where you can; never raise it.
const REPEATED_TYPES: usize = 17;

#[test]
fn imports_point_down() {
    for (name, plan) in [("api", API), ("gateway", GATEWAY)] {
        let upward = graph::upward(&graph::rooms(read::named(name)), plan);
        assert!(upward.is_empty(), "{name}: {upward:#?}");
    }
}

#[test]
fn services_know_no_http() {
    let api = read::named("api");
    let services = api.files.iter().filter(|file| {
        let room = file.module.first().map_or("lib", String::as_str);
        !FACES.contains(&room) && !CLIENTS.contains(&room) && !file.is_test
    });
    for file in services {
        let named = HTTP.iter().find(|name| file.code.contains(**name));
        assert_eq!(named, None, "api/src/{}", file.path);
    }
}

#[test]
fn no_file_needs_itself() {
    for krate in read::house() {
        let cycles = graph::cycles(&graph::files(krate));
        assert!(cycles.is_empty(), "{}: {cycles:#?}", krate.name);
    }
}

#[test]
fn figures_only_get_better() {
    let figures: Vec<Figures> = read::house().iter().map(Figures::of).collect();
    figures::print(&figures);
    let long: usize = figures.iter().map(|one| one.long_functions.len()).sum();
    assert!(long == 0, "{long} functions have more than 60 lines");
    let repeated = figures::repeated_types(&figures).len();
    assert!(repeated <= REPEATED_TYPES, "{repeated} type names are defined more than once");
}
