//! Finds the servers' programs on this machine, and the shipped configurations for them.
//! `scripts/install-test-tools` installs the programs.

use crate::program::ChildUser;
use anyhow::{Context, Result};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Finds a program in the search path, or where distributions put servers for administrators.
pub(crate) fn find(name: &str) -> Result<PathBuf> {
    let found = shell(r#"PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin" command -v "$1""#, name);
    found.map(PathBuf::from).with_context(|| not_installed(name))
}

/// A file or folder of `deploy/`.
pub(crate) fn shipped(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(path)
}

/// The folder of PostgreSQL's programs: in the search path, or the distribution's folder of the
/// newest version (Debian and Red Hat do not put servers into the search path).
pub(crate) fn postgres_folder() -> Result<PathBuf> {
    if let Some(initdb) = shell(r#"command -v "$1""#, "initdb") {
        // A link leads to the folder where all programs of that version are.
        let initdb = fs::canonicalize(initdb)?;
        return initdb.parent().map(Path::to_path_buf).context("initdb has no folder");
    }
    let debian = subfolders(Path::new("/usr/lib/postgresql"));
    let red_hat = subfolders(Path::new("/usr")).filter(|path| version(path).is_some());
    debian
        .chain(red_hat)
        .map(|path| path.join("bin"))
        .filter(|path| path.join("initdb").exists())
        .max_by_key(|path| path.parent().and_then(version))
        .with_context(|| not_installed("PostgreSQL"))
}

/// `15` of `/usr/lib/postgresql/15` and `/usr/pgsql-15`.
fn version(path: &Path) -> Option<u32> {
    let name = path.file_name()?.to_str()?;
    name.strip_prefix("pgsql-").unwrap_or(name).parse().ok()
}

fn subfolders(path: &Path) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path())
}

/// PostgreSQL refuses to run as root: the user it runs as instead, or `None` when we are not root.
pub(crate) fn unprivileged_user() -> Result<Option<ChildUser>> {
    if shell(r#"id "$1""#, "-u").as_deref() != Some("0") {
        return Ok(None);
    }
    let id = |flag: &str, name: &str| shell(&format!(r#"id {flag} "$1""#), name)?.parse().ok();
    ["postgres", "nobody"]
        .into_iter()
        .find_map(|name| Some(Some(ChildUser { uid: id("-u", name)?, gid: id("-g", name)? })))
        .context("running as root, but neither a user postgres nor a user nobody exists")
}

fn shell(script: &str, argument: &str) -> Option<String> {
    let output = Command::new("sh").args(["-c", script, "sh", argument]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let text = text.trim();
    (output.status.success() && !text.is_empty()).then(|| text.to_owned())
}

fn not_installed(name: &str) -> String {
    format!("{name} is not installed: run scripts/install-test-tools")
}
