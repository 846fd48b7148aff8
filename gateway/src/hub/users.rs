//! The connections of this gateway, by id, by user and by session. A user whose last connection closed stays
//! for a grace period, so that a reconnect is not announced. The account's used-up share of the rate limits
//! also stays until it has recovered, so that a reconnect brings no fresh share.

use crate::{
    config::Config,
    hub::{
        compact,
        conn::{
            Conn, ConnId, Owner,
            account::{Account, full_after},
        },
    },
};
use parking_lot::Mutex;
use platform::{limit::Rate, presence::Here};
use protocol::{
    close::Close,
    id::{ChatId, SessionId, UserId},
    relay::{EndReason, EndedSessions},
};
use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};
use tokio::time::Instant;

/// All connections whose clients are known. A guest's connection is found by its id only.
#[derive(Debug)]
pub(crate) struct Users {
    limits: Limits,
    started: Instant,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Limits {
    connections: usize,
    openings: Rate,
    /// The maximum number of chats that hear when one user comes or goes.
    chats: usize,
    grace: Duration,
    /// How long an account is remembered without a connection.
    memory: Duration,
}

#[derive(Debug, Default)]
struct Inner {
    conns: HashMap<ConnId, Arc<Conn>>,
    users: HashMap<UserId, LocalUser>,
    /// The sessions that have connections here, each with its user.
    sessions: HashMap<SessionId, UserId>,
    /// Users whose state here has changed and that the register must hear of.
    unstated: Vec<UserId>,
    /// Users whose last connection closed, each with the time, the earliest first. Users who came back stay
    /// in it until their time is over.
    leaving: VecDeque<(Instant, UserId)>,
    /// Users whose grace is over, each with the time at which the last connection closed, likewise.
    left: VecDeque<(Instant, UserId)>,
    /// The node drains and takes no more connections.
    closed: bool,
}

#[derive(Debug, Default)]
struct LocalUser {
    account: Arc<Account>,
    /// The oldest first.
    conns: Vec<Arc<Conn>>,
    /// Whether others know that the user is here.
    present: bool,
    /// Whether the user is in [`Inner::unstated`].
    is_unstated: bool,
    /// The chats that hear from this node when the user comes or goes. The same chats hear both.
    chats: Vec<ChatId>,
    /// When the last connection closed.
    gone_since: Option<Instant>,
    /// The grace is over too; only the account is kept.
    left: bool,
}

/// Whether a connection is its user's first on this node. A guest's never is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    First,
    Another,
}

/// A user whose grace is over.
#[derive(Debug)]
pub(crate) struct Departed {
    pub user: UserId,
    /// Whether others knew that the user was here.
    pub present: bool,
    /// The chats that heard of the user from this node.
    pub chats: Vec<ChatId>,
}

impl Users {
    pub(crate) fn new(config: &Config) -> Self {
        let limits = Limits {
            connections: config.account.connections.max(1),
            openings: config.account.openings,
            chats: config.presence.max_chats,
            grace: config.presence.grace,
            memory: full_after(config),
        };
        Self { limits, started: Instant::now(), inner: Mutex::default() }
    }

    /// Makes a connection for this owner and adds it. Fails when the node drains, and when the account opens
    /// connections too fast. If the account has too many connections now, the oldest one is closed.
    pub(crate) fn register(
        &self,
        owner: Owner,
        make: impl FnOnce(Owner, Arc<Account>) -> Conn,
    ) -> Result<(Arc<Conn>, Arrival), Close> {
        let mut inner = self.inner.lock();
        // Checked under the lock of `close_door`: no connection appears after the drain has its list.
        if inner.closed {
            return Err(Close::Restart);
        }
        let Owner::User { user: id, session } = &owner else {
            let conn = Arc::new(make(owner, Arc::default()));
            inner.add(&conn);
            return Ok((conn, Arrival::Another));
        };
        let (id, session) = (id.id, *session);
        let mut arrival = Arrival::Another;
        let user = inner.users.entry(id).or_insert_with(|| {
            arrival = Arrival::First;
            LocalUser::default()
        });
        let now = self.started.elapsed();
        if user.account.allowance().openings.try_take(&self.limits.openings, now, 1).is_err() {
            return Err(Close::Abuse);
        }
        // The grace was over: the user's channel was given up, and others may have heard that the user left.
        if std::mem::replace(&mut user.left, false) {
            arrival = Arrival::First;
        }
        let conn = Arc::new(make(owner, Arc::clone(&user.account)));
        let newest = user.conns.len();
        compact::insert(&mut user.conns, newest, Arc::clone(&conn));
        user.gone_since = None;
        user.shed(self.limits.connections);
        inner.sessions.insert(session, id);
        inner.tell(id);
        inner.add(&conn);
        Ok((conn, arrival))
    }

