//! Access tokens whose signature was found good, so that to see one again costs a look instead of 60 µs of
//! arithmetic: a client's next request, or its sockets that come back. It knows neither keys nor the time.

use super::Claims;
use parking_lot::Mutex;
use std::{collections::HashMap, mem};

/// The maximum number of tokens. A table of half of them is just full at a power of two. With about 170 bytes each,
/// all take 2.5 MB. They are the clients of a gateway of 15,000 sockets, or whoever asks within some seconds an api
/// that serves 2,000 requests a second and core. Beyond it, those are forgotten that nobody showed for the longest,
/// and verified again when they come.
const CAPACITY: usize = 14_336;

/// The tokens, by their SHA-256.
#[derive(Default)]
pub(super) struct KnownTokens(Mutex<Generations>);

/// Two generations: the older one goes when the younger has half of the capacity, and who is in use moves to
/// the younger.
#[derive(Default)]
struct Generations {
    young: HashMap<[u8; 32], Claims>,
    old: HashMap<[u8; 32], Claims>,
}

impl KnownTokens {
    /// What a known token says.
    pub(super) fn find(&self, digest: &[u8; 32]) -> Option<Claims> {
        let mut known = self.0.lock();
        if let Some(claims) = known.young.get(digest) {
            return Some(claims.clone());
        }
        let claims = known.old.remove(digest)?;
        known.keep(*digest, claims.clone());
        Some(claims)
    }

    /// Remembers a token that was verified.
    pub(super) fn keep(&self, digest: [u8; 32], claims: Claims) {
        self.0.lock().keep(digest, claims);
    }
}

impl Generations {
    fn keep(&mut self, digest: [u8; 32], claims: Claims) {
        if self.young.len() >= CAPACITY / 2 {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(digest, claims);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::Issuer;
    use protocol::{
        account::Role,
        id::{SessionId, UserId},
    };

    #[test]
    fn the_memory_is_bounded_and_who_is_in_use_stays() {
        let known = KnownTokens::default();
        let claims = Claims {
            sub: UserId(7),
            sid: SessionId(uuid::Uuid::nil()),
            name: "ann".to_owned(),
            role: Role::User,
            iat: 0,
            exp: 900,
            iss: Issuer::Switchboard,
        };
        let digest = |number: u64| {
            let mut digest = [0; 32];
            digest[..8].copy_from_slice(&number.to_be_bytes());
            digest
        };
        let (used, unused) = (digest(1), digest(2));
        known.keep(used, claims.clone());
        known.keep(unused, claims.clone());
        for number in 0..2 * CAPACITY as u64 {
            known.keep(digest(3 + number), claims.clone());
            assert!(known.find(&used).is_some(), "{number}: it is in use");
            let generations = known.0.lock();
            assert!(generations.young.len() + generations.old.len() <= CAPACITY);
        }
        assert!(known.find(&unused).is_none());
    }
}
