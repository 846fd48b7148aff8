//! Signing access tokens. Several keys may be held: the first signs, all verify, so that a key is
//! replaced without anybody signing in again. What a token says is [`platform::token`]'s business.

use anyhow::{Context as _, bail, ensure};
use ed25519_dalek::{
    SigningKey,
    pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, spki::der::pem::LineEnding},
};
use hmac::{Hmac, Mac as _};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use platform::{
    settings::Secret,
    token::{Claims, Issuer, Jwk, Jwks, MAX_KEYS, Verifier},
};
use protocol::{
    account::Role,
    id::{SessionId, UserId},
    time::Timestamp,
};
use sha2::Sha256;
use std::{
    fmt, io::Write as _, os::unix::fs::OpenOptionsExt as _, path::Path, sync::Arc, time::Duration,
};

/// Makes and checks access tokens. Clones share the keys.
#[derive(Clone)]
pub struct Tokens {
    signing: Arc<SigningKeys>,
    verifier: Verifier,
}

struct SigningKeys {
    header: Header,
    key: EncodingKey,
    jwks: Jwks,
    /// Of each held key, for [`Tokens::derive`].
    secrets: Vec<Hmac<Sha256>>,
}

/// Sets what is derived from a key apart from what the key signs.
const DERIVED: &[u8] = b"switchboard: a successor of ";

/// Whom a token speaks for.
#[derive(Debug, Clone)]
pub struct Subject {
    /// Whose token it is.
    pub user_id: UserId,
    /// The session whose end ends the token, too.
    pub session_id: SessionId,
    /// As of the signing.
    pub username: String,
    /// As of the signing.
    pub role: Role,
}

impl Tokens {
    /// From one or more PKCS#8 PEM blocks (`openssl genpkey -algorithm ed25519`). Line breaks may be
    /// written as `\n`, as environment files want it. The error names the block, never its content.
    pub fn from_pem(pem: &str) -> anyhow::Result<Self> {
        const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
        let pem = pem.replace("\\n", "\n");
        let keys = pem
            .split(BEGIN)
            .skip(1)
            .enumerate()
            .map(|(index, block)| {
                SigningKey::from_pkcs8_pem(&format!("{BEGIN}{}", block.trim_end()))
                    .ok()
                    .with_context(|| format!("PEM block {} is not an Ed25519 key", index + 1))
            })
            .collect::<anyhow::Result<Vec<_>>>()?;
        Self::new(&keys)
    }

    /// The keys in this file, which is made with a fresh key, readable by its owner only, when it
    /// is missing. For one process; a cluster's nodes share a key given to all of them.
    pub fn load_or_create(path: &Path) -> anyhow::Result<Self> {
        let name = path.display();
        match std::fs::read_to_string(path) {
            Ok(pem) => Self::from_pem(&pem).with_context(|| format!("{name} holds no usable key")),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let pem = generate_pem()?;
                write_private(path, &pem).with_context(|| format!("cannot write {name}"))?;
                Self::from_pem(pem.reveal())
            }
            Err(error) => Err(error).with_context(|| format!("cannot read {name}")),
        }
    }

    fn new(keys: &[SigningKey]) -> anyhow::Result<Self> {
        let Some(first) = keys.first() else { bail!("no PEM block BEGIN PRIVATE KEY found") };
        ensure!(keys.len() <= MAX_KEYS, "more than {MAX_KEYS} keys");
        let jwks = Jwks {
            keys: keys.iter().map(|key| Jwk::ed25519(key.verifying_key().as_bytes())).collect(),
        };
        let verifier = Verifier::new();
        verifier.replace(&jwks)?;
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = jwks.keys.first().map(|key| key.kid.clone());
        let der = first.to_pkcs8_der().context("cannot encode the key")?;
        let encoding = EncodingKey::from_ed_der(der.as_bytes());
        let secret = |key: &SigningKey| {
            let mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).context("no key for HMAC")?;
            Ok(mac.chain_update(DERIVED))
        };
        let secrets = keys.iter().map(secret).collect::<anyhow::Result<_>>()?;
        let signing = SigningKeys { header, key: encoding, jwks, secrets };
        Ok(Self { signing: Arc::new(signing), verifier })
    }

    /// A token that is good from `now` for `lifetime`.
    pub fn issue(
        &self,
        subject: &Subject,
        now: Timestamp,
        lifetime: Duration,
    ) -> anyhow::Result<String> {
        let iat = now.unix_seconds();
        let claims = Claims {
            sub: subject.user_id,
            sid: subject.session_id,
            name: subject.username.clone(),
            role: subject.role,
            iat,
            exp: iat.saturating_add_unsigned(lifetime.as_secs()),
            iss: Issuer::Switchboard,
        };
        jsonwebtoken::encode(&self.signing.header, &claims, &self.signing.key)
            .context("cannot sign a token")
    }

    /// A secret that only holders of the keys can make, the same for the same question: with the key
    /// that signs first, then with the others.
    pub fn derive(&self, from: &str) -> impl Iterator<Item = [u8; 32]> + use<> {
        let mac =
            |mac: &Hmac<Sha256>| mac.clone().chain_update(from).finalize().into_bytes().into();
        // At most a few, and a microsecond each.
        self.signing.secrets.iter().map(mac).collect::<Vec<_>>().into_iter()
    }

    /// The public keys, for `/.well-known/jwks.json`.
    pub fn jwks(&self) -> &Jwks {
        &self.signing.jwks
    }

    /// Checks tokens of all held keys.
    pub fn verifier(&self) -> &Verifier {
        &self.verifier
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("jwks", &self.signing.jwks).finish_non_exhaustive()
    }
}

