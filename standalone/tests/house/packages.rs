//! The direction of the arrows between the packages: `protocol` ← `platform` ← `api`, `gateway`, `loadtest`; none
//! of these three sees another. Held by what cargo itself says.

use serde_json::Value;
use std::{collections::BTreeSet, process::Command};

/// What the names of our packages begin with.
const PREFIX: &str = "switchboard-";

/// The workspace crates, without the prefix, that this one may be linked with, tests aside.
fn workspace_dependencies(metadata: &Value, name: &str) -> BTreeSet<String> {
    let packages = metadata["packages"].as_array().expect("packages");
    let ours: BTreeSet<&str> = packages.iter().filter_map(|one| one["name"].as_str()).collect();
    let name = format!("{PREFIX}{name}");
    let package = packages.iter().find(|one| one["name"] == name).expect("a workspace crate");
    let dependencies = package["dependencies"].as_array().expect("dependencies");
    dependencies
        .iter()
        .filter(|one| one["kind"] != "dev")
        .filter_map(|one| one["name"].as_str())
        .filter(|name| ours.contains(name))
        .filter_map(|name| name.strip_prefix(PREFIX))
        .map(str::to_owned)
        .collect()
}

#[test]
fn packages_point_one_way() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let depends_on = |name: &str| workspace_dependencies(&metadata, name);
    let set = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<BTreeSet<_>>();

    assert_eq!(depends_on("protocol"), set(&[]));
    assert_eq!(depends_on("platform"), set(&["protocol"]));
    assert_eq!(depends_on("api"), set(&["platform", "protocol"]));
    assert_eq!(depends_on("gateway"), set(&["platform", "protocol"]));
    assert_eq!(
        depends_on("loadtest"),
        set(&["platform", "protocol"]),
        "it meets the product by its protocols only"
    );
    assert_eq!(depends_on("standalone"), set(&["api", "gateway", "platform", "protocol"]));
    assert_eq!(depends_on("cluster"), set(&[]), "it starts the product, it is no part of it");
}