    /// Removes a connection. Its user stays for the grace.
    pub(crate) fn unregister(&self, conn: &Conn) {
        let mut inner = self.inner.lock();
        inner.conns.remove(&conn.id);
        if let Owner::User { user, session } = &conn.owner {
            let mut has_others = false;
            if let Some(local) = inner.users.get_mut(&user.id) {
                local.conns.retain(|other| other.id != conn.id);
                has_others = local.of_session(*session).next().is_some();
                // A closed connection may end after the last open one. The grace must not begin again then.
                if local.conns.is_empty() && local.gone_since.is_none() {
                    let now = Instant::now();
                    local.gone_since = Some(now);
                    inner.leaving.push_back((now, user.id));
                }
            }
            if !has_others {
                inner.sessions.remove(session);
            }
            inner.tell(user.id);
        }
        metrics::gauge!("gateway_connections").set(inner.conns.len() as f64);
    }

    /// Lets others in these chats know that the user is here. Called when a connection of the user watches
    /// them. Takes the chats in this order, up to `presence.max_chats`.
    pub(crate) fn mark_present(&self, user: UserId, chats: &[ChatId]) {
        let mut inner = self.inner.lock();
        let local = inner.users.get_mut(&user).filter(|local| !local.conns.is_empty());
        let Some(local) = local else { return };
        local.present = true;
        for chat in chats {
            if local.chats.len() < self.limits.chats && !local.chats.contains(chat) {
                let place = local.chats.len();
                compact::insert(&mut local.chats, place, *chat);
            }
        }
        inner.tell(user);
    }

    /// Stops telling this chat when the user comes or goes, because the user left it.
    pub(crate) fn stop_telling(&self, user: UserId, chat: ChatId) {
        let mut inner = self.inner.lock();
        if let Some(local) = inner.users.get_mut(&user) {
            local.chats.retain(|told| *told != chat);
            inner.tell(user);
        }
    }

    /// The users whose state here changed since the last call, for the register.
    pub(crate) fn take_unstated(&self) -> Vec<Here> {
        let mut inner = self.inner.lock();
        let unstated = std::mem::take(&mut inner.unstated);
        let here = |id: UserId| {
            let local = inner.users.get_mut(&id)?;
            local.is_unstated = false;
            local.present.then(|| local.here(id))
        };
        unstated.into_iter().filter_map(here).collect()
    }

    /// Takes users back for the next [`Users::take_unstated`], because the register did not hear of them.
    pub(crate) fn put_back(&self, users: &[Here]) {
        let mut inner = self.inner.lock();
        for here in users {
            inner.tell(here.user);
        }
    }

    /// Notes that the account has this many connections on other nodes. Closes its oldest connections here
    /// until it has no more than it may have in all, or one here.
    pub(crate) fn on_elsewhere(&self, user: UserId, connections: u32) {
        let mut inner = self.inner.lock();
        if let Some(local) = inner.users.get_mut(&user) {
            let elsewhere = usize::try_from(connections).unwrap_or(usize::MAX);
            local.shed(self.limits.connections.saturating_sub(elsewhere).max(1));
        }
    }

    /// Removes and returns the users whose grace is over. Forgets the accounts whose rate limits have
    /// recovered.
    pub(crate) fn take_departed(&self) -> Vec<Departed> {
        let now = Instant::now();
        let mut inner = self.inner.lock();
        let inner = &mut *inner;
        let mut departed = Vec::new();
        while let Some((since, id)) = next(&mut inner.leaving, now, self.limits.grace) {
            // A user who came back has no time of leaving, or a later one.
            let gone = |local: &&mut LocalUser| local.gone_since == Some(since);
            if let Some(local) = inner.users.get_mut(&id).filter(gone) {
                local.left = true;
                inner.left.push_back((since, id));
                let present = std::mem::take(&mut local.present);
                departed.push(Departed {
                    user: id,
                    present,
                    chats: std::mem::take(&mut local.chats),
                });
            }
        }
        while let Some((since, id)) = next(&mut inner.left, now, self.limits.memory) {
            if inner.users.get(&id).is_some_and(|local| local.gone_since == Some(since)) {
                inner.users.remove(&id);
            }
        }
        departed
    }