/// A fresh private key as PKCS#8 PEM.
pub fn generate_pem() -> anyhow::Result<Secret> {
    let key = SigningKey::from_bytes(&rand::random());
    let pem = key.to_pkcs8_pem(LineEnding::LF).context("cannot encode a key")?;
    Ok(Secret::new(pem.as_str()))
}

/// Written beside and renamed, so that a crash leaves no half of a key.
fn write_private(path: &Path, pem: &Secret) -> std::io::Result<()> {
    let unfinished = path.with_extension("new");
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
    file.write_all(pem.reveal().as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&unfinished, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;
    use uuid::Uuid;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    fn token(tokens: &Tokens) -> String {
        let subject = Subject {
            user_id: UserId(1),
            session_id: SessionId(Uuid::nil()),
            username: "ann".to_owned(),
            role: Role::User,
        };
        tokens.issue(&subject, NOW, Duration::from_secs(900)).unwrap()
    }

    #[test]
    fn rotation_keeps_earlier_tokens_good() {
        let [old, new] = [generate_pem().unwrap(), generate_pem().unwrap()];
        let before = Tokens::from_pem(old.reveal()).unwrap();
        let after = Tokens::from_pem(&format!("{}\n{}", new.reveal(), old.reveal())).unwrap();
        assert!(after.verifier().verify(&token(&before), NOW).is_ok());
        assert!(after.verifier().verify(&token(&after), NOW).is_ok());
        assert!(before.verifier().verify(&token(&after), NOW).is_err(), "the first key signs");
        assert_eq!(after.jwks().keys[1], before.jwks().keys[0]);
    }

    #[test]
    fn what_is_derived_is_the_same_for_all_who_hold_the_key() {
        let [old, new] = [generate_pem().unwrap(), generate_pem().unwrap()];
        let before = Tokens::from_pem(old.reveal()).unwrap();
        let after = Tokens::from_pem(&format!("{}\n{}", new.reveal(), old.reveal())).unwrap();
        let of_old: Vec<_> = before.derive("a").collect();
        assert_eq!(after.derive("a").skip(1).collect::<Vec<_>>(), of_old);
        assert_ne!(after.derive("a").next(), of_old.first().copied());
        assert_ne!(before.derive("b").next(), of_old.first().copied());
    }

    #[test]
    fn escaped_line_breaks_are_line_breaks() {
        let pem = generate_pem().unwrap();
        let escaped = pem.reveal().replace('\n', "\\n");
        let [a, b] = [pem.reveal(), &escaped].map(|pem| Tokens::from_pem(pem).unwrap());
        assert_eq!(a.jwks(), b.jwks());
    }

    #[test]
    fn what_is_no_key_is_refused_without_being_repeated() {
        let broken = generate_pem().unwrap().reveal().replacen("\nM", "\nSECRET", 1);
        for pem in ["", "SECRET", "-----BEGIN PRIVATE KEY-----\nSECRET", &broken] {
            let error = format!("{:#}", Tokens::from_pem(pem).unwrap_err());
            assert!(!error.contains("SECRET"), "{error}");
        }
    }

    #[test]
    fn the_key_file_is_made_once_and_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jwt.pem");
        let made = Tokens::load_or_create(&path).unwrap();
        let mode = path.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(Tokens::load_or_create(&path).unwrap().jwks(), made.jwks());
        std::fs::write(&path, "").unwrap();
        assert!(Tokens::load_or_create(&path).is_err(), "a broken file is not overwritten");
    }
}
