//! The life of one connection in any dialect: it opens, then reads frames and writes events until either side
//! ends it. This task owns the socket, and lends its writing half to whoever delivers events; everybody else holds
//! a [`Conn`].
//!
//! - `upgrade_credential.rs`, `greeting.rs`, `opening/`: until its client is known
//! - `session.rs`: what each frame leads to, a pure state machine
//! - `look_up_queue.rs`, `look_ups.rs`, `people.rs`, `guest_names.rs`, `subscribing.rs`: what a frame
//!   needs first
//! - `posting.rs`, `answer.rs`: a command's way to the api, and the answer that each frame is owed
//! - `join_queue.rs`, `joining.rs`: how it comes to watch chats from where its client stopped
//! - `heartbeat.rs`: when it is pinged and given up

mod answer;
mod greeting;
mod guest_names;
mod heartbeat;
mod join_queue;
mod joining;
mod look_up_queue;
mod look_ups;
pub(crate) mod opening;
mod people;
mod posting;
mod session;
mod subscribing;
pub(crate) mod upgrade_credential;

use crate::{
    connection::{
        answer::Answer,
        guest_names::GuestNames,
        heartbeat::{Beat, look},
        join_queue::JoinQueue,
        look_up_queue::LookUpQueue,
        opening::{ConnGuard, ConnectionParts, native::open},
        session::{Effect, Session},
        upgrade_credential::UpgradeCredential,
    },
    dialect::Window,
    hub::{
        conn::{
            Conn,
            join::Join,
            outbox::{OutboxBatch, queue::record_wait},
            unanswered::Intake,
        },
        presence::chats_to_tell,
        strangers::Stranger,
    },
    state::Gateway,
    wire::{
        frame::Frame,
        input::{Incoming, Input},
        output::{Output, Written},
        socket::Socket,
    },
};
use protocol::{
    calls::ReadMark,
    chat::UserRef,
    close::Close,
    frames::ServerFrame,
    id::{ChatId, Seq},
    time::Timestamp,
};
use std::{collections::VecDeque, mem, pin::Pin, sync::Arc, time::Duration};
use tokio::time::{Instant, Sleep};

/// How long the frames before a close may take. A client that reads gets all of them in this time.
const LAST_WRITE: Duration = Duration::from_secs(2);

/// How a connection begins.
pub(crate) enum Begin {
    /// The client says hello first. It may use the credential of the upgrade.
    Hello(UpgradeCredential, Stranger),
    /// The connection was opened before the upgrade was answered.
    Opened(Box<ConnectionParts>),
}

/// Runs a connection from the upgrade to its end; `place` is its place in the listener. Few bytes stay in this future
/// for as long as the connection is open: what opens and closes it is boxed, and nothing of it is captured twice.
pub(crate) fn run(
    gateway: Arc<Gateway>,
    socket: Socket,
    begin: Result<Begin, Close>,
    place: impl Send,
) -> impl Future<Output = ()> {
    let opening = Box::pin(begin_connection(gateway, socket, begin));
    async move {
        let (socket, close) = match opening.await {
            Ok(connection) => connection.run().await,
            Err((socket, close)) => (Some(socket), close),
        };
        metrics::counter!("gateway_closes_total", "reason" => close.reason()).increment(1);
        if let Some(socket) = socket {
            Box::pin(socket.close(close)).await;
        }
        // The socket is closed now: only then may the listener take another in its place.
        drop(place);
    }
}

