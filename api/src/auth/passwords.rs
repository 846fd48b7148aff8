//! Password hashing: argon2id with OWASP's parameters (m = 19 MiB, t = 2, p = 1), off the async
//! threads, a bounded number at once. What makes a password acceptable is decided elsewhere.

use crate::{
    config::PasswordConfig,
    error::{Error, Result, fault},
};
use argon2::{
    Algorithm, Argon2, Block, Params, Version,
    password_hash::phc::{Output, ParamsString, PasswordHash, Salt},
};
use icu_normalizer::ComposingNormalizer;
use parking_lot::Mutex;
use platform::{limit::network, settings::Secret};
use protocol::code::Code;
use std::{
    collections::HashMap,
    net::IpAddr,
    num::NonZero,
    sync::{Arc, Weak},
    time::Duration,
};
use tokio::sync::{AcquireError, Semaphore};

/// Stands in the place of the hash in accounts that were made without a password. Only
/// [`crate::accounts::bulk`] writes it, and knows its accounts by it.
pub(crate) const NO_PASSWORD: &str = "!bulk";

/// Passwords of one network that are hashed or wait in the queue of all. Its others wait behind these two, so
/// that a crowd, or an attack, from one address is at no time more than two hashes before everybody else.
const OF_A_NETWORK: usize = 2;

/// Hashes and checks passwords. Clones share the permits. Dropping a call's future does not stop
/// its hash, and the permit stays taken until the hash is done: memory is bounded by
/// permits × 19 MiB however many clients give up. It is kept for the next hash: given back and taken
/// anew, such pieces lie between others and make glibc's heap grow with every hash, to 400 MiB after 80.
#[derive(Clone)]
pub struct Passwords {
    permits: Arc<Semaphore>,
    /// The turns of those networks that want some.
    networks: Arc<Mutex<HashMap<IpAddr, Weak<Semaphore>>>>,
    /// Of the network that this is for; `None` for operators.
    turns: Option<Arc<Semaphore>>,
    /// What no hash uses at the moment. As many as there were hashes at once.
    memory: Arc<Mutex<Vec<Vec<Block>>>>,
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
        let mut memory = Vec::new();
        let nobody = hash(&random_secret(), &mut memory)?;
        Ok(Self {
            permits: Arc::new(Semaphore::new(permits.max(1))),
            networks: Arc::default(),
            turns: None,
            memory: Arc::new(Mutex::new(vec![memory])),
            wait: config.wait,
            nobody: nobody.into(),
        })
    }

    /// The same for somebody at this address, behind whoever else of that network was first.
    pub fn of(&self, address: IpAddr) -> Self {
        let mut networks = self.networks.lock();
        let network = network(address);
        let turns = networks.get(&network).and_then(Weak::upgrade).unwrap_or_else(|| {
            // Those are left that have passwords in hand: fewer than there are requests.
            networks.retain(|_, turns| turns.strong_count() > 0);
            let turns = Arc::new(Semaphore::new(OF_A_NETWORK));
            networks.insert(network, Arc::downgrade(&turns));
            turns
        });
        Self { turns: Some(turns), ..self.clone() }
    }

    /// The text to store. `busy` when no permit comes free in time.
    pub async fn hash(&self, password: Secret) -> Result<String> {
        let password = prepare(&password);
        self.run(move |memory| hash(&password, memory)).await?
    }

    /// Whether the password is the one of `stored`, prepared or, as accounts from before passwords were
    /// prepared have it, as it is written. Without one to compare with the answer is `false` after the
    /// same work, so that the time taken does not tell whether an account exists.
    pub async fn verify(&self, stored: Option<String>, password: Secret) -> Result<bool> {
        let stored = stored.filter(|stored| stored != NO_PASSWORD);
        let known = stored.is_some();
        let stored = stored.unwrap_or_else(|| self.nobody.to_string());
        let mut spellings = vec![prepare(&password)];
        if spellings[0].reveal() != password.reveal() {
            spellings.push(password);
        }
        let found = self.run(move |memory| -> Result<bool> {
            for password in spellings {
                if matches(&stored, &password, memory)? {
                    return Ok(true);
                }
            }
            Ok(false)
        });
        Ok(found.await?? && known)
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Vec<Block>) -> T + Send + 'static,
    ) -> Result<T> {
        let permits = tokio::time::timeout(self.wait, async {
            let turn = match &self.turns {
                Some(turns) => Some(Arc::clone(turns).acquire_owned().await?),
                None => None,
            };
            Ok::<_, AcquireError>((turn, Arc::clone(&self.permits).acquire_owned().await?))
        });
        let permits = permits.await.map_err(|_| busy())?.map_err(fault)?;
        let spare = Arc::clone(&self.memory);
        // A hash takes one core for long enough to stall every other request of an async thread.
        tokio::task::spawn_blocking(move || {
            // Held until the hash is done, even if the request has gone: its core is busy all the same.
            let _permits = permits;
            let mut memory = spare.lock().pop().unwrap_or_default();
            let done = work(&mut memory);
            spare.lock().push(memory);
            done
        })
        .await
        .map_err(fault)
    }
}

