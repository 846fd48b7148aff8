//! A temporary folder that is removed with this process, even if the process is killed.

use crate::program::ChildUser;
use anyhow::{Context, Result};
use std::{
    os::unix::{fs::chown, process::CommandExt},
    path::Path,
    process::{Child, Command, Stdio},
};

/// Waits for the end of its stdin, then removes the folder. The servers in it are being ended at
/// the same time and may still write: a few tries.
const SWEEPER: &str = r#"
read -r _
tries=0
until rm -rf -- "$1" || [ "$tries" -ge 100 ]; do sleep 0.1; tries=$((tries + 1)); done 2>/dev/null
"#;

/// The folder. Declare it after the processes that use it: fields are dropped in order.
pub(crate) struct Scratch {
    folder: tempfile::TempDir,
    sweeper: Child,
}

impl Scratch {
    /// Makes the folder `{name}-…` in the system's folder for temporary files.
    pub(crate) fn new(name: &str) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix(&format!("switchboard-{name}-"))
            .tempdir()
            .context("cannot create a temporary folder")?;
        let sweeper = Command::new("sh")
            .args(["-c", SWEEPER, "sweeper"])
            .arg(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Out of reach of Ctrl-C, or it would not be there when it is needed.
            .process_group(0)
            .spawn()
            .context("cannot start sh")?;
        Ok(Self { folder, sweeper })
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Gives the folder to the user that a server in it runs as.
    pub(crate) fn give_to(&self, user: Option<ChildUser>) -> Result<()> {
        if let Some(user) = user {
            chown(self.path(), Some(user.uid), Some(user.gid))
                .context("cannot change the owner of a folder")?;
        }
        Ok(())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(self.sweeper.stdin.take());
        // The sweeper removes the folder; waiting for it leaves no zombie.
        let _ = self.sweeper.wait();
    }
}
