//! The life of one connection: hello, ready, then frames in and events out until either side ends
//! it. This task owns the socket; everybody else holds a [`Conn`].

use crate::{
    Gateway,
    conn::Conn,
    joining::{Join, join_all},
    outbox::{Taken, Worth},
    relayed::{Dialect, Frame, native},
    session::{Greeted, Greeting, Hello, Session, Wanted, refusal, try_later},
    socket::{Incoming, Socket},
    users::Arrival,
};
use futures_util::future::BoxFuture;
use shared::{
    chat::{ChatView, UserRef},
    close::Close,
    id::{ChatId, Seq},
    internal::{Command, OpenSession, Receipt, Refusal, SessionRefusal, UserChat},
    protocol::{Resume, ServerFrame},
    relay::Channel,
    serve::Place,
    time::Timestamp,
};
use std::{collections::VecDeque, mem, pin::Pin, sync::Arc, time::Duration};
use tokio::time::{Instant, Sleep};

/// How long to wait for the bus to confirm a user's channel before opening without it: repair
/// covers what is missed.
const SUBSCRIBE_PATIENCE: Duration = Duration::from_secs(1);

/// A client further behind than this reloads its chats instead of being sent everything.
const MAX_CATCH_UP: i64 = 10_000;

/// What is queued before an order to close may take this long: a client that reads gets it all.
const LAST_WRITE: Duration = Duration::from_secs(2);

/// An emptied queue larger than this is let go, so that a burst does not stay in memory.
const KEEP_QUEUE: usize = 32;

/// Runs a connection from the upgrade to its end. `presented` is the token that came with the
/// upgrade; `place` is its place in the listener.
pub(crate) async fn run(
    gateway: Arc<Gateway>,
    mut socket: Socket,
    presented: Option<String>,
    place: Place,
) {
    // Boxed: what opening needs is gone from memory while the connection idles.
    let opened = Box::pin(open(&gateway, &mut socket, presented)).await;
    let close = match opened {
        Ok(connection) => connection.run(&mut socket).await,
        Err(close) => close,
    };
    metrics::counter!("gateway_closes_total", "reason" => close.reason()).increment(1);
    socket.close(close).await;
    drop(place);
}

/// From the first frame to `ready`.
async fn open(
    gateway: &Arc<Gateway>,
    socket: &mut Socket,
    presented: Option<String>,
) -> Result<Connection, Close> {
    let started = Instant::now();
    let config = &gateway.hub.config;
    let hello = tokio::time::timeout(config.hello_timeout, greet(gateway, socket, presented));
    let Hello { token, resume } = hello.await.map_err(|_| Close::HelloTimeout)??;
    let claims = gateway.desk.verify(&token).await?;

    // Registered before the api is asked: a session that ends meanwhile closes this connection too.
    let conn = Arc::new(Conn::new(
        gateway.ids.next(),
        UserRef { id: claims.sub, username: claims.name },
        claims.sid,
        Dialect::Native,
        config.max_outbox_bytes,
    ));
    let arrival = gateway.hub.users.register(&conn)?;
    let registered = Registered { gateway: Arc::clone(gateway), conn: Arc::clone(&conn) };
    if arrival == Arrival::First
        && let Some(subscriber) = gateway.hub.subscriber.get()
    {
        let confirmed = subscriber.add(&[Channel::User(conn.user.id)]);
        let _ = tokio::time::timeout(SUBSCRIBE_PATIENCE, confirmed).await;
    }
    let session = OpenSession { user_id: claims.sub, session_id: claims.sid };
    let (epoch, view) = gateway.desk.open(session).await.map_err(|_| Close::Overloaded)?;
    let view = view.map_err(|refused| match refused {
        SessionRefusal::Blocked => Close::Blocked,
        SessionRefusal::Ended => Close::SessionEnded,
    })?;

    let ready = ServerFrame::Ready {
        connection_id: format!("{}.{}", gateway.hub.node, conn.id.0),
        user: view.user,
        epoch: epoch.to_string(),
        heartbeat_ms: u64::try_from(config.heartbeat.as_millis()).unwrap_or(u64::MAX),
        chats: view.chats.clone(),
    };
    conn.send(&ready, Worth::Durable);
    let joins = joins(gateway, &conn, view.chats, resume, &epoch).await;
    metrics::histogram!("gateway_handshake_duration_seconds").record(started.elapsed());
    let expires_at = Timestamp(claims.exp.saturating_mul(1000));
    Ok(Connection::new(registered, Session::new(claims.sub, claims.sid, expires_at, config), joins))
}

