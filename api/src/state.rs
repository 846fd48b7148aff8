//! What services and faces work with. How it is made, and what runs beside the requests, is for the
//! crate's root to know: so nothing below the root imports it.

use crate::{
    auth::{ended::Ended, passwords::Passwords, tokens::Tokens},
    avatars::Avatars,
    config::Config,
    db::Databases,
    mail::Mailer,
    post_queue::PostQueues,
};
use platform::{bus::Bus, lifecycle::Lifecycle, limit::Limiter, presence::Presence};
use std::sync::Arc;

/// What the api works with. Clones share it.
#[derive(Clone)]
pub struct Api {
    /// For gateways' calls, and for what runs beside the requests.
    pub db: Databases,
    /// The same databases by people's own connections: `db` of the public routes.
    pub people: Databases,
    /// Carries what is published to the gateways.
    pub bus: Bus,
    /// Knows who is connected, to any gateway.
    pub presence: Presence,
    /// Counts of everything that is limited.
    pub limiter: Limiter,
    /// Signs and verifies access tokens.
    pub tokens: Tokens,
    /// Hashes and verifies passwords, a few at a time.
    pub passwords: Passwords,
    /// Sends letters, where a mail server is set.
    pub mailer: Mailer,
    /// Draws and keeps pictures, where a store is set.
    pub avatars: Avatars,
    /// Knows the sessions that ended while their access tokens were still valid.
    pub ended: Ended,
    /// Where calls of `post` on `db` meet.
    pub posts: PostQueues,
    /// The numbers of the services.
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