/// A password as it is hashed, the same whichever keyboard writes it (RFC 8265, 4.2.2: ASCII spaces, NFC).
fn prepare(password: &Secret) -> Secret {
    let spaced = password.reveal().replace(|c: char| c.is_whitespace() && !c.is_control(), " ");
    Secret::new(ComposingNormalizer::new_nfc().normalize(&spaced))
}

/// 32 random bytes as text, for secrets that are stored hashed or not at all.
pub fn random_secret() -> Secret {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    Secret::new(URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()))
}

fn hash(password: &Secret, memory: &mut Vec<Block>) -> Result<String> {
    let (algorithm, version, params) = <(Algorithm, Version, Params)>::default();
    let salt = Salt::new(&rand::random::<[u8; Salt::RECOMMENDED_LENGTH]>()).map_err(fault)?;
    let hash = PasswordHash {
        algorithm: algorithm.ident(),
        version: Some(version.into()),
        params: ParamsString::try_from(&params).map_err(fault)?,
        salt: Some(salt),
        hash: Some(output(Argon2::new(algorithm, version, params), password, &salt, memory)?),
    };
    Ok(hash.to_string())
}

/// Whether `stored`, with the parameters it was made with, is this password's.
fn matches(stored: &str, password: &Secret, memory: &mut Vec<Block>) -> Result<bool> {
    let stored = PasswordHash::new(stored).map_err(fault)?;
    let (Some(salt), Some(expected)) = (stored.salt, stored.hash) else { return Ok(false) };
    let algorithm = Algorithm::try_from(stored.algorithm.as_str()).map_err(fault)?;
    let version = stored.version.map(Version::try_from).transpose().map_err(fault)?;
    let params = Params::try_from(&stored).map_err(fault)?;
    let argon2 = Argon2::new(algorithm, version.unwrap_or_default(), params);
    // An `Output` is compared in constant time.
    Ok(output(argon2, password, &salt, memory)? == expected)
}

fn output(
    argon2: Argon2<'_>,
    password: &Secret,
    salt: &Salt,
    memory: &mut Vec<Block>,
) -> Result<Output> {
    memory.resize(argon2.params().block_count(), Block::default());
    let mut out = [0; Params::DEFAULT_OUTPUT_LEN];
    let password = password.reveal().as_bytes();
    argon2.hash_password_into_with_memory(password, salt, &mut out, memory).map_err(fault)?;
    Output::new(&out).map_err(fault)
}

