//! The joins of one connection: chats that wait, chats that are being joined, chats that it stops watching to make
//! space, and chats that the client declined. All are in one map, so that a chat is joined once at a time, and a chat
//! without an answer delays no other. Runs on the connection's own task.

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
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::Instant;

/// The maximum number of chats that one connection joins at once. It is enough to hide the round trips to the api, and
/// small enough that one returning client makes no storm.
const AT_ONCE: usize = 8;

/// The maximum number of waiting joins of one chat. It bounds a client that subscribes to one chat again and again.
const MAX_BEHIND: usize = 8;

/// How long the client's knowledge of a chat that it does not watch is remembered: longer than polls repeat the same
/// event.
const REMEMBERED: Duration = Duration::from_secs(20);

/// The maximum number of chats of which it is remembered: as many as a hello has space for cursors.
const MAX_REMEMBERED: usize = 4_096;

/// How long a connection goes on watching a chat that it could not mark as dormant, before another try.
const ANOTHER_TRY: Duration = Duration::from_secs(1);

/// Chats on their way in.
#[derive(Default)]
pub(crate) struct JoinQueue {
    /// `None` while no chat is on its way, as for nearly all of a connection's life.
    work: Option<Box<Work>>,
    known: HashMap<ChatId, Known>,
}

/// The client's knowledge of a chat that it does not watch.
struct Known {
    /// The last event that the client knows of. `None` if the client declined the chat.
    upto: Option<Seq>,
    at: Instant,
}

#[derive(Default)]
struct Work {
    chats: HashMap<ChatId, ChatJoins>,
    /// Chats that wait to be joined, in order.
    turns: VecDeque<ChatId>,
    /// Joins, their pauses, and chats that are being marked as dormant.
    under_way: FuturesUnordered<BoxFuture<'static, Stage>>,
    /// The number of joins that are not paused.
    active: usize,
    /// The number of joins, with those in a pause.
    joining: usize,
}

