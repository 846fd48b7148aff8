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
use platform::serve::Place;
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

/// An empty queue with a larger capacity is freed, so that a burst does not stay in memory.
const KEEP_QUEUE: usize = 32;

/// How a connection begins.
pub(crate) enum Begin {
    /// The client says hello first. It may use the credential of the upgrade.
    Hello(UpgradeCredential, Stranger),
    /// The connection was opened before the upgrade was answered.
    Opened(Box<ConnectionParts>),
}

/// Runs a connection from the upgrade to its end; `place` is its place in the listener. What lives as
/// long as the connection is boxed, because a future holds its arguments twice.
pub(crate) async fn run(
    gateway: Arc<Gateway>,
    mut socket: Socket,
    begin: Result<Begin, Close>,
    place: Place,
) {
    let opened = match begin {
        // Boxed, like all rare steps here, so that an idle connection does not hold their memory.
        Ok(Begin::Hello(credential, stranger)) => {
            Box::pin(open(&gateway, &mut socket, credential, stranger)).await
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
    let (socket, close) = match opened {
        Ok(opened) => {
            if opened.guard.conn.user().is_some() {
                socket.on_client_known();
            }
            Box::new(Connection::new(opened)).run(socket).await
        }
        Err(close) => (Some(socket), close),
    };
    metrics::counter!("gateway_closes_total", "reason" => close.reason()).increment(1);
    if let Some(socket) = socket {
        Box::pin(socket.close(close)).await;
    }
    // The socket is closed now: only then may the listener take another in its place.
    drop(place);
}

/// A connection that is ready.
pub(crate) struct Connection {
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
    pub(crate) fn new(parts: ConnectionParts) -> Self {
        let ConnectionParts { guard, session, joins, shares, stranger } = parts;
        let heartbeat = guard.gateway.hub.config.heartbeat;
        // The first heartbeat comes at a random time, so that connections that opened together spread out.
        let first = heartbeat.mul_f64(rand::random_range(0.1..1.0)).min(time_left(&session));
        let now = Instant::now();
        Self {
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
    pub(crate) async fn run(mut self: Box<Self>, socket: Socket) -> (Option<Socket>, Close) {
        let Socket { mut input, output } = socket;
        self.conn().outbox.put_output(output);
        let close = self.serve(&mut input).await;
        let output = self.conn().outbox.take_output();
        (output.map(|output| Socket { input, output }), close)
    }

    async fn serve(&mut self, input: &mut Input) -> Close {
        let conn = Arc::clone(&self.guard.conn);
        let mut scratch = VecDeque::new();
        self.join_waiting();
        loop {
            let intake = conn.unanswered.intake();
            if intake == Intake::Drained {
                conn.close_for_restart();
            }
            let reads = self.look_ups.may_read(intake);
            // Incoming frames come first: the check costs little, and tokio's budget ends a flood of them in
            // time for the others. Only writes are awaited inside the branches, so that nothing else delays
            // the outbox or the order to close.
            let result = tokio::select! {
                biased;
                incoming = input.next(), if reads => {
                    incoming.and_then(|incoming| self.on_incoming(incoming))
                }
                taken = conn.outbox.take(mem::take(&mut scratch)) => {
                    let OutboxBatch { mut frames, since, reads, joins, closing } = taken;
                    self.on_joins(joins);
                    let written = self.write(input, &mut frames, closing).await;
                    // A failed write shows a client nothing, so nothing counts as read.
                    if written.is_ok() {
                        if let Some(since) = since {
                            record_wait(since);
                        }
                        self.mark_read(reads);
                    }
                    if frames.capacity() <= KEEP_QUEUE {
                        scratch = frames;
                    }
                    closing.map_or(written, Err)
                }
                then = self.look_ups.finish() => self.on_look_up(then),
                () = conn.unanswered.changes_from(intake) => Ok(()),
                () = self.joins.next(&self.guard.gateway.hub, &conn) => {
                    self.join_waiting();
                    Ok(())
                }
                () = &mut self.timer => Box::pin(self.on_timer(input)).await,
                // Last, because a pong goes with any other write.
                () = std::future::ready(()), if input.owes_pong() => {
                    self.write(input, &mut VecDeque::new(), None).await
                }
            };
            if let Err(close) = result {
                if close == Close::ByPeer {
                    Box::pin(self.finish_look_ups()).await;
                }
                return close;
            }
        }
    }

    /// Writes these frames and the answer to a ping.
    async fn write(
        &mut self,
        input: &mut Input,
        frames: &mut VecDeque<Frame>,
        closing: Option<Close>,
    ) -> Result<(), Close> {
        // Always there: this task alone takes it, and puts it back below.
        let Some(mut output) = self.conn().outbox.take_output() else { return Err(Close::ByPeer) };
        if let Some(pong) = input.take_pong() {
            frames.push_front(pong);
        }
        let written = match output.write_now(frames) {
            Ok(Written::All) => Ok(()),
            Ok(Written::Some) => {
                let patience = self.gateway().hub.config.write_timeout;
                let rest = write_rest(&mut output, frames, closing, self.conn(), patience);
                Box::pin(rest).await
            }
            Err(close) => Err(close),
        };
        self.conn().outbox.put_output(output);
        written
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
    fn mark_read(&self, reads: Vec<(ChatId, Seq)>) {
        let Some(user_id) = self.conn().user_id() else { return };
        for (chat_id, message_id) in reads {
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
    async fn on_timer(&mut self, input: &mut Input) -> Result<(), Close> {
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
        let (wait, mut frames) = match look(self.heard_at.elapsed(), heartbeat, rand::random()) {
            Beat::Silent => return Err(Close::Silent),
            Beat::Wait(wait) => (wait, VecDeque::new()),
            Beat::Ping(wait) => (wait, VecDeque::from([Frame::ping()])),
        };
        self.timer.as_mut().reset(Instant::now() + wait.min(left));
        self.write(input, &mut frames, None).await
    }
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
