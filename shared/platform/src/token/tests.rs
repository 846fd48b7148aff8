//! Tokens that must pass and tokens that must not. Keys come from fixed seeds.

use super::*;
use ed25519_dalek::{SigningKey, pkcs8::EncodePrivateKey as _};
use hmac::{Hmac, Mac as _};
use jsonwebtoken::{EncodingKey, Header};
use serde_json::json;
use uuid::Uuid;

const NOW: Timestamp = Timestamp(1_800_000_000_000);

struct Signer {
    jwk: Jwk,
    key: EncodingKey,
}

impl Signer {
    fn new(seed: u8) -> Self {
        ed25519::install();
        let key = SigningKey::from_bytes(&[seed; 32]);
        Self {
            jwk: Jwk::ed25519(key.verifying_key().as_bytes()),
            key: EncodingKey::from_ed_der(key.to_pkcs8_der().unwrap().as_bytes()),
        }
    }

    fn sign(&self, claims: &impl Serialize) -> String {
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(self.jwk.kid.clone());
        jsonwebtoken::encode(&header, claims, &self.key).unwrap()
    }
}

fn claims() -> Claims {
    Claims {
        sub: UserId(7),
        sid: SessionId(Uuid::from_u128(9)),
        name: "ann".to_owned(),
        role: Role::User,
        iat: NOW.unix_seconds(),
        exp: NOW.unix_seconds() + 900,
        iss: Issuer::Switchboard,
    }
}

fn verifier(signers: &[&Signer]) -> Verifier {
    let verifier = Verifier::new();
    let keys = signers.iter().map(|signer| signer.jwk.clone()).collect();
    verifier.replace(&Jwks { keys }).unwrap();
    verifier
}

fn part(value: &serde_json::Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

#[test]
fn who_issues_from_the_future_is_not_believed() {
    let signer = Signer::new(1);
    let verify = |ahead: i64| {
        let mut claims = claims();
        (claims.iat, claims.exp) = (claims.iat + ahead, claims.exp + ahead);
        verifier(&[&signer]).verify(&signer.sign(&claims), NOW).map(|claims| claims.sub)
    };
    assert_eq!(verify(60), Ok(UserId(7)));
    assert_eq!(verify(61), Err(TokenError::Early));
    assert_eq!(verify(300), Err(TokenError::Early));
}

#[test]
fn thumbprint_is_that_of_rfc_8037() {
    // RFC 8037, appendix A.2 and A.3.
    let x = URL_SAFE_NO_PAD.decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap();
    let jwk = Jwk::ed25519(&x.try_into().unwrap());
    assert_eq!(jwk.kid, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
}

#[test]
fn good_token_passes_with_sub_as_a_string() {
    let signer = Signer::new(1);
    let token = signer.sign(&claims());
    assert_eq!(verifier(&[&signer]).verify(&token, NOW), Ok(claims()));
    assert_eq!(serde_json::to_value(claims()).unwrap()["sub"], json!("7"));
}

#[test]
fn both_keys_of_a_rotation_pass_and_a_removed_one_is_unknown() {
    let (old, new) = (Signer::new(1), Signer::new(2));
    let verifier = verifier(&[&new, &old]);
    for signer in [&old, &new] {
        assert_eq!(verifier.verify(&signer.sign(&claims()), NOW), Ok(claims()));
    }
    verifier.replace(&Jwks { keys: vec![new.jwk.clone()] }).unwrap();
    assert_eq!(verifier.verify(&old.sign(&claims()), NOW), Err(TokenError::UnknownKey));
}

#[test]
fn a_remembered_token_expires_like_a_new_one() {
    let signer = Signer::new(1);
    let verifier = verifier(&[&signer]);
    let token = signer.sign(&claims());
    for seconds in [0, 899, 904, 905, 0] {
        let then = Timestamp(NOW.0 + seconds * 1_000);
        let expected = if seconds < 905 { Ok(claims()) } else { Err(TokenError::Expired) };
        assert_eq!(verifier.verify(&token, then), expected, "{seconds}");
        assert!(is_known(&verifier, &token));
    }
    let before = Timestamp(NOW.0 - 61_000);
    assert_eq!(verifier.verify(&token, before), Err(TokenError::Early));
}

#[test]
fn only_good_tokens_are_remembered_and_only_while_their_key_is() {
    let (old, new) = (Signer::new(1), Signer::new(2));
    let verifier = verifier(&[&new, &old]);
    let good = old.sign(&claims());
    // The same claims under another signature.
    let (head, _) = good.rsplit_once('.').unwrap();
    let forged = format!("{head}.{}", "A".repeat(86));
    let expired = old.sign(&Claims { exp: NOW.unix_seconds() - 60, ..claims() });
    for _ in 0..2 {
        assert_eq!(verifier.verify(&good, NOW), Ok(claims()));
        assert_eq!(verifier.verify(&forged, NOW), Err(TokenError::BadSignature));
        assert_eq!(verifier.verify(&expired, NOW), Err(TokenError::Expired));
    }
    assert!(!is_known(&verifier, &forged) && !is_known(&verifier, &expired));
    verifier.replace(&Jwks { keys: vec![new.jwk.clone(), old.jwk.clone()] }).unwrap();
    assert!(is_known(&verifier, &good), "the keys are the same");
    verifier.replace(&Jwks { keys: vec![new.jwk.clone()] }).unwrap();
    assert_eq!(verifier.verify(&good, NOW), Err(TokenError::UnknownKey));
}

fn is_known(verifier: &Verifier, token: &str) -> bool {
    verifier.keys.load().known.find(&Sha256::digest(token).into()).is_some()
}

#[test]
fn forged_tokens_are_refused() {
    let (signer, stranger) = (Signer::new(1), Signer::new(3));
    let verifier = verifier(&[&signer]);
    let good = signer.sign(&claims());
    let (head, signature) = good.rsplit_once('.').unwrap();
    let (header, _) = head.split_once('.').unwrap();

    let admin = part(&serde_json::to_value(Claims { role: Role::Admin, ..claims() }).unwrap());
    let altered = format!("{header}.{admin}.{signature}");
    assert_eq!(verifier.verify(&altered, NOW), Err(TokenError::BadSignature));

    let mut header = Header::new(Algorithm::EdDSA);
    header.kid = Some(signer.jwk.kid.clone());
    let foreign = jsonwebtoken::encode(&header, &claims(), &stranger.key).unwrap();
    assert_eq!(verifier.verify(&foreign, NOW), Err(TokenError::BadSignature));
    assert_eq!(verifier.verify(&stranger.sign(&claims()), NOW), Err(TokenError::UnknownKey));
    assert_eq!(verifier.verify(&format!("{head}."), NOW), Err(TokenError::BadSignature));
}

#[test]
fn other_algorithms_are_refused_before_any_key_is_used() {
    let signer = Signer::new(1);
    let verifier = verifier(&[&signer]);
    let body = part(&serde_json::to_value(claims()).unwrap());
    let none = part(&json!({"alg": "none", "typ": "JWT", "kid": signer.jwk.kid}));
    for token in [format!("{none}.{body}."), format!("{none}.{body}.AAAA")] {
        assert_eq!(verifier.verify(&token, NOW), Err(TokenError::Malformed));
    }
    // The public key as an HMAC secret: the classic confusion.
    let secret = URL_SAFE_NO_PAD.decode(&signer.jwk.x).unwrap();
    let header = part(&json!({"alg": "HS256", "typ": "JWT", "kid": signer.jwk.kid}));
    let signed = format!("{header}.{body}");
    let mac = Hmac::<Sha256>::new_from_slice(&secret).unwrap().chain_update(&signed).finalize();
    let confused = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac.into_bytes()));
    assert_eq!(verifier.verify(&confused, NOW), Err(TokenError::Malformed));
}

