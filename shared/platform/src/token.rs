//! Access tokens as every node checks them: JWTs signed with Ed25519 (RFC 8037), public keys by
//! `kid` from a JWKS. It signs nothing, fetches nothing and knows no ended sessions: a token that
//! verifies here may still belong to a session that is over.
//!
//! - `known.rs`: tokens whose signature was found good

mod ed25519;
mod known;

use crate::{
    metric::{self, Metric, Values},
    token::known::KnownTokens,
};
use arc_swap::ArcSwap;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, errors::ErrorKind};
use protocol::{
    account::Role,
    id::{SessionId, UserId},
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

/// The `iss` of every access token.
pub const ISSUER: &str = "switchboard";

/// How long an access token is good for. Short, because every node remembers the sessions that
/// ended within this time; long, because a client renews it with one request to the api.
pub const ACCESS_TOKEN_LIFETIME: Duration = Duration::from_secs(15 * 60);

/// How long after its expiry a token still passes: what clocks under NTP may differ, generously.
pub const LEEWAY: Duration = Duration::from_secs(5);

/// How far the clock of who issued a token may be ahead of the clock of who checks it. Ended sessions are
/// remembered for as much longer than a token lives.
pub const MAX_AHEAD: Duration = Duration::from_secs(60);

/// Longest token that is looked at. Ours are about 400 bytes; the longest username makes 600.
pub const MAX_TOKEN_BYTES: usize = 2_048;

/// Most keys in a JWKS: one that signs, and those of earlier rotations whose tokens still live.
pub const MAX_KEYS: usize = 16;

/// What an access token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The user. A string in JSON, as RFC 7519 wants it.
    #[serde(with = "text")]
    pub sub: UserId,
    /// The session that the token belongs to, and with which it dies.
    pub sid: SessionId,
    /// The username when the token was made.
    pub name: String,
    /// What the account may do.
    pub role: Role,
    /// Issued, seconds since 1970.
    pub iat: i64,
    /// Expires, seconds since 1970.
    pub exp: i64,
    /// Who issued it.
    pub iss: Issuer,
}

/// The issuer of our tokens. A token of another issuer is malformed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Issuer {
    /// [`ISSUER`].
    #[serde(rename = "switchboard")]
    Switchboard,
}

impl Claims {
    /// Whether the token is not good any more, with [`LEEWAY`].
    pub fn is_expired(&self, now: Timestamp) -> bool {
        let leeway = i64::try_from(LEEWAY.as_secs()).unwrap_or(i64::MAX);
        now.unix_seconds() >= self.exp.saturating_add(leeway)
    }

    /// Whether the token is good at this time.
    fn check_time(&self, now: Timestamp) -> Result<(), TokenError> {
        if self.is_expired(now) {
            return Err(TokenError::Expired);
        }
        // Its issuer's clock runs ahead, and it would live longer than ended sessions are remembered.
        if self.iat > now.unix_seconds().saturating_add_unsigned(MAX_AHEAD.as_secs()) {
            return Err(TokenError::Early);
        }
        Ok(())
    }
}

/// A set of public keys (RFC 7517), as `/.well-known/jwks.json` serves it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Jwks {
    /// At most [`MAX_KEYS`].
    pub keys: Vec<Jwk>,
}

/// An Ed25519 public key (RFC 8037).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Jwk {
    /// `OKP`.
    #[cfg_attr(feature = "openapi", schema(examples("OKP")))]
    pub kty: String,
    /// `Ed25519`.
    #[cfg_attr(feature = "openapi", schema(examples("Ed25519")))]
    pub crv: String,
    /// The 32 bytes of the key, base64url.
    #[cfg_attr(
        feature = "openapi",
        schema(examples("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"))
    )]
    pub x: String,
    /// The key's thumbprint (RFC 7638), so that equal keys have equal names on every node.
    #[cfg_attr(
        feature = "openapi",
        schema(examples("kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"))
    )]
    pub kid: String,
    /// `EdDSA`.
    #[cfg_attr(feature = "openapi", schema(examples("EdDSA")))]
    pub alg: String,
    /// `sig`.
    #[serde(rename = "use")]
    #[cfg_attr(feature = "openapi", schema(examples("sig")))]
    pub usage: String,
}

impl Jwk {
    /// The public key as it is published.
    pub fn ed25519(public: &[u8; 32]) -> Self {
        let x = URL_SAFE_NO_PAD.encode(public);
        // RFC 7638: the required members in alphabetic order, without white space.
        let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
        Self {
            kty: "OKP".to_owned(),
            crv: "Ed25519".to_owned(),
            kid: URL_SAFE_NO_PAD.encode(Sha256::digest(canonical)),
            x,
            alg: "EdDSA".to_owned(),
            usage: "sig".to_owned(),
        }
    }

    fn public_bytes(&self) -> Result<[u8; 32], BadKey> {
        let bad = || BadKey { kid: self.kid.clone() };
        if self.kty != "OKP" || self.crv != "Ed25519" {
            return Err(bad());
        }
        URL_SAFE_NO_PAD
            .decode(&self.x)
            .ok()
            .and_then(|bytes| <[u8; 32]>::try_from(bytes).ok())
            .ok_or_else(bad)
    }
}

/// A JWKS that cannot be used: a key in it is not an Ed25519 key, or there are too many or none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a usable set of Ed25519 keys (kid {kid:?})")]
pub struct BadKey {
    /// The first bad key's; empty when the set as a whole is bad.
    pub kid: String,
}

