//! A person as its devices know it, and the one token that they share. A refresh token can be used once: the
//! first device that finds the token expired renews it, the others wait and take the new one.

use crate::{
    cast::CastMember,
    rest::{Rest, RestError},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use platform::settings::Secret;
use protocol::id::UserId;
use serde::Deserialize;
use serde_json::json;
use tokio::{
    sync::Mutex,
    time::{Duration, Instant},
};

/// What an access token is good for when it does not say so.
const DEFAULT_LIFE: Duration = Duration::from_secs(900);

/// How long before its end a token is renewed at the latest.
const MAX_RESERVE: Duration = Duration::from_secs(30);

/// One person. Shared by its devices.
#[derive(Debug)]
pub(crate) struct TestAccount {
    pub id: UserId,
    pub username: String,
    tokens: Mutex<TokenPair>,
}

/// A token to show, and until when it may be shown.
#[derive(Clone, Debug)]
pub(crate) struct Pass {
    pub token: Secret,
    pub expires: Instant,
    /// How long it was good for when it came.
    life: Duration,
    /// Counts the renewals, so that two passes can be told apart.
    pub number: u32,
}

impl Pass {
    /// From when on it is better renewed than shown: a part of its life, for connecting takes some
    /// seconds; not much of the quarter of an hour that tokens usually have.
    pub(crate) fn renew_from(&self) -> Instant {
        self.expires.checked_sub(MAX_RESERVE.min(self.life / 4)).unwrap_or(self.expires)
    }
}

#[derive(Debug)]
struct TokenPair {
    pass: Pass,
    refresh: Secret,
}

/// Why there is no fresh token.
#[derive(Debug, thiserror::Error)]
#[error("cannot renew the token: {0}")]
pub(crate) struct RenewError(#[from] RestError);

impl RenewError {
    /// Whether asking again cannot help: the session is over.
    pub(crate) fn is_final(&self) -> bool {
        matches!(self.0, RestError::Refused { .. })
    }

    /// When to ask again, where the api says so.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self.0 {
            RestError::Later { wait, .. } => Some(wait),
            _ => None,
        }
    }

    /// For [`crate::recorder::Counters::error`].
    pub(crate) fn kind(&self) -> String {
        match &self.0 {
            RestError::Refused { code, .. } => format!("refresh: {code}"),
            RestError::Later { code, .. } => format!("refresh: {code}"),
            RestError::Failed { .. } | RestError::Url(_) | RestError::Trust { .. } => {
                "refresh: no answer".to_owned()
            }
        }
    }
}

impl TestAccount {
    /// `now` and `unix_seconds` are the same moment.
    pub(crate) fn new(person: &CastMember, now: Instant, unix_seconds: i64) -> Self {
        let life = expiry(&person.token).map_or(DEFAULT_LIFE, |at| {
            Duration::from_secs(u64::try_from(at - unix_seconds).unwrap_or(0))
        });
        let pass = Pass { token: Secret::new(&person.token), expires: now + life, life, number: 0 };
        Self {
            id: person.id,
            username: person.username.clone(),
            tokens: Mutex::new(TokenPair { pass, refresh: Secret::new(&person.refresh) }),
        }
    }

    /// The newest token. Waits while it is being renewed.
    pub(crate) async fn pass(&self) -> Pass {
        self.tokens.lock().await.pass.clone()
    }

    /// The newest access and refresh token, where they are not those of the beginning any more: those
    /// are void then.
    pub(crate) async fn changed(&self) -> Option<(String, String)> {
        let TokenPair { pass, refresh } = &*self.tokens.lock().await;
        (pass.number > 0).then(|| (pass.token.reveal().to_owned(), refresh.reveal().to_owned()))
    }

    /// A newer token than that one: fetched, unless another device did meanwhile.
    pub(crate) async fn renewed(&self, old: u32, rest: &Rest) -> Result<Pass, RenewError> {
        #[derive(Deserialize)]
        struct Grant {
            access_token: String,
            refresh_token: String,
            expires_in: u64,
        }
        // Held over the request: two exchanges of one refresh token would end the session.
        let mut tokens = self.tokens.lock().await;
        if tokens.pass.number == old {
            let body = json!({ "refresh_token": tokens.refresh.reveal() });
            let grant: Grant = rest.post("/token/refresh", None, &body).await?;
            tokens.refresh = Secret::new(grant.refresh_token);
            let life = Duration::from_secs(grant.expires_in);
            tokens.pass = Pass {
                token: Secret::new(grant.access_token),
                expires: Instant::now() + life,
                life,
                number: old.wrapping_add(1),
            };
        }
        Ok(tokens.pass.clone())
    }
}

/// When a token says that it expires, in Unix seconds. Its signature is the server's business.
fn expiry(token: &str) -> Option<i64> {
    #[derive(Deserialize)]
    struct AccessClaims {
        exp: i64,
    }
    let claims = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    serde_json::from_slice::<AccessClaims>(&claims).ok().map(|claims| claims.exp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_says_when_it_expires() {
        let claims = BASE64_URL_SAFE_NO_PAD.encode(r#"{"sub":"7","exp":1700000900}"#);
        assert_eq!(expiry(&format!("e30.{claims}.sig")), Some(1_700_000_900));
        for other in ["", "a.b.c", "a", "a.e30.c"] {
            assert_eq!(expiry(other), None, "{other}");
        }
    }
}
