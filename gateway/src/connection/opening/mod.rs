//! How a native connection opens: hello, token, registration, the api's answer, `ready`, and where
//! each chat goes on; and the steps that it shares with the families' (see [`crate::connection::opening::older`]). What
//! happens afterwards is in [`crate::connection`].

pub(crate) mod older;

use crate::{
    Gateway,
    connection::{
        arriving::Arriving,
        greeting::{Greeted, Greeting, Hello},
        presented::Presented,
        session::Session,
        strangers::Stranger,
    },
    dialect::{Window, native},
    hub::{
        conn::{
            Conn, Owner,
            join::{AccessVersion, Announce, Cause, Join},
            outbox::Worth,
        },
        presence::sharing,
        users::Arrival,
    },
    wire::{
        frame::Frame,
        socket::{Incoming, Socket},
    },
};
use shared::{
    chat::{ChatType, ChatView, UserRef},
    close::Close,
    id::{ChatId, Seq},
    internal::{OpenSession, SessionRefusal, SessionView, UserChat},
    protocol::{Resume, ServerFrame},
    relay::Channel,
    telemetry::trace::{Kind, Span},
    time::Timestamp,
    token::Claims,
};
use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};
use tokio::time::Instant;

/// How long to wait for the bus to confirm a user's channel before opening without it: repair
/// covers what is missed.
const SUBSCRIBE_PATIENCE: Duration = Duration::from_secs(1);

/// How long an account that opens connections too fast waits to be told so. Nothing else slows down a
/// thousand sockets that open again at once, and each try costs a signature.
const TOO_FAST: Duration = Duration::from_secs(2);

/// A client further behind than this reloads its chats instead of being sent everything.
pub(crate) const MAX_CATCH_UP: i64 = 10_000;

/// What an open connection starts with.
pub(crate) struct Opened {
    pub registered: Registered,
    pub session: Session,
    pub arriving: Arriving,
    /// The chats that may hear that the user is here.
    pub shares: Vec<ChatId>,
    /// A guest's place among the strangers.
    pub stranger: Option<Stranger>,
}

/// From the first frame to `ready`.
pub(crate) async fn open(
    gateway: &Arc<Gateway>,
    socket: &mut Socket,
    presented: Presented,
    stranger: Stranger,
) -> Result<Opened, Close> {
    let started = Instant::now();
    let config = &gateway.hub.config;
    let hello = tokio::time::timeout(config.hello_timeout, greet(gateway, socket, presented));
    let hello = hello.await.map_err(|_| Close::HelloTimeout)??;
    // From here on it is our time that passes, not the client's.
    let answered = handshake(Window::Native, answer(gateway, hello, stranger)).await?;
    opened(Window::Native, started);
    Ok(answered)
}

/// A handshake as a piece of work in a trace.
pub(crate) async fn handshake(
    window: Window,
    opening: impl Future<Output = Result<Opened, Close>>,
) -> Result<Opened, Close> {
    let mut span = Span::root("handshake", Kind::Server);
    span.text("dialect", window.dialect().name());
    let opened = span.around(opening).await;
    if let Err(close) = &opened {
        span.text("close", close.reason());
    }
    opened
}

async fn answer(
    gateway: &Arc<Gateway>,
    Hello { token, resume }: Hello,
    stranger: Stranger,
) -> Result<Opened, Close> {
    let config = &gateway.hub.config;
    let claims = gateway.keys.verify(&token).await?;
    drop(stranger);
    let expires_at = Timestamp(claims.exp.saturating_mul(1000));
    let Admitted { registered, allowed, epoch, view } =
        admit(gateway, Window::Native, claims).await?;
    let conn = Arc::clone(&registered.conn);

    let ready = ServerFrame::Ready {
        connection_id: format!("{}.{}", gateway.hub.node, conn.id.0),
        user: view.user,
        epoch: epoch.to_string(),
        heartbeat_ms: u64::try_from(config.heartbeat.as_millis()).unwrap_or(u64::MAX),
        chats: view.chats.clone(),
    };
    conn.send(&ready, Worth::Durable);
    let kinds = view.chats.iter().map(|chat| (chat.id, chat.chat_type));
    let shares = sharing(kinds, config.presence_chats);
    let arriving = arriving(gateway, &conn, allowed, view.chats, resume, &epoch);
    let arriving = conn.unless_closing(arriving).await??;
    let session = Session::new(expires_at, config);
    Ok(Opened { registered, session, arriving, shares, stranger: None })
}

