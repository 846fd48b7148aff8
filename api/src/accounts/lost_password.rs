//! A password that was lost: a link, by e-mail or from an administrator, leads to a new one. Asking for a link gets
//! the same answer, after the same time, whoever has the address: the work is done behind the answer.

use super::{
    input::{self, Check},
    letters::{self, Language},
    limits::{AccountAttempt, admit},
    links::{self, LinkPurpose},
    sessions::{self, WhichSessions},
    user,
};
use crate::{
    audit::{self, AuditAction, AuditEntry},
    db::{DbError, execute, fetch_optional},
    error::Result,
    mail::Letter,
    news::{self, News},
    state::Api,
};
use platform::settings::Secret;
use protocol::{code::Code, id::UserId, relay::EndReason, time::Timestamp};
use std::{net::IpAddr, time::Duration};

/// How long a mailed link is good: a mail may take a while, and who has asked for it is waiting.
pub(crate) const MAILED_FOR: Duration = Duration::from_secs(60 * 60);

/// How long the link of an administrator is good: it goes from hand to hand, perhaps over night.
const HANDED_OUT_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// A link for somebody who lost the password.
#[derive(Debug)]
pub struct PasswordLink {
    /// The address to open, from the page's root on where the deployment does not know its own.
    pub address: Secret,
    /// When it ends being good.
    pub expires_at: Timestamp,
}

/// Mails a link to this address in this language, if an account has it and has verified it. `mail_off` where no mail is sent;
/// `rate_limited` by the address and by the network, whether there is an account or not.
pub async fn forgot(api: &Api, email: &str, from: IpAddr, language: Language) -> Result<()> {
    Check::default().field("email", input::email(email)).finish()?;
    let key = input::key(email);
    let place = api.mailer.reserve()?;
    admit(api, AccountAttempt::MailFrom(from)).await?;
    admit(api, AccountAttempt::MailTo(&key)).await?;
    let this = api.clone();
    api.lifecycle.spawn_background(async move {
        match letter(&this, &key, language).await {
            Ok(Some(letter)) => place.deliver(letter).await,
            Ok(None) => {}
            Err(error) => tracing::error!(%error, "cannot make a link for a lost password"),
        }
    });
    Ok(())
}

async fn letter(api: &Api, key: &str, language: Language) -> Result<Option<Letter>, DbError> {
    let mut tx = api.db.home().begin().await?;
    let account: Option<(i64, String, String)> = fetch_optional!(
        tx,
        "SELECT id, email, username FROM users WHERE email_key = $1
         AND email_verified_at IS NOT NULL AND blocked_at IS NULL AND deactivated_at IS NULL",
        key
    )?;
    let Some((id, to, username)) = account else { return Ok(None) };
    let purpose = LinkPurpose::Password;
    let token = links::issue(&mut tx, UserId(id), purpose, None, MAILED_FOR).await?;
    tx.commit().await?;
    let address = links::address(api, purpose, &token);
    Ok(Some(letters::new_password(language, to, &username, &address)))
}

/// Makes a link that the administrator hands to the account's owner. Recorded; the link is not.
pub async fn hand_out(api: &Api, admin: UserId, id: UserId) -> Result<PasswordLink> {
    let mut tx = api.db.home().begin().await?;
    let user = user::by_id(tx.link(), id).await?;
    user.filter(|user| !user.deactivated).ok_or(Code::UserNotFound)?;
    let purpose = LinkPurpose::Password;
    let token = links::issue(&mut tx, id, purpose, None, HANDED_OUT_FOR).await?;
    let entry = AuditEntry::of(admin, AuditAction::MakePasswordLink).on_user(id);
    audit::record(&mut tx, &[entry]).await?;
    tx.commit().await?;
    let lifetime = i64::try_from(HANDED_OUT_FOR.as_millis()).unwrap_or_default();
    Ok(PasswordLink {
        address: Secret::new(links::address(api, purpose, &token)),
        expires_at: Timestamp(Timestamp::now().0 + lifetime),
    })
}

/// Sets the password by a link, ends all sessions and makes the account's other links useless. `invalid_link` for
/// one that was used, is too old, or never was; `rate_limited` by the network.
pub async fn reset(api: &Api, token: Secret, new: Secret, from: IpAddr) -> Result<()> {
    Check::default().field("new_password", input::password(new.reveal())).finish()?;
    admit(api, AccountAttempt::LinkFrom(from)).await?;
    let purpose = LinkPurpose::Password;
    let mut conn = api.db.home().read().await?;
    // Before the hash, which is the expensive part. Whether the link is good then is decided by using it.
    links::find(conn.link(), purpose, &token).await?.ok_or(Code::InvalidLink)?;
    drop(conn);
    let hash = api.passwords.of(from).hash(new).await?;
    let mut tx = api.db.home().begin().await?;
    let link = links::redeem(&mut tx, purpose, &token).await?.ok_or(Code::InvalidLink)?;
    let user = link.user;
    let set = execute!(
        tx,
        "UPDATE users SET password_hash = $2 WHERE id = $1 AND deactivated_at IS NULL",
        user.0,
        &hash
    )?;
    if set == 0 {
        return Err(Code::InvalidLink.into());
    }
    links::revoke(&mut tx, user, purpose).await?;
    let reason = EndReason::PasswordChanged;
    let ended = sessions::end_in(tx.link(), user, WhichSessions::All, reason).await?;
    let entry = AuditEntry::of(user, AuditAction::ResetPasswordByLink).on_user(user);
    audit::record(&mut tx, &[entry]).await?;
    let mut news = News::default();
    news.ended(ended, reason);
    news::commit(api, tx, news).await?;
    Ok(())
}
