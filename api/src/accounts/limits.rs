//! Who may try to sign in, register and renew how often. The rates and their reasons are in
//! [`crate::config::Config`].

use crate::{Api, fault::Result};
use shared::{
    id::UserId,
    limit::{Rate, network},
    problem::Problem,
};
use std::net::IpAddr;

/// One attempt of something limited.
#[derive(Debug, Clone, Copy)]
pub enum Attempt<'a> {
    LoginFrom(IpAddr),
    /// To an existing account: one limit, by whichever of its names it is tried.
    LoginTo(UserId),
    /// To a name that no account has; limited alike, so that a limit does not tell which exist.
    LoginToNobody(&'a str),
    RegisterFrom(IpAddr),
    RefreshFrom(IpAddr),
}

/// 429 with the time to come back when it is one too many.
pub async fn admit(api: &Api, attempt: Attempt<'_>) -> Result<()> {
    let (key, rate) = key_and_rate(api, attempt);
    api.limiter.try_take(&key, &rate).await.map_err(|wait| {
        // Rounded up: coming back exactly then must work.
        Problem::too_many(wait.as_secs() + u64::from(wait.subsec_nanos() > 0))
    })
}

fn key_and_rate(api: &Api, attempt: Attempt<'_>) -> (String, Rate) {
    let config = &api.config;
    match attempt {
        Attempt::LoginFrom(address) => {
            (format!("login:from:{}", network(address)), config.login_per_address)
        }
        Attempt::LoginTo(user) => (format!("login:to:{user}"), config.login_per_account),
        Attempt::LoginToNobody(name) => (format!("login:name:{name}"), config.login_per_account),
        Attempt::RegisterFrom(address) => {
            (format!("register:from:{}", network(address)), config.register_per_address)
        }
        Attempt::RefreshFrom(address) => {
            (format!("refresh:from:{}", network(address)), config.refresh_per_address)
        }
    }
}
