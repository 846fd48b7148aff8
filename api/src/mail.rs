//! Mail on its way: a bounded number of letters, each tried again for a while, beside the requests that caused
//! them. What a letter says is for the services to know; nothing here logs an address or a text.

use crate::{
    config::MailConfig,
    error::{Error, Result},
};
use lettre::{
    AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor,
    message::{Mailbox, header::ContentType},
    transport::smtp,
};
use platform::settings::Secret;
use protocol::code::Code;
use std::{fmt, sync::Arc};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Sends letters, or refuses to where no server is set. Clones share the bounds.
#[derive(Clone, Debug)]
pub struct Mailer(Option<Arc<Post>>);

struct Post {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    waiting: Arc<Semaphore>,
    connections: Semaphore,
    config: MailConfig,
}

impl fmt::Debug for Post {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Post").field("from", &self.from).finish_non_exhaustive()
    }
}

/// Where mail is handed in, and in whose name.
#[derive(Clone, Debug)]
pub struct MailServer {
    /// `smtps://user:password@host`, or `smtp://host:port`.
    pub url: Secret,
    /// The sender, `Name <address>` or the address alone.
    pub from: String,
}

impl MailServer {
    /// Whether letters could go this way; an error names the setting, never the password.
    pub fn check(&self) -> Result<(), String> {
        self.transport()?;
        self.mailbox()?;
        Ok(())
    }

    fn transport(&self) -> Result<smtp::AsyncSmtpTransportBuilder, String> {
        AsyncSmtpTransport::<Tokio1Executor>::from_url(self.url.reveal()).map_err(|_| {
            "SMTP_URL: write it as smtps://user:password@mail.example.com, or as \
             smtp://mail.example.com:587?tls=required"
                .to_owned()
        })
    }

    fn mailbox(&self) -> Result<Mailbox, String> {
        self.from.parse().map_err(|_| {
            "MAIL_FROM: write an address such as Switchboard <chat@example.com>".to_owned()
        })
    }
}

/// To one person.
pub(crate) struct Letter {
    pub to: String,
    pub subject: String,
    pub text: String,
}

/// A letter's place among those on their way; it is free again when this is dropped.
pub(crate) struct Place {
    post: Arc<Post>,
    _permit: OwnedSemaphorePermit,
}

impl Mailer {
    /// What is wrong with the settings is one sentence.
    pub fn new(config: &MailConfig) -> Result<Self, String> {
        let Some(server) = &config.server else { return Ok(Self(None)) };
        let transport = server.transport()?.timeout(Some(config.timeout)).build();
        Ok(Self(Some(Arc::new(Post {
            transport,
            from: server.mailbox()?,
            waiting: Arc::new(Semaphore::new(config.letters)),
            connections: Semaphore::new(config.connections),
            config: config.clone(),
        }))))
    }

    /// Room for one letter. `mail_off` without a server, `busy` while too many letters are on their way.
    pub(crate) fn reserve(&self) -> Result<Place> {
        let post = self.0.as_ref().ok_or(Code::MailOff)?;
        let permit = Arc::clone(&post.waiting).try_acquire_owned().map_err(|_| {
            metrics::counter!("mails_total", "result" => "no_room").increment(1);
            Error { retry_after: Some(60), ..Code::Busy.into() }
        })?;
        Ok(Place { post: Arc::clone(post), _permit: permit })
    }
}

impl Place {
    /// Sends the letter, and tries again for a while where that may help. Returns when it is sent or given up:
    /// to be spawned.
    pub(crate) async fn deliver(self, letter: Letter) {
        let result = match self.post.written(letter) {
            Some(message) => self.post.send(message).await,
            None => "refused",
        };
        metrics::counter!("mails_total", "result" => result).increment(1);
    }
}

impl Post {
    /// `None` for an address that mail knows no way to.
    fn written(&self, letter: Letter) -> Option<Message> {
        let to = letter.to.parse().map(|address| Mailbox::new(None, address)).ok()?;
        let message = Message::builder().from(self.from.clone()).to(to).subject(letter.subject);
        message.header(ContentType::TEXT_PLAIN).body(letter.text).ok()
    }

    async fn send(&self, message: Message) -> &'static str {
        let mut pauses = self.config.retry_after.iter();
        loop {
            let error = {
                // Never closed. Between two tries the letter holds no connection.
                let _connection = self.connections.acquire().await;
                match self.transport.send(message.clone()).await {
                    Ok(_) => return "sent",
                    Err(error) => error,
                }
            };
            // The server's words may hold the address: only its code is told.
            let code = error.status().map(|code| code.to_string());
            if error.is_permanent() {
                tracing::warn!(code, "the mail server refused a letter");
                return "refused";
            }
            let Some(pause) = pauses.next() else {
                tracing::warn!(code, "gave a letter up: the mail server did not take it");
                return "given_up";
            };
            metrics::counter!("mails_total", "result" => "retried").increment(1);
            tokio::time::sleep(*pause).await;
        }
    }
}
