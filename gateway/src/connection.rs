//! The life of one connection, in whatever dialect: it opens, then frames in and events out until
//! either side ends it. This task owns the socket; everybody else holds a [`Conn`].

use crate::{
    Gateway,
    conn::{Conn, Owner},
    dialect::{Window, native, refusal, try_later},
    frame::Frame,
    joining::{Join, join_all},
    opening::{MAX_CATCH_UP, Opened, Registered, open},
    outbox::{Taken, Worth},
    people::Names,
    presence::sharing,
    session::{Session, Wanted},
    socket::{Incoming, Socket, Written},
    strangers::Stranger,
};
use futures_util::future::BoxFuture;
use shared::{
    chat::UserRef,
    close::Close,
    id::{ChatId, Seq},
    internal::{ReadMark, Refusal},
    protocol::ServerFrame,
    serve::Place,
    time::Timestamp,
};
use std::{collections::VecDeque, mem, pin::Pin, sync::Arc, time::Duration};
use tokio::time::{Instant, Sleep};

/// What is queued before an order to close may take this long: a client that reads gets it all.
const LAST_WRITE: Duration = Duration::from_secs(2);

/// An emptied queue larger than this is let go, so that a burst does not stay in memory.
const KEEP_QUEUE: usize = 32;

/// How a connection begins.
pub(crate) enum Begin {
    /// The client says hello first; with the token that came with the upgrade, if any.
    Hello(Option<String>, Stranger),
    /// It was opened before the upgrade was answered.
    Opened(Box<Opened>),
}