/// Opens a connection, unless that was done before the upgrade. An error is the reason to close its socket.
async fn begin_connection(
    gateway: Arc<Gateway>,
    mut socket: Socket,
    begin: Result<Begin, Close>,
) -> Result<Box<Connection>, (Socket, Close)> {
    let opened = match begin {
        Ok(Begin::Hello(credential, stranger)) => {
            open(&gateway, &mut socket, credential, stranger).await
        }
        Ok(Begin::Opened(opened)) => Ok(*opened),
        Err(close) => Err(close),
    };
    metrics::counter!("gateway_openings_total", "result" => match &opened {
        Ok(_) => "opened",
        Err(Close::Overloaded) => "failed",
        Err(Close::Restart) => "sent_on",
        Err(_) => "refused",
    })
    .increment(1);
    match opened {
        Ok(opened) => {
            if opened.guard.conn.user().is_some() {
                socket.on_client_known();
            }
            Ok(Box::new(Connection::new(opened, socket)))
        }
        Err(close) => Err((socket, close)),
    }
}

/// A connection that is ready.
pub(crate) struct Connection {
    input: Box<Input>,
    pub(crate) guard: ConnGuard,
    pub(crate) session: Session,
    pub(crate) names: GuestNames,
    pub(crate) look_ups: LookUpQueue<Self>,
    pub(crate) joins: JoinQueue,
    /// Whether the first chats have been joined and others know that the user is here.
    settled: bool,
    /// The chats to tell then.
    shares: Vec<ChatId>,
    #[expect(
        dead_code,
        reason = "held for its drop: a guest is a stranger for as long as it stays"
    )]
    stranger: Option<Stranger>,
    heard_at: Instant,
    timer: Pin<Box<Sleep>>,
}

impl Connection {
    pub(crate) fn new(parts: ConnectionParts, socket: Socket) -> Self {
        let ConnectionParts { guard, session, joins, shares, stranger } = parts;
        let heartbeat = guard.gateway.hub.config.heartbeat;
        // The first heartbeat comes at a random time, so that connections that opened together spread out.
        let first = heartbeat.mul_f64(rand::random_range(0.1..1.0)).min(time_left(&session));
        let now = Instant::now();
        let Socket { input, output } = socket;
        guard.conn.outbox.put_output(output);
        Self {
            input,
            guard,
            session,
            names: GuestNames::default(),
            look_ups: LookUpQueue::default(),
            joins,
            settled: false,
            shares,
            stranger,
            heard_at: now,
            timer: Box::pin(tokio::time::sleep_until(now + first)),
        }
    }

    /// Runs until either side ends it. Returns the socket with the reason to close it.
    pub(crate) async fn run(mut self: Box<Self>) -> (Option<Socket>, Close) {
        self.join_waiting();
        loop {
            let intake = self.conn().unanswered.intake();
            if intake == Intake::Drained {
                self.conn().close_for_restart();
            }
            let reads = self.look_ups.may_read(intake);
            // Incoming frames come first: the check costs little, and tokio's budget ends a flood of them in
            // time for the others. No branch awaits, so that nothing delays the outbox or the order to close.
            let result = tokio::select! {
                biased;
                incoming = self.input.incoming(), if reads => {
                    incoming.and_then(|incoming| self.on_incoming(incoming)).map(|()| None)
                }
                batch = self.guard.conn.outbox.take() => self.on_batch(batch),
                then = self.look_ups.finish() => self.on_look_up(then).map(|()| None),
                () = self.guard.conn.unanswered.changes_from(intake) => Ok(None),
                () = self.joins.next(&self.guard.gateway.hub, &self.guard.conn) => {
                    self.join_waiting();
                    Ok(None)
                }
                () = &mut self.timer => self.on_timer(),
                // Last, because a pong goes with any other write.
                () = std::future::ready(()), if self.input.owes_pong() => {
                    self.write(OutboxBatch::default())
                }
            };
            // Rare steps are boxed, so that an idle connection does not hold their memory.
            let result = match result {
                Ok(Some(blocked)) => Box::pin(self.finish_write(blocked)).await,
                result => result.map(|_| ()),
            };
            if let Err(close) = result {
                if close == Close::ByPeer {
                    Box::pin(self.finish_look_ups()).await;
                }
                let output = self.conn().outbox.take_output();
                let Self { input, .. } = *self;
                return (output.map(|output| Socket { input, output }), close);
            }
        }
    }

