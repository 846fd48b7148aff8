//! The chats of one connection that are on their way in: which wait, which are being joined, which
//! are let go to make space, which the client declined. One map, so that no chat is joined twice at
//! once and one that cannot be answered delays its own only. Runs on the connection's own task.

use crate::{
    connection::joining::{JoinStep, join},
    hub::{
        Hub,
        conn::{
            Conn,
            join::{Cause, Join},
        },
    },
};
use futures_util::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use protocol::{
    calls::UserChat,
    close::Close,
    id::{ChatId, Seq},
};
use std::{
    collections::{HashMap, VecDeque},
    future::pending,
    sync::Arc,
    time::Duration,
};
use tokio::time::Instant;

/// The most chats caught up at once for one connection: enough to hide the round trips to the api,
/// few enough that one returning client is not a storm.
const AT_ONCE: usize = 8;

/// The most joins of one chat that wait for each other: a client that asks for a chat again and again
/// is answered, but not without end.
const MAX_BEHIND: usize = 8;

/// What the client knows of a chat that it does not watch is remembered for longer than polls tell of
/// the same event.
const REMEMBERED: Duration = Duration::from_secs(20);

/// The most chats of which that is remembered: as many cursors as a hello has room for.
const MAX_REMEMBERED: usize = 4_096;

/// How long a chat that could not be let go is watched on before another try.
const ANOTHER_TRY: Duration = Duration::from_secs(1);

/// Chats on their way in.
#[derive(Default)]
pub(crate) struct JoinQueue {
    /// Nothing while nothing is on its way, as it is for nearly all of a connection's life.
    work: Option<Box<Work>>,
    known: HashMap<ChatId, Known>,
}

/// What the client knows of a chat that it does not watch.
struct Known {
    /// The last of the events that it was told of in some way. `None`: it wants to hear of none.
    upto: Option<Seq>,
    at: Instant,
}

#[derive(Default)]
struct Work {
    chats: HashMap<ChatId, Entry>,
    /// Chats that wait to be joined, in order.
    turns: VecDeque<ChatId>,
    /// Joins, their pauses, and farewells.
    under_way: FuturesUnordered<BoxFuture<'static, Stage>>,
    /// Joins among those that are not paused.
    active: usize,
    /// Chats that are being joined, those in a pause included.
    joining: usize,
}

#[derive(Default)]
struct Entry {
    state: State,
    /// What is to be done next.
    queue: VecDeque<Join>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Waiting,
    Joining,
    /// The client said meanwhile that it does not want it.
    Unwanted,
    LettingGo,
}

enum Stage {
    Step(JoinStep),
    /// A pause is over.
    Rested(Join),
    LetGo(ChatId),
}

impl JoinQueue {
    /// Adds a chat behind those that wait. A chat that is on its way already is not joined twice:
    /// whoever is invited to it learns nothing new, whoever asks for it is answered afterwards.
    pub(crate) fn add(&mut self, mut join: Join) {
        if self.is_old_news(&mut join) {
            return;
        }
        let work = self.work.get_or_insert_default();
        let entry = work.chats.entry(join.chat_id).or_default();
        if matches!(join.cause, Cause::Opened | Cause::Found | Cause::Invited) {
            if entry.state == State::Joining {
                return;
            }
            if let Some(waiting) = entry.queue.front_mut() {
                // Two invitations become the earlier one. Whoever was sent a part of the chat goes on
                // from there, whatever an invitation says.
                if matches!(waiting.cause, Cause::Found | Cause::Invited) {
                    waiting.from = waiting.from.min(join.from);
                    waiting.after = waiting.after.min(join.after);
                }
                return;
            }
        }
        if join.cause == Cause::Subscribed && entry.queue.len() >= MAX_BEHIND {
            return join.turn_away(ANOTHER_TRY);
        }
        if entry.state == State::Waiting && entry.queue.is_empty() {
            work.turns.push_back(join.chat_id);
        }
        entry.queue.push_back(join);
    }

    /// Starts as many joins as may go on at once. A connection that watches as many chats as it may
    /// lets go of the one that has been quiet longest first.
    pub(crate) fn start(&mut self, hub: &Arc<Hub>, conn: &Arc<Conn>) {
        let Some(work) = &mut self.work else { return };
        while work.active < AT_ONCE
            && let Some(chat) = work.turns.front().copied()
        {
            // A chat that is watched already takes no further place.
            if !conn.watches(chat)
                && conn.watch_count() + work.joining >= hub.config.max_chats
                && work.make_space(hub, conn)
            {
                return;
            }
            work.turns.pop_front();
            let Some(entry) = work.chats.get_mut(&chat) else { continue };
            let Some(next) = entry.queue.pop_front() else { continue };
            entry.state = State::Joining;
            work.joining += 1;
            work.active += 1;
            let joining = join(Arc::clone(hub), Arc::clone(conn), next);
            work.under_way.push(Box::pin(async move { Stage::Step(joining.await) }));
        }
    }

