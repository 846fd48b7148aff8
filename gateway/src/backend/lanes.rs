//! What connections ask of the api, each kind in its own lane: sessions to open, commands, read marks,
//! people and guests by name.

use crate::{
    backend::{
        Backend, Unavailable,
        lane::{Attempt, Call, Done, Full, Lane, Reply, call},
    },
    config::{Config, LaneConfig},
};
use platform::lifecycle::Lifecycle;
use protocol::{
    calls::{
        Guests, MarkRead, Open, OpenSession, Pair, Peers, Post, ReadMark, SessionRefusal,
        SessionView,
    },
    chat::UserRef,
    code::Code,
    command::{Command, Receipt},
    id::ChatId,
    refusal::Refusal,
    relay::ChatEvents,
};
use std::sync::Arc;

/// A session that may open, with the database's epoch.
pub(crate) type OpenAnswer = (Arc<str>, Result<SessionView, SessionRefusal>);

/// The lanes of all connections.
pub(crate) struct ApiLanes {
    opens: Lane<OpenSession, OpenAnswer>,
    posts: Vec<Lane<Command, Result<Receipt, Refusal>>>,
    reads: Lane<ReadMark, ()>,
    peers: Lane<Pair, Result<ChatId, Refusal>>,
    guests: Lane<String, Result<UserRef, Refusal>>,
}

impl ApiLanes {
    /// Starts the lanes. `on_events` is given the events of own commands as soon as they are committed.
    pub(crate) fn start(
        backend: &Arc<dyn Backend>,
        config: &Config,
        lifecycle: &Lifecycle,
        on_events: impl Fn(ChatEvents) + Clone + Send + Sync + 'static,
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
            let (backend, on_events) = (Arc::clone(backend), on_events.clone());
            let call: Call<Command, _> = Box::new(move |commands, attempt| {
                let asked = backend.post(Post { commands, impatient: true });
                let on_events = on_events.clone();
                Box::pin(async move {
                    let mut posted = asked.await?;
                    // Local devices need not wait for the bus, nor does anybody depend on it.
                    posted.events.into_iter().for_each(&on_events);
                    if attempt == Attempt::Again {
                        // Committed by the attempt before, perhaps: then it is no client's repeat.
                        posted.results.iter_mut().flatten().for_each(|done| done.repeated = false);
                    }
                    Ok(posted.results.into_iter().map(reply).collect())
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
        let query = config.query;
        let open = LaneConfig { at_once: config.open_at_once, ..query };
        let read = LaneConfig { at_once: config.read_at_once, ..query };
        Self {
            opens: Lane::start("open", open, opens, lifecycle),
            posts: posts.collect(),
            reads: Lane::start("read", read, reads, lifecycle),
            peers: Lane::start("peers", query, peers, lifecycle),
            guests: Lane::start("guests", query, guests, lifecycle),
        }
    }

    /// Whether a session may open, and what it starts from.
    pub(crate) async fn open(&self, session: OpenSession) -> Result<OpenAnswer, Unavailable> {
        self.opens.request(session).await
    }

    /// Puts a command into its chat's lane: a sender's commands to a chat keep their order.
    pub(crate) fn post(
        &self,
        command: Command,
        done: Done<Result<Receipt, Refusal>>,
    ) -> Result<(), Full> {
        let lane = command.chat_id.0.unsigned_abs() as usize % self.posts.len();
        self.posts[lane].submit(command, done)
    }

    /// Passes a read mark on; a later one includes those that are lost.
    pub(crate) fn mark_read(&self, mark: ReadMark) -> Result<(), Full> {
        self.reads.submit(mark, Box::new(|_| ()))
    }

    /// The private chat of two users, made when there is none.
    pub(crate) async fn peer(&self, pair: Pair) -> Result<Result<ChatId, Refusal>, Unavailable> {
        self.peers.request(pair).await
    }

    /// The guest of this name.
    pub(crate) async fn guest(
        &self,
        name: String,
    ) -> Result<Result<UserRef, Refusal>, Unavailable> {
        self.guests.request(name).await
    }
}

/// What an api says of a command, in the lane's words.
fn reply(result: Result<Receipt, Refusal>) -> Reply<Result<Receipt, Refusal>> {
    match result {
        Err(Refusal { code: Code::Busy, .. }) => Reply::Busy,
        result => Reply::Answer(result),
    }
}
