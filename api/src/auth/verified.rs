//! Access tokens whose signature was found good, so that a client's next request with the same token
//! costs a look instead of 40 µs of arithmetic. It knows nothing of sessions: whether one has ended is
//! asked for every request. For a process whose keys never change.

use parking_lot::Mutex;
use platform::token::{Claims, TokenError, Verifier};
use protocol::time::Timestamp;
use sha2::{Digest as _, Sha256};
use std::{collections::HashMap, fmt, mem, sync::Arc};

/// About 250 bytes each: 4 MB. Everybody who asks within some seconds, of an api that serves its 2,000
/// requests a second and core. When it is full, those are forgotten that nobody showed for the longest,
/// and verified again when they come.
const CAPACITY: usize = 16_384;

/// The tokens, by their SHA-256: the tokens themselves are not kept. Clones share them.
#[derive(Clone, Default)]
pub struct Verified {
    known: Arc<Mutex<KnownTokens>>,
}

/// Two generations: the older one goes when the younger has half of the capacity, and who is in use moves to
/// the younger.
#[derive(Default)]
struct KnownTokens {
    young: HashMap<[u8; 32], Claims>,
    old: HashMap<[u8; 32], Claims>,
}

impl KnownTokens {
    fn find(&mut self, digest: &[u8; 32]) -> Option<Claims> {
        if let Some(claims) = self.young.get(digest) {
            return Some(claims.clone());
        }
        let claims = self.old.remove(digest)?;
        self.keep(*digest, claims.clone());
        Some(claims)
    }

    fn keep(&mut self, digest: [u8; 32], claims: Claims) {
        if self.young.len() >= CAPACITY / 2 {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(digest, claims);
    }
}

impl Verified {
    /// What `verifier` says of the token; of one that it found good, without asking again.
    pub fn verify(
        &self,
        verifier: &Verifier,
        token: &str,
        now: Timestamp,
    ) -> Result<Claims, TokenError> {
        // The digest and not the token, so that a dump of the memory holds nothing to sign in with.
        let digest: [u8; 32] = Sha256::digest(token).into();
        if let Some(claims) = self.known.lock().find(&digest) {
            // The signature stays good, the time does not.
            return if claims.is_expired(now) { Err(TokenError::Expired) } else { Ok(claims) };
        }
        // Without the lock: checking a signature would make every other request wait for it.
        let claims = verifier.verify(token, now)?;
        self.known.lock().keep(digest, claims.clone());
        Ok(claims)
    }
}

impl fmt::Debug for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.known.lock();
        f.debug_struct("Verified").field("known", &(known.young.len() + known.old.len())).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::tokens::{Subject, Tokens, generate_pem};
    use protocol::{
        account::Role,
        id::{SessionId, UserId},
    };
    use std::time::Duration;
    use uuid::Uuid;

    fn token(tokens: &Tokens, now: Timestamp) -> String {
        let subject = Subject {
            user_id: UserId(7),
            session_id: SessionId(Uuid::now_v7()),
            username: "ann".to_owned(),
            role: Role::User,
        };
        tokens.issue(&subject, now, Duration::from_secs(60)).unwrap()
    }

    #[test]
    fn a_known_token_expires_like_a_new_one() {
        let tokens = Tokens::from_pem(generate_pem().unwrap().reveal()).unwrap();
        let (verified, now) = (Verified::default(), Timestamp(1_700_000_000_000));
        let token = token(&tokens, now);
        let verify = |seconds: i64| {
            let then = Timestamp(now.0 + seconds * 1_000);
            let claims = verified.verify(tokens.verifier(), &token, then);
            assert_eq!(claims, tokens.verifier().verify(&token, then));
            claims.map(|claims| claims.sub)
        };
        assert_eq!(verify(0), Ok(UserId(7)));
        assert_eq!(verify(59), Ok(UserId(7)));
        assert_eq!(verify(66), Err(TokenError::Expired));
    }

    #[test]
    fn what_is_not_good_is_not_remembered_and_the_memory_is_bounded() {
        let tokens = Tokens::from_pem(generate_pem().unwrap().reveal()).unwrap();
        let (verified, now) = (Verified::default(), Timestamp(1_700_000_000_000));
        let good = token(&tokens, now);
        verified.verify(tokens.verifier(), &good, now).unwrap();
        // The same claims under another signature.
        let (claims, _) = good.rsplit_once('.').unwrap();
        let forged = format!("{claims}.{}", "A".repeat(86));
        for _ in 0..2 {
            let refused = verified.verify(tokens.verifier(), &forged, now);
            assert_eq!(refused.unwrap_err(), TokenError::BadSignature);
        }
        let known = || {
            let known = verified.known.lock();
            known.young.len() + known.old.len()
        };
        assert_eq!(known(), 1);
        let claims = verified.known.lock().find(&Sha256::digest(&good).into()).unwrap();
        let (used, unused): ([u8; 32], [u8; 32]) = ([1; 32], [2; 32]);
        verified.known.lock().keep(used, claims.clone());
        verified.known.lock().keep(unused, claims.clone());
        for number in 0..2 * CAPACITY as u64 {
            verified.known.lock().keep(Sha256::digest(number.to_be_bytes()).into(), claims.clone());
            assert!(verified.known.lock().find(&used).is_some(), "{number}: it is in use");
            assert!(known() <= CAPACITY);
        }
        assert!(verified.known.lock().find(&unused).is_none());
    }
}
