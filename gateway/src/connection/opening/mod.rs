//! The steps of opening a connection that all dialects share. A native client says hello first
//! (`native.rs`); a connection in an older dialect opens before its upgrade is answered (`older.rs`).

pub(crate) mod native;
pub(crate) mod older;

use crate::{
    connection::{join_queue::JoinQueue, session::Session},
    dialect::Window,
    hub::{
        conn::{Conn, Owner, join::AccessVersion},
        strangers::Stranger,
        users::Arrival,
    },
    state::Gateway,
};
use platform::{
    telemetry::trace::{Kind, Span},
    token::Claims,
};
use protocol::{
    calls::{OpenSession, SessionRefusal, SessionView},
    chat::UserRef,
    close::Close,
    id::ChatId,
    relay::Channel,
};
use std::{net::IpAddr, sync::Arc, time::Duration};
use tokio::time::Instant;

/// How long an opening waits for the bus to confirm the user's channel. After that it goes on without, and repair
/// covers the messages that it misses.
const SUBSCRIBE_PATIENCE: Duration = Duration::from_secs(1);

/// How long an account that opens connections too fast waits for its refusal. Nothing else slows down a
/// thousand sockets that reconnect at once, and each try costs a signature.
const TOO_FAST: Duration = Duration::from_secs(2);

/// The parts of a connection that has opened.
pub(crate) struct ConnectionParts {
    pub guard: ConnGuard,
    pub session: Session,
    pub joins: JoinQueue,
    /// The chats that may hear that the user is here.
    pub shares: Vec<ChatId>,
    /// A guest's place among the strangers.
    pub stranger: Option<Stranger>,
}

/// Runs a handshake within a span of its own.
pub(crate) async fn handshake(
    window: Window,
    opening: impl Future<Output = Result<ConnectionParts, Close>>,
) -> Result<ConnectionParts, Close> {
    let mut span = Span::root("handshake", Kind::Server);
    span.text("dialect", window.dialect().name());
    let opened = span.around(opening).await;
    if let Err(close) = &opened {
        span.text("close", close.reason());
    }
    opened
}

/// Counts a connection that opened.
pub(crate) fn count_opening(window: Window, started: Instant) {
    metrics::histogram!("gateway_handshake_duration_seconds").record(started.elapsed());
    metrics::counter!("gateway_opened_total", "dialect" => window.dialect().name()).increment(1);
}

/// The result of [`admit`]: a connection whose session stands.
pub(crate) struct Admission {
    pub guard: ConnGuard,
    /// The version of the user's rights, read before the api was asked.
    pub allowed: AccessVersion,
    pub epoch: Arc<str>,
    pub view: SessionView,
}

/// Registers a connection whose token verified and asks the api whether its session stands.
pub(crate) async fn admit(
    gateway: &Arc<Gateway>,
    window: Window,
    claims: Claims,
    network: IpAddr,
) -> Result<Admission, Close> {
    // Registers before it asks the api, so that the end of the session meanwhile closes this connection.
    let user = UserRef::registered(claims.sub, claims.name);
    let owner = Owner::User { user, session: claims.sid };
    let (guard, arrival) = match ConnGuard::new(gateway, window, owner, Some(network)) {
        Err(Close::Abuse) => {
            tokio::time::sleep(TOO_FAST).await;
            return Err(Close::Abuse);
        }
        result => result?,
    };
    let shows = window.shows();
    let answered = async {
        if arrival == Arrival::First
            && let Some(subscriber) = gateway.hub.subscriber.get()
        {
            let confirmed = subscriber.add(&[Channel::User(claims.sub)]);
            let _ = tokio::time::timeout(SUBSCRIBE_PATIENCE, confirmed).await;
        }
        let allowed = guard.conn.access_version();
        let session = OpenSession { user_id: claims.sub, session_id: claims.sid, shows };
        (allowed, gateway.lanes.open(session).await)
    };
    let (allowed, answer) = guard.conn.unless_closing(answered).await?;
    // One answer of the api wakes many openings: they go on a few at a time.
    gateway.hub.pace.turn().await;
    let (epoch, view) = answer.map_err(|_| Close::Overloaded)?;
    let view = view.map_err(|refused| match refused {
        SessionRefusal::Blocked => Close::Blocked,
        SessionRefusal::Ended => Close::SessionEnded,
    })?;
    guard.conn.set_name(&view.user.name);
    Ok(Admission { guard, allowed, epoch, view })
}

/// Holds a connection in the registry; dropping it removes the connection there and from all chats.
pub(crate) struct ConnGuard {
    pub gateway: Arc<Gateway>,
    pub conn: Arc<Conn>,
}

impl ConnGuard {
    /// Lets a connection in, unless the node drains or its account opens them too fast.
    pub(crate) fn new(
        gateway: &Arc<Gateway>,
        window: Window,
        owner: Owner,
        network: Option<IpAddr>,
    ) -> Result<(Self, Arrival), Close> {
        let max_outbox_bytes = gateway.hub.config.max_outbox_bytes;
        let (conn, arrival) = gateway.hub.users.register(owner, |owner, account| {
            Conn::new(gateway.ids.next(), owner, window, max_outbox_bytes).of(account).from(network)
        })?;
        Ok((Self { gateway: Arc::clone(gateway), conn }, arrival))
    }
}

impl Drop for ConnGuard {
    fn drop(&mut self) {
        self.gateway.hub.forget(&self.conn);
        self.gateway.hub.users.unregister(&self.conn);
    }
}
