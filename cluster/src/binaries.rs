//! The binaries of the api, the gateway and the canary: built from the sources as they are now, so that no test
//! ever runs a stale one.

use anyhow::{Context, Result, bail};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};
use tokio::sync::OnceCell;

/// The folder of the binaries `api`, `gateway` and `canary`, beside our own: same target folder, same
/// profile. Builds them, once in the life of this process.
pub(crate) async fn folder() -> Result<&'static Path> {
    static FOLDER: OnceCell<PathBuf> = OnceCell::const_new();
    let folder = FOLDER.get_or_try_init(|| async {
        tokio::task::spawn_blocking(build).await?.context("cannot build the binaries")
    });
    folder.await.map(PathBuf::as_path)
}

fn build() -> Result<PathBuf> {
    let own = env::current_exe()?;
    let mut folder = own.parent().context("no folder")?;
    // Test binaries are one deeper than programs.
    if folder.ends_with("deps") {
        folder = folder.parent().context("no folder")?;
    }
    let (Some(target), Some(profile)) = (folder.parent(), folder.file_name()) else {
        bail!("{} is not in a target folder", own.display());
    };
    let profile = if profile == "debug" { "dev".as_ref() } else { profile };
    // The one in the search path: it chooses the toolchain, as it did for us.
    let mut cargo = Command::new("cargo");
    cargo
        .args(["build", "--quiet", "--bin", "api", "--bin", "gateway", "--bin", "canary"])
        // With the all-in-one binary the features, and so most compiled dependencies, are the ones
        // of `cargo run`; it is not built itself.
        .args(["-p", "api", "-p", "gateway", "-p", "canary", "-p", "standalone"])
        // As the images are built.
        .args(["--features", "otlp"])
        .args(["--target-dir".as_ref(), target.as_os_str(), "--profile".as_ref(), profile])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
    let output = cargo.output().context("cannot run cargo")?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(fs::canonicalize(folder)?)
}
