//! The settings of e-mail.

use super::missing;
use crate::{
    config::{Config, MailServer},
    mail,
};
use clap::Args;
use platform::settings::{Origin, Secret};

/// E-mail for lost passwords and for verifying addresses. The one-process binary has it too.
#[derive(Args, Clone, Debug)]
pub struct MailArgs {
    /// The address at which people open the page, such as `https://chat.example.com`: links in
    /// e-mails lead there
    #[arg(long, env = "PUBLIC_URL", global = true)]
    pub public_url: Option<Origin>,
    /// The mail server: `smtps://user:password@mail.example.com`, or `smtp://mail.example.com:587`
    /// with `?tls=required` for STARTTLS. Without it, nobody can ask for a new password by e-mail,
    /// and administrators hand out links instead
    #[arg(long, env = "SMTP_URL", hide_env_values = true, global = true)]
    pub smtp_url: Option<Secret>,
    /// The sender of e-mails, such as `Switchboard <chat@example.com>`
    #[arg(long, env = "MAIL_FROM", global = true)]
    pub mail_from: Option<String>,
}

impl MailArgs {
    /// Copies these values into the configuration. An error is one sentence.
    pub fn apply(&self, config: &mut Config) -> Result<(), String> {
        config.public_url = self.public_url.clone();
        let Some(url) = self.smtp_url.clone() else { return Ok(()) };
        let from = self.mail_from.clone();
        let from = from.ok_or_else(|| missing("MAIL_FROM", "the sender of e-mails"))?;
        if self.public_url.is_none() {
            return Err(missing("PUBLIC_URL", "the address of the page, for links in e-mails"));
        }
        let server = MailServer { url, from };
        mail::check(&server)?;
        config.mail.server = Some(server);
        Ok(())
    }
}
