//! What is counted of a crate, and how it is shown.

use crate::{
    graph,
    read::{self, Crate, SourceFile},
};
use std::collections::BTreeMap;

/// Longer functions are named.
const LONG: usize = 60;

pub struct Figures {
    pub krate: &'static Crate,
    pub root_files: usize,
    pub rooms: usize,
    pub layers: usize,
    pub arrows: usize,
    pub cycles: Vec<usize>,
    pub lines: usize,
    pub test_lines: usize,
    pub why_comments: usize,
    pub public_items: usize,
    /// `path: name lines`.
    pub long_functions: Vec<String>,
}

impl Figures {
    /// Of one crate.
    pub fn of(krate: &'static Crate) -> Self {
        let folder = &krate.folder;
        let files = || krate.files.iter();
        let sum = |count: fn(&SourceFile) -> usize| files().map(count).sum::<usize>();
        let (by_file, by_room) = (graph::files(krate), graph::rooms(krate));
        let tests = ["tests", "benches"].map(|below| read::root().join(folder).join(below));
        let long_functions = files()
            .filter(|file| !file.is_test)
            .flat_map(|file| file.functions.iter().map(move |function| (file, function)))
            .filter(|(_, (_, lines))| *lines > LONG)
            .map(|(file, (name, lines))| format!("{folder}/src/{}: {name} {lines}", file.path))
            .collect();
        Self {
            root_files: files().filter(|file| !file.path.contains('/')).count(),
            rooms: by_room.len(),
            layers: graph::layers(&by_room),
            arrows: graph::arrows(&by_room),
            cycles: graph::cycles(&by_file).iter().map(|cycle| cycle.len()).collect(),
            lines: sum(|file| file.lines),
            test_lines: sum(|file| file.test_lines)
                + tests.iter().map(|folder| read::lines_below(folder)).sum::<usize>(),
            why_comments: sum(|file| if file.is_test { 0 } else { file.why_comments }),
            public_items: sum(|file| file.public_items),
            long_functions,
            krate,
        }
    }
}

/// Names of types that several crates' or files' code defines, with the count.
pub fn repeated_types(figures: &[Figures]) -> Vec<(String, usize)> {
    let mut counts = BTreeMap::<&str, usize>::new();
    let files = figures.iter().flat_map(|one| &one.krate.files).filter(|file| !file.is_test);
    for name in files.flat_map(|file| &file.types) {
        *counts.entry(name).or_default() += 1;
    }
    let mut repeated: Vec<(String, usize)> = counts
        .into_iter()
        .filter(|(_, count)| *count > 1)
        .map(|(name, count)| (name.to_owned(), count))
        .collect();
    repeated.sort_by_key(|(name, count)| (std::cmp::Reverse(*count), name.clone()));
    repeated
}

/// As a table, for `--nocapture`.
#[expect(clippy::print_stdout, reason = "figures are for whoever asks for them")]
pub fn print(figures: &[Figures]) {
    println!(
        "{:<10} {:>6} {:>6} {:>6} {:>6} {:>12} {:>7} {:>7} {:>6} {:>5} {:>5}",
        "crate",
        "root",
        "rooms",
        "layers",
        "arrows",
        "cycles",
        "lines",
        "tests",
        "pub",
        "why%",
        "long"
    );
    for one in figures {
        let why = 100.0 * one.why_comments as f64 / one.lines as f64;
        println!(
            "{:<10} {:>6} {:>6} {:>6} {:>6} {:>12} {:>7} {:>7} {:>6} {why:>5.1} {:>5}",
            one.krate.name,
            one.root_files,
            one.rooms,
            one.layers,
            one.arrows,
            format!("{:?}", one.cycles),
            one.lines,
            one.test_lines,
            one.public_items,
            one.long_functions.len(),
        );
    }
    for function in figures.iter().flat_map(|one| &one.long_functions) {
        println!("{function}");
    }
    let repeated = repeated_types(figures);
    println!("{} type names are defined more than once: {repeated:?}", repeated.len());
}
