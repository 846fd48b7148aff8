//! Checks deploy/Dockerfile and .dockerignore: what an image of each binary is like, and that what it is
//! built from exists and reaches the builder. Building one is the business of scripts/check-containers.

use deploy::{
    image::{Ignore, Image, ImageStage, stages},
    known::{self, BINARIES, root},
};
use std::{collections::BTreeSet, fs, path::Path};

fn image(binary: &str) -> Image {
    Image::of(&stages(&root()).unwrap(), binary).unwrap()
}

/// The manifest of the workspace, a line each.
fn manifest() -> Vec<String> {
    let text = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    text.lines().map(str::to_owned).collect()
}

fn members() -> Vec<String> {
    let line = manifest().into_iter().find(|line| line.starts_with("members")).unwrap();
    line.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

fn build() -> ImageStage {
    stages(&root()).unwrap().into_iter().find(|stage| stage.name == "build").unwrap()
}

/// Every file below, by its path from the root.
fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned());
        }
    }
    found
}

#[test]
fn the_targets_are_the_binaries() {
    let stages = stages(&root()).unwrap();
    let is_base = |name: &str| stages.iter().any(|stage| stage.from == name);
    let targets: BTreeSet<&str> = stages
        .iter()
        .map(|stage| stage.name.as_str())
        .filter(|name| !is_base(name) && *name != "build")
        .collect();
    assert_eq!(targets, BTreeSet::from(BINARIES));
    for binary in BINARIES {
        let image = image(binary);
        assert_eq!(image.entrypoint, [format!("/{binary}")]);
        assert_eq!(image.health, [format!("/{binary}"), "health".to_owned()]);
        let command = known::command(binary).unwrap();
        assert!(command.find_subcommand("health").is_some(), "{binary} has no such command");
    }
}

#[test]
fn every_image_is_safe_to_run() {
    for binary in BINARIES {
        let image = image(binary);
        let (user, group) = image.user.split_once(':').unwrap();
        assert!(user.parse::<u32>().unwrap() > 0 && group.parse::<u32>().unwrap() > 0, "{binary}");
        assert_eq!(image.stop_signal, "SIGTERM", "{binary}: what starts the drain");
        for label in ["title", "description", "version", "revision", "licenses"] {
            let label = format!("org.opencontainers.image.{label}");
            assert!(image.labels.contains_key(&label), "{binary} lacks {label}");
        }
    }
}

#[test]
fn every_base_is_pinned() {
    let stages = stages(&root()).unwrap();
    for stage in &stages {
        if stages.iter().any(|other| other.name == stage.from) {
            continue;
        }
        let (_, tag) = stage.from.rsplit_once(':').unwrap();
        assert!(!tag.is_empty() && tag != "latest" && stage.from.contains('.'), "{}", stage.from);
    }
}

#[test]
fn the_builder_and_the_runtime_fit_the_code_and_each_other() {
    let builder = build().from;
    let tag = builder.strip_prefix("docker.io/library/rust:").unwrap();
    let (version, debian) = tag.split_once('-').unwrap();
    let number = |version: &str| -> Vec<u32> {
        version.split('.').map(|part| part.parse().unwrap()).collect()
    };
    let oldest = manifest().into_iter().find(|line| line.starts_with("rust-version")).unwrap();
    assert!(number(version) >= number(oldest.split('"').nth(1).unwrap()), "{builder}: {oldest}");
    assert_eq!(debian, "bookworm", "Debian 12, whose C library the runtime has");
    assert!(image("api").base.contains("debian12"), "{}", image("api").base);
}

#[test]
fn the_environment_is_of_known_settings_and_the_ports_are_those_listened_on() {
    for binary in BINARIES {
        let image = image(binary);
        let command = known::command(binary).unwrap();
        let mut listened = BTreeSet::new();
        for (key, value) in &image.env {
            let mut settings = known::settings(&command).into_iter();
            let setting = settings.find(|arg| arg.get_env() == Some(key.as_ref()));
            let setting = setting.unwrap_or_else(|| panic!("{binary} does not know {key}"));
            if !key.ends_with("LISTEN") {
                continue;
            }
            let (address, port) = value.rsplit_once(':').unwrap();
            assert_eq!(address, "0.0.0.0", "{binary} {key}");
            let default = setting.get_default_values()[0].to_str().unwrap();
            assert!(default.ends_with(&format!(":{port}")), "{binary} {key}: {default}");
            listened.insert(port.parse::<u16>().unwrap());
        }
        assert_eq!(BTreeSet::from_iter(image.ports.clone()), listened, "{binary}");
        let listeners = known::settings(&command).into_iter();
        let listeners = listeners.filter_map(|arg| arg.get_env()?.to_str());
        let listeners = listeners.filter(|name| name.ends_with("LISTEN"));
        assert_eq!(listeners.count(), listened.len(), "{binary} listens only inside");
        assert_eq!(image.env["LOG_FORMAT"], "json");
    }
    assert_eq!(image("switchboard").volumes, [image("switchboard").env["DATA"].clone()]);
}

