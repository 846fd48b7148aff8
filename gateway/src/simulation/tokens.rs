//! The users' tokens, signed as the api signs them.

use super::store::person;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::{Signer as _, SigningKey};
use parking_lot::Mutex;
use platform::token::{Claims, Issuer, Jwk};
use protocol::{
    account::Role,
    id::{SessionId, UserId},
    time::Timestamp,
};
use std::collections::HashMap;

fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

pub(super) fn jwk() -> Jwk {
    Jwk::ed25519(key().verifying_key().as_bytes())
}

/// A token of the user's session. Made once in a process: signing costs as much as a tenth of a simulation.
pub(super) fn token(user: UserId) -> String {
    static TOKENS: Mutex<Option<HashMap<UserId, String>>> = Mutex::new(None);
    let mut tokens = TOKENS.lock();
    tokens.get_or_insert_default().entry(user).or_insert_with(|| sign(user)).clone()
}

fn sign(user: UserId) -> String {
    let now = Timestamp::now().unix_seconds();
    let claims = Claims {
        sub: user,
        sid: SessionId(uuid::Uuid::from_u128(user.0.unsigned_abs().into())),
        name: person(user).username,
        role: Role::User,
        iat: now,
        exp: now + 24 * 60 * 60,
        iss: Issuer::Switchboard,
    };
    let head = serde_json::json!({ "alg": "EdDSA", "kid": jwk().kid });
    let part = |json: Vec<u8>| URL_SAFE_NO_PAD.encode(json);
    let head = part(serde_json::to_vec(&head).unwrap_or_default());
    let signed = format!("{head}.{}", part(serde_json::to_vec(&claims).unwrap_or_default()));
    let signature = URL_SAFE_NO_PAD.encode(key().sign(signed.as_bytes()).to_bytes());
    format!("{signed}.{signature}")
}
