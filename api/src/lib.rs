//! Switchboard's REST service: accounts, chats, messages, administration; the only owner of the
//! database. It holds no sockets.
//!
//! [`Api`] is what every service and route works with; [`router`] and [`internal_router`] are its
//! two faces; [`run`] serves them. Both the `api` binary and the one-process binary start here.

pub mod accounts;
pub mod auth;
pub mod config;
pub mod db;
pub mod extract;
mod fault;
pub mod passwords;
mod rest;
pub mod tokens;

use crate::{
    accounts::Ended, config::Config, db::Db, fault::Result, passwords::Passwords, tokens::Tokens,
};
use shared::{bus::Bus, lifecycle::Lifecycle, limit::Limiter, presence::Presence};
use std::sync::Arc;

/// What the api works with. Clones share it.
#[derive(Clone)]
pub struct Api {
    pub db: Db,
    pub bus: Bus,
    pub presence: Presence,
    pub limiter: Limiter,
    pub tokens: Tokens,
    pub passwords: Passwords,
    /// Sessions that ended lately.
    pub ended: Ended,
    pub config: Arc<Config>,
}

/// What an [`Api`] is made of and shares with the rest of its process.
pub struct Parts {
    /// With its schema in place.
    pub db: Db,
    pub bus: Bus,
    pub presence: Presence,
    pub limiter: Limiter,
    pub tokens: Tokens,
}

impl Api {
    /// Starts what runs beside the requests, until the soft stop. Works while the database is away:
    /// requests then fail with 503.
    pub async fn start(parts: Parts, config: Config, lifecycle: &Lifecycle) -> Result<Self> {
        let Parts { db, bus, presence, limiter, tokens } = parts;
        let config = Arc::new(config);
        let ended = Ended::default();
        if let Err(error) = ended.poll(&db, config.ended_capacity).await {
            tracing::warn!(%error, "cannot read ended sessions yet");
        }
        lifecycle.spawn(ended.clone().keep_current(
            db.clone(),
            Arc::clone(&config),
            lifecycle.clone(),
        ));
        let passwords = Passwords::new(&config.passwords)?;
        Ok(Self { db, bus, presence, limiter, tokens, passwords, ended, config })
    }
}