/// Counts a connection that opened.
pub(crate) fn opened(window: Window, started: Instant) {
    metrics::histogram!("gateway_handshake_duration_seconds").record(started.elapsed());
    metrics::counter!("gateway_opened_total", "dialect" => window.dialect().name()).increment(1);
}

/// A connection whose session stands.
pub(crate) struct Admitted {
    pub registered: Registered,
    /// The version of the user's rights before the api was asked.
    pub allowed: AccessVersion,
    pub epoch: Arc<str>,
    pub view: SessionView,
}

/// Registers a connection whose token verified and asks the api whether its session stands.
pub(crate) async fn admit(
    gateway: &Arc<Gateway>,
    window: Window,
    claims: Claims,
) -> Result<Admitted, Close> {
    // Registered before the api is asked: a session that ends meanwhile closes this connection too.
    let user = UserRef::registered(claims.sub, claims.name);
    let owner = Owner::User { user, session: claims.sid };
    let (registered, arrival) = match Registered::new(gateway, window, owner) {
        Err(Close::Abuse) => {
            tokio::time::sleep(TOO_FAST).await;
            return Err(Close::Abuse);
        }
        registered => registered?,
    };
    let shows = window.shows();
    let answered = async {
        if arrival == Arrival::First
            && let Some(subscriber) = gateway.hub.subscriber.get()
        {
            let confirmed = subscriber.add(&[Channel::User(claims.sub)]);
            let _ = tokio::time::timeout(SUBSCRIBE_PATIENCE, confirmed).await;
        }
        let allowed = registered.conn.access_version();
        let session = OpenSession { user_id: claims.sub, session_id: claims.sid, shows };
        (allowed, gateway.desk.open(session).await)
    };
    let (allowed, answer) = registered.conn.unless_closing(answered).await?;
    // One answer is for many.
    gateway.hub.pace.turn().await;
    let (epoch, view) = answer.map_err(|_| Close::Overloaded)?;
    let view = view.map_err(|refused| match refused {
        SessionRefusal::Blocked => Close::Blocked,
        SessionRefusal::Ended => Close::SessionEnded,
    })?;
    Ok(Admitted { registered, allowed, epoch, view })
}

async fn greet(
    gateway: &Gateway,
    socket: &mut Socket,
    presented: Presented,
) -> Result<Hello, Close> {
    let mut greeting = Greeting::new(presented, &gateway.hub.config);
    loop {
        let answer = match socket.next().await? {
            Incoming::Text(text) => match greeting.on_text(&text, gateway.uptime())? {
                Greeted::Hello(hello) => return Ok(hello),
                Greeted::NotYet(answer) => Some(answer),
            },
            Incoming::Binary => return Err(Close::TextOnly),
            Incoming::Sign => None,
        };
        let mut frames: VecDeque<Frame> = answer.iter().map(native::encode).collect();
        socket.write(&mut frames, gateway.hub.config.write_timeout).await?;
    }
}

/// The chats to join, each from where the client stopped, or from where `ready` says it is. Every
/// cursor is answered: by what was missed, by `resync`, or by `chat_removed`.
async fn arriving(
    gateway: &Gateway,
    conn: &Conn,
    allowed: AccessVersion,
    mut chats: Vec<ChatView>,
    resume: Option<Resume>,
    epoch: &str,
) -> Result<Arriving, Close> {
    let known = resume.is_some();
    let same_epoch = resume.as_ref().is_none_or(|resume| resume.epoch == epoch);
    metrics::counter!("gateway_resumes_total", "result" => match (known, same_epoch) {
        (false, _) => "new",
        (true, true) => "resumed",
        (true, false) => "other_epoch",
    })
    .increment(1);
    let mut cursors = resume.map(|resume| resume.cursors).unwrap_or_default();
    let ours = chats.len();
    chats.extend(unlisted(gateway, conn, &chats, &cursors).await?);
    let max_chats = gateway.hub.config.max_chats.max(ours);
    let mut arriving = Arriving::default();
    let mut beyond = Vec::new();
    for (place, chat) in chats.into_iter().enumerate() {
        let join = Join::at_end(&chat, allowed, Cause::Opened);
        let Some(cursor) = cursors.remove(&chat.id) else {
            arriving.add(join);
            continue;
        };
        let missed = chat.seq.0 - cursor.0;
        let reachable = same_epoch && cursor >= Seq::ZERO && (0..=MAX_CATCH_UP).contains(&missed);
        if place < max_chats && reachable {
            arriving.add(join.resumed(cursor));
            continue;
        }
        let (chat_id, seq) = (chat.id, chat.seq);
        let answer = if reachable && missed == 0 {
            ServerFrame::CaughtUp { chat_id, seq }
        } else {
            metrics::counter!("gateway_resyncs_total").increment(1);
            ServerFrame::Resync { chat_id, seq }
        };
        if place < max_chats {
            let announce = Some(Announce::Frame(native::encode(&answer)));
            arriving.add(Join { announce, ..join });
        } else {
            arriving.remember(chat_id, Some(seq));
            beyond.push((chat_id, answer));
        }
    }
    turn_away(gateway, conn, beyond).await?;
    Ok(arriving)
}

