//! The public keys that verify access tokens. They are fetched once a minute, and at once for a token of an
//! unknown key. Verifying a token of a known key waits for nothing.

use crate::backend::Backend;
use platform::token::{Claims, TokenError, Verifier};
use protocol::{close::Close, time::Timestamp};
use std::{sync::Arc, time::Duration};
use tokio::{sync::Mutex, time::Instant};

/// How often the public keys are fetched anew, so that a rotation reaches every node before the
/// new key signs.
const KEYS_INTERVAL: Duration = Duration::from_secs(60);

/// How often the first keys are asked for.
const FIRST_KEYS_INTERVAL: Duration = Duration::from_millis(200);

/// A token of an unknown key makes the keys be fetched at once, but not more often than this,
/// whether the api answers or not: anybody can send made-up key ids.
const KEYS_PAUSE: Duration = Duration::from_secs(2);

/// How long a token of an unknown key waits for the keys. A client that is told to come back then is
/// better off than one that waits, and so are those behind it.
const KEYS_PATIENCE: Duration = Duration::from_secs(1);

/// The keys. Only [`Keys::keep`] and tokens of unknown keys fetch them.
pub(crate) struct Keys {
    backend: Arc<dyn Backend>,
    verifier: Verifier,
    /// When a token last caused a fetch, and whether the keys came. One task holds the lock while it fetches. The
    /// others wait for [`KEYS_PATIENCE`] at most.
    tried: Mutex<Option<(Instant, bool)>>,
}

impl Keys {
    pub(crate) fn new(backend: Arc<dyn Backend>) -> Self {
        Self { backend, verifier: Verifier::new(), tried: Mutex::default() }
    }

    /// Verifies a token, or returns the close for its socket. If the token's key is unknown and the keys
    /// cannot be fetched, the client must come back later, since its token may be good.
    pub(crate) async fn verify(&self, token: &str) -> Result<Claims, Close> {
        let mut verdict = self.verifier.verify(token, Timestamp::now());
        if verdict == Err(TokenError::UnknownKey) {
            if !self.are_fresh().await {
                return Err(Close::Overloaded);
            }
            verdict = self.verifier.verify(token, Timestamp::now());
        }
        verdict.map_err(|error| match error {
            TokenError::Expired => Close::TokenExpired,
            TokenError::Malformed
            | TokenError::UnknownKey
            | TokenError::BadSignature
            | TokenError::Early => Close::Unauthenticated,
        })
    }

    /// Whether there are any keys yet. Does not wait.
    pub(crate) fn any(&self) -> bool {
        self.verifier.has_keys()
    }

    /// Fetches the keys for as long as the process lives.
    pub(crate) async fn keep(self: Arc<Self>) {
        loop {
            self.fetch().await;
            let pause = if self.any() { KEYS_INTERVAL } else { FIRST_KEYS_INTERVAL };
            tokio::time::sleep(pause).await;
        }
    }

    /// Fetches the keys unless that was just done. `false` if the api does not answer in time.
    async fn are_fresh(&self) -> bool {
        let Ok(mut tried) = tokio::time::timeout(KEYS_PATIENCE, self.tried.lock()).await else {
            return false;
        };
        if let Some((at, came)) = *tried
            && at.elapsed() < KEYS_PAUSE
        {
            return came;
        }
        // Noted before the fetch: a client that goes away meanwhile must not let the next one fetch at once.
        *tried = Some((Instant::now(), false));
        let came = tokio::time::timeout(KEYS_PATIENCE, self.fetch()).await.unwrap_or(false);
        *tried = Some((Instant::now(), came));
        came
    }

    /// Whether the api told its keys and they can be used.
    async fn fetch(&self) -> bool {
        match self.backend.jwks().await {
            Ok(jwks) => match self.verifier.replace(&jwks) {
                Ok(()) => return true,
                Err(error) => tracing::error!(%error, "the api's public keys cannot be used"),
            },
            Err(error) => tracing::warn!(%error, "cannot fetch the public keys"),
        }
        false
    }
}

#[cfg(test)]
mod tests;
