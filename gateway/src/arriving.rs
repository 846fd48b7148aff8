//! The chats of one connection that are on their way in: which wait, which are being joined, which
//! are let go to make room, which the client declined. One map, so that no chat is joined twice at
//! once and one that cannot be answered delays its own only. Runs on the connection's own task.

use crate::{
    conn::Conn,
    hub::Hub,
    joining::{Cause, Join, Step, join},
};
use futures_util::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use shared::id::ChatId;
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

/// A chat that the client left stays declined for longer than polls tell of whoever joined.
const DECLINED: Duration = Duration::from_secs(20);

/// The most declined chats that are remembered; the oldest is forgotten.
const MAX_DECLINED: usize = 100;

/// Chats on their way in.
#[derive(Default)]
pub(crate) struct Arriving {
    /// Nothing while nothing is on its way, as it is for nearly all of a connection's life.
    work: Option<Box<Work>>,
    declined: Vec<(ChatId, Instant)>,
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
    Step(Step),
    /// A pause is over.
    Rested(Join),
    LetGo(ChatId),
}

impl Arriving {
    /// Adds a chat behind those that wait. A chat that is on its way already is not joined twice:
    /// whoever is invited to it learns nothing new, whoever asks for it is answered afterwards.
    pub fn add(&mut self, join: Join) {
        match join.cause {
            Cause::Found | Cause::Lagged if self.has_declined(join.chat_id) => return,
            Cause::Subscribed => self.declined.retain(|(chat, _)| *chat != join.chat_id),
            Cause::Opened | Cause::Found | Cause::Invited | Cause::Lagged => {}
        }
        let work = self.work.get_or_insert_default();
        let entry = work.chats.entry(join.chat_id).or_default();
        if matches!(join.cause, Cause::Opened | Cause::Found | Cause::Invited) {
            if entry.state == State::Joining {
                return;
            }
            if let Some(waiting) = entry.queue.front_mut() {
                waiting.from = waiting.from.min(join.from);
                waiting.after = waiting.after.min(join.after);
                return;
            }
        }
        if join.cause == Cause::Subscribed && entry.queue.len() >= MAX_BEHIND {
            return join.turn_away();
        }
        if entry.state == State::Waiting && entry.queue.is_empty() {
            work.turns.push_back(join.chat_id);
        }
        entry.queue.push_back(join);
    }

    /// Starts as many joins as may go on at once. A connection that watches as many chats as it may
    /// lets go of the one that has been quiet longest first.
    pub fn start(&mut self, hub: &Arc<Hub>, conn: &Arc<Conn>) {
        let Some(work) = &mut self.work else { return };
        while work.active < AT_ONCE
            && let Some(chat) = work.turns.front().copied()
        {
            if !conn.watches(chat)
                && conn.watched() + work.joining >= hub.config.max_chats
                && work.make_room(hub, conn)
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

    /// Waits until something got on; [`Arriving::start`] afterwards. For ever, when nothing is on its
    /// way. Safe to drop while it waits.
    pub async fn next(&mut self, hub: &Hub, conn: &Conn) {
        let Some(work) = &mut self.work else { return pending().await };
        match work.under_way.next().await {
            Some(Stage::Step(Step::Done(chat))) => {
                work.active -= 1;
                work.done(chat, hub, conn);
            }
            Some(Stage::Step(Step::Later(join, pause))) => {
                work.active -= 1;
                work.under_way.push(Box::pin(async move {
                    tokio::time::sleep(pause).await;
                    Stage::Rested(join)
                }));
            }
            Some(Stage::Rested(join)) => work.rested(join, hub, conn),
            Some(Stage::LetGo(chat)) => work.done(chat, hub, conn),
            None => return pending().await,
        }
        if work.chats.is_empty() {
            self.work = None;
        }
    }

    /// The client does not want this chat, whether it waits or is being joined. What was to be said
    /// of it is said.
    pub fn decline(&mut self, chat: ChatId, conn: &Conn) {
        let now = Instant::now();
        self.declined.retain(|(id, at)| *id != chat && now - *at < DECLINED);
        if self.declined.len() >= MAX_DECLINED {
            self.declined.remove(0);
        }
        self.declined.push((chat, now));
        let Some(work) = &mut self.work else { return };
        let Some(entry) = work.chats.get_mut(&chat) else { return };
        for mut join in entry.queue.drain(..) {
            join.say(conn, None);
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
    pub fn len(&self) -> usize {
        self.work.as_ref().map_or(0, |work| work.chats.len())
    }

    /// Whether each chat has been tried: none waits, and none goes on but those that cannot get on.
    pub fn is_settled(&self) -> bool {
        self.work.as_ref().is_none_or(|work| work.active == 0 && work.turns.is_empty())
    }

    fn has_declined(&self, chat: ChatId) -> bool {
        self.declined.iter().any(|(id, at)| *id == chat && at.elapsed() < DECLINED)
    }
}

impl Work {
    /// Sees to it that there will be room for one more chat; whether to wait for that.
    fn make_room(&mut self, hub: &Arc<Hub>, conn: &Arc<Conn>) -> bool {
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
    fn done(&mut self, chat: ChatId, hub: &Hub, conn: &Conn) {
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

    fn rested(&mut self, mut join: Join, hub: &Hub, conn: &Conn) {
        let chat = join.chat_id;
        match self.chats.get_mut(&chat) {
            Some(entry) if entry.state == State::Joining => entry.queue.push_front(join),
            _ => join.say(conn, None),
        }
        self.done(chat, hub, conn);
    }
}