    /// Carries out what came through the outbox.
    fn on_batch(&mut self, mut batch: OutboxBatch) -> Result<Option<BlockedWrite>, Close> {
        self.on_joins(mem::take(&mut batch.joins));
        self.write(batch)
    }

    /// Writes these frames and the answer to a ping. Returns the write if the kernel has no space for all of it now.
    fn write(&mut self, mut batch: OutboxBatch) -> Result<Option<BlockedWrite>, Close> {
        // Always there: this task alone takes it, and puts it back when all is written.
        let Some(mut output) = self.conn().outbox.take_output() else { return Err(Close::ByPeer) };
        if let Some(pong) = self.input.take_pong() {
            batch.frames.push_front(pong);
        }
        match output.write_now(&mut batch.frames) {
            Ok(Written::Some) => Ok(Some(BlockedWrite { output, batch: Box::new(batch) })),
            written => self.end_write(output, &batch, written.map(|_| ())).map(|()| None),
        }
    }

    /// Goes on with a write as the kernel gets space for it. Nothing else of the connection runs meanwhile, except that
    /// an order to close is heard.
    async fn finish_write(&mut self, blocked: BlockedWrite) -> Result<(), Close> {
        let BlockedWrite { mut output, mut batch } = blocked;
        let patience = self.gateway().hub.config.write_timeout;
        let OutboxBatch { frames, closing, .. } = &mut *batch;
        let written = write_rest(&mut output, frames, *closing, self.conn(), patience).await;
        self.end_write(output, &batch, written)
    }

    /// Ends a write. An order to close that came with its frames is followed now.
    fn end_write(
        &self,
        output: Box<Output>,
        batch: &OutboxBatch,
        written: Result<(), Close>,
    ) -> Result<(), Close> {
        self.conn().outbox.put_output(output);
        // A failed write shows a client nothing, so nothing counts as read.
        if written.is_ok() {
            if let Some(since) = batch.since {
                record_wait(since);
            }
            self.mark_read(&batch.reads);
        }
        batch.closing.map_or(written, Err)
    }

    pub(crate) fn gateway(&self) -> &Arc<Gateway> {
        &self.guard.gateway
    }

    pub(crate) fn conn(&self) -> &Arc<Conn> {
        &self.guard.conn
    }

    /// Queues joins from the hub: new chats, and chats that the connection did not keep up with.
    fn on_joins(&mut self, joins: Vec<Join>) {
        if joins.is_empty() {
            return;
        }
        let chats = joins.iter().map(|join| (join.chat_id, join.chat_type));
        let shares = chats_to_tell(chats, self.gateway().hub.config.presence.max_chats);
        match self.conn().user_id() {
            Some(user) if self.settled => self.gateway().hub.users.mark_present(user, &shares),
            _ => self.shares.extend(shares),
        }
        for join in joins {
            self.joins.add(join);
        }
        self.join_waiting();
    }

    /// Starts the joins that may start now. After the first ones, tells others that the user is here.
    pub(crate) fn join_waiting(&mut self) {
        self.joins.start(&self.guard.gateway.hub, &self.guard.conn);
        if self.settled || !self.joins.is_settled() {
            return;
        }
        self.settled = true;
        let shares = mem::take(&mut self.shares);
        if let Some(UserRef { id, username, .. }) = self.conn().user() {
            self.gateway().hub.users.mark_present(*id, &shares);
            if self.conn().window == Window::Lobby {
                self.gateway().hub.announce_arrival(self.conn(), username);
            }
        }
    }

    /// Marks messages as read that were written to a client that cannot send read marks.
    fn mark_read(&self, reads: &[(ChatId, Seq)]) {
        let Some(user_id) = self.conn().user_id() else { return };
        for &(chat_id, message_id) in reads {
            self.submit_mark(ReadMark { user_id, chat_id, message_id });
        }
    }

    fn submit_mark(&self, mark: ReadMark) {
        // When the lane is full, a later mark includes this one.
        let _ = self.gateway().lanes.mark_read(mark);
    }

