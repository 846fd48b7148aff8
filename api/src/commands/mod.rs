//! What the `api` binary does beside serving: migrating, administrators, demo data, and waiting for the
//! database at start. The one-process binary has some of it, too.

pub mod administration;
pub mod secrets;

use crate::{
    Parts,
    accounts::admin,
    auth::{
        passwords::random_secret,
        tokens::{Tokens, generate_pem},
    },
    config::Config,
    db::{CheckPlaces, ConnectError, Databases, Db, Dividing, execute},
    demo,
    error::Error,
    settings::{AdminCommand, Settings},
};
use anyhow::Context as _;
use platform::{bus::Bus, lifecycle::Lifecycle, limit::Limiter, presence::Presence};
use std::time::Duration;

/// `api migrate`: brings the schema up to date.
pub async fn migrate(settings: &Settings) -> anyhow::Result<()> {
    let db = open(settings).await?;
    for one in db.each() {
        one.migrate().await?;
    }
    db.check_places().await?;
    tracing::info!("the schema is up to date");
    db.close().await;
    Ok(())
}

/// `api divide`.
pub async fn divide(settings: &Settings) -> anyhow::Result<()> {
    let db = open_unplaced(settings).await?;
    for one in db.each() {
        one.check_schema().await?;
    }
    db.divide(Dividing::Copied).await?;
    db.close().await;
    Ok(())
}

/// `api restored`.
pub async fn restored(settings: &Settings) -> anyhow::Result<()> {
    let db = open(settings).await?;
    bring_schema(&db, settings).await?;
    renew_epoch(db.home()).await?;
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

/// The databases of the settings.
pub async fn open(settings: &Settings) -> anyhow::Result<Databases> {
    connect(settings, CheckPlaces::Yes).await
}

/// The same, whatever their places are: they are to get others.
async fn open_unplaced(settings: &Settings) -> anyhow::Result<Databases> {
    connect(settings, CheckPlaces::No).await
}

async fn connect(settings: &Settings, places: CheckPlaces) -> anyhow::Result<Databases> {
    let url = settings.database_url.as_ref().ok_or(ConnectError::Missing)?;
    let others = settings.chat_database_urls.as_ref();
    Ok(Databases::connect(url.reveal(), others, places, &settings.database()).await?)
}

/// Waits until the home answers, however long: an api that starts before its database is not
/// wrong, only early. Then checks ADMIN_PASSWORD, and brings the schema up to date or checks that somebody
/// did.
pub async fn await_schema(db: &Databases, settings: &Settings) -> anyhow::Result<()> {
    let mut told = false;
    while let Err(error) = db.home().ping().await {
        if !told {
            told = true;
            tracing::warn!(%error, "waiting for the database");
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    admin::check(Some(db.home()), settings.admin_password.as_ref()).await?;
    bring_schema(db, settings).await
}

/// Servers other than the home that are away are passed over: the chats of all others are to be served.
async fn bring_schema(db: &Databases, settings: &Settings) -> anyhow::Result<()> {
    for (place, one) in db.each().iter().enumerate() {
        if place > 0
            && let Err(error) = one.ping().await
        {
            tracing::warn!(server = place, %error, "cannot look at the schema of a server of chats yet");
            continue;
        }
        if settings.migrate { one.migrate().await } else { one.check_schema().await }
            .context("the schema is not ready")?;
    }
    Ok(db.check_places().await?)
}

/// A refusal or fault as text, for the log of a process that cannot start.
pub fn told(error: Error) -> anyhow::Error {
    anyhow::anyhow!("{}", error.detail)
}

/// `api admin`.
pub async fn administer(settings: &Settings, command: &AdminCommand) -> anyhow::Result<()> {
    let db = open(settings).await?;
    administration::run(command, db.home(), settings.admin_password.as_ref()).await?;
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
