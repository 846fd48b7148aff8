//! What the `api` binary does beside serving: migrating, administrators, demo data, and waiting for the
//! database at start. The one-process binary has some of it, too.

pub mod secrets;

use crate::{
    Parts,
    accounts::admin,
    auth::{
        passwords::{Passwords, random_secret},
        tokens::{Tokens, generate_pem},
    },
    config::{Config, PasswordConfig},
    db::{ConnectError, Db, execute},
    demo,
    error::Error,
    lookalikes::ADMIN,
    settings::{AdminCommand, Settings},
};
use anyhow::{Context as _, bail};
use platform::{
    bus::Bus, lifecycle::Lifecycle, limit::Limiter, presence::Presence, settings::Secret,
};
use protocol::account::Role;
use std::{
    io::{self, Write as _},
    time::Duration,
};

/// `api migrate`: brings the schema up to date.
pub async fn migrate(settings: &Settings) -> anyhow::Result<()> {
    let db = open(settings).await?;
    db.migrate().await?;
    tracing::info!("the schema is up to date");
    db.close().await;
    Ok(())
}

/// `api restored`.
pub async fn restored(settings: &Settings) -> anyhow::Result<()> {
    let db = open(settings).await?;
    bring_schema(&db, settings).await?;
    renew_epoch(&db).await?;
    db.close().await;
    Ok(())
}

/// Gives the database another epoch. Message numbers that clients have seen may name other messages now; a
/// client that comes with the old epoch is told to load its chats anew.
pub async fn renew_epoch(db: &Db) -> anyhow::Result<()> {
    let mut tx = db.begin().await?;
    execute!(tx, "UPDATE meta SET value = $1 WHERE key = 'epoch'", random_secret().reveal())?;
    tx.commit().await?;
    tracing::info!("clients will reload everything");
    Ok(())
}

/// The database of the settings.
pub async fn open(settings: &Settings) -> anyhow::Result<Db> {
    let url = settings.database_url.as_ref().ok_or(ConnectError::Missing)?;
    Ok(Db::connect(url.reveal(), &settings.database()).await?)
}

/// Waits until the database answers, however long: an api that starts before its database is not
/// wrong, only early. Then checks ADMIN_PASSWORD, and brings the schema up to date or checks that somebody
/// did.
pub async fn await_schema(db: &Db, settings: &Settings) -> anyhow::Result<()> {
    let mut told = false;
    while let Err(error) = db.ping().await {
        if !told {
            told = true;
            tracing::warn!(%error, "waiting for the database");
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    admin::check(Some(db), settings.admin_password.as_ref()).await?;
    bring_schema(db, settings).await
}

async fn bring_schema(db: &Db, settings: &Settings) -> anyhow::Result<()> {
    if settings.migrate { db.migrate().await } else { db.check_schema().await }
        .context("the schema is not ready")
}

/// A refusal or fault as text, for the log of a process that cannot start.
pub fn told(error: Error) -> anyhow::Error {
    anyhow::anyhow!("{}", error.detail)
}

/// Does it on this database, whose processes may be running: each act is in the audit log, and they
/// find it there. Prints what the operator wants to know.
#[expect(clippy::print_stdout, reason = "what is asked for on the command line")]
pub async fn run_admin(
    command: &AdminCommand,
    db: &Db,
    chosen: Option<&Secret>,
) -> anyhow::Result<()> {
    let passwords = Passwords::new(&PasswordConfig::default()).map_err(told)?;
    match command {
        AdminCommand::Create => {
            admin::check(Some(db), chosen).await?;
            let password = chosen.cloned().unwrap_or_else(random_secret);
            let given = chosen.is_some();
            let tell = |password: &Secret| match given {
                true => say("created admin with ADMIN_PASSWORD"),
                false => tell_password(ADMIN, password),
            };
            if !admin::create(db, &passwords, password, tell).await.map_err(told)? {
                bail!("{ADMIN} already exists; its password was not changed");
            }
        }
        AdminCommand::List => {
            for (username, blocked) in admin::list(db).await.map_err(told)? {
                println!("{username}{}", if blocked { " (blocked)" } else { "" });
            }
        }
        AdminCommand::Password { username } => {
            let tell = |password: &Secret| tell_password(username, password);
            admin::reset_password(db, &passwords, username, random_secret(), tell)
                .await
                .map_err(told)?;
        }
        AdminCommand::Promote { username } | AdminCommand::Demote { username } => {
            let (role, is) = match command {
                AdminCommand::Promote { .. } => (Role::Admin, "an administrator"),
                _ => (Role::User, "no administrator"),
            };
            let changed = admin::set_role(db, username, role).await.map_err(told)?;
            println!("{username} {} {is}", if changed { "is now" } else { "was already" });
        }
    }
    Ok(())
}

/// Shows a password to the operator, or says that this cannot be.
pub fn tell_password(username: &str, password: &Secret) -> io::Result<()> {
    say(&format!(
        "username: {username}\npassword: {}\nThis password will not be shown again.",
        password.reveal()
    ))
}

fn say(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{text}")?;
    stdout.flush()
}

/// `api admin`.
pub async fn administer(settings: &Settings, command: &AdminCommand) -> anyhow::Result<()> {
    let db = open(settings).await?;
    run_admin(command, &db, settings.admin_password.as_ref()).await?;
    db.close().await;
    Ok(())
}

/// `api demo`: makes users and chats to try things out with. Nobody hears the bus of this process:
/// gateways find what is new by asking what changed.
pub async fn make_demo(settings: &Settings) -> anyhow::Result<()> {
    let db = open(settings).await?;
    bring_schema(&db, settings).await?;
    let lifecycle = Lifecycle::new();
    let parts = Parts {
        people: db.apart(&settings.database()),
        db,
        bus: Bus::local(),
        presence: Presence::local(),
        limiter: Limiter::local(Default::default()),
        // Nobody signs in here.
        tokens: Tokens::from_pem(generate_pem()?.reveal())?,
    };
    let api = crate::start(parts, Config::default(), &lifecycle).await.map_err(told)?;
    let made = demo::make(&api).await.map_err(told);
    lifecycle.stop();
    lifecycle.finish(Duration::ZERO).await;
    tell_demo(&made?);
    Ok(())
}

/// Tells the operator how to sign in.
#[expect(clippy::print_stdout, reason = "passwords are for the operator, not for the log")]
pub fn tell_demo(made: &demo::Demo) {
    println!("{made}");
}
