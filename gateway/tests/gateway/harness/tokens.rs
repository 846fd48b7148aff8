//! The users' tokens, signed as the api signs them.

use super::world::username;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::{Signer as _, SigningKey};
use platform::token::{Claims, Issuer, Jwk};
use protocol::{account::Role, id::UserId, time::Timestamp};

fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

pub(super) fn jwk() -> Jwk {
    Jwk::ed25519(key().verifying_key().as_bytes())
}

/// A token of the user's session.
pub fn token(user: UserId) -> String {
    let now = Timestamp::now().unix_seconds();
    let claims = Claims {
        sub: user,
        sid: super::session(user),
        name: username(user),
        role: Role::User,
        iat: now,
        exp: now + 900,
        iss: Issuer::Switchboard,
    };
    let head = serde_json::json!({ "alg": "EdDSA", "kid": jwk().kid });
    let part = |json: Vec<u8>| URL_SAFE_NO_PAD.encode(json);
    let head = part(serde_json::to_vec(&head).unwrap());
    let signed = format!("{head}.{}", part(serde_json::to_vec(&claims).unwrap()));
    let signature = URL_SAFE_NO_PAD.encode(key().sign(signed.as_bytes()).to_bytes());
    format!("{signed}.{signature}")
}