#[derive(Default)]
struct ChatJoins {
    state: JoinState,
    /// The next joins of the chat.
    queue: VecDeque<Join>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum JoinState {
    #[default]
    Waiting,
    Joining,
    /// The client declined the chat while it was being joined.
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
    /// Adds a join behind those that wait. An invitation to a chat that is on its way is dropped, because it brings
    /// nothing new. A `subscribe` is answered after the join before it.
    pub(crate) fn add(&mut self, mut join: Join) {
        if self.is_old_news(&mut join) {
            return;
        }
        let work = self.work.get_or_insert_default();
        let entry = work.chats.entry(join.chat_id).or_default();
        if matches!(join.cause, Cause::Opened | Cause::Found | Cause::Invited) {
            if entry.state == JoinState::Joining {
                return;
            }
            if let Some(waiting) = entry.queue.front_mut() {
                // Two invitations become one from the earlier place. A waiting join of another cause stays as
                // it is, because its client was sent a part of the chat.
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
        if entry.state == JoinState::Waiting && entry.queue.is_empty() {
            work.turns.push_back(join.chat_id);
        }
        entry.queue.push_back(join);
    }

    /// Starts as many joins as may go on at once. A connection that watches as many chats as it may first stops
    /// watching the one that has been quiet longest.
    pub(crate) fn start(&mut self, hub: &Arc<Hub>, conn: &Arc<Conn>) {
        let Some(work) = &mut self.work else { return };
        while work.active < AT_ONCE
            && let Some(chat) = work.turns.front().copied()
        {
            // A chat that the connection watches already needs no further space.
            if !conn.watches(chat)
                && conn.watch_count() + work.joining >= hub.config.max_chats
                && work.make_space(hub, conn)
            {
                return;
            }
            work.turns.pop_front();
            let Some(entry) = work.chats.get_mut(&chat) else { continue };
            let Some(next) = entry.queue.pop_front() else { continue };
            entry.state = JoinState::Joining;
            work.joining += 1;
            work.active += 1;
            let joining = join(Arc::clone(hub), Arc::clone(conn), next);
            work.under_way.push(Box::pin(async move { Stage::Step(joining.await) }));
        }
    }

    /// Waits until a join makes progress. Call [`JoinQueue::start`] afterwards. Waits for ever when no chat is on its
    /// way. Can be dropped safely while it waits.
    pub(crate) fn next(&mut self, hub: &Hub, conn: &Conn) -> impl Future<Output = ()> {
        poll_fn(|context| self.poll_next(hub, conn, context))
    }

    fn poll_next(&mut self, hub: &Hub, conn: &Conn, context: &mut Context<'_>) -> Poll<()> {
        let Some(work) = &mut self.work else { return Poll::Pending };
        match ready!(work.under_way.poll_next_unpin(context)) {
            Some(Stage::Step(JoinStep::Done(chat))) => {
                work.active -= 1;
                work.end_turn(chat, hub, conn);
            }
            Some(Stage::Step(JoinStep::Later(join, pause))) => {
                // A pause takes none of the places of joins that go on at once.
                work.active -= 1;
                work.under_way.push(Box::pin(async move {
                    tokio::time::sleep(pause).await;
                    Stage::Rested(join)
                }));
            }
            Some(Stage::Rested(join)) => work.end_pause(join, hub, conn),
            Some(Stage::LetGo(chat)) => work.end_turn(chat, hub, conn),
            None => return Poll::Pending,
        }
        if work.chats.is_empty() {
            self.work = None;
        }
        Poll::Ready(())
    }

    /// Ends all joins of a chat that the client does not want, whether they wait or go on. Their announcements are
    /// sent.
    pub(crate) fn decline(&mut self, chat: ChatId, conn: &Conn) {
        self.remember(chat, None);
        let Some(work) = &mut self.work else { return };
        let Some(entry) = work.chats.get_mut(&chat) else { return };
        for mut join in entry.queue.drain(..) {
            conn.announce(&mut join, None);
        }
        match entry.state {
            JoinState::Waiting => {
                work.chats.remove(&chat);
                work.turns.retain(|waiting| *waiting != chat);
            }
            JoinState::Joining => entry.state = JoinState::Unwanted,
            JoinState::Unwanted | JoinState::LettingGo => {}
        }
    }

    /// The number of chats on their way.
    pub(crate) fn len(&self) -> usize {
        self.work.as_ref().map_or(0, |work| work.chats.len())
    }

    /// Whether each chat has been tried: no chat waits, and the joins that are left are paused.
    pub(crate) fn is_settled(&self) -> bool {
        self.work.as_ref().is_none_or(|work| work.active == 0 && work.turns.is_empty())
    }

    /// Remembers that the client knows a chat's events up to here, or that it declined the chat (`None`).
    pub(crate) fn remember(&mut self, chat: ChatId, upto: Option<Seq>) {
        if self.known.len() < MAX_REMEMBERED {
            self.known.insert(chat, Known { upto, at: Instant::now() });
        }
    }

    /// Forgets knowledge that is old enough. Called with each heartbeat.
    pub(crate) fn forget(&mut self) {
        self.known.retain(|_, known| known.at.elapsed() < REMEMBERED);
        if self.known.is_empty() {
            self.known = HashMap::new();
        }
    }

    /// Whether the client knows all events of a join. If it knows a part, the join skips that part.
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
    /// Begins to make space for one more chat. `true` if the caller must wait.
    fn make_space(&mut self, hub: &Arc<Hub>, conn: &Arc<Conn>) -> bool {
        if !self.chats.values().any(|entry| entry.state == JoinState::LettingGo)
            && let Some(chat) = hub.quietest(conn, |chat| self.chats.contains_key(&chat))
        {
            self.chats.entry(chat).or_default().state = JoinState::LettingGo;
            let letting_go = Arc::clone(hub).let_go(Arc::clone(conn), chat);
            self.under_way.push(Box::pin(async move {
                letting_go.await;
                Stage::LetGo(chat)
            }));
        }
        !self.under_way.is_empty()
    }

    /// Ends a chat's step. The chat's next join waits for its turn.
    fn end_turn(&mut self, chat: ChatId, hub: &Hub, conn: &Conn) {
        let Some(entry) = self.chats.get_mut(&chat) else { return };
        if entry.state == JoinState::Unwanted {
            hub.detach(conn, chat);
        }
        if matches!(entry.state, JoinState::Joining | JoinState::Unwanted) {
            self.joining -= 1;
        }
        entry.state = JoinState::Waiting;
        if entry.queue.is_empty() {
            self.chats.remove(&chat);
        } else {
            self.turns.push_back(chat);
        }
    }

    fn end_pause(&mut self, mut join: Join, hub: &Hub, conn: &Conn) {
        let chat = join.chat_id;
        match self.chats.get_mut(&chat) {
            Some(entry) if entry.state == JoinState::Joining => entry.queue.push_front(join),
            _ => conn.announce(&mut join, None),
        }
        self.end_turn(chat, hub, conn);
    }
}

impl Hub {
    /// The chat that has been quiet longest among the chats that this connection watches, except `taken` ones.
    fn quietest(&self, conn: &Conn, taken: impl Fn(ChatId) -> bool) -> Option<ChatId> {
        let chats = conn.chat_ids().into_iter().filter(|chat| !taken(*chat));
        chats
            .filter_map(|chat| Some((self.with_chat(chat, |chat| chat.active_at)?, chat)))
            .min()
            .map(|(_, chat)| chat)
    }

    /// Marks a chat as dormant and stops watching it. From then on the next message wakes a member. A client that
    /// watched a room without membership is told that the chat is gone.
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
            // The connection goes on watching the chat. The pause bounds the tries.
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
