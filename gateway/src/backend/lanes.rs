//! The connections' requests to the api, each kind in its own lane: sessions to open, commands, read marks,
//! people and guests by name.

use crate::{
    backend::{
        Backend, Unavailable,
        lane::{Attempt, Call, Lane, LaneFull, Reply, ask},
        request_result::{RequestResult, on_result},
    },
    config::{Config, LaneConfig, LanesConfig},
};
use futures_util::TryFutureExt;
use platform::lifecycle::Lifecycle;
use protocol::{
    bucket::ChatBucket,
    calls::{
        Guests, MarkRead, Open, OpenSession, Pair, Peers, Post, ReadMark, SessionRefusal,
        SessionView,
    },
    chat::UserRef,
    code::Code,
    command::{Command, Receipt},
    encoded_run::EncodedRun,
    id::ChatId,
    refusal::Refusal,
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
    /// Starts the lanes. `on_events` gets the events of this node's commands as soon as they are committed.
    pub(crate) fn start(
        backend: &Arc<dyn Backend>,
        config: &Config,
        lifecycle: &Lifecycle,
        on_events: impl Fn(&EncodedRun) + Clone + Send + Sync + 'static,
    ) -> Self {
        let live_chats = config.live_chats;
        let LanesConfig { post_lanes, post, query, open, read_at_once } = config.lanes;
        let opens = ask(backend, move |api, sessions| {
            api.open(Open { sessions, live_chats }).map_ok(|opened| {
                let epoch: Arc<str> = opened.epoch.into();
                opened.sessions.into_iter().map(|view| (Arc::clone(&epoch), view)).collect()
            })
        });
        let posts = (0..post_lanes.max(1)).map(|_| {
            let call = post_call(Arc::clone(backend), on_events.clone());
            Lane::start("post", post, call, lifecycle)
        });
        let reads = ask(backend, |api, marks: Vec<ReadMark>| {
            let count = marks.len();
            api.mark_read(MarkRead { marks }).map_ok(move |()| vec![(); count])
        });
        let peers =
            ask(backend, |api, pairs| api.peers(Peers { pairs }).map_ok(|found| found.chats));
        let guests =
            ask(backend, |api, names| api.guests(Guests { names }).map_ok(|found| found.guests));
        Self {
            opens: Lane::start("open", open, opens, lifecycle),
            posts: posts.collect(),
            reads: Lane::start(
                "read",
                LaneConfig { at_once: read_at_once, ..query },
                reads,
                lifecycle,
            ),
            peers: Lane::start("peers", query, peers, lifecycle),
            guests: Lane::start("guests", query, guests, lifecycle),
        }
    }

    /// Opens a session: what its connection starts from, or why it may not open.
    pub(crate) async fn open(&self, session: OpenSession) -> Result<OpenAnswer, Unavailable> {
        self.opens.request(session).await
    }

    /// Puts a command into its chat's lane, so that a sender's commands to a chat keep their order, and a batch meets
    /// chats of one group of buckets: when chats lie on several servers, and there are as many lanes or a multiple
    /// of them, those of one server. `done`
    /// gets the outcome on the lane's task.
    pub(crate) fn post(
        &self,
        command: Command,
        done: impl FnOnce(RequestResult<Receipt>) + Send + 'static,
    ) -> Result<(), LaneFull> {
        let lane = ChatBucket::of(command.chat_id).group(self.posts.len());
        self.posts[lane].submit(command, on_result(done))
    }

    /// Sends a read mark. A later mark makes up for a lost one.
    pub(crate) fn mark_read(&self, mark: ReadMark) -> Result<(), LaneFull> {
        self.reads.submit(mark, Box::new(|_| ()))
    }

    /// The private chat of two users, made when there is none.
    pub(crate) async fn peer(&self, pair: Pair) -> RequestResult<ChatId> {
        Ok(self.peers.request(pair).await??)
    }

    /// The guest of this name.
    pub(crate) async fn guest(&self, name: String) -> RequestResult<UserRef> {
        Ok(self.guests.request(name).await??)
    }
}

/// The call of a lane of commands. Gives the events of committed ones to `on_events`.
fn post_call(
    backend: Arc<dyn Backend>,
    on_events: impl Fn(&EncodedRun) + Clone + Send + Sync + 'static,
) -> Call<Command, Result<Receipt, Refusal>> {
    Box::new(move |commands, attempt| {
        let answer = backend.post(Post { commands, impatient: true });
        let on_events = on_events.clone();
        Box::pin(async move {
            let mut posted = answer.await?;
            // Before the receipts, so that the watchers here need not wait for the bus.
            posted.events.iter().for_each(&on_events);
            if attempt == Attempt::Again {
                // The lane repeated the call, not the client: hide that the first attempt may have committed.
                posted.results.iter_mut().flatten().for_each(|done| done.repeated = false);
            }
            Ok(posted.results.into_iter().map(reply).collect())
        })
    })
}

/// The api's result of a command as the lane's reply.
fn reply(result: Result<Receipt, Refusal>) -> Reply<Result<Receipt, Refusal>> {
    match result {
        Err(Refusal { code: Code::Busy, .. }) => Reply::Busy,
        result => Reply::Answer(result),
    }
}
