//! Two-step sign-in: beside the password a code from an app (TOTP, RFC 6238), or one of ten recovery codes. The
//! secret is shown once, when it is made, and a code counts once. It is stored as it is, because whoever checks codes
//! must be able to make them, and no key of this service lives as long as a secret does.

use super::{
    limits::{AccountAttempt, admit},
    password,
    sessions::{self, Opening, SignedIn, refresh_hash},
    user,
};
use crate::{
    audit::{self, AuditAction, AuditEntry},
    db::{DbError, Link, List, Tx, execute, fetch_one, fetch_optional, row},
    error::{Error, Result, fault},
    state::Api,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use platform::settings::Secret;
use protocol::{code::Code, id::UserId, time::Timestamp};
use qrcode::{Color, QrCode};
use std::net::IpAddr;
use subtle::ConstantTimeEq as _;
use totp_rs::{Builder, Totp};

/// Recovery codes of an account: for a lost phone, and the times until the next one is bought.
const RECOVERY_CODES: usize = 10;

/// How long somebody who has given the password may look for the code.
const SECOND_STEP_SECONDS: i64 = 300;

/// What an app needs to make codes. Shown once.
#[derive(Debug)]
pub struct Enrollment {
    /// In base 32, to be typed.
    pub secret: Secret,
    /// The same as an `otpauth:` address.
    pub address: Secret,
    /// The address as a picture.
    pub picture: Picture,
}

/// A QR code: a square of `size` modules; `path` draws the dark ones in that unit (SVG's `d`). It has the secret.
#[derive(Debug)]
pub struct Picture {
    /// Modules on each side.
    pub size: usize,
    /// One rectangle for each run of dark modules.
    pub path: Secret,
}

/// How an account signs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FactorStanding {
    /// Whether a code is asked for.
    pub on: bool,
    /// Recovery codes that were not used.
    pub recovery_codes: i64,
}

/// Whether the user's sign-in has a second step.
pub async fn standing(api: &Api, user: UserId) -> Result<FactorStanding> {
    let mut conn = api.db.home().read().await?;
    let on = is_on(conn.link(), user).await?;
    let (recovery_codes,): (i64,) =
        fetch_one!(conn, "SELECT COUNT(*) FROM recovery_codes WHERE user_id = $1", user.0)?;
    Ok(FactorStanding { on, recovery_codes })
}

async fn is_on(mut link: Link<'_>, user: UserId) -> Result<bool, DbError> {
    let row: Option<(i64,)> = fetch_optional!(
        link,
        "SELECT user_id FROM second_factors WHERE user_id = $1 AND confirmed_at IS NOT NULL",
        user.0
    )?;
    Ok(row.is_some())
}

/// Makes a secret, which counts once [`confirm`] was called with a code of it. `wrong_password`;
/// `second_factor_on` when there is one that counts.
pub async fn begin(api: &Api, user: UserId, from: IpAddr, password: Secret) -> Result<Enrollment> {
    password::prove(api, user, from, password).await?;
    let bytes: [u8; 20] = rand::random();
    let mut tx = api.db.home().begin().await?;
    let account = user::by_id(tx.link(), user).await?.ok_or(Code::UserNotFound)?;
    let kept = execute!(
        tx,
        "INSERT INTO second_factors (user_id, secret) VALUES ($1, $2)
         ON CONFLICT (user_id) DO UPDATE SET secret = excluded.secret, last_step = 0
         WHERE second_factors.confirmed_at IS NULL",
        user.0,
        URL_SAFE_NO_PAD.encode(bytes)
    )?;
    if kept == 0 {
        return Err(Code::SecondFactorOn.into());
    }
    tx.commit().await?;
    let totp = totp(&bytes, &account.username)?;
    let address = totp.to_url().map_err(fault)?;
    Ok(Enrollment {
        secret: Secret::new(totp.secret().to_base32()),
        picture: picture(&address)?,
        address: Secret::new(address),
    })
}

/// Turns the second step on, given a code of the new secret, and makes the recovery codes: shown once.
/// `wrong_code`; limited as the second step itself.
pub async fn confirm(api: &Api, user: UserId, code: &str) -> Result<Vec<Secret>> {
    admit(api, AccountAttempt::CodeOf(user)).await?;
    let mut tx = api.db.home().begin().await?;
    take_app_code(&mut tx, user, code, Awaited::First).await?;
    let codes: Vec<Secret> = (0..RECOVERY_CODES).map(|_| recovery_code()).collect();
    execute!(tx, "DELETE FROM recovery_codes WHERE user_id = $1", user.0)?;
    execute!(
        tx,
        "INSERT INTO recovery_codes (user_id, code_hash) SELECT $1, value FROM json_each($2)",
        user.0,
        codes.iter().map(hash_of_code).collect::<List<String>>()
    )?;
    tx.commit().await?;
    Ok(codes)
}

