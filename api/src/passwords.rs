//! Password hashing: argon2id with OWASP's parameters (m = 19 MiB, t = 2, p = 1), off the async
//! threads, a bounded number at once. What makes a password acceptable is decided elsewhere.

use crate::{
    config::PasswordConfig,
    fault::{Result, fault},
};
use argon2::{
    Argon2, PasswordHasher as _, PasswordVerifier as _, password_hash::phc::PasswordHash,
};
use shared::{problem::Problem, settings::Secret};
use std::{num::NonZero, sync::Arc, time::Duration};
use tokio::sync::Semaphore;

/// Stands in the place of the hash in accounts that were made without a password. Only
/// [`crate::accounts::bulk`] writes it, and knows its accounts by it.
pub(crate) const NO_PASSWORD: &str = "!bulk";

/// Hashes and checks passwords. Clones share the permits. Dropping a call's future does not stop
/// its hash, and the permit stays taken until the hash is done: memory is bounded by
/// permits × 19 MiB however many clients give up.
#[derive(Clone, Debug)]
pub struct Passwords {
    permits: Arc<Semaphore>,
    wait: Duration,
    /// The hash of a password nobody knows, for accounts that do not exist.
    nobody: Arc<str>,
}

impl Passwords {
    /// Hashes once, so it takes some milliseconds.
    pub fn new(config: &PasswordConfig) -> Result<Self> {
        let permits = config.permits.unwrap_or_else(|| {
            std::thread::available_parallelism().map_or(1, NonZero::get).saturating_sub(1)
        });
        let nobody = hash(&random_secret())?;
        Ok(Self {
            permits: Arc::new(Semaphore::new(permits.max(1))),
            wait: config.wait,
            nobody: nobody.into(),
        })
    }

    /// The text to store. 503 when no permit comes free in time.
    pub async fn hash(&self, password: Secret) -> Result<String> {
        self.run(move || hash(&password)).await?
    }

    /// Whether the password is the one of `stored`. Without one to compare with the answer is `false` after
    /// the same work, so that the time taken does not tell whether an account exists.
    pub async fn verify(&self, stored: Option<String>, password: Secret) -> Result<bool> {
        let stored = stored.filter(|stored| stored != NO_PASSWORD);
        let known = stored.is_some();
        let stored = stored.unwrap_or_else(|| self.nobody.to_string());
        let matches = self
            .run(move || {
                let stored = PasswordHash::new(&stored).map_err(fault)?;
                let password = password.reveal().as_bytes();
                Ok::<_, Problem>(Argon2::default().verify_password(password, &stored).is_ok())
            })
            .await??;
        Ok(matches && known)
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let permit = tokio::time::timeout(self.wait, Arc::clone(&self.permits).acquire_owned())
            .await
            .map_err(|_| busy())?
            .map_err(fault)?;
        tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work()
        })
        .await
        .map_err(fault)
    }
}

/// 32 random bytes as text, for secrets that are stored hashed or not at all.
pub fn random_secret() -> Secret {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    Secret::new(URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()))
}

fn hash(password: &Secret) -> Result<String> {
    Argon2::default()
        .hash_password(password.reveal().as_bytes())
        .map(|hash| hash.to_string())
        .map_err(fault)
}

fn busy() -> Problem {
    let mut problem = Problem::unavailable();
    problem.code = "busy";
    problem.detail = "Too many people are signing in right now. Try again in a moment.".into();
    problem.retry_after = Some(2);
    problem
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::StatusCode;

    fn passwords(wait: Duration) -> Passwords {
        Passwords::new(&PasswordConfig { permits: Some(1), wait }).unwrap()
    }

    #[tokio::test]
    async fn only_the_right_password_of_a_known_account_matches() {
        let passwords = passwords(Duration::from_secs(30));
        let stored = passwords.hash(Secret::new("password123")).await.unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        let verify = |stored: Option<String>, password| {
            let passwords = passwords.clone();
            async move { passwords.verify(stored, Secret::new(password)).await.unwrap() }
        };
        assert!(verify(Some(stored.clone()), "password123").await);
        assert!(!verify(Some(stored), "password124").await);
        assert!(!verify(None, "password123").await);
        for password in ["", NO_PASSWORD, "password123"] {
            assert!(!verify(Some(NO_PASSWORD.to_owned()), password).await, "{password}");
        }
    }

    #[tokio::test]
    async fn a_full_house_answers_503_with_a_time_to_come_back() {
        let passwords = passwords(Duration::from_millis(1));
        let held = Arc::clone(&passwords.permits).acquire_owned().await.unwrap();
        let error = passwords.hash(Secret::new("x")).await.unwrap_err();
        assert_eq!((error.status, error.code), (StatusCode::SERVICE_UNAVAILABLE, "busy"));
        assert!(error.retry_after.is_some());
        drop(held);
    }

    #[tokio::test]
    async fn a_dropped_request_keeps_its_permit_until_the_hash_is_done() {
        let passwords = passwords(Duration::from_secs(30));
        let (release, wait) = std::sync::mpsc::channel::<()>();
        let mut work = Box::pin(passwords.run(move || wait.recv()));
        assert!(futures_util::poll!(&mut work).is_pending());
        drop(work);
        assert_eq!(passwords.permits.available_permits(), 0);
        release.send(()).unwrap();
        assert!(passwords.permits.acquire().await.is_ok());
    }
}
