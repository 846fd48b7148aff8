//! What services and faces work with. How it is made, and what runs beside the requests, is for the
//! crate's root to know: so nothing below the root imports it.

use crate::{
    auth::{ended::Ended, passwords::Passwords, tokens::Tokens, verified::Verified},
    config::Config,
    db::Db,
};
use platform::{bus::Bus, lifecycle::Lifecycle, limit::Limiter, presence::Presence};
use std::sync::Arc;

/// What the api works with. Clones share it.
#[derive(Clone)]
pub struct Api {
    pub db: Db,
    /// The same database by people's own connections: `db` of the public routes.
    pub people: Db,
    pub bus: Bus,
    pub presence: Presence,
    pub limiter: Limiter,
    pub tokens: Tokens,
    /// Tokens whose signature is known.
    pub verified: Verified,
    pub passwords: Passwords,
    /// Sessions that ended lately.
    pub ended: Ended,
    pub config: Arc<Config>,
    /// Owner of what must go on when its request has gone.
    pub lifecycle: Lifecycle,
}

impl Api {
    /// Closes the database's connections, waiting for those in use.
    pub async fn close(&self) {
        self.people.close().await;
        self.db.close().await;
    }
}
