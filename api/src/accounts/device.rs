//! Recognizes devices that have signed in before, by a cookie (the device cookies of OWASP). Wrong passwords
//! from all over the world then cannot keep a user from signing in at home. Nothing is stored for it.

use crate::state::Api;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use platform::settings::Secret;
use protocol::id::UserId;
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

/// A device of this user, new.
pub(crate) fn introduce(api: &Api, user: UserId) -> Option<Secret> {
    let id = Uuid::new_v4().simple().to_string();
    let proof = proofs(api, user, &id).next()?;
    Some(Secret::new(format!("{id}.{proof}")))
}

/// The id of a device that has signed in as this user before.
pub(crate) fn recognize<'a>(api: &Api, user: UserId, shown: &'a str) -> Option<&'a str> {
    let (id, proof) = shown.split_once('.')?;
    let is_same = |one: String| bool::from(one.as_bytes().ct_eq(proof.as_bytes()));
    (id.len() == 32 && proofs(api, user, id).any(is_same)).then_some(id)
}

/// What only a device of this user can show, with each key that is held.
fn proofs(api: &Api, user: UserId, id: &str) -> impl Iterator<Item = String> {
    api.tokens.derive(&format!("device {user} {id}")).map(|proof| URL_SAFE_NO_PAD.encode(proof))
}