/// Answers the cursors of chats for which there is no place. Members are woken when such a chat stirs;
/// whoever only watched a public room is told that it is gone.
async fn turn_away(
    gateway: &Gateway,
    conn: &Conn,
    beyond: Vec<(ChatId, ServerFrame)>,
) -> Result<(), Close> {
    let user_id = conn.user_id().unwrap_or_default();
    let lanes = &gateway.hub.lanes;
    let asked = beyond.into_iter().map(|(chat_id, answer)| async move {
        (chat_id, answer, lanes.mark_dormant(UserChat { user_id, chat_id }).await)
    });
    for (chat_id, answer, is_member) in futures_util::future::join_all(asked).await {
        match is_member {
            Ok(true) => conn.send(&answer, Worth::Durable),
            Ok(false) => conn.send(&ServerFrame::ChatRemoved { chat_id }, Worth::Durable),
            Err(_) => return Err(Close::Overloaded),
        }
    }
    Ok(())
}

/// The chats that the client knows and `ready` does not list: rooms that it watched, dormant chats.
/// It is told of those that are lost to it. First those that nothing but watching tells of, then
/// those where it missed something.
async fn unlisted(
    gateway: &Gateway,
    conn: &Conn,
    listed: &[ChatView],
    cursors: &HashMap<ChatId, Seq>,
) -> Result<Vec<ChatView>, Close> {
    let listed: HashSet<ChatId> = listed.iter().map(|chat| chat.id).collect();
    let others = cursors.keys().copied().filter(|id| !listed.contains(id));
    let asked =
        others.map(|chat_id| async move { (chat_id, gateway.hub.view_for(conn, chat_id).await) });
    let mut chats = Vec::new();
    for (chat_id, answer) in futures_util::future::join_all(asked).await {
        match answer {
            Ok(Ok(chat)) => chats.push(chat),
            Ok(Err(_)) => conn.send(&ServerFrame::ChatRemoved { chat_id }, Worth::Durable),
            // Half an answer would leave holes that nobody tells of.
            Err(_) => return Err(Close::Overloaded),
        }
    }
    let missed = |chat: &ChatView| cursors.get(&chat.id).is_some_and(|cursor| *cursor < chat.seq);
    chats.sort_by_key(|chat| (chat.chat_type != ChatType::Room, !missed(chat), chat.id));
    Ok(chats)
}

/// A registered connection; dropping it removes it everywhere.
pub(crate) struct Registered {
    pub gateway: Arc<Gateway>,
    pub conn: Arc<Conn>,
}

impl Registered {
    /// Lets a connection in, unless the node drains or its account opens them too fast.
    pub fn new(
        gateway: &Arc<Gateway>,
        window: Window,
        owner: Owner,
    ) -> Result<(Self, Arrival), Close> {
        let max_outbox_bytes = gateway.hub.config.max_outbox_bytes;
        let (conn, arrival) = gateway.hub.users.register(owner, |owner, account| {
            Conn::new(gateway.ids.next(), owner, window, max_outbox_bytes).of(account)
        })?;
        Ok((Self { gateway: Arc::clone(gateway), conn }, arrival))
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.gateway.hub.forget(&self.conn);
        self.gateway.hub.users.unregister(&self.conn);
    }
}
