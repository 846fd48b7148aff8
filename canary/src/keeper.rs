//! What the canary needs to speak at all, kept in order: two signed-in accounts with tokens that do
//! not run out, and the chat that the two meet in. Who connects and sends is in [`crate::watch`].

use crate::{
    account::{AccessPass, AccountSession, CanaryAccount, SignInError, WrongPassword},
    config::CanaryConfig,
    rest::{ListedChat, PublicApi, RequestError},
};
use platform::{backoff::Backoff, settings::Secret};
use protocol::{
    chat::ChatType,
    id::{ChatId, UserId},
    time::Timestamp,
};
use std::time::Duration;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep, sleep_until, timeout},
};

/// The name of the chats that the canary makes, by which it finds the old ones.
pub const CHAT_NAME: &str = "canary";

/// Saying goodbye may take this long: less than any grace period.
const GOODBYE: Duration = Duration::from_secs(3);

/// The tokens, the user and the chat that connections and rounds use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The sender's token.
    pub sender: AccessPass,
    /// The listener's token.
    pub listener: AccessPass,
    /// Who sends, to know its messages by.
    pub sender_id: UserId,
    /// The chat that the current rounds use.
    pub chat: ChatId,
}

impl Credentials {
    /// The account's current token.
    pub fn pass(&self, account: CanaryAccount) -> &AccessPass {
        match account {
            CanaryAccount::Sender => &self.sender,
            CanaryAccount::Listener => &self.listener,
        }
    }
}

/// What connections find out and the keeper can help with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Complaint {
    /// The account's session is not accepted any more.
    Session(CanaryAccount, u64),
    /// The chat is gone.
    Chat(ChatId),
}

/// Keeps the credentials.
pub struct AccountKeeper {
    config: CanaryConfig,
    rest: PublicApi,
    sender: AccountSession,
    listener: AccountSession,
    chat: ChatId,
    /// Replaced; to be deleted when nothing of it is on its way any more.
    old_chat: Option<ChatId>,
}

impl AccountKeeper {
    /// Signs both accounts in and makes the chat, however long the api takes to be there.
    pub async fn start(config: CanaryConfig) -> Result<Self, WrongPassword> {
        let rest = PublicApi::new(&config.api);
        let mut backoff = Backoff::of_client();
        let mut told = false;
        loop {
            let fault = match first_steps(&rest, &config.password).await {
                Ok((sender, listener, chat)) => {
                    tracing::info!(chat.id = %chat, "signed in");
                    return Ok(Self { config, rest, sender, listener, chat, old_chat: None });
                }
                Err(SignInError::Wrong(wrong)) => return Err(wrong),
                Err(SignInError::Fault(fault)) => fault,
            };
            count_failure();
            if !std::mem::replace(&mut told, true) {
                tracing::warn!(error = %fault, "cannot sign in yet");
            }
            sleep(backoff.pause(rand::random())).await;
        }
    }

    /// What there is now.
    pub fn credentials(&self) -> Credentials {
        Credentials {
            sender: self.sender.pass(),
            listener: self.listener.pass(),
            sender_id: self.sender.user_id(),
            chat: self.chat,
        }
    }

    /// Keeps it so for as long as somebody wants to know; then deletes the chat and signs out.
    pub async fn run(
        mut self,
        credentials: watch::Sender<Credentials>,
        mut complaints: mpsc::Receiver<Complaint>,
    ) {
        let (mut renewing, mut replacing) = (Backoff::of_client(), Backoff::of_client());
        let mut renew_at = Instant::now() + self.renew_after();
        let mut replace_at = Instant::now() + self.config.chat_age;
        let mut tidy_at = Instant::now();
        loop {
            tokio::select! {
                // The watch and all connections have ended: nobody uses the credentials any more.
                () = credentials.closed() => break,
                () = sleep_until(renew_at) => {
                    let good = self.renew().await;
                    let pause = if good { self.renew_after() } else { renewing.pause(rand::random()) };
                    renew_at = Instant::now() + pause;
                    if good {
                        renewing = Backoff::of_client();
                    }
                }
                () = sleep_until(replace_at) => {
                    let good = self.replace_chat().await;
                    let pause = if good { self.config.chat_age } else { replacing.pause(rand::random()) };
                    replace_at = Instant::now() + pause;
                    if good {
                        replacing = Backoff::of_client();
                        // Rounds in the old chat stay open for up to twice the patience. Without the chat
                        // their messages would count as lost.
                        tidy_at = Instant::now() + 2 * self.config.rules.patience;
                    }
                }
                () = sleep_until(tidy_at) => {
                    self.tidy().await;
                    tidy_at = Instant::now() + self.config.chat_age;
                }
                Some(complaint) = complaints.recv() => match complaint {
                    Complaint::Session(account, number) => {
                        // All connections of an account complain of one session; only the first complaint
                        // renews it.
                        if self.sender.on_refused(account, number)
                            || self.listener.on_refused(account, number)
                        {
                            renew_at = Instant::now();
                        }
                    }
                    Complaint::Chat(chat) if chat == self.chat => replace_at = Instant::now(),
                    Complaint::Chat(_) => {}
                },
            }
            credentials.send_replace(self.credentials());
        }
        if timeout(GOODBYE, self.leave()).await.is_err() {
            tracing::debug!("the api did not take the goodbye");
        }
    }