async fn greet(
    gateway: &Gateway,
    socket: &mut Socket,
    presented: Option<String>,
) -> Result<Hello, Close> {
    let mut greeting = Greeting::new(presented, &gateway.hub.config);
    loop {
        let answer = match socket.next().await? {
            Incoming::Text(text) => match greeting.on_text(&text, gateway.uptime())? {
                Greeted::Hello(hello) => return Ok(hello),
                Greeted::NotYet(answer) => answer,
            },
            Incoming::Binary => return Err(Close::Abuse),
            Incoming::Sign => continue,
        };
        socket.feed(native(&answer)).await?;
        socket.flush().await?;
    }
}

/// The chats to join: each from where the client stopped, or from where `ready` says it is.
async fn joins(
    gateway: &Gateway,
    conn: &Conn,
    mut chats: Vec<ChatView>,
    resume: Option<Resume>,
    epoch: &str,
) -> Vec<Join> {
    let known = resume.is_some();
    let same_epoch = resume.as_ref().is_none_or(|resume| resume.epoch == epoch);
    metrics::counter!("gateway_resumes_total", "result" => match (known, same_epoch) {
        (false, _) => "new",
        (true, true) => "resumed",
        (true, false) => "other_epoch",
    })
    .increment(1);
    let mut cursors = resume.map(|resume| resume.cursors).unwrap_or_default();
    let mine: std::collections::HashSet<ChatId> = chats.iter().map(|chat| chat.id).collect();
    // Chats the client knows and `ready` does not list: rooms it watched, dormant chats, lost ones.
    let limit = gateway.hub.config.max_chats.saturating_sub(chats.len());
    let others: Vec<ChatId> =
        cursors.keys().filter(|id| !mine.contains(id)).take(limit).copied().collect();
    let asked = others.into_iter().map(|chat_id| async move {
        let chat = UserChat { user_id: conn.user.id, chat_id };
        (chat_id, gateway.hub.questions.views.ask(chat).await)
    });
    for (chat_id, answer) in futures_util::future::join_all(asked).await {
        match answer {
            Ok(Ok(chat)) => chats.push(chat),
            Ok(Err(_)) => conn.send(&ServerFrame::ChatRemoved { chat_id }, Worth::Durable),
            Err(_) => {}
        }
    }
    chats
        .into_iter()
        .map(|chat| {
            let Some(cursor) = cursors.remove(&chat.id) else {
                return Join { after: chat.seq, chat, announce: None, resumed: false };
            };
            let missed = chat.seq.0 - cursor.0;
            if same_epoch && (0..=MAX_CATCH_UP).contains(&missed) && cursor >= Seq::ZERO {
                return Join { after: cursor, chat, announce: None, resumed: true };
            }
            metrics::counter!("gateway_resyncs_total").increment(1);
            let resync = native(&ServerFrame::Resync { chat_id: chat.id, seq: chat.seq });
            Join { after: chat.seq, chat, announce: Some(resync), resumed: false }
        })
        .collect()
}

/// A registered connection; dropping it removes it everywhere.
struct Registered {
    gateway: Arc<Gateway>,
    conn: Arc<Conn>,
}

impl Drop for Registered {
    fn drop(&mut self) {
        let watched = self.conn.chat_ids();
        self.gateway.hub.forget(&self.conn);
        self.gateway.hub.users.unregister(&self.conn, watched);
    }
}

