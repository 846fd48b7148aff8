//! What the `api` binary does beside serving: migrating, making the administrator, and waiting for
//! the database at start.

use crate::{
    accounts::admin,
    config::PasswordConfig,
    db::{Db, DbConfig},
    passwords::{Passwords, random_secret},
    settings::{Command, Settings},
};
use anyhow::{Context as _, bail};
use shared::{problem::Problem, settings::Secret};
use std::time::Duration;

/// Carries out a command that does not serve.
pub async fn run(command: Command, settings: &Settings, url: &Secret) -> anyhow::Result<()> {
    let db = open(settings, url).await?;
    match command {
        Command::Admin(_) => create_admin(&db, settings.admin_password.clone()).await?,
        Command::Migrate | Command::Serve => {
            db.migrate().await?;
            tracing::info!("the schema is up to date");
        }
    }
    db.close().await;
    Ok(())
}

/// The database of the settings.
pub async fn open(settings: &Settings, url: &Secret) -> anyhow::Result<Db> {
    let config = DbConfig { max_connections: settings.database_connections, ..DbConfig::default() };
    Ok(Db::connect(url.reveal(), &config).await?)
}

/// Waits until the database answers, however long: an api that starts before its database is not
/// wrong, only early. Then brings the schema up to date, or checks that somebody did.
pub async fn await_schema(db: &Db, settings: &Settings) -> anyhow::Result<()> {
    let mut told = false;
    while let Err(error) = db.ping().await {
        if !told {
            told = true;
            tracing::warn!(%error, "waiting for the database");
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    if settings.migrate { db.migrate().await } else { db.check_schema().await }
        .context("the schema is not ready")
}

/// A refusal or fault as text, for the log of a process that cannot start.
pub fn told(problem: Problem) -> anyhow::Error {
    anyhow::anyhow!("{}", problem.detail)
}

#[expect(clippy::print_stdout, reason = "the password is for the operator, not for the log")]
async fn create_admin(db: &Db, password: Option<Secret>) -> anyhow::Result<()> {
    let passwords = Passwords::new(&PasswordConfig::default()).map_err(told)?;
    let given = password.is_some();
    let password = password.unwrap_or_else(random_secret);
    if !admin::create(db, &passwords, password.clone()).await.map_err(told)? {
        bail!("{} exists already; its password was not changed", admin::USERNAME);
    }
    if given {
        println!("{} was made with ADMIN_PASSWORD", admin::USERNAME);
    } else {
        println!("username: {}\npassword: {}", admin::USERNAME, password.reveal());
    }
    Ok(())
}
