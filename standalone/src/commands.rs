//! What the `switchboard` binary does beside serving, on its data folder; one may be serving from it.

use crate::{server::DATABASE, settings::StandaloneSettings};
use anyhow::{Context, ensure};
use api::{
    commands,
    db::{Db, DbConfig},
    settings::AdminCommand,
};
use std::{
    fs::{self, OpenOptions},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// `switchboard admin`.
pub async fn administer(
    settings: &StandaloneSettings,
    command: &AdminCommand,
) -> anyhow::Result<()> {
    let db = open(settings).await?;
    commands::administration::run(command, &db, settings.admin_password.as_ref()).await?;
    db.close().await;
    Ok(())
}

/// `switchboard restored`.
pub async fn restore(settings: &StandaloneSettings) -> anyhow::Result<()> {
    let db = open(settings).await?;
    commands::renew_epoch(&db).await?;
    db.close().await;
    Ok(())
}

/// `switchboard backup`: a copy for its owner only, which is opened and checked before it is called one.
/// None is left when something goes wrong.
#[expect(clippy::print_stdout, reason = "what is asked for on the command line")]
pub async fn backup(settings: &StandaloneSettings, file: &Path) -> anyhow::Result<()> {
    let db = open(settings).await?;
    let mut private = OpenOptions::new();
    // The file is made before SQLite writes to it, which would give it the usual permissions.
    private.write(true).create_new(true).mode(0o600);
    private.open(file).with_context(|| format!("cannot create {file:?}"))?;
    let copied = async {
        db.copy_to(file).await.context("cannot copy the database")?;
        let copy = connect(file).await?;
        copy.check_content().await.context("the copy is damaged")?;
        let messages = copy.count_messages().await?;
        copy.close().await;
        anyhow::Ok(messages)
    };
    let messages = copied.await.inspect_err(|_| drop(fs::remove_file(file)))?;
    db.close().await;
    println!("{} holds {messages} messages and passed the check.", file.display());
    println!(
        "Keep {} with the copy, which signs the tokens, and people's pictures in {}.",
        settings.data.join("jwt.pem").display(),
        settings.data.join("avatars").display()
    );
    Ok(())
}

/// The database of the data folder, which must be there.
async fn open(settings: &StandaloneSettings) -> anyhow::Result<Db> {
    let file = settings.data.join(DATABASE);
    ensure!(
        file.exists(),
        "there is no database in {:?}: start switchboard there once, or choose another --data",
        settings.data
    );
    let db = connect(&file).await?;
    db.migrate().await.context("cannot update the database schema")?;
    Ok(db)
}

async fn connect(file: &Path) -> anyhow::Result<Db> {
    let url = format!("sqlite:{}", file.display());
    Db::connect(&url, &DbConfig::default()).await.with_context(|| format!("cannot open {file:?}"))
}