    fn on_incoming(&mut self, incoming: Incoming) -> Result<(), Close> {
        self.heard_at = Instant::now();
        let now = self.gateway().uptime();
        let text = match incoming {
            Incoming::Text(text) => Some(text),
            Incoming::Binary => None,
            Incoming::Sign => return Ok(()),
        };
        let answer = Answer::of(self.conn());
        let conn = &self.guard.conn;
        let effect = {
            // Locked for this block only: carrying out the effect may take the lock again.
            let allowance = &mut conn.account.allowance();
            match text {
                Some(text) => {
                    let fresh_id = || uuid::Uuid::new_v4().to_string();
                    self.session.on_text(&text, conn.speaker(), allowance, now, fresh_id)?
                }
                None => self.session.on_binary(allowance, now)?,
            }
        };
        match effect {
            Effect::Reply(frame) => answer.send(&frame),
            Effect::Post { id, command } => self.post(id, command, answer),
            Effect::LookUp(question) => self.ask(question, answer),
            Effect::Read(mark) => self.submit_mark(mark),
            Effect::Typing(chat) => {
                if self.guard.conn.watches(chat) {
                    self.gateway().hub.on_typing(&self.guard.conn, chat);
                }
            }
            Effect::Nothing => {}
        }
        Ok(())
    }

    /// Answers a frame that is refused, unless that happens too often.
    pub(crate) fn refuse(&mut self, error: ServerFrame, answer: Answer) -> Result<(), Close> {
        let now = self.gateway().uptime();
        let effect = {
            let allowance = &mut self.guard.conn.account.allowance();
            self.session.refuse(error, allowance, now)?
        };
        if let Effect::Reply(error) = effect {
            answer.send(&error);
        }
        Ok(())
    }

    /// Handles the heartbeat and the expiry of the token.
    fn on_timer(&mut self) -> Result<Option<BlockedWrite>, Close> {
        let heartbeat = self.gateway().hub.config.heartbeat;
        let left = time_left(&self.session);
        if left.is_zero() {
            return Err(match self.conn().window {
                Window::Native => Close::TokenExpired,
                // Its end is not the token's: the connection has reached its longest life.
                _ => Close::Renew,
            });
        }
        self.joins.forget();
        if self.look_ups.is_paused() {
            // Its frames are left unread, so silence is no sign that the client is gone.
            self.heard_at = Instant::now();
        }
        let (wait, frames) = match look(self.heard_at.elapsed(), heartbeat, rand::random()) {
            Beat::Silent => return Err(Close::Silent),
            Beat::Wait(wait) => (wait, VecDeque::new()),
            Beat::Ping(wait) => (wait, VecDeque::from([Frame::ping()])),
        };
        self.timer.as_mut().reset(Instant::now() + wait.min(left));
        self.write(OutboxBatch { frames, ..OutboxBatch::default() })
    }
}

/// A write for all of which the kernel has no space.
struct BlockedWrite {
    output: Box<Output>,
    batch: Box<OutboxBatch>,
}

/// How long the session's token is still good.
fn time_left(session: &Session) -> Duration {
    let left = session.expires_at.0 - Timestamp::now().0;
    Duration::from_millis(u64::try_from(left).unwrap_or_default())
}

/// Writes what the kernel did not take at once. A client is too slow if the kernel takes nothing for
/// `patience`. An order to close interrupts the write, unless these are the last frames before the close.
async fn write_rest(
    output: &mut Output,
    frames: &mut VecDeque<Frame>,
    closing: Option<Close>,
    conn: &Conn,
    patience: Duration,
) -> Result<(), Close> {
    let last = async {
        match closing {
            Some(_) => tokio::time::sleep(LAST_WRITE).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        written = output.write(frames, patience) => written,
        close = conn.outbox.close_order(), if closing.is_none() => Err(close),
        () = last => Err(Close::SlowConsumer),
    }
}
