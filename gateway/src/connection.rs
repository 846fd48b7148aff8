//! The life of one connection: hello, ready, then frames in and events out until either side ends
//! it. This task owns the socket; everybody else holds a [`Conn`].

use crate::{
    Gateway,
    conn::Conn,
    joining::{Join, join_all},
    native::{self, refusal, try_later},
    opening::{MAX_CATCH_UP, Opened, Registered, open},
    outbox::{Taken, Worth},
    relayed::Frame,
    session::{Session, Wanted},
    socket::{Incoming, Socket},
};
use futures_util::future::BoxFuture;
use shared::{
    close::Close,
    id::{ChatId, Seq},
    internal::{Command, Receipt, Refusal, UserChat},
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
        Ok(opened) => Connection::new(opened).run(&mut socket).await,
        Err(close) => close,
    };
    metrics::counter!("gateway_closes_total", "reason" => close.reason()).increment(1);
    socket.close(close).await;
    drop(place);
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
    fn new(Opened { registered, session, joins }: Opened) -> Self {
        let heartbeat = registered.gateway.hub.config.heartbeat;
        // The first ping comes at a random moment, so that reconnects together do not ping together.
        let first = heartbeat.mul_f64(rand::random_range(0.1..1.0)).min(left(&session));
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
                Ok(Ok(Receipt { message_id, seq, timestamp, .. })) => {
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
        let allowed = self.registered.conn.departures();
        let chat = match hub.view(UserChat { user_id, chat_id }).await {
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