    fn renew_after(&self) -> Duration {
        let life = self.sender.token_life().min(self.listener.token_life());
        // Half a life remains for retries while the api is away.
        self.config.renew_after.min(life / 2)
    }

    /// Fresh tokens for both; whether that worked.
    async fn renew(&mut self) -> bool {
        let mut good = true;
        for session in [&mut self.sender, &mut self.listener] {
            match session.renew(&self.rest, &self.config.password).await {
                Ok(()) => {}
                Err(error) => {
                    count_failure();
                    tracing::warn!(%error, "cannot renew a session");
                    good = false;
                }
            }
        }
        good
    }

    /// Goes on in a new chat; whether that worked.
    async fn replace_chat(&mut self) -> bool {
        match make_chat(&self.rest, &self.sender, &self.listener).await {
            Ok(chat) => {
                self.old_chat = Some(std::mem::replace(&mut self.chat, chat));
                tracing::info!(chat.id = %chat, "the canary continues in a new chat");
                true
            }
            Err(error) => {
                tracing::warn!(%error, "cannot create a new chat");
                false
            }
        }
    }

    /// Deletes the chat before this one, and what canaries that were killed left behind. Not those of
    /// another canary that runs beside this one: its chats are younger.
    async fn tidy(&mut self) {
        let token = self.sender.token();
        let listed = self.rest.chats(token).await.unwrap_or_else(|error| {
            tracing::debug!(%error, "cannot look for old chats");
            Vec::new()
        });
        let long_ago = Timestamp::now().0 - 2 * millis(self.config.chat_age);
        let forgotten = |one: &ListedChat| {
            one.view.chat_type == ChatType::Group
                && one.view.name == CHAT_NAME
                && one.created_by == Some(self.sender.user_id())
                && one.created_at.0 < long_ago
        };
        let old = listed.iter().filter(|one| forgotten(one)).map(|one| one.view.id);
        for chat in old.chain(self.old_chat.take()).filter(|chat| *chat != self.chat) {
            if let Err(error) = self.rest.delete_chat(token, chat).await {
                tracing::debug!(%error, chat.id = %chat, "cannot delete an old chat");
            }
        }
    }

    /// Leaves nothing behind.
    async fn leave(&mut self) {
        let token = self.sender.token();
        // Failures do not matter here: the next canary removes the chats, and sessions expire.
        for chat in [Some(self.chat), self.old_chat].into_iter().flatten() {
            let _ = self.rest.delete_chat(token, chat).await;
        }
        let _ = self.rest.sign_out(token).await;
        let _ = self.rest.sign_out(self.listener.token()).await;
    }
}

async fn first_steps(
    rest: &PublicApi,
    password: &Secret,
) -> Result<(AccountSession, AccountSession, ChatId), SignInError> {
    let sender = AccountSession::start(rest, CanaryAccount::Sender, password).await?;
    let listener = AccountSession::start(rest, CanaryAccount::Listener, password).await?;
    let chat = make_chat(rest, &sender, &listener).await?;
    Ok((sender, listener, chat))
}

async fn make_chat(
    rest: &PublicApi,
    sender: &AccountSession,
    listener: &AccountSession,
) -> Result<ChatId, RequestError> {
    rest.make_group(sender.token(), CHAT_NAME, listener.user_id()).await
}

/// An attempt to sign in is part of an attempt to connect.
fn count_failure() {
    metrics::counter!("canary_connects_total", "result" => "failed").increment(1);
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}
