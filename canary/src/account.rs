//! The canary's two accounts: signing one in, registering it when it is missing, renewing its tokens.
//! When to do that is the keeper's business.

use crate::rest::{PublicApi, RequestError, TokenGrant};
use platform::settings::Secret;
use protocol::id::UserId;
use std::{fmt, time::Duration};

/// One sends on all gateways and the other one listens on all of them: a user is not shown its own
/// typing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CanaryAccount {
    /// Sends messages and typing signals.
    Sender,
    /// Receives them on every gateway.
    Listener,
}

impl CanaryAccount {
    /// The sender and the listener.
    pub const BOTH: [CanaryAccount; 2] = [Self::Sender, Self::Listener];

    /// The fixed name that the account registers and signs in with.
    pub fn username(self) -> &'static str {
        match self {
            Self::Sender => "canary_a",
            Self::Listener => "canary_b",
        }
    }
}

/// A token, and the session it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessPass {
    /// The access token to present.
    pub token: Secret,
    /// Counts how often the account was signed in; renewing keeps the session.
    pub session: u64,
}

/// Why an account cannot be signed in.
#[derive(Debug, PartialEq, Eq)]
pub enum SignInError {
    /// The password is wrong; trying again does not help.
    Wrong(WrongPassword),
    /// The request failed.
    Fault(RequestError),
}

/// The account exists and has another password: nothing that waiting helps with.
#[derive(Debug, PartialEq, Eq)]
pub struct WrongPassword(CanaryAccount);

/// One account's session.
pub struct AccountSession {
    account: CanaryAccount,
    grant: TokenGrant,
    number: u64,
    /// The server has ended it: only signing in helps.
    over: bool,
}

impl AccountSession {
    /// Signs the account in.
    pub async fn start(
        rest: &PublicApi,
        account: CanaryAccount,
        password: &Secret,
    ) -> Result<Self, SignInError> {
        let grant = sign_in(rest, account, password).await?;
        Ok(Self { account, grant, number: 1, over: false })
    }

    /// The current access token, with the number of its session.
    pub fn pass(&self) -> AccessPass {
        AccessPass { token: self.grant.access_token.clone(), session: self.number }
    }

    /// The current access token.
    pub fn token(&self) -> &Secret {
        &self.grant.access_token
    }

    /// The account's user.
    pub fn user_id(&self) -> UserId {
        self.grant.id
    }

    /// How long a fresh token is good for.
    pub fn token_life(&self) -> Duration {
        Duration::from_secs(self.grant.expires_in)
    }

    /// The server does not accept session `number` of the account any more. Whether that is news.
    pub fn on_refused(&mut self, account: CanaryAccount, number: u64) -> bool {
        let is_new = self.account == account && self.number == number && !self.over;
        self.over |= is_new;
        is_new
    }

    /// Fresh tokens: of the same session, or of a new one where that has ended.
    pub async fn renew(&mut self, rest: &PublicApi, password: &Secret) -> Result<(), SignInError> {
        if !self.over {
            match rest.renew(&self.grant.refresh_token).await {
                Ok(grant) => {
                    self.grant = grant;
                    return Ok(());
                }
                Err(RequestError::Refused(..)) => self.over = true,
                Err(fault) => return Err(SignInError::Fault(fault)),
            }
        }
        let grant = sign_in(rest, self.account, password).await?;
        let (account, number) = (self.account, self.number + 1);
        *self = Self { account, grant, number, over: false };
        tracing::info!(account = account.username(), "the session had ended; signed in again");
        Ok(())
    }
}

/// Signs in, and registers before when there is no such account yet.
async fn sign_in(
    rest: &PublicApi,
    account: CanaryAccount,
    password: &Secret,
) -> Result<TokenGrant, SignInError> {
    let username = account.username();
    let refused = |fault: &RequestError| fault.is("invalid_credentials");
    // The answer does not tell a missing account from a wrong password; registering does.
    match rest.sign_in(username, password).await {
        Err(fault) if refused(&fault) => {}
        answer => return answer.map_err(SignInError::Fault),
    }
    match rest.register(username, password).await {
        Err(fault) if fault.is("username_taken") => {}
        answer => return answer.map_err(SignInError::Fault),
    }
    // Perhaps another canary has just registered it.
    match rest.sign_in(username, password).await {
        Err(fault) if refused(&fault) => Err(SignInError::Wrong(WrongPassword(account))),
        answer => answer.map_err(SignInError::Fault),
    }
}

impl From<RequestError> for SignInError {
    fn from(fault: RequestError) -> Self {
        Self::Fault(fault)
    }
}

impl fmt::Display for SignInError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wrong(wrong) => wrong.fmt(f),
            Self::Fault(fault) => fault.fmt(f),
        }
    }
}

impl fmt::Display for WrongPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.0.username();
        write!(f, "CANARY_PASSWORD is wrong: the account {name} exists with a different password")
    }
}