/// Runs a connection from the upgrade to its end; `place` is its place in the listener. What lives as
/// long as the connection is boxed, because a future holds its arguments twice.
pub(crate) async fn run(
    gateway: Arc<Gateway>,
    mut socket: Box<Socket>,
    begin: Result<Begin, Close>,
    place: Place,
) {
    let opened = match begin {
        // Boxed, like all that is rare here: it is no part of an idle connection's memory.
        Ok(Begin::Hello(token, stranger)) => {
            Box::pin(open(&gateway, &mut socket, token, stranger)).await
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
    let close = match opened {
        Ok(opened) => Box::new(Connection::new(opened)).run(&mut socket).await,
        Err(close) => close,
    };
    metrics::counter!("gateway_closes_total", "reason" => close.reason()).increment(1);
    Box::pin(socket.close(close)).await;
    drop(place);
}

/// A connection that is ready.
pub(crate) struct Connection {
    registered: Registered,
    session: Session,
    pub(crate) names: Names,
    /// To be joined when those under way have been.
    joins: Vec<Join>,
    joining: Option<BoxFuture<'static, ()>>,
    /// Not to be watched any more when those under way have been joined.
    unwanted: Vec<ChatId>,
    /// Whether the first joins are done and others know that the user is here.
    settled: bool,
    /// The chats that are to hear so then.
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
    fn new(Opened { registered, session, joins, shares, stranger }: Opened) -> Self {
        let heartbeat = registered.gateway.hub.config.heartbeat;
        // The first ping comes at a random moment, so that reconnects together do not ping together.
        let first = heartbeat.mul_f64(rand::random_range(0.1..1.0)).min(left(&session));
        let now = Instant::now();
        Self {
            registered,
            session,
            names: Names::default(),
            joins,
            joining: None,
            unwanted: Vec::new(),
            settled: false,
            shares,
            stranger,
            heard_at: now,
            timer: Box::pin(tokio::time::sleep_until(now + first)),
        }
    }

    async fn run(mut self: Box<Self>, socket: &mut Socket) -> Close {
        let conn = Arc::clone(&self.registered.conn);
        let mut scratch = VecDeque::new();
        self.start_joining();
        loop {
            // In this order: looking whether a frame came costs little, and tokio ends a flood of them
            // in time for the others.
            let result = tokio::select! {
                biased;
                incoming = socket.next() => match incoming {
                    Ok(incoming) => self.on_incoming(incoming).await,
                    Err(close) => Err(close),
                },
                taken = conn.outbox.take(mem::take(&mut scratch)) => {
                    let Taken { mut frames, since, reads, joins, closing } = taken;
                    self.invited(joins);
                    let written = match socket.write_now(&mut frames) {
                        Ok(Written::All) => Ok(()),
                        Ok(Written::Some) => {
                            let patience = self.gateway().hub.config.write_timeout;
                            Box::pin(write_rest(socket, &mut frames, closing, &conn, patience)).await
                        },
                        Err(close) => Err(close),
                    };
                    if written.is_ok() {
                        if let Some(since) = since {
                            metrics::histogram!("gateway_write_wait_seconds").record(since.elapsed());
                        }
                        self.mark_read(reads);
                    }
                    if frames.capacity() <= KEEP_QUEUE {
                        scratch = frames;
                    }
                    closing.map_or(written, Err)
                }
                () = done(&mut self.joining) => {
                    self.on_joined();
                    Ok(())
                }
                () = &mut self.timer => Box::pin(self.on_timer(socket)).await,
            };
            if let Err(close) = result {
                return close;
            }
        }
    }

    pub(crate) fn gateway(&self) -> &Arc<Gateway> {
        &self.registered.gateway
    }

    pub(crate) fn conn(&self) -> &Arc<Conn> {
        &self.registered.conn
    }

    /// Chats that came while the connection was open. The bus and a poll may both tell of one.
    fn invited(&mut self, joins: Vec<Join>) {
        if joins.is_empty() {
            return;
        }
        let chats = joins.iter().map(|join| &join.chat);
        let shares = sharing(chats, self.gateway().hub.config.presence_chats);
        match self.conn().user_id() {
            Some(user) if self.settled => self.gateway().hub.users.arrived(user, &shares),
            _ => self.shares.extend(shares),
        }
        for join in joins {
            match self.joins.iter_mut().find(|waiting| waiting.chat.id == join.chat.id) {
                Some(waiting) => waiting.after = waiting.after.min(join.after),
                None => self.joins.push(join),
            }
        }
        self.start_joining();
    }

    fn on_joined(&mut self) {
        self.joining = None;
        for chat in mem::take(&mut self.unwanted) {
            self.gateway().hub.detach(self.conn(), chat);
        }
        if !mem::replace(&mut self.settled, true)
            && let Some(UserRef { id, username, .. }) = self.conn().user()
        {
            self.gateway().hub.users.arrived(*id, &self.shares);
            if self.conn().window == Window::Lobby {
                self.gateway().hub.arrived(self.conn(), username);
            }
        }
        self.start_joining();
    }

    /// What was shown to a client that cannot say what it has read.
    fn mark_read(&self, reads: Vec<(ChatId, Seq)>) {
        let Some(user_id) = self.conn().user_id() else { return };
        for (chat_id, message_id) in reads {
            self.submit_mark(ReadMark { user_id, chat_id, message_id });
        }
    }

    fn submit_mark(&self, mark: ReadMark) {
        if self.gateway().desk.mark_read(mark).is_err() {
            metrics::counter!("gateway_lane_full_total", "lane" => "read").increment(1);
        }
    }

    fn start_joining(&mut self) {
        if self.joining.is_none() && (!self.joins.is_empty() || !self.settled) {
            let joins = mem::take(&mut self.joins);
            let hub = Arc::clone(&self.gateway().hub);
            let conn = Arc::clone(&self.registered.conn);
            self.joining = Some(Box::pin(join_all(hub, conn, joins)));
        }
    }

    async fn on_incoming(&mut self, incoming: Incoming) -> Result<(), Close> {
        self.heard_at = Instant::now();
        let now = self.gateway().uptime();
        let wanted = match incoming {
            Incoming::Text(text) => {
                let conn = &self.registered.conn;
                let fresh_id = || uuid::Uuid::new_v4().to_string();
                let allowance = &mut conn.account.allowance();
                self.session.on_text(&text, conn.speaker(), allowance, now, fresh_id)?
            }
            Incoming::Binary => {
                self.session.on_binary(&mut self.registered.conn.account.allowance(), now)?
            }
            Incoming::Sign => return Ok(()),
        };
        match wanted {
            Wanted::Reply(frame) => self.reply(&frame),
            Wanted::Post { id, command } => self.post(id, command),
            Wanted::Direct { to, action } => return Box::pin(self.on_direct(to, action)).await,
            Wanted::Guest { name, action } => return Box::pin(self.on_guest(name, action)).await,
            Wanted::Read(mark) => self.submit_mark(mark),
            Wanted::Typing(chat) => {
                if self.registered.conn.watches(chat) {
                    self.gateway().hub.typing(&self.registered.conn, chat);
                }
            }
            Wanted::Subscribe { id, chat_id, after } => {
                Box::pin(self.subscribe(id, chat_id, after)).await;
            }
            Wanted::Unsubscribe { id, chat_id } => self.unsubscribe(id, chat_id),
            Wanted::Renew { id, token } => Box::pin(self.renew(id, &token)).await,
            Wanted::Nothing => {}
        }
        Ok(())
    }

    pub(crate) fn reply(&self, frame: &ServerFrame) {
        self.registered.conn.send(frame, Worth::Durable);
    }

    /// Answers a frame that is refused, unless that happens too often.
    pub(crate) fn refuse(&mut self, error: ServerFrame) -> Result<(), Close> {
        let now = self.gateway().uptime();
        let allowance = &mut self.registered.conn.account.allowance();
        if let Wanted::Reply(error) = self.session.refuse(error, allowance, now)? {
            self.reply(&error);
        }
        Ok(())
    }

    async fn renew(&mut self, id: Option<String>, token: &str) {
        match self.gateway().desk.verify(token).await {
            Ok(claims) => {
                let Owner::User { session: own, .. } = self.registered.conn.owner else { return };
                let expires_at = Timestamp(claims.exp.saturating_mul(1000));
                let frame = self.session.renewed(id, (claims.sid, own), expires_at);
                self.reply(&frame);
            }
            Err(close) => {
                self.reply(&refusal(id, close.reason(), "This token is not accepted."));
            }
        }
    }

    async fn subscribe(&mut self, id: Option<String>, chat_id: ChatId, after: Option<Seq>) {
        let hub = &self.gateway().hub;
        if hub.config.max_chats <= self.registered.conn.watched() + self.joins.len() {
            let text = "This connection watches as many chats as it may.";
            return self.reply(&refusal(id, "too_many_chats", text));
        }
        let allowed = self.registered.conn.departures();
        let chat = match hub.view_for(self.conn(), chat_id).await {
            Ok(Ok(chat)) => chat,
            Ok(Err(Refusal { code, message })) => {
                return self.reply(&refusal(id, code.as_str(), &message));
            }
            Err(_) => {
                let text = "The chat cannot be looked up right now.";
                let wait = Duration::from_secs(2);
                return self.reply(&try_later(id, "unavailable", text, wait));
            }
        };
        let subscribed = native::encode(&ServerFrame::Subscribed { id, chat: chat.clone() });
        let join = match after.filter(|after| *after >= Seq::ZERO) {
            Some(after) if (0..=MAX_CATCH_UP).contains(&(chat.seq.0 - after.0)) => {
                Join { allowed, after, chat, announce: Some(subscribed), resumed: true }
            }
            Some(_) => {
                self.registered.conn.outbox.push(subscribed, Worth::Durable);
                let resync = native::encode(&ServerFrame::Resync { chat_id, seq: chat.seq });
                Join { allowed, after: chat.seq, chat, announce: Some(resync), resumed: false }
            }
            None => {
                Join { allowed, after: chat.seq, chat, announce: Some(subscribed), resumed: false }
            }
        };
        self.joins.push(join);
        self.start_joining();
    }

    fn unsubscribe(&mut self, id: Option<String>, chat_id: ChatId) {
        self.gateway().hub.detach(self.conn(), chat_id);
        // A join that waits is told and dropped; one under way is undone when it is done.
        while let Some(place) = self.joins.iter().position(|join| join.chat.id == chat_id) {
            if let Some(announce) = self.joins.remove(place).announce {
                self.conn().outbox.push(announce, Worth::Durable);
            }
        }
        let limit = self.gateway().hub.config.max_chats;
        if self.joining.is_some()
            && self.unwanted.len() < limit
            && !self.unwanted.contains(&chat_id)
        {
            self.unwanted.push(chat_id);
        }
        self.reply(&ServerFrame::Unsubscribed { id, chat_id });
    }

    /// Heartbeat and the token's end.
    async fn on_timer(&mut self, socket: &mut Socket) -> Result<(), Close> {
        let heartbeat = self.gateway().hub.config.heartbeat;
        let left = left(&self.session);
        if left.is_zero() {
            return Err(Close::TokenExpired);
        }
        if self.heard_at.elapsed() > 2 * heartbeat {
            return Err(Close::Silent);
        }
        self.timer.as_mut().reset(Instant::now() + heartbeat.min(left));
        let write_timeout = self.gateway().hub.config.write_timeout;
        tokio::time::timeout(write_timeout, socket.ping()).await.unwrap_or(Err(Close::SlowConsumer))
    }
}

/// How long the session's token is still good.
fn left(session: &Session) -> Duration {
    let left = session.expires_at.0 - Timestamp::now().0;
    Duration::from_millis(u64::try_from(left).unwrap_or_default())
}

/// Writes what the kernel did not take at once. A client that does not take it in time is too slow;
/// an order to close ends it, unless this is what goes before the close.
async fn write_rest(
    socket: &mut Socket,
    frames: &mut VecDeque<Frame>,
    closing: Option<Close>,
    conn: &Conn,
    patience: Duration,
) -> Result<(), Close> {
    let patience = if closing.is_some() { patience.min(LAST_WRITE) } else { patience };
    tokio::select! {
        biased;
        written = tokio::time::timeout(patience, socket.write(frames)) => {
            written.unwrap_or(Err(Close::SlowConsumer))
        }
        close = conn.outbox.closing(), if closing.is_none() => Err(close),
    }
}

/// Ready when the future is; never, when there is none.
async fn done(future: &mut Option<BoxFuture<'static, ()>>) {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}
