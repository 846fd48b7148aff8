//! Finds the binaries to run: those in a folder that the user names, or our own, built from the current
//! sources so that no test runs a stale one. It starts none of them.

use anyhow::{Context, Result, bail};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};
use tokio::sync::OnceCell;

/// Variables that `cargo test` sets for a test of our package. A build script that depends on them, as ring's
/// does, would run again for each package's tests, and everything that uses that crate would be compiled again.
const PACKAGE_VARIABLES: [&str; 7] = [
    "CARGO_MANIFEST_DIR",
    "CARGO_MANIFEST_LINKS",
    "CARGO_PKG_NAME",
    "CARGO_PKG_VERSION_MAJOR",
    "CARGO_PKG_VERSION_MINOR",
    "CARGO_PKG_VERSION_PATCH",
    "CARGO_PKG_VERSION_PRE",
];

/// A binary that the folder given by `--binaries` lacks. Programs that take the option end with
/// [`exit_code`].
#[derive(Debug, thiserror::Error)]
#[error("{} is missing; build it with cargo build --release --workspace --bin {name} --features otlp", path.display())]
pub struct MissingBinary {
    name: &'static str,
    path: PathBuf,
}

/// The exit code for wrong arguments (`EX_USAGE` of BSD's sysexits), as all programs of Switchboard have it.
pub const EXIT_USAGE: u8 = 64;

/// The exit code of a program that fails with `error`: 64 where the user named a folder without a
/// binary, otherwise 1.
pub fn exit_code(error: &anyhow::Error) -> ExitCode {
    if error.is::<MissingBinary>() { ExitCode::from(EXIT_USAGE) } else { ExitCode::FAILURE }
}

/// The folder of the binaries `api` and `gateway`: the `given` one, in which both must be. Otherwise the
/// one beside our own binary, where they and `canary` are built, once in the life of this process.
pub(crate) async fn cluster_folder(given: Option<&Path>) -> Result<PathBuf> {
    static BUILT: OnceCell<PathBuf> = OnceCell::const_new();
    if let Some(folder) = given {
        return check(folder, &["api", "gateway"]);
    }
    BUILT.get_or_try_init(|| build_in_background(&["api", "gateway", "canary"])).await.cloned()
}

/// The folder of the all-in-one binary `switchboard`: the `given` one, which must have it, or the one where it
/// is built.
///
/// # Errors
/// [`MissingBinary`], or a failed build.
pub async fn switchboard_folder(given: Option<&Path>) -> Result<PathBuf> {
    match given {
        Some(folder) => check(folder, &["switchboard"]),
        None => build_in_background(&["switchboard"]).await,
    }
}

fn check(folder: &Path, names: &[&'static str]) -> Result<PathBuf> {
    for &name in names {
        let path = folder.join(name);
        if !path.is_file() {
            bail!(MissingBinary { name, path });
        }
    }
    Ok(fs::canonicalize(folder)?)
}

async fn build_in_background(programs: &'static [&str]) -> Result<PathBuf> {
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
        bail!("{} is not in a Cargo target folder", own.display());
    };
    // The one in the search path: it chooses the toolchain, as it did for us.
    let mut cargo = Command::new("cargo");
    for name in PACKAGE_VARIABLES {
        cargo.env_remove(name);
    }
    cargo
        .args(["build", "--quiet"])
        .args(programs.iter().flat_map(|program| ["--bin", program]))
        // As the images are built.
        .args(["--features", "otlp"]);
    if profile == "debug" {
        // In tests. Together with a test of the whole workspace, the features of the dependencies are
        // the ones of `scripts/run-tests`, which has compiled them all and this small test too.
        cargo.args(["--workspace", "--test", "servers", "--profile", "test"]);
    } else {
        // With the all-in-one binary's package the features of the dependencies are the ones of
        // `cargo run`.
        let packages = ["api", "gateway", "canary", "standalone"];
        cargo.args(
            packages.iter().flat_map(|name| ["-p".to_owned(), format!("switchboard-{name}")]),
        );
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