    /// The connections of a user.
    pub(crate) fn of_user(&self, user: UserId) -> Vec<Arc<Conn>> {
        self.inner.lock().users.get(&user).map(|user| user.conns.clone()).unwrap_or_default()
    }

    /// Whether others know the user to be here.
    pub(crate) fn is_present(&self, user: UserId) -> bool {
        self.inner.lock().users.get(&user).is_some_and(|local| local.present)
    }

    /// All users whom others know to be here.
    pub(crate) fn present_users(&self) -> Vec<Here> {
        let inner = self.inner.lock();
        let present = inner.users.iter().filter(|(_, local)| local.present);
        present.map(|(id, local)| local.here(*id)).collect()
    }

    /// Closes the connections of these sessions.
    pub(crate) fn end_sessions(&self, ended: &EndedSessions) {
        let close = match ended.reason {
            EndReason::Blocked => Close::Blocked,
            EndReason::SignedOut | EndReason::TokenReuse | EndReason::PasswordChanged => {
                Close::SessionEnded
            }
        };
        let inner = self.inner.lock();
        for session in &ended.sessions {
            let user = inner.sessions.get(session).and_then(|user| inner.users.get(user));
            for conn in user.into_iter().flat_map(|user| user.of_session(*session)) {
                conn.outbox.close(close);
            }
        }
    }

    /// The sessions that have connections here, each with its user.
    pub(crate) fn sessions(&self) -> Vec<(UserId, SessionId)> {
        self.inner.lock().sessions.iter().map(|(id, user)| (*user, *id)).collect()
    }

    /// How many connections there are.
    pub(crate) fn connections(&self) -> usize {
        self.inner.lock().conns.len()
    }

    /// All connections.
    pub(crate) fn all(&self) -> Vec<Arc<Conn>> {
        self.inner.lock().conns.values().cloned().collect()
    }

    /// Refuses new connections from now on and returns all present ones.
    pub(crate) fn close_door(&self) -> Vec<Arc<Conn>> {
        let mut inner = self.inner.lock();
        inner.closed = true;
        inner.conns.values().cloned().collect()
    }
}

impl Inner {
    fn add(&mut self, conn: &Arc<Conn>) {
        self.conns.insert(conn.id, Arc::clone(conn));
        metrics::gauge!("gateway_connections").set(self.conns.len() as f64);
    }

    /// Adds a present user to the unstated ones, once.
    fn tell(&mut self, id: UserId) {
        if let Some(local) = self.users.get_mut(&id)
            && local.present
            && !std::mem::replace(&mut local.is_unstated, true)
        {
            self.unstated.push(id);
        }
    }
}

impl LocalUser {
    fn here(&self, user: UserId) -> Here {
        let sockets = u32::try_from(self.conns.len()).unwrap_or(u32::MAX);
        Here { user, sockets, chats: self.chats.clone() }
    }

    /// The open connections of one session.
    fn of_session(&self, id: SessionId) -> impl Iterator<Item = &Arc<Conn>> {
        let is_of = move |conn: &&Arc<Conn>| match conn.owner {
            Owner::User { session, .. } => session == id,
            Owner::Guest { .. } => false,
        };
        self.conns.iter().filter(is_of)
    }

    /// Closes the oldest connections beyond `most`. They no longer count while they close.
    fn shed(&mut self, most: usize) {
        let over = self.conns.len().saturating_sub(most);
        for conn in self.conns.drain(..over) {
            conn.outbox.close(Close::TooManyConnections);
        }
    }
}

/// Takes the first entry of a queue, if it has been there for `wait`.
fn next(
    queue: &mut VecDeque<(Instant, UserId)>,
    now: Instant,
    wait: Duration,
) -> Option<(Instant, UserId)> {
    queue.pop_front_if(|(since, _)| now.duration_since(*since) >= wait)
}

#[cfg(test)]
mod tests;