fn busy() -> Error {
    let detail = "Too many people are signing in right now. Try again in a moment.";
    Error { retry_after: Some(2), ..Error::new(Code::Busy, detail) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use argon2::{PasswordHasher as _, PasswordVerifier as _};

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
    async fn a_password_is_the_same_in_each_spelling_and_one_from_before_as_it_was_written() {
        let passwords = passwords(Duration::from_secs(30));
        let verify = |stored: &str, password| {
            let (passwords, stored) = (passwords.clone(), stored.to_owned());
            async move { passwords.verify(Some(stored), Secret::new(password)).await.unwrap() }
        };
        let (composed, decomposed) = ("caf\u{e9} cr\u{e8}me", "cafe\u{301}\u{a0}cre\u{300}me");
        for written in [composed, decomposed] {
            let stored = passwords.hash(Secret::new(written)).await.unwrap();
            assert!(verify(&stored, composed).await && verify(&stored, decomposed).await);
            assert!(!verify(&stored, "cafe creme").await);
        }
        for before in [decomposed, "tab\tand ❤\u{fe0f}"] {
            let stored = Argon2::default().hash_password(before.as_bytes()).unwrap().to_string();
            assert!(verify(&stored, before).await, "{before:?}");
            assert!(!verify(&stored, "tab and ❤").await);
        }
    }

    #[tokio::test]
    async fn hashes_are_those_of_everybody() {
        let passwords = passwords(Duration::from_secs(30));
        let theirs = Argon2::default().hash_password(b"password123").unwrap().to_string();
        assert!(passwords.verify(Some(theirs), Secret::new("password123")).await.unwrap());
        let ours = passwords.hash(Secret::new("password123")).await.unwrap();
        assert!(Argon2::default().verify_password(b"password123", &*ours).is_ok());
        assert!(Argon2::default().verify_password(b"password124", &*ours).is_err());
    }

    #[tokio::test]
    async fn one_hash_after_the_other_takes_the_memory_of_one() {
        let passwords = passwords(Duration::from_secs(30));
        let place = || {
            let memory = passwords.memory.lock();
            memory.iter().map(|one| (one.as_ptr() as usize, one.len())).collect::<Vec<_>>()
        };
        let first = place();
        let stored = passwords.hash(Secret::new("password123")).await.unwrap();
        passwords.verify(Some(stored), Secret::new("password124")).await.unwrap();
        assert_eq!(place(), first);
        assert_eq!(first[0].1, 19 << 10, "blocks of 1 KiB");
    }

    #[tokio::test]
    async fn a_full_house_answers_503_with_a_time_to_come_back() {
        let passwords = passwords(Duration::from_millis(1));
        let held = Arc::clone(&passwords.permits).acquire_owned().await.unwrap();
        let error = passwords.hash(Secret::new("x")).await.unwrap_err();
        assert_eq!(error.code, Code::Busy);
        assert!(error.retry_after.is_some());
        drop(held);
    }

    /// One address fills the queue; somebody elsewhere has the third turn.
    #[tokio::test]
    async fn a_network_is_no_more_than_two_hashes_before_everybody_else() {
        let passwords = passwords(Duration::from_secs(30));
        let order = Arc::new(Mutex::new(Vec::new()));
        let held = Arc::clone(&passwords.permits).acquire_owned().await.unwrap();
        let mut waiting = Vec::new();
        for (number, address) in ["192.0.2.1"; 5].iter().chain(&["192.0.2.2"]).enumerate() {
            let (passwords, order) = (passwords.of(address.parse().unwrap()), Arc::clone(&order));
            let hash = async move { passwords.run(move |_| order.lock().push(number)).await };
            let mut hash = Box::pin(hash);
            // In this order they come.
            assert!(futures_util::poll!(&mut hash).is_pending());
            waiting.push(hash);
        }
        assert_eq!(passwords.networks.lock().len(), 2);
        drop(held);
        futures_util::future::try_join_all(waiting).await.unwrap();
        assert_eq!(*order.lock(), [0, 1, 5, 2, 3, 4]);
        drop(passwords.of("192.0.2.3".parse().unwrap()));
        assert_eq!(passwords.networks.lock().len(), 1, "the others are forgotten");
    }

    #[tokio::test]
    async fn a_dropped_request_keeps_its_permit_until_the_hash_is_done() {
        let passwords = passwords(Duration::from_secs(30));
        let (release, wait) = std::sync::mpsc::channel::<()>();
        let mut work = Box::pin(passwords.run(move |_| wait.recv()));
        assert!(futures_util::poll!(&mut work).is_pending());
        drop(work);
        assert_eq!(passwords.permits.available_permits(), 0);
        release.send(()).unwrap();
        assert!(passwords.permits.acquire().await.is_ok());
    }
}