/// A connection that is ready.
struct Connection {
    registered: Registered,
    session: Session,
    /// To be joined when those under way have been.
    joins: Vec<Join>,
    joining: Option<BoxFuture<'static, ()>>,
    /// Whether the first joins are done and others know that the user is here.
    settled: bool,
    heard_at: Instant,
    timer: Pin<Box<Sleep>>,
}

impl Connection {
    fn new(registered: Registered, session: Session, joins: Vec<Join>) -> Self {
        let heartbeat = registered.gateway.hub.config.heartbeat;
        // The first ping comes at a random moment, so that reconnects together do not ping together.
        let first = heartbeat.mul_f64(rand::random_range(0.1..1.0));
        let now = Instant::now();
        Self {
            registered,
            session,
            joins,
            joining: None,
            settled: false,
            heard_at: now,
            timer: Box::pin(tokio::time::sleep_until(now + first)),
        }
    }

    async fn run(mut self, socket: &mut Socket) -> Close {
        let conn = Arc::clone(&self.registered.conn);
        let mut scratch = VecDeque::new();
        self.start_joining();
        loop {
            let result = tokio::select! {
                taken = conn.outbox.take(mem::take(&mut scratch)) => {
                    let Taken { mut frames, joins, closing } = taken;
                    self.joins.extend(joins);
                    self.start_joining();
                    let patience = self.gateway().hub.config.write_timeout;
                    let written = match closing {
                        None => write_unless_closed(socket, &mut frames, &conn, patience).await,
                        Some(_) => write(socket, &mut frames, patience.min(LAST_WRITE)).await,
                    };
                    conn.outbox.written();
                    if frames.capacity() <= KEEP_QUEUE {
                        scratch = frames;
                    }
                    closing.map_or(written, Err)
                }
                incoming = socket.next() => match incoming {
                    Ok(incoming) => self.on_incoming(incoming).await,
                    Err(close) => Err(close),
                },
                () = done(&mut self.joining) => {
                    self.joining = None;
                    if !mem::replace(&mut self.settled, true) {
                        self.gateway().hub.users.arrived(conn.user.id);
                    }
                    self.start_joining();
                    Ok(())
                }
                () = &mut self.timer => self.on_timer(socket).await,
            };
            if let Err(close) = result {
                return close;
            }
        }
    }

