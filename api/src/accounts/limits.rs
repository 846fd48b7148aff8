//! Limits on signing in, registering, renewing, uploading pictures, and mails and the links in them. The rates and their reasons are in
//! [`crate::config::Config`].

use crate::{
    error::{Error, Result},
    state::Api,
};
use platform::limit::{Rate, network, seconds};
use protocol::id::UserId;
use std::net::IpAddr;

/// One attempt of something limited.
#[derive(Debug, Clone, Copy)]
pub enum AccountAttempt<'a> {
    /// Any sign-in from this address.
    LoginFrom(IpAddr),
    /// To this name, whether an account has it or not, from this address.
    LoginTo(&'a str, IpAddr),
    /// To this name from anywhere, by a device that has never signed in to it.
    LoginToByStranger(&'a str),
    /// By a device that has.
    LoginByDevice(&'a str),
    /// With the present password, by somebody who is signed in.
    PasswordOf(UserId),
    /// With a code for the second step of signing in, by whoever knows the password.
    CodeOf(UserId),
    /// Any registration from this address.
    RegisterFrom(IpAddr),
    /// Any mail that somebody at this address asks for.
    MailFrom(IpAddr),
    /// To this address (its key), whoever asks for it.
    MailTo(&'a str),
    /// An upload of a picture.
    PictureOf(UserId),
    /// Any use of a link from this address.
    LinkFrom(IpAddr),
    /// Any renewal of tokens from this address.
    RefreshFrom(IpAddr),
}

impl AccountAttempt<'_> {
    /// For the metric.
    fn kind(self) -> &'static str {
        match self {
            Self::LoginFrom(_)
            | Self::LoginTo(..)
            | Self::LoginToByStranger(_)
            | Self::LoginByDevice(_) => "login",
            Self::PasswordOf(_) => "password",
            Self::CodeOf(_) => "code",
            Self::RegisterFrom(_) => "register",
            Self::MailFrom(_) | Self::MailTo(_) => "mail",
            Self::PictureOf(_) => "picture",
            Self::LinkFrom(_) => "link",
            Self::RefreshFrom(_) => "refresh",
        }
    }
}

/// `rate_limited` with the time to come back when it is one too many.
pub async fn admit(api: &Api, attempt: AccountAttempt<'_>) -> Result<()> {
    let (key, rate) = key_and_rate(api, attempt);
    api.limiter.try_take(&key, &rate).await.map_err(|wait| {
        metrics::counter!("limit_refused_total", "kind" => attempt.kind()).increment(1);
        Error::too_many(seconds(wait))
    })
}

fn key_and_rate(api: &Api, attempt: AccountAttempt<'_>) -> (String, Rate) {
    let config = &api.config;
    match attempt {
        AccountAttempt::LoginFrom(address) => {
            (format!("login:from:{}", network(address)), config.login_per_address)
        }
        AccountAttempt::LoginTo(name, address) => {
            (format!("login:to:{}:{name}", network(address)), config.login_per_account_and_address)
        }
        AccountAttempt::LoginToByStranger(name) => {
            (format!("login:anywhere:{name}"), config.login_per_account)
        }
        AccountAttempt::LoginByDevice(id) => {
            (format!("login:device:{id}"), config.login_per_account_and_address)
        }
        AccountAttempt::PasswordOf(user) => {
            (format!("password:{user}"), config.login_per_account_and_address)
        }
        AccountAttempt::CodeOf(user) => (format!("code:{user}"), config.codes_per_account),
        AccountAttempt::RegisterFrom(address) => {
            (format!("register:from:{}", network(address)), config.register_per_address)
        }
        AccountAttempt::MailFrom(address) => {
            (format!("mail:from:{}", network(address)), config.mail_per_address)
        }
        AccountAttempt::MailTo(key) => (format!("mail:to:{key}"), config.mail_per_recipient),
        AccountAttempt::PictureOf(user) => (format!("picture:{user}"), config.avatars.per_account),
        AccountAttempt::LinkFrom(address) => {
            (format!("link:from:{}", network(address)), config.links_per_address)
        }
        AccountAttempt::RefreshFrom(address) => {
            (format!("refresh:from:{}", network(address)), config.refresh_per_address)
        }
    }
}
