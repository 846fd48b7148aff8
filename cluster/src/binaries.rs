//! The binaries of the api, the gateway, the canary and all in one: built from the sources as they are now, so that no test
//! ever runs a stale one.

use anyhow::{Context, Result, bail};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};
use tokio::sync::OnceCell;

/// What `cargo test` tells a test of its own package. A build script that depends on them, as ring's
/// does, would be run again for each package's tests, and everything on that crate compiled again.
const OF_OUR_PACKAGE: [&str; 7] = [
    "CARGO_MANIFEST_DIR",
    "CARGO_MANIFEST_LINKS",
    "CARGO_PKG_NAME",
    "CARGO_PKG_VERSION_MAJOR",
    "CARGO_PKG_VERSION_MINOR",
    "CARGO_PKG_VERSION_PATCH",
    "CARGO_PKG_VERSION_PRE",
];

/// The folder of the binaries `api`, `gateway` and `canary`, beside our own: same target folder, same
/// profile. Builds them, once in the life of this process.
pub(crate) async fn folder() -> Result<&'static Path> {
    static FOLDER: OnceCell<PathBuf> = OnceCell::const_new();
    let folder = FOLDER.get_or_try_init(|| built(&["api", "gateway", "canary"]));
    folder.await.map(PathBuf::as_path)
}

/// The folder of the all-in-one binary `switchboard`, likewise.
pub async fn switchboard_folder() -> Result<PathBuf> {
    built(&["switchboard"]).await
}

async fn built(programs: &'static [&str]) -> Result<PathBuf> {
    tokio::task::spawn_blocking(|| build(programs)).await?.context("cannot build the binaries")
}

fn build(programs: &[&str]) -> Result<PathBuf> {
    let own = env::current_exe()?;
    let mut folder = own.parent().context("no folder")?;
    // Test binaries are one deeper than programs.
    if folder.ends_with("deps") {
        folder = folder.parent().context("no folder")?;
    }
    let (Some(target), Some(profile)) = (folder.parent(), folder.file_name()) else {
        bail!("{} is not in a target folder", own.display());
    };
    // The one in the search path: it chooses the toolchain, as it did for us.
    let mut cargo = Command::new("cargo");
    for name in OF_OUR_PACKAGE {
        cargo.env_remove(name);
    }
    cargo
        .args(["build", "--quiet"])
        .args(programs.iter().flat_map(|program| ["--bin", program]))
        // As the images are built.
        .args(["--features", "otlp"]);
    if profile == "debug" {
        // In tests. Together with a test of the whole workspace, the features of the dependencies are
        // the ones of `cargo test --workspace`, which has compiled them all. This test, which is built
        // there too, is small and without a crate that has the feature above.
        cargo.args(["--workspace", "--test", "servers", "--profile", "test"]);
    } else {
        // With the all-in-one binary's package the features of the dependencies are the ones of
        // `cargo run`.
        cargo.args(["-p", "api", "-p", "gateway", "-p", "canary", "-p", "standalone"]);
        cargo.arg("--profile").arg(profile);
    }
    cargo
        .args(["--target-dir".as_ref(), target.as_os_str()])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
    let output = cargo.output().context("cannot run cargo")?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(fs::canonicalize(folder)?)
}
