//! The house: which rooms each crate has, that imports point down, and figures that may only get better.
//! `cargo test -p switchboard-standalone --test house -- --nocapture` prints them.

mod figures;
mod graph;
mod packages;
mod read;

use figures::Figures;

/// The crates, the product first.
const CRATES: [&str; 9] = [
    "shared/protocol",
    "shared/platform",
    "api",
    "gateway",
    "standalone",
    "canary",
    "cluster",
    "loadtest",
    "deploy",
];

/// The rooms of the gateway, from the top down.
const GATEWAY: &[&str] = &[
    "main",
    "lib",
    "upgrade",
    "repair",
    "connection",
    "hub",
    "backend",
    "wire",
    "dialect",
    "settings",
    "config",
    "metric",
];

/// The rooms of the api, from the top down.
const API: &[&str] = &["main", "lib"];

#[test]
fn imports_point_down() {
    for (folder, plan) in [("gateway", GATEWAY), ("api", API)] {
        let upward = graph::upward(&graph::rooms(&read::read(folder)), plan);
        assert!(upward.is_empty(), "{folder}: {upward:#?}");
    }
}

#[test]
fn no_file_needs_itself() {
    for folder in CRATES {
        let cycles = graph::cycles(&graph::files(&read::read(folder)));
        assert!(cycles.is_empty(), "{folder}: {cycles:#?}");
    }
}

#[test]
fn figures_only_get_better() {
    let figures: Vec<Figures> = CRATES.iter().map(|folder| Figures::of(folder)).collect();
    figures::print(&figures);
    let product: Vec<&Figures> = figures[..5].iter().collect();
    let long: usize = product.iter().map(|one| one.long_functions.len()).sum();
    assert!(long <= 100, "functions of more than 60 lines: {long}");
}
