//! `api secrets`: the secrets of a deployment, made once, each in a file named as its setting. What
//! reads a folder of secrets (compose's volumes, `kubectl create secret --from-file`) takes it as it is.

use crate::auth::{passwords::random_secret, tokens::generate_pem};
use anyhow::Context as _;
use platform::settings::Secret;
use std::{
    fs::{DirBuilder, OpenOptions},
    io::{ErrorKind, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

/// The settings that are made here. The administrator's password is not: `api admin create` makes
/// one and shows it to a person.
pub const NAMES: [&str; 5] =
    ["INTERNAL_TOKEN", "JWT_PRIVATE_KEY", "DATABASE_PASSWORD", "CANARY_PASSWORD", "AGENT_SECRET"];

/// Makes what is missing in `folder`, readable by the owner only, and prints names, never values. Where
/// `folder/NAME` is a folder itself, the file goes into that: as a volume of its own it can be given to
/// those who need this secret and no other.
#[expect(clippy::print_stdout, reason = "a command for the terminal")]
pub fn make(folder: &Path) -> anyhow::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .with_context(|| format!("cannot make {}", folder.display()))?;
    for name in NAMES {
        let secret = match name {
            "JWT_PRIVATE_KEY" => generate_pem()?,
            _ => random_secret(),
        };
        let path = match folder.join(name) {
            own if own.is_dir() => own.join(name),
            path => path,
        };
        let made = write_new(&path, &secret)
            .with_context(|| format!("cannot write {}", path.display()))?;
        println!("{name}: {}", if made { "made" } else { "kept" });
    }
    Ok(())
}

/// Writes a file that is not there yet; false when it is. All of it or nothing: a crash must not
/// leave half of a key that later runs would keep.
fn write_new(path: &Path, secret: &Secret) -> std::io::Result<bool> {
    if path.exists() {
        return Ok(false);
    }
    let unfinished = path.with_extension("unfinished");
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
    file.write_all(secret.reveal().as_bytes())?;
    file.sync_all()?;
    // A link, unlike a rename, never replaces what another run put there meanwhile.
    let linked = std::fs::hard_link(&unfinished, path);
    std::fs::remove_file(&unfinished)?;
    match linked {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::tokens::Tokens;
    use std::{fs, os::unix::fs::PermissionsExt};

    #[test]
    fn made_once_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("new");
        make(&folder).unwrap();
        let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
        let first = NAMES.map(read);
        make(&folder).unwrap();
        assert_eq!(NAMES.map(read), first);
        for name in NAMES {
            let mode = fs::metadata(folder.join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
            assert!(read(name).len() >= 43, "{name}");
        }
        Tokens::from_pem(&read("JWT_PRIVATE_KEY")).unwrap();
        assert_eq!(fs::read_dir(&folder).unwrap().count(), NAMES.len(), "nothing unfinished");
    }

    #[test]
    fn a_folder_of_its_own_gets_its_secret() {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("INTERNAL_TOKEN");
        fs::create_dir(&own).unwrap();
        make(folder.path()).unwrap();
        let first = fs::read_to_string(own.join("INTERNAL_TOKEN")).unwrap();
        make(folder.path()).unwrap();
        assert_eq!(fs::read_to_string(own.join("INTERNAL_TOKEN")).unwrap(), first);
        assert!(folder.path().join("JWT_PRIVATE_KEY").is_file());
    }
}
