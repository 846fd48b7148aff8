//! The connections of this gateway, by themselves, by user and by session. A user whose last
//! connection closed stays for a grace, so that a reconnect is no news to anybody.

use crate::conn::{Conn, ConnId, Owner};
use shared::{
    close::Close,
    id::{ChatId, SessionId, UserId},
    relay::{EndReason, EndedSessions},
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// All connections whose clients are known. Guests' are in no user's and no session's.
#[derive(Debug, Default)]
pub struct Users {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    conns: HashMap<ConnId, Arc<Conn>>,
    users: HashMap<UserId, LocalUser>,
    sessions: HashMap<SessionId, Vec<Arc<Conn>>>,
    /// Users who have arrived and whose presence lease is not taken yet.
    arrived: Vec<UserId>,
    /// The node drains: nobody comes in any more.
    closed: bool,
}

#[derive(Debug, Default)]
struct LocalUser {
    conns: Vec<Arc<Conn>>,
    /// Whether others know that the user is here.
    present: bool,
    /// Since when there is no connection.
    gone_since: Option<Instant>,
    /// What the last connection watched.
    chats: Vec<ChatId>,
}

/// Whether a connection is its user's first on this node; a guest's never is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    First,
    Another,
}

impl Users {
    /// Adds a connection, or refuses it when the node drains.
    pub fn register(&self, conn: &Arc<Conn>) -> Result<Arrival, Close> {
        let mut inner = self.lock();
        if inner.closed {
            return Err(Close::Restart);
        }
        inner.conns.insert(conn.id, Arc::clone(conn));
        let mut arrival = Arrival::Another;
        if let Owner::User { user, session } = &conn.owner {
            inner.sessions.entry(*session).or_default().push(Arc::clone(conn));
            let user = inner.users.entry(user.id).or_insert_with(|| {
                arrival = Arrival::First;
                LocalUser::default()
            });
            user.conns.push(Arc::clone(conn));
            user.gone_since = None;
        }
        metrics::gauge!("gateway_connections").set(inner.conns.len() as f64);
        Ok(arrival)
    }

    /// Removes a connection; its user stays for the grace.
    pub fn unregister(&self, conn: &Conn, watched: Vec<ChatId>) {
        let mut inner = self.lock();
        inner.conns.remove(&conn.id);
        if let Owner::User { user, session } = &conn.owner {
            if let Some(of_session) = inner.sessions.get_mut(session) {
                of_session.retain(|other| other.id != conn.id);
                if of_session.is_empty() {
                    inner.sessions.remove(session);
                }
            }
            if let Some(user) = inner.users.get_mut(&user.id) {
                user.conns.retain(|other| other.id != conn.id);
                if user.conns.is_empty() {
                    user.gone_since = Some(Instant::now());
                    user.chats = watched;
                }
            }
        }
        metrics::gauge!("gateway_connections").set(inner.conns.len() as f64);
    }

    /// A user's connection is ready and watches its chats: others may know.
    pub fn arrived(&self, user: UserId) {
        let mut inner = self.lock();
        if let Some(local) = inner.users.get_mut(&user)
            && !std::mem::replace(&mut local.present, true)
        {
            inner.arrived.push(user);
        }
    }

    /// The users who arrived since the last call.
    pub fn take_arrived(&self) -> Vec<UserId> {
        std::mem::take(&mut self.lock().arrived)
    }

    /// Forgets the users who have been gone for longer than the grace; with each, whether others
    /// knew that it was here, and the chats it watched last.
    pub fn take_gone(&self, grace: Duration) -> Vec<(UserId, bool, Vec<ChatId>)> {
        let now = Instant::now();
        let over = |user: &LocalUser| user.gone_since.is_some_and(|since| now - since >= grace);
        let gone = self.lock().users.extract_if(|_, user| over(user)).collect::<Vec<_>>();
        gone.into_iter().map(|(id, user)| (id, user.present, user.chats)).collect()
    }

    /// The connections of a user.
    pub fn of_user(&self, user: UserId) -> Vec<Arc<Conn>> {
        self.lock().users.get(&user).map(|user| user.conns.clone()).unwrap_or_default()
    }

    /// The chats that a user's connections watch.
    pub fn chats_of(&self, user: UserId) -> Vec<ChatId> {
        let mut chats: Vec<ChatId> =
            self.of_user(user).iter().flat_map(|conn| conn.chat_ids()).collect();
        chats.sort_unstable();
        chats.dedup();
        chats
    }

    /// All users whom others know to be here.
    pub fn present(&self) -> Vec<UserId> {
        let inner = self.lock();
        inner.users.iter().filter(|(_, user)| user.present).map(|(id, _)| *id).collect()
    }

    /// Closes the connections of these sessions.
    pub fn end_sessions(&self, ended: &EndedSessions) {
        let close = match ended.reason {
            EndReason::Blocked => Close::Blocked,
            EndReason::SignedOut | EndReason::TokenReuse | EndReason::PasswordChanged => {
                Close::SessionEnded
            }
        };
        let inner = self.lock();
        for conn in ended.sessions.iter().filter_map(|id| inner.sessions.get(id)).flatten() {
            conn.outbox.close(close);
        }
    }

    /// The sessions that have connections here, and whose they are.
    pub fn sessions(&self) -> Vec<(UserId, SessionId)> {
        let inner = self.lock();
        let whose = |conns: &Vec<Arc<Conn>>| conns.first().and_then(|conn| conn.user_id());
        inner.sessions.iter().filter_map(|(id, conns)| Some((whose(conns)?, *id))).collect()
    }

    /// How many connections there are.
    pub fn connections(&self) -> usize {
        self.lock().conns.len()
    }

    /// Lets nobody in any more, and hands out all who are in.
    pub fn close_door(&self) -> Vec<Arc<Conn>> {
        let mut inner = self.lock();
        inner.closed = true;
        inner.conns.values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