#[test]
fn what_is_built_is_copied_first() {
    let build = build();
    let sources = build.sources();
    for source in &sources {
        assert!(root().join(source).exists(), "COPY {source}");
    }
    for member in members() {
        let manifest = format!("{member}/Cargo.toml");
        assert!(sources.contains(&manifest.as_str()), "Cargo wants {manifest}");
    }
}

/// Cargo wants the files that a manifest names, also those of benchmarks that no image has.
#[test]
fn the_files_that_manifests_name_are_made_up() {
    let build = build();
    for member in members() {
        let manifest = fs::read_to_string(root().join(&member).join("Cargo.toml")).unwrap();
        let (_, benches) = manifest.split_once("[[bench]]").unwrap_or_default();
        let named =
            |line: &str| Some(line.strip_prefix("path = \"")?.trim_end_matches('"').to_owned());
        let name = |line: &str| {
            let name = line.strip_prefix("name = \"")?.trim_end_matches('"');
            Some(format!("benches/{name}.rs"))
        };
        let path = benches.lines().find_map(named).or_else(|| benches.lines().find_map(name));
        let Some(path) = path else { continue };
        let file = format!("{member}/{path}");
        assert!(root().join(&file).exists(), "{file}");
        let made = build.instructions.iter().any(|(_, rest)| rest.contains(&file));
        assert!(made, "Cargo wants {file} in the layer of dependencies");
    }
}

/// The name of a manifest's package.
fn package(manifest: &str) -> &str {
    let name = manifest.lines().find_map(|line| line.strip_prefix("name = \""));
    name.unwrap().trim_end_matches('"')
}

#[test]
fn features_that_images_are_built_with_exist_wherever_they_can() {
    let build = build();
    let runs = build.instructions.iter().filter(|(keyword, _)| keyword == "RUN");
    let cargo = runs.map(|(_, rest)| rest).filter(|rest| rest.contains("cargo build"));
    let options: BTreeSet<&str> =
        cargo.map(|rest| rest.split_once("cargo build ").unwrap().1).collect();
    assert_eq!(options.len(), 1, "the layer of dependencies must be built like the rest");
    let mut checked = 0;
    for member in members() {
        let manifest = fs::read_to_string(root().join(&member).join("Cargo.toml")).unwrap();
        let package = package(&manifest);
        let built = options.iter().any(|all| all.contains(&format!("-p {package} ")));
        let has = manifest.lines().any(|line| line.starts_with("otlp ="));
        if built && has {
            let feature = format!("{package}/otlp");
            assert!(options.iter().all(|all| all.contains(&feature)), "{feature} is left out");
            checked += 1;
        }
    }
    assert_eq!(checked, 3, "api, gateway and standalone");
}

#[test]
fn the_builder_gets_what_it_needs_and_nothing_else() {
    let ignore = Ignore::read(&root()).unwrap();
    for source in build().sources() {
        let path = root().join(source);
        if path.is_file() {
            assert!(!ignore.ignores(source), "{source} is left out");
            continue;
        }
        let source = path.join("src");
        for file in files(&source) {
            assert!(!ignore.ignores(&file), "{file} is left out");
        }
    }
    // What the sources include at compile time from outside of their own folders.
    for needed in [
        "api/web/index.html",
        "api/spec/asyncapi.json",
        "api/docs-ui/docs.html",
        "loadtest/scenarios/smoke.toml",
    ] {
        assert!(root().join(needed).exists() && !ignore.ignores(needed), "{needed} is left out");
    }
    for kept_back in [
        "target/release/api",
        ".git/HEAD",
        ".env",
        "data/switchboard.sqlite",
        "secrets/JWT_PRIVATE_KEY",
        "api/.env",
        "docs/protocol.md",
        "deploy/src/lib.rs",
        "standalone/tests/system/main.rs",
        "api/web/tests/text.js",
    ] {
        assert!(ignore.ignores(kept_back), "{kept_back} is sent to the builder");
    }
}