/// Why a token does not prove who sent it. To the client all are 401.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not an access token of ours: other shape, algorithm, issuer or claims.
    #[error("not an access token")]
    Malformed,
    /// Signed with a key that is not held. A gateway fetches the JWKS again, at a bounded rate.
    #[error("signed with an unknown key")]
    UnknownKey,
    /// The named key did not sign this.
    #[error("bad signature")]
    BadSignature,
    /// It was good once: the client renews it.
    #[error("the token has expired")]
    Expired,
    /// It was issued later than now, by more than clocks may differ.
    #[error("the token's time of issue is in the future: a clock is wrong")]
    Early,
}

/// The metrics of checked tokens.
pub const METRICS: &[Metric] = &[metric::counter(
    "token_checks_total",
    &[("result", Values::These(&["remembered", "verified", "refused"]))],
    "Access tokens checked. remembered: the same token was verified before, so its signature was not computed again",
)];

/// Checks access tokens. Clones share the keys and the memory of good tokens. Checking waits for nobody. It takes about
/// 60 µs, and a microsecond for a token that is remembered.
#[derive(Clone)]
pub struct Verifier {
    keys: Arc<ArcSwap<Keys>>,
    rules: Arc<Validation>,
}

/// A set of keys, and the tokens that it found good: what a former key signed is not remembered.
#[derive(Default)]
struct Keys {
    jwks: Vec<Jwk>,
    by_id: HashMap<String, DecodingKey>,
    known: KnownTokens,
}

impl Default for Verifier {
    fn default() -> Self {
        Self::new()
    }
}

impl Verifier {
    /// Without keys: everything is [`TokenError::UnknownKey`] until [`Verifier::replace`].
    pub fn new() -> Self {
        ed25519::install();
        let mut rules = Validation::new(Algorithm::EdDSA);
        rules.set_issuer(&[ISSUER]);
        rules.set_required_spec_claims(&["iss"]);
        // Expiry is checked here against the caller's clock.
        rules.validate_exp = false;
        rules.validate_aud = false;
        Self { keys: Arc::default(), rules: Arc::new(rules) }
    }

    /// From now on exactly these keys count. With a bad set the old ones stay.
    pub fn replace(&self, jwks: &Jwks) -> Result<(), BadKey> {
        if jwks.keys.is_empty() || jwks.keys.len() > MAX_KEYS {
            return Err(BadKey { kid: String::new() });
        }
        if self.keys.load().jwks == jwks.keys {
            return Ok(());
        }
        let by_id = jwks
            .keys
            .iter()
            .map(|key| Ok((key.kid.clone(), DecodingKey::from_ed_der(&key.public_bytes()?))))
            .collect::<Result<HashMap<_, _>, BadKey>>()?;
        let keys = Keys { jwks: jwks.keys.clone(), by_id, known: KnownTokens::default() };
        self.keys.store(Arc::new(keys));
        Ok(())
    }

    /// Whether any token can be verified.
    pub fn has_keys(&self) -> bool {
        !self.keys.load().by_id.is_empty()
    }

    /// What the token says, when a held key signed it and it has not expired at `now`.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Claims, TokenError> {
        let (result, verdict) = self.check(token, now);
        metrics::counter!("token_checks_total", "result" => result).increment(1);
        verdict
    }

    /// The verdict on a token, and what it is counted as.
    fn check(&self, token: &str, now: Timestamp) -> (&'static str, Result<Claims, TokenError>) {
        if token.len() > MAX_TOKEN_BYTES {
            return ("refused", Err(TokenError::Malformed));
        }
        let keys = self.keys.load();
        // The digest and not the token, so that a dump of the memory holds nothing to sign in with.
        let digest = Sha256::digest(token).into();
        if let Some(claims) = keys.known.find(&digest) {
            // The signature stays good, the time does not.
            return match claims.check_time(now) {
                Ok(()) => ("remembered", Ok(claims)),
                Err(error) => ("refused", Err(error)),
            };
        }
        let claims = self.claims(token, &keys);
        let claims = claims.and_then(|claims| claims.check_time(now).map(|()| claims));
        match claims {
            Ok(claims) => {
                keys.known.keep(digest, claims.clone());
                ("verified", Ok(claims))
            }
            Err(error) => ("refused", Err(error)),
        }
    }

    /// What the token says, if one of these keys signed it, at whatever time it is good.
    fn claims(&self, token: &str, keys: &Keys) -> Result<Claims, TokenError> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Malformed)?;
        if header.alg != Algorithm::EdDSA {
            return Err(TokenError::Malformed);
        }
        let kid = header.kid.ok_or(TokenError::Malformed)?;
        let key = keys.by_id.get(&kid).ok_or(TokenError::UnknownKey)?;
        let data = jsonwebtoken::decode::<Claims>(token, key, &self.rules);
        data.map(|data| data.claims).map_err(|error| match error.kind() {
            ErrorKind::InvalidSignature | ErrorKind::Signing(_) => TokenError::BadSignature,
            _ => TokenError::Malformed,
        })
    }
}

/// Whether a text has the form of our tokens, so that it is worth checking: a cookie of the same name
/// may be another application's.
pub fn has_our_form(token: &str) -> bool {
    token.len() <= MAX_TOKEN_BYTES
        && jsonwebtoken::decode_header(token)
            .is_ok_and(|header| header.alg == Algorithm::EdDSA && header.kid.is_some())
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("keys", &self.keys.load().by_id.len()).finish()
    }
}

/// Ids as JSON strings.
mod text {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};
    use std::{fmt::Display, str::FromStr};

    pub(super) fn serialize<T: Display, S: Serializer>(
        id: &T,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(id)
    }

    pub(super) fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests;