#[test]
fn expiry_has_a_small_leeway() {
    let signer = Signer::new(1);
    let verifier = verifier(&[&signer]);
    let token = signer.sign(&claims());
    let at = |seconds: i64| Timestamp(NOW.0 + (900 + seconds) * 1000);
    assert!(verifier.verify(&token, at(4)).is_ok());
    assert_eq!(verifier.verify(&token, at(5)), Err(TokenError::Expired));
    let eternal = signer.sign(&Claims { exp: i64::MAX, ..claims() });
    assert!(verifier.verify(&eternal, at(0)).is_ok());
}

#[test]
fn other_shapes_are_malformed() {
    let signer = Signer::new(1);
    let verifier = verifier(&[&signer]);
    let mut no_exp = serde_json::to_value(claims()).unwrap();
    no_exp.as_object_mut().unwrap().remove("exp");
    let mut no_iss = serde_json::to_value(claims()).unwrap();
    no_iss.as_object_mut().unwrap().remove("iss");
    let number = json!({"sub": 7, "sid": Uuid::nil(), "name": "a", "role": "user",
        "iat": 0, "exp": 4_000_000_000_u64, "iss": ISSUER});
    let mut foreign = serde_json::to_value(claims()).unwrap();
    foreign["iss"] = json!("elsewhere");
    for body in [json!({}), json!([]), no_exp, no_iss, foreign, number] {
        let token = signer.sign(&body);
        assert_eq!(verifier.verify(&token, NOW), Err(TokenError::Malformed), "{body}");
    }
    let no_kid =
        jsonwebtoken::encode(&Header::new(Algorithm::EdDSA), &claims(), &signer.key).unwrap();
    let long = signer.sign(&Claims { name: "x".repeat(MAX_TOKEN_BYTES), ..claims() });
    for token in [no_kid.as_str(), &long, "", ".", "..", "a.b", "a.b.c", "ä.ö.ü", "\0"] {
        assert_eq!(verifier.verify(token, NOW), Err(TokenError::Malformed), "{token}");
    }
}

#[test]
fn a_bad_key_set_leaves_the_old_one() {
    let signer = Signer::new(1);
    let verifier = verifier(&[&signer]);
    let short = Jwk { x: "AAAA".to_owned(), ..signer.jwk.clone() };
    let other = Jwk { kty: "RSA".to_owned(), ..signer.jwk.clone() };
    let many = vec![signer.jwk.clone(); MAX_KEYS + 1];
    for keys in [vec![], vec![short], vec![other], many] {
        assert!(verifier.replace(&Jwks { keys }).is_err());
    }
    assert!(verifier.verify(&signer.sign(&claims()), NOW).is_ok());
}
