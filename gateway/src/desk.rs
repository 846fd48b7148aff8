//! What connections ask of the api, each kind in its own lane: opening sessions, posting, read
//! marks, who is meant by a name; and the public keys that tokens verify with.

use crate::{
    backend::{Backend, Unavailable},
    config::Config,
    hub::Hub,
    lane::{Attempt, Call, Done, Full, Lane, call},
};
use shared::{
    chat::UserRef,
    close::Close,
    id::ChatId,
    internal::{
        Action, Command, Guests, MarkRead, Open, OpenSession, Pair, Peers, Post, ReadMark, Receipt,
        Refusal, SessionRefusal, SessionView,
    },
    lifecycle::Lifecycle,
    time::Timestamp,
    token::{Claims, TokenError, Verifier},
};
use std::{sync::Arc, time::Duration};
use tokio::{sync::Mutex, time::Instant};

/// How often the public keys are fetched anew, so that a rotation reaches every node before the
/// new key signs.
const KEYS_INTERVAL: Duration = Duration::from_secs(60);

/// A token of an unknown key makes the keys be fetched at once, but not more often than this:
/// anybody can send made-up key ids.
const KEYS_PAUSE: Duration = Duration::from_secs(2);

/// A session that may open, with the database's epoch.
pub(crate) type OpenAnswer = (Arc<str>, Result<SessionView, SessionRefusal>);

/// The lanes.
pub(crate) struct Desk {
    opens: Lane<OpenSession, OpenAnswer>,
    posts: Vec<Lane<Command, Result<Receipt, Refusal>>>,
    reads: Lane<ReadMark, ()>,
    peers: Lane<Pair, Result<ChatId, Refusal>>,
    guests: Lane<String, Result<UserRef, Refusal>>,
    backend: Arc<dyn Backend>,
    verifier: Verifier,
    keys_fetched: Mutex<Option<Instant>>,
}

impl Desk {
    pub fn start(
        backend: &Arc<dyn Backend>,
        hub: &Arc<Hub>,
        config: &Config,
        lifecycle: &Lifecycle,
    ) -> Self {
        let opens = {
            let (backend, live_chats) = (Arc::clone(backend), config.live_chats);
            call(move |sessions: Vec<OpenSession>| {
                let asked = backend.open(Open { sessions, live_chats });
                async move {
                    let opened = asked.await?;
                    let epoch: Arc<str> = opened.epoch.into();
                    Ok(opened.sessions.into_iter().map(|view| (Arc::clone(&epoch), view)).collect())
                }
            })
        };
        let reads = {
            let backend = Arc::clone(backend);
            call(move |marks: Vec<ReadMark>| {
                let (count, asked) = (marks.len(), backend.mark_read(MarkRead { marks }));
                async move { asked.await.map(|()| vec![(); count]) }
            })
        };
        let posts = (0..config.post_lanes.max(1)).map(|_| {
            let (backend, hub) = (Arc::clone(backend), Arc::clone(hub));
            let call: Call<Command, _> = Box::new(move |commands, attempt| {
                let (asked, hub) = (backend.post(Post { commands }), Arc::clone(&hub));
                Box::pin(async move {
                    let mut posted = asked.await?;
                    // Local devices need not wait for the bus, nor does anybody depend on it.
                    posted.events.into_iter().for_each(|run| hub.on_events(run));
                    if attempt == Attempt::Again {
                        // Committed by the attempt before, perhaps: then it is no client's repeat.
                        posted.results.iter_mut().flatten().for_each(|done| done.repeated = false);
                    }
                    Ok(posted.results)
                })
            });
            Lane::start("post", config.post, call, lifecycle)
        });
        let peers = {
            let backend = Arc::clone(backend);
            call(move |pairs: Vec<Pair>| {
                let asked = backend.peers(Peers { pairs });
                async move { Ok(asked.await?.chats) }
            })
        };
        let guests = {
            let backend = Arc::clone(backend);
            call(move |names: Vec<String>| {
                let asked = backend.guests(Guests { names });
                async move { Ok(asked.await?.guests) }
            })
        };
        Self {
            peers: Lane::start("peers", config.query, peers, lifecycle),
            guests: Lane::start("guests", config.query, guests, lifecycle),
            opens: Lane::start("open", config.query, opens, lifecycle),
            posts: posts.collect(),
            reads: Lane::start("read", config.query, reads, lifecycle),
            backend: Arc::clone(backend),
            verifier: Verifier::new(),
            keys_fetched: Mutex::default(),
        }
    }

    /// Whose token this is, or why the socket may not open.
    pub async fn verify(&self, token: &str) -> Result<Claims, Close> {
        let verdict = match self.verifier.verify(token, Timestamp::now()) {
            Err(TokenError::UnknownKey) => {
                self.fetch_keys(KEYS_PAUSE).await;
                self.verifier.verify(token, Timestamp::now())
            }
            verdict => verdict,
        };
        verdict.map_err(|error| match error {
            TokenError::Expired => Close::TokenExpired,
            _ => Close::Unauthenticated,
        })
    }

    /// Asks whether a session may open and what it starts from.
    pub async fn open(&self, session: OpenSession) -> Result<OpenAnswer, Unavailable> {
        self.opens.ask(session).await
    }

    /// Puts a command into its chat's lane: a sender's commands to a chat keep their order.
    pub fn post(&self, command: Command, done: Done<Result<Receipt, Refusal>>) -> Result<(), Full> {
        let bytes = match &command.action {
            Action::Send { text, .. } | Action::Edit { text, .. } => text.len(),
            Action::Delete { .. } => 0,
        };
        let lane = command.chat_id.0.unsigned_abs() as usize % self.posts.len();
        self.posts[lane].submit(command, bytes, done)
    }

    /// Passes a read mark on; a later one includes those that are lost.
    pub fn mark_read(&self, mark: ReadMark) -> Result<(), Full> {
        self.reads.submit(mark, 0, Box::new(|_| ()))
    }

    /// The private chat of two users, made when there is none.
    pub async fn peer(&self, pair: Pair) -> Result<Result<ChatId, Refusal>, Unavailable> {
        self.peers.ask(pair).await
    }

    /// The guest of this name.
    pub async fn guest(&self, name: String) -> Result<Result<UserRef, Refusal>, Unavailable> {
        self.guests.ask(name).await
    }

    /// Whether tokens can be verified.
    pub async fn has_keys(&self) -> bool {
        self.keys_fetched.lock().await.is_some()
    }

    /// Fetches the public keys for as long as the process lives.
    pub async fn keep_keys(self: Arc<Self>) {
        loop {
            self.fetch_keys(Duration::ZERO).await;
            let pause =
                if self.has_keys().await { KEYS_INTERVAL } else { Duration::from_millis(200) };
            tokio::time::sleep(pause).await;
        }
    }

    async fn fetch_keys(&self, pause: Duration) {
        // Held while fetching: those who wait find the keys fetched.
        let mut fetched = self.keys_fetched.lock().await;
        if fetched.is_some_and(|at| at.elapsed() < pause) {
            return;
        }
        match self.backend.jwks().await {
            Ok(jwks) => match self.verifier.replace(&jwks) {
                Ok(()) => *fetched = Some(Instant::now()),
                Err(error) => tracing::error!(%error, "the api's public keys cannot be used"),
            },
            Err(error) => tracing::warn!(%error, "cannot fetch the public keys"),
        }
    }
}
