//! Who takes from whom inside one crate: between its files, and between its rooms, which are the entries of
//! its root (a file, or a folder with all that is in it).

use crate::read::{Crate, SourceFile};
use std::collections::{BTreeMap, BTreeSet};

/// Nodes by name, and what each takes from.
pub type Graph = BTreeMap<String, BTreeSet<String>>;

/// Between files. A path leads to the file with the longest module path that it begins with. What a file
/// takes from the heads of the folders it lies in is left out: a folder's `mod.rs` is for all of them.
pub fn files(krate: &Crate) -> Graph {
    let mut graph = graph(krate, |file| file.path.clone());
    for (from, targets) in &mut graph {
        let is_head = |to: &String| {
            let folder = to.strip_suffix("mod.rs").or_else(|| to.strip_suffix("lib.rs"));
            folder.is_some_and(|folder| from.starts_with(folder))
                || to.strip_suffix(".rs").is_some_and(|to| from.starts_with(&format!("{to}/")))
        };
        targets.retain(|to| !is_head(to));
    }
    graph
}

/// Between rooms. `lib.rs` and `main.rs` are one each.
pub fn rooms(krate: &Crate) -> Graph {
    graph(krate, room)
}

fn room(file: &SourceFile) -> String {
    file.module.first().cloned().unwrap_or_else(|| file.path.trim_end_matches(".rs").to_owned())
}

fn graph(krate: &Crate, node: impl Fn(&SourceFile) -> String) -> Graph {
    let product = || krate.files.iter().filter(|file| !file.is_test);
    let mut graph: Graph = product().map(|file| (node(file), BTreeSet::new())).collect();
    for file in product() {
        let from = node(file);
        for path in &file.takes {
            // The root's own names are everybody's: `crate::Gateway` is in `lib.rs`.
            let leads = |to: &&SourceFile| to.path != "main.rs" && path.starts_with(&to.module);
            let to = product().filter(leads).max_by_key(|to| to.module.len()).map(&node);
            if let Some(to) = to.filter(|to| *to != from) {
                graph.entry(from.clone()).or_default().insert(to);
            }
        }
    }
    graph
}

/// How many arrows there are.
pub fn arrows(graph: &Graph) -> usize {
    graph.values().map(BTreeSet::len).sum()
}

/// Groups of two nodes and more that reach each other.
pub fn cycles(graph: &Graph) -> Vec<BTreeSet<String>> {
    let reach: BTreeMap<&String, BTreeSet<String>> =
        graph.keys().map(|node| (node, reached(graph, node))).collect();
    let mut cycles: Vec<BTreeSet<String>> = Vec::new();
    for node in graph.keys().filter(|node| reach[node].contains(*node)) {
        if !cycles.iter().any(|cycle| cycle.contains(node)) {
            let together = |other: &&String| reach[other].contains(node);
            cycles.push(reach[node].iter().filter(together).cloned().collect());
        }
    }
    cycles
}

fn reached(graph: &Graph, from: &str) -> BTreeSet<String> {
    let (mut seen, mut next) = (BTreeSet::new(), vec![from]);
    while let Some(node) = next.pop() {
        for to in &graph[node] {
            if seen.insert(to.clone()) {
                next.push(to);
            }
        }
    }
    seen
}

/// How many layers the longest chain of arrows has, a cycle counted as one node.
pub fn layers(graph: &Graph) -> usize {
    let cycles = cycles(graph);
    let group = |node: &String| {
        let cycle = cycles.iter().find(|cycle| cycle.contains(node));
        cycle.and_then(|cycle| cycle.first()).unwrap_or(node).clone()
    };
    let mut groups = Graph::new();
    for (from, targets) in graph {
        let below = targets.iter().map(group).filter(|to| *to != group(from));
        groups.entry(group(from)).or_default().extend(below);
    }
    let mut heights = BTreeMap::new();
    groups.keys().map(|node| height(&groups, node, &mut heights)).max().unwrap_or(0)
}

fn height(graph: &Graph, node: &String, heights: &mut BTreeMap<String, usize>) -> usize {
    if let Some(height) = heights.get(node) {
        return *height;
    }
    let below = graph[node].iter().map(|to| height(graph, to, heights)).max().unwrap_or(0);
    heights.insert(node.clone(), below + 1);
    below + 1
}

/// Arrows from a room to one that the plan has above it, and rooms that the plan does not have.
pub fn upward(graph: &Graph, plan: &[&str]) -> Vec<String> {
    let floor = |node: &str| plan.iter().position(|room| *room == node);
    let mut found: Vec<String> = Vec::new();
    for (from, targets) in graph {
        let Some(at) = floor(from) else {
            found.push(format!("{from} is not in the plan"));
            continue;
        };
        let above = |to: &&String| floor(to).is_some_and(|to| to < at);
        found.extend(targets.iter().filter(above).map(|to| format!("{from} -> {to}")));
    }
    found
}
