//! Mail on its way: a bounded number of letters, each tried again for a while, beside the requests that caused
//! them. What a letter says is for the services to know; nothing here logs an address or a text.

use crate::{
    config::{MailConfig, MailServer},
    error::{Error, Result},
};
use lettre::{
    AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor,
    message::{Mailbox, header::ContentType},
    transport::smtp,
};
use protocol::code::Code;
use std::{fmt, sync::Arc};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Sends letters, or refuses to where no server is set. Clones share the bounds.
#[derive(Clone, Debug)]
pub struct Mailer(Option<Arc<Outgoing>>);

struct Outgoing {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    waiting: Arc<Semaphore>,
    connections: Semaphore,
    config: MailConfig,
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing").field("from", &self.from).finish_non_exhaustive()
    }
}

/// Whether letters could go this way; an error names the setting, never the password.
pub(crate) fn check(server: &MailServer) -> Result<(), String> {
    transport(server)?;
    mailbox(server)?;
    Ok(())
}

fn transport(server: &MailServer) -> Result<smtp::AsyncSmtpTransportBuilder, String> {
    AsyncSmtpTransport::<Tokio1Executor>::from_url(server.url.reveal()).map_err(|_| {
        "SMTP_URL: write it as smtps://user:password@mail.example.com, or as \
         smtp://mail.example.com:587?tls=required"
            .to_owned()
    })
}

fn mailbox(server: &MailServer) -> Result<Mailbox, String> {
    server.from.parse().map_err(|_| {
        "MAIL_FROM: write an address such as Switchboard <chat@example.com>".to_owned()
    })
}

/// To one person.
pub(crate) struct Letter {
    pub to: String,
    pub subject: String,
    pub text: String,
}

/// A letter's place among those on their way; it is free again when this is dropped.
pub(crate) struct LetterPlace {
    outgoing: Arc<Outgoing>,
    _permit: OwnedSemaphorePermit,
}

impl Mailer {
    /// What is wrong with the settings is one sentence.
    pub fn new(config: &MailConfig) -> Result<Self, String> {
        let Some(server) = &config.server else { return Ok(Self(None)) };
        let transport = transport(server)?.build();
        Ok(Self(Some(Arc::new(Outgoing {
            transport,
            from: mailbox(server)?,
            waiting: Arc::new(Semaphore::new(config.letters)),
            connections: Semaphore::new(config.connections),
            config: config.clone(),
        }))))
    }

    /// Room for one letter. `mail_off` without a server, `busy` while too many letters are on their way.
    pub(crate) fn reserve(&self) -> Result<LetterPlace> {
        let outgoing = self.0.as_ref().ok_or(Code::MailOff)?;
        let permit = Arc::clone(&outgoing.waiting).try_acquire_owned().map_err(|_| {
            metrics::counter!("mails_total", "result" => "no_room").increment(1);
            Error { retry_after: Some(60), ..Code::Busy.into() }
        })?;
        Ok(LetterPlace { outgoing: Arc::clone(outgoing), _permit: permit })
    }
}

impl LetterPlace {
    /// Sends the letter, and tries again for a while where that may help. Returns when it is sent or given up:
    /// to be spawned.
    pub(crate) async fn deliver(self, letter: Letter) {
        let result = match self.outgoing.written(letter) {
            Some(message) => self.outgoing.send(message).await,
            None => "refused",
        };
        metrics::counter!("mails_total", "result" => result).increment(1);
    }
}

impl Outgoing {
    /// `None` for an address that mail knows no way to.
    fn written(&self, letter: Letter) -> Option<Message> {
        let to = letter.to.parse().map(|address| Mailbox::new(None, address)).ok()?;
        let message = Message::builder().from(self.from.clone()).to(to).subject(letter.subject);
        message.header(ContentType::TEXT_PLAIN).body(letter.text).ok()
    }

    async fn send(&self, message: Message) -> &'static str {
        let mut pauses = self.config.retry_after.iter();
        loop {
            let tried = {
                // Never closed. Between two tries the letter holds no connection.
                let _connection = self.connections.acquire().await;
                // The transport's own time-out ends with the connecting.
                let sending = self.transport.send(message.clone());
                tokio::time::timeout(self.config.timeout, sending).await
            };
            // The server's words may hold the address: only its code is told.
            let code = match tried {
                Ok(Ok(_)) => return "sent",
                Ok(Err(error)) => {
                    let code = error.status().map(|code| code.to_string());
                    if error.is_permanent() {
                        tracing::warn!(code, "the mail server refused a letter");
                        return "refused";
                    }
                    code
                }
                Err(_) => None,
            };
            let Some(pause) = pauses.next() else {
                tracing::warn!(code, "gave a letter up: the mail server did not take it");
                return "given_up";
            };
            metrics::counter!("mails_total", "result" => "retried").increment(1);
            tokio::time::sleep(*pause).await;
        }
    }
}