    /// Waits until something got on; [`JoinQueue::start`] afterwards. For ever, when nothing is on its
    /// way. Safe to drop while it waits.
    pub(crate) async fn next(&mut self, hub: &Hub, conn: &Conn) {
        let Some(work) = &mut self.work else { return pending().await };
        match work.under_way.next().await {
            Some(Stage::Step(JoinStep::Done(chat))) => {
                work.active -= 1;
                work.end_turn(chat, hub, conn);
            }
            Some(Stage::Step(JoinStep::Later(join, pause))) => {
                work.active -= 1;
                work.under_way.push(Box::pin(async move {
                    tokio::time::sleep(pause).await;
                    Stage::Rested(join)
                }));
            }
            Some(Stage::Rested(join)) => work.end_pause(join, hub, conn),
            Some(Stage::LetGo(chat)) => work.end_turn(chat, hub, conn),
            None => return pending().await,
        }
        if work.chats.is_empty() {
            self.work = None;
        }
    }

    /// The client does not want this chat, whether it waits or is being joined. What was to be said
    /// of it is said.
    pub(crate) fn decline(&mut self, chat: ChatId, conn: &Conn) {
        self.remember(chat, None);
        let Some(work) = &mut self.work else { return };
        let Some(entry) = work.chats.get_mut(&chat) else { return };
        for mut join in entry.queue.drain(..) {
            conn.announce(&mut join, None);
        }
        match entry.state {
            State::Waiting => {
                work.chats.remove(&chat);
                work.turns.retain(|waiting| *waiting != chat);
            }
            State::Joining => entry.state = State::Unwanted,
            State::Unwanted | State::LettingGo => {}
        }
    }

    /// How many chats are on their way.
    pub(crate) fn len(&self) -> usize {
        self.work.as_ref().map_or(0, |work| work.chats.len())
    }

    /// Whether each chat has been tried: none waits, and none goes on but those that cannot get on.
    pub(crate) fn is_settled(&self) -> bool {
        self.work.as_ref().is_none_or(|work| work.active == 0 && work.turns.is_empty())
    }

    /// The client knows what there is of a chat up to here, or wants to hear nothing of it.
    pub(crate) fn remember(&mut self, chat: ChatId, upto: Option<Seq>) {
        if self.known.len() < MAX_REMEMBERED {
            self.known.insert(chat, Known { upto, at: Instant::now() });
        }
    }

    /// Forgets what has been remembered for long enough. To be called now and then.
    pub(crate) fn forget(&mut self) {
        self.known.retain(|_, known| known.at.elapsed() < REMEMBERED);
        if self.known.is_empty() {
            self.known = HashMap::new();
        }
    }

    /// Whether a join tells the client what it knows; if in part, that part is left out.
    fn is_old_news(&mut self, join: &mut Join) -> bool {
        let Some(known) = self.known.get(&join.chat_id) else { return false };
        match (join.cause, known.upto) {
            (Cause::Subscribed | Cause::Opened, _) => {
                self.known.remove(&join.chat_id);
                false
            }
            _ if known.at.elapsed() >= REMEMBERED => false,
            (Cause::Found | Cause::Lagged, None) => true,
            (Cause::Found | Cause::Invited, Some(upto)) => {
                join.from = join.from.max(upto);
                join.after = join.after.max(upto);
                join.head <= upto
            }
            (Cause::Invited, None) | (Cause::Lagged, Some(_)) => false,
        }
    }
}

impl Work {
    /// Makes space for one more chat; `true` when the caller has to wait for it.
    fn make_space(&mut self, hub: &Arc<Hub>, conn: &Arc<Conn>) -> bool {
        if !self.chats.values().any(|entry| entry.state == State::LettingGo)
            && let Some(chat) = hub.quietest(conn, |chat| self.chats.contains_key(&chat))
        {
            self.chats.entry(chat).or_default().state = State::LettingGo;
            let letting_go = Arc::clone(hub).let_go(Arc::clone(conn), chat);
            self.under_way.push(Box::pin(async move {
                letting_go.await;
                Stage::LetGo(chat)
            }));
        }
        !self.under_way.is_empty()
    }

    /// Nothing is under way for this chat: what is to follow waits for its turn.
    fn end_turn(&mut self, chat: ChatId, hub: &Hub, conn: &Conn) {
        let Some(entry) = self.chats.get_mut(&chat) else { return };
        if entry.state == State::Unwanted {
            hub.detach(conn, chat);
        }
        if matches!(entry.state, State::Joining | State::Unwanted) {
            self.joining -= 1;
        }
        entry.state = State::Waiting;
        if entry.queue.is_empty() {
            self.chats.remove(&chat);
        } else {
            self.turns.push_back(chat);
        }
    }