    fn gateway(&self) -> &Arc<Gateway> {
        &self.registered.gateway
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
                self.session.on_text(&text, now, || uuid::Uuid::new_v4().to_string())?
            }
            Incoming::Binary => self.session.on_binary(now)?,
            Incoming::Sign => return Ok(()),
        };
        match wanted {
            Wanted::Reply(frame) => self.reply(&frame),
            Wanted::Post { id, command } => self.post(id, command),
            Wanted::Read(mark) => {
                if self.gateway().desk.mark_read(mark).is_err() {
                    metrics::counter!("gateway_lane_full_total", "lane" => "read").increment(1);
                }
            }
            Wanted::Typing(chat) => {
                if self.registered.conn.watches(chat) {
                    self.gateway().hub.typing(&self.registered.conn, chat);
                }
            }
            Wanted::Subscribe { id, chat_id, after } => self.subscribe(id, chat_id, after).await,
            Wanted::Unsubscribe { id, chat_id } => {
                self.gateway().hub.detach(&self.registered.conn, chat_id);
                self.reply(&ServerFrame::Unsubscribed { id, chat_id });
            }
            Wanted::Renew { id, token } => match self.gateway().desk.verify(&token).await {
                Ok(claims) => {
                    let expires_at = Timestamp(claims.exp.saturating_mul(1000));
                    let frame = self.session.renewed(id, claims.sid, expires_at);
                    self.reply(&frame);
                }
                Err(close) => {
                    self.reply(&refusal(id, close.reason(), "This token is not accepted."));
                }
            },
            Wanted::Nothing => {}
        }
        Ok(())
    }

    fn reply(&self, frame: &ServerFrame) {
        self.registered.conn.send(frame, Worth::Durable);
    }

    fn post(&self, id: Option<String>, command: Command) {
        metrics::counter!("gateway_commands_total").increment(1);
        let (conn, chat_id, frame_id) =
            (Arc::clone(&self.registered.conn), command.chat_id, id.clone());
        let done = Box::new(move |answer: Result<Result<Receipt, Refusal>, _>| {
            let frame = match answer {
                Ok(Ok(Receipt { message_id, seq, timestamp })) => {
                    ServerFrame::Ack { id: frame_id, chat_id, message_id, seq, timestamp }
                }
                Ok(Err(Refusal { code, message })) => refusal(frame_id, code.as_str(), &message),
                Err(_) => try_later(
                    frame_id,
                    "unavailable",
                    "It is not known whether this was stored. Send it again with the same id.",
                    Duration::from_secs(2),
                ),
            };
            conn.send(&frame, Worth::Durable);
        });
        if self.gateway().desk.post(command, done).is_err() {
            metrics::counter!("gateway_lane_full_total", "lane" => "post").increment(1);
            let wait = Duration::from_secs(1);
            self.reply(&try_later(id, "overloaded", "Too much is waiting. Send it again.", wait));
        }
    }

    async fn subscribe(&mut self, id: Option<String>, chat_id: ChatId, after: Option<Seq>) {
        let hub = &self.gateway().hub;
        if hub.config.max_chats <= self.registered.conn.watched() + self.joins.len() {
            let text = "This connection watches as many chats as it may.";
            return self.reply(&refusal(id, "too_many_chats", text));
        }
        let user_id = self.registered.conn.user.id;
        let chat = match hub.questions.views.ask(UserChat { user_id, chat_id }).await {
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
        let subscribed = native(&ServerFrame::Subscribed { id, chat: chat.clone() });
        let join = match after.filter(|after| *after >= Seq::ZERO) {
            Some(after) if (0..=MAX_CATCH_UP).contains(&(chat.seq.0 - after.0)) => {
                Join { after, chat, announce: Some(subscribed), resumed: true }
            }
            Some(_) => {
                self.registered.conn.outbox.push(subscribed, Worth::Durable);
                let resync = native(&ServerFrame::Resync { chat_id, seq: chat.seq });
                Join { after: chat.seq, chat, announce: Some(resync), resumed: false }
            }
            None => Join { after: chat.seq, chat, announce: Some(subscribed), resumed: false },
        };
        self.joins.push(join);
        self.start_joining();
    }

    /// Heartbeat and the token's end.
    async fn on_timer(&mut self, socket: &mut Socket) -> Result<(), Close> {
        let heartbeat = self.gateway().hub.config.heartbeat;
        let left = self.session.expires_at.0 - Timestamp::now().0;
        if left <= 0 {
            return Err(Close::TokenExpired);
        }
        if self.heard_at.elapsed() > 2 * heartbeat {
            return Err(Close::Silent);
        }
        let left = Duration::from_millis(u64::try_from(left).unwrap_or_default());
        self.timer.as_mut().reset(Instant::now() + heartbeat.min(left));
        let write_timeout = self.gateway().hub.config.write_timeout;
        tokio::time::timeout(write_timeout, socket.ping()).await.unwrap_or(Err(Close::SlowConsumer))
    }
}

/// Writes everything and flushes once. A client that does not take it in time is too slow.
async fn write(
    socket: &mut Socket,
    frames: &mut VecDeque<Frame>,
    patience: Duration,
) -> Result<(), Close> {
    let write = async {
        for frame in frames.drain(..) {
            socket.feed(frame).await?;
        }
        socket.flush().await
    };
    tokio::time::timeout(patience, write).await.unwrap_or(Err(Close::SlowConsumer))
}

/// Like [`write`], and an order to close ends it at once.
async fn write_unless_closed(
    socket: &mut Socket,
    frames: &mut VecDeque<Frame>,
    conn: &Conn,
    patience: Duration,
) -> Result<(), Close> {
    tokio::select! {
        biased;
        written = write(socket, frames, patience) => written,
        close = conn.outbox.closing() => Err(close),
    }
}

/// Ready when the future is; never, when there is none.
async fn done(future: &mut Option<BoxFuture<'static, ()>>) {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}