/// Turns the second step off, given the password and a code. `wrong_password`, `wrong_code`.
pub async fn remove(
    api: &Api,
    user: UserId,
    from: IpAddr,
    password: Secret,
    code: &str,
) -> Result<()> {
    password::prove(api, user, from, password).await?;
    admit(api, AccountAttempt::CodeOf(user)).await?;
    let mut tx = api.db.home().begin().await?;
    take_code(&mut tx, user, code).await?;
    forget(&mut tx, user).await?;
    tx.commit().await?;
    Ok(())
}

/// For somebody who has lost the app and all recovery codes: an administrator turns the second step off. Recorded.
pub async fn remove_for(api: &Api, admin: UserId, user: UserId) -> Result<()> {
    let mut tx = api.db.home().begin().await?;
    user::by_id(tx.link(), user).await?.ok_or(Code::UserNotFound)?;
    if forget(&mut tx, user).await? > 0 {
        let entry = AuditEntry::of(admin, AuditAction::RemoveSecondFactor).on_user(user);
        audit::record(&mut tx, &[entry]).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// Removes the user's secret and recovery codes; how many secrets there were.
async fn forget(tx: &mut Tx, user: UserId) -> Result<u64, DbError> {
    execute!(tx, "DELETE FROM recovery_codes WHERE user_id = $1", user.0)?;
    execute!(tx, "DELETE FROM second_factors WHERE user_id = $1", user.0)
}

/// The password was right: `second_step_required`, with the token for [`finish_login`], if this account asks for a
/// code.
pub(crate) async fn demand(api: &Api, user: UserId, password_hash: &str) -> Result<()> {
    let mut conn = api.db.home().read().await?;
    if !is_on(conn.link(), user).await? {
        return Ok(());
    }
    let ends_at = Timestamp::now().unix_seconds() + SECOND_STEP_SECONDS;
    let proof = proofs(api, user, ends_at, password_hash).next().ok_or_else(Error::internal)?;
    let token = Secret::new(format!("{}.{ends_at}.{proof}", user.0));
    Err(Error { second_step: Some(token), ..Code::SecondStepRequired.into() })
}

/// What somebody says who has given the password.
#[derive(Debug)]
pub struct SecondStep {
    /// From the first step.
    pub token: Secret,
    /// Of the app, or a recovery code.
    pub code: Secret,
    /// What the device calls itself; shown in the list of sessions.
    pub user_agent: String,
}

/// The second step of signing in. `invalid_second_step` when the token is too old, or the password was changed
/// since; `wrong_code`; `rate_limited`.
pub async fn finish_login(api: &Api, step: SecondStep) -> Result<SignedIn> {
    let SecondStep { token, code, user_agent } = step;
    let invalid = Code::InvalidSecondStep;
    let mut parts = token.reveal().split('.');
    let mut number = || parts.next()?.parse::<i64>().ok();
    let (id, ends_at) = (number(), number());
    let (Some(id), Some(ends_at), Some(shown)) = (id, ends_at, parts.next()) else {
        return Err(invalid.into());
    };
    if ends_at < Timestamp::now().unix_seconds() {
        return Err(invalid.into());
    }
    let id = UserId(id);
    let mut conn = api.db.home().read().await?;
    let user = user::by_id(conn.link(), id).await?;
    let stored: Option<(String,)> =
        fetch_optional!(conn, "SELECT password_hash FROM users WHERE id = $1", id.0)?;
    drop(conn);
    let (user, (stored,)) = user.zip(stored).ok_or(invalid)?;
    let is_same = |one: String| bool::from(one.as_bytes().ct_eq(shown.as_bytes()));
    if !proofs(api, id, ends_at, &stored).any(is_same) {
        return Err(invalid.into());
    }
    admit(api, AccountAttempt::CodeOf(id)).await?;
    let mut tx = api.db.home().begin().await?;
    if sessions::lock_unchanged(&mut tx, id, &stored).await?.is_none() {
        return Err(invalid.into());
    }
    take_code(&mut tx, id, code.reveal()).await.inspect_err(|_| count("wrong_code"))?;
    let opening = Opening::begin(api, &mut tx, id, &user_agent).await?;
    let signed_in = opening.finish(api, tx, user).await?;
    count("ok");
    Ok(signed_in)
}

fn count(result: &'static str) {
    metrics::counter!("logins_total", "result" => result).increment(1);
}

/// What only who was given it shows, with each key that is held; another password makes it useless.
fn proofs(
    api: &Api,
    user: UserId,
    ends_at: i64,
    password_hash: &str,
) -> impl Iterator<Item = String> + use<> {
    let of = format!("second step {user} {ends_at} {password_hash}");
    api.tokens.derive(&of).map(|proof| URL_SAFE_NO_PAD.encode(proof))
}

/// Which secret a code is of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Awaited {
    /// One that does not count yet; from now on it does.
    First,
    /// The one that counts.
    Next,
}

row! {
    struct FactorRow {
        secret: String,
        confirmed_at: Option<i64>,
    }
}

/// Uses up a code of the app, or a recovery code.
async fn take_code(tx: &mut Tx, user: UserId, code: &str) -> Result<()> {
    let digits = code.chars().filter(|c| !c.is_whitespace()).collect::<String>();
    if digits.len() == 6 {
        return take_app_code(tx, user, &digits, Awaited::Next).await;
    }
    let code = Secret::new(code);
    let used = execute!(
        tx,
        "DELETE FROM recovery_codes WHERE user_id = $1 AND code_hash = $2",
        user.0,
        hash_of_code(&code)
    )?;
    if used == 0 { Err(Code::WrongCode.into()) } else { Ok(()) }
}

async fn take_app_code(tx: &mut Tx, user: UserId, code: &str, awaited: Awaited) -> Result<()> {
    let row: Option<FactorRow> = fetch_optional!(
        tx,
        "SELECT secret, confirmed_at FROM second_factors WHERE user_id = $1",
        user.0
    )?;
    let row = row.filter(|row| row.confirmed_at.is_none() == (awaited == Awaited::First));
    let row = row.ok_or(Code::WrongCode)?;
    let secret = URL_SAFE_NO_PAD.decode(row.secret).map_err(fault)?;
    let now = u64::try_from(Timestamp::now().unix_seconds()).unwrap_or_default();
    let code: String = code.chars().filter(|c| !c.is_whitespace()).collect();
    // The name is of no matter to codes.
    let step = totp(&secret, "")?.check(&code, now).ok_or(Code::WrongCode)?;
    // A code that was seen over somebody's shoulder has been used by then: each counts once, and none before it.
    let taken = execute!(
        tx,
        "UPDATE second_factors SET last_step = $2,
             confirmed_at = COALESCE(confirmed_at, (SELECT now FROM clock))
         WHERE user_id = $1 AND last_step < $2",
        user.0,
        i64::try_from(step).unwrap_or(i64::MAX)
    )?;
    if taken == 0 { Err(Code::WrongCode.into()) } else { Ok(()) }
}

/// What every app understands: six digits, thirty seconds, SHA-1. The steps beside the present one count, too, as
/// clocks differ.
fn totp(secret: &[u8], username: &str) -> Result<Totp> {
    // A colon parts the names in the address.
    let name = username.replace(':', "_");
    let builder = Builder::new().with_secret(secret.to_vec()).with_skew(1);
    builder.with_issuer(Some("Switchboard")).with_account_name(name).build().map_err(fault)
}

/// 80 random bits in groups that can be copied by hand; without letters that look like digits.
fn recovery_code() -> Secret {
    const LETTERS: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz023456789";
    let bytes: [u8; 16] = rand::random();
    let letters: Vec<u8> = bytes.iter().map(|byte| LETTERS[usize::from(byte % 32)]).collect();
    let groups: Vec<_> = letters.chunks(4).map(String::from_utf8_lossy).collect();
    Secret::new(groups.join("-"))
}

/// However it was typed. It is random, so a plain hash is enough.
fn hash_of_code(code: &Secret) -> String {
    let letters = code.reveal().chars().filter(|c| c.is_alphanumeric());
    refresh_hash(&Secret::new(letters.collect::<String>().to_lowercase()))
}

fn picture(address: &str) -> Result<Picture> {
    use std::fmt::Write as _;
    let code = QrCode::new(address).map_err(fault)?;
    let size = code.width();
    let mut path = String::new();
    for (y, row) in code.to_colors().chunks(size).enumerate() {
        let mut x = 0;
        for run in row.chunk_by(|a, b| a == b) {
            if run[0] == Color::Dark {
                // Writing to a string cannot fail.
                let _ = write!(path, "M{x} {y}h{0}v1h-{0}z", run.len());
            }
            x += run.len();
        }
    }
    Ok(Picture { size, path: Secret::new(path) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_standard() {
        // RFC 6238, appendix B, the last six of eight digits.
        let totp = totp(b"12345678901234567890", "ann").unwrap();
        for (time, code) in [(59, "287082"), (1_111_111_109, "081804"), (20_000_000_000, "353130")]
        {
            assert_eq!(totp.check(code, time), Some(time / 30));
            assert_eq!(totp.check(code, time + 30), Some(time / 30), "clocks differ");
            assert_eq!(totp.check(code, time + 90), None);
        }
    }

    #[test]
    fn an_app_finds_everything_in_the_address() {
        let totp = totp(b"12345678901234567890", "a:n n").unwrap();
        let address = totp.to_url().unwrap();
        let secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
        assert_eq!(
            address,
            format!("otpauth://totp/Switchboard:a_n%20n?secret={secret}&issuer=Switchboard")
        );
        let picture = picture(&address).unwrap();
        assert!(picture.size >= 21 && picture.path.reveal().starts_with("M0 0h7v1h-7z"));
    }

    #[test]
    fn recovery_codes_are_read_however_they_are_typed() {
        let code = recovery_code();
        assert_eq!(code.reveal().len(), 19);
        let typed = Secret::new(format!(" {} ", code.reveal().to_uppercase().replace('-', " ")));
        assert_eq!(hash_of_code(&code), hash_of_code(&typed));
        assert_ne!(hash_of_code(&code), hash_of_code(&recovery_code()));
    }
}