    fn end_pause(&mut self, mut join: Join, hub: &Hub, conn: &Conn) {
        let chat = join.chat_id;
        match self.chats.get_mut(&chat) {
            Some(entry) if entry.state == State::Joining => entry.queue.push_front(join),
            _ => conn.announce(&mut join, None),
        }
        self.end_turn(chat, hub, conn);
    }
}

impl Hub {
    /// The chat that this connection watches and that has been quiet longest, among those whose
    /// members are woken when it stirs, and not one that is `taken`.
    fn quietest(&self, conn: &Conn, taken: impl Fn(ChatId) -> bool) -> Option<ChatId> {
        let chats = conn.chat_ids().into_iter().filter(|chat| !taken(*chat));
        chats
            .filter_map(|chat| Some((self.with_chat(chat, |chat| chat.active_at)?, chat)))
            .min()
            .map(|(_, chat)| chat)
    }

    /// Stops watching a chat whose user is woken from now on when it stirs; a public room that the
    /// user is no member of is told to be gone.
    async fn let_go(self: Arc<Self>, conn: Arc<Conn>, chat_id: ChatId) {
        let Some(user_id) = conn.user_id() else { return };
        metrics::counter!("gateway_let_go_total").increment(1);
        match self.lanes.mark_dormant(UserChat { user_id, chat_id }).await {
            Ok(is_member) => {
                self.detach(&conn, chat_id);
                if !is_member {
                    conn.lose(chat_id, Close::NotAMember);
                }
            }
            // It goes on being watched: another try in a while.
            Err(_) => tokio::time::sleep(ANOTHER_TRY).await,
        }
    }
}

/// Joins all these chats.
pub(super) async fn join_all(hub: &Arc<Hub>, conn: &Arc<Conn>, joins: Vec<Join>) {
    let mut queue = JoinQueue::default();
    for join in joins {
        queue.add(join);
    }
    queue.start(hub, conn);
    while queue.len() > 0 {
        queue.next(hub, conn).await;
        queue.start(hub, conn);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        dialect::Window,
        hub::conn::{ConnId, Owner},
    };
    use protocol::chat::ChatType;

    const CHAT: ChatId = ChatId(1);

    fn join(cause: Cause, from: i64, head: i64) -> Join {
        let owner = Owner::Guest { network: [192, 0, 2, 1].into() };
        Join {
            chat_id: CHAT,
            chat_type: ChatType::Private,
            head: Seq(head),
            allowed: Conn::new(ConnId(1), owner, Window::Lobby, 1).access_version(),
            from: Seq(from),
            after: Seq(from),
            announce: None,
            target: None,
            cause,
            waits: 0,
        }
    }

    /// From where the joins that wait go on.
    fn waiting(queue: &JoinQueue) -> Vec<i64> {
        let entries = queue.work.iter().flat_map(|work| work.chats.values());
        entries.flat_map(|entry| &entry.queue).map(|join| join.after.0).collect()
    }

    #[test]
    fn an_invitation_takes_nobody_back_to_what_was_sent() {
        for cause in [Cause::Opened, Cause::Lagged, Cause::Subscribed] {
            let mut queue = JoinQueue::default();
            queue.add(join(cause, 50, 60));
            queue.add(join(Cause::Found, 0, 60));
            assert_eq!(waiting(&queue), [50], "{cause:?}");
        }
        let mut queue = JoinQueue::default();
        queue.add(join(Cause::Invited, 50, 60));
        queue.add(join(Cause::Found, 40, 60));
        assert_eq!(waiting(&queue), [40], "the earlier of two invitations");
    }

    #[test]
    fn what_a_client_knows_or_declined_does_not_come_again_by_a_poll() {
        let mut queue = JoinQueue::default();
        queue.remember(CHAT, Some(Seq(60)));
        queue.add(join(Cause::Found, 0, 60));
        assert!(waiting(&queue).is_empty(), "nothing new");
        queue.add(join(Cause::Invited, 0, 61));
        assert_eq!(waiting(&queue), [60], "what is new");

        let mut queue = JoinQueue::default();
        queue.remember(CHAT, None);
        queue.add(join(Cause::Found, 0, 60));
        queue.add(join(Cause::Lagged, 50, 60));
        assert!(waiting(&queue).is_empty(), "declined");
        queue.add(join(Cause::Invited, 60, 60));
        assert_eq!(waiting(&queue), [60], "an invitation is news");
        queue.add(join(Cause::Subscribed, 10, 60));
        assert_eq!(waiting(&queue), [60, 10], "it asks itself");
    }
}
