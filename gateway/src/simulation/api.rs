//! The simulated apis, as one gateway sees them: calls that may not arrive, commits that take long, answers that are lost.
//! What an api has begun it ends, whatever becomes of the call.

use super::{
    store::Outcome,
    tokens::jwk,
    weather::CallFate,
    world::{APIS, World},
};
use crate::backend::{ApiAnswer, Backend, Unavailable};
use futures_util::FutureExt;
use platform::token::Jwks;
use protocol::{
    calls::{
        CHANGED_OVERLAP_MS, Changed, ChangedFound, Cut, Dormant, DormantMarked, Events,
        EventsFound, Guests, GuestsFound, MarkRead, Open, Opened, Peers, PeersFound, Post, Posted,
        UserChat, View, Viewed,
    },
    chat::Event,
    code::Code,
    command::Command,
    encoded_run::EncodedRun,
    id::ChatId,
    refusal::Refusal,
    relay::{Channel, ChatEvents},
    time::Timestamp,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::{sync::oneshot, time::timeout};

/// The name of the database.
const EPOCH: &str = "epoch";

/// How long an impatient call waits for a chat that somebody else holds.
const IMPATIENT: Duration = Duration::from_millis(200);

/// The apis, from one gateway.
pub(super) struct ApisOf {
    pub world: Arc<World>,
    pub gateway: usize,
}

impl ApisOf {
    /// A call that begins and ends in one moment.
    fn call<T: Send + 'static>(
        &self,
        name: &'static str,
        answer: impl FnOnce(&Arc<World>) -> T + Send + 'static,
    ) -> ApiAnswer<T> {
        self.long_call(name, |world| async move { answer(&world) })
    }

    /// A call that takes its time.
    fn long_call<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
        &self,
        name: &'static str,
        answer: impl FnOnce(Arc<World>) -> F + Send + 'static,
    ) -> ApiAnswer<T> {
        let (world, gateway) = (Arc::clone(&self.world), self.gateway);
        async move {
            let (fate, way) = world.weather.lock().call(gateway);
            let _doomed = (fate != CallFate::Answered).then(|| Doomed::new(&world));
            tokio::time::sleep(way).await;
            world.note(gateway, &format!("{name} {fate:?}"));
            if fate == CallFate::LostOnTheWay {
                return Err(Unavailable::NotAnswered("lost on the way".to_owned()));
            }
            // A task of its own: an api goes on when its caller has gone.
            let (done, answered) = oneshot::channel();
            let working = answer(Arc::clone(&world));
            world.apis.spawn(async move { drop(done.send(working.await)) });
            let answer = answered.await;
            if fate == CallFate::AnswerLost {
                tokio::time::sleep(way).await;
                return Err(Unavailable::NotAnswered("the answer is lost".to_owned()));
            }
            answer.map_err(|_| Unavailable::NotAnswered("the world has ended".to_owned()))
        }
        .boxed()
    }
}

/// Counts a call whose answer will not come, as long as somebody waits for it.
struct Doomed(Arc<World>);

impl Doomed {
    fn new(world: &Arc<World>) -> Self {
        world.doomed.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(world))
    }
}

impl Drop for Doomed {
    fn drop(&mut self) {
        self.0.doomed.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Backend for ApisOf {
    fn open(&self, call: Open) -> ApiAnswer<Opened> {
        self.call("open", move |world| {
            let store = world.store.lock();
            let sessions = call.sessions.iter().map(|one| Ok(store.session(one.user_id)));
            Opened { epoch: EPOCH.to_owned(), sessions: sessions.collect() }
        })
    }

    fn post(&self, call: Post) -> ApiAnswer<Posted> {
        self.long_call("post", |world| post(world, call))
    }

    fn mark_read(&self, _: MarkRead) -> ApiAnswer<()> {
        self.call("mark_read", |_| ())
    }

    fn events(&self, call: Events) -> ApiAnswer<EventsFound> {
        self.call("events", move |world| {
            let store = world.store.lock();
            EventsFound { ranges: call.ranges.iter().map(|range| store.range(*range)).collect() }
        })
    }

    fn view(&self, call: View) -> ApiAnswer<Viewed> {
        self.call("view", move |world| {
            let store = world.store.lock();
            Viewed { chats: call.chats.iter().map(|pair| store.view(*pair)).collect() }
        })
    }

    fn dormant(&self, call: Dormant) -> ApiAnswer<DormantMarked> {
        self.call("dormant", move |world| {
            let store = world.store.lock();
            let members = call.chats.iter().map(|pair| store.view(*pair).is_ok());
            DormantMarked { members: members.collect() }
        })
    }

    fn changed(&self, call: Changed) -> ApiAnswer<ChangedFound> {
        self.call("changed", move |world| changed(world, call))
    }

    fn peers(&self, _: Peers) -> ApiAnswer<PeersFound> {
        self.call("peers", |_| PeersFound { chats: Vec::new() })
    }

    fn guests(&self, _: Guests) -> ApiAnswer<GuestsFound> {
        self.call("guests", |_| GuestsFound { guests: Vec::new() })
    }

    fn jwks(&self) -> ApiAnswer<Jwks> {
        self.call("jwks", |_| Jwks { keys: vec![jwk()] })
    }
}

/// One transaction: it locks its chats in their order, and is seen by others when it has been committed.
async fn post(world: Arc<World>, call: Post) -> Posted {
    let began = world.begin();
    let chats: BTreeSet<ChatId> = call.commands.iter().map(|command| command.chat_id).collect();
    let (mut held, mut busy) = (Vec::new(), BTreeSet::new());
    for chat in chats {
        let Some(lock) = world.locks.get(&chat).cloned() else { continue };
        let patience = if call.impatient { IMPATIENT } else { Duration::from_secs(60) };
        match timeout(patience, lock.lock_owned()).await {
            Ok(lock) => held.push(lock),
            Err(_) => drop(busy.insert(chat)),
        }
    }
    let commit = world.weather.lock().commit();
    tokio::time::sleep(commit).await;
    let outcomes: Vec<(ChatId, Outcome)> = {
        let mut store = world.store.lock();
        let carry_out = |command: &Command| match busy.contains(&command.chat_id) {
            true => Err(Refusal { code: Code::Busy, message: String::new() }),
            false => store.post(command, began.at),
        };
        let chats = call.commands.iter().map(|command| command.chat_id);
        chats.zip(call.commands.iter().map(carry_out)).collect()
    };
    drop((held, began));
    let events = runs(&outcomes, &world);
    let (dies, api) = {
        let mut weather = world.weather.lock();
        (weather.dies_before_publishing(), weather.below(APIS))
    };
    if !dies {
        for run in &events {
            let chat = protocol::encoded_run::RunHead::read(run.payload()).map(|head| head.chat_id);
            let channel = Channel::Chat(chat.unwrap_or_default());
            world.publish(api, channel, run.payload().clone());
        }
    }
    let receipt = |(_, outcome): (ChatId, Outcome)| outcome.map(|(receipt, _)| receipt);
    Posted { results: outcomes.into_iter().map(receipt).collect(), events }
}

/// The events of a batch: of each chat one run of those that it made, and one of each that a repeat brings again.
fn runs(outcomes: &[(ChatId, Outcome)], world: &World) -> Vec<EncodedRun> {
    let (mut made, mut again) = (BTreeMap::<ChatId, Vec<Event>>::new(), Vec::new());
    for (chat, outcome) in outcomes {
        let Ok((receipt, Some(event))) = outcome else { continue };
        match receipt.repeated {
            false => made.entry(*chat).or_default().push(event.clone()),
            true => again.push((*chat, vec![event.clone()])),
        }
    }
    let published_ms = world.now().0;
    let run = |(chat_id, events)| ChatEvents { chat_id, events, published_ms, traceparent: None };
    made.into_iter().chain(again).filter_map(|run_of| EncodedRun::of(&run(run_of)).ok()).collect()
}

/// What happened since, as the api says it: up to the beginning of the oldest transaction that is not committed.
fn changed(world: &World, call: Changed) -> ChangedFound {
    let now = world.settled();
    let since = call.since.map_or(now.0 - 30_000, |since| since.0) - CHANGED_OVERLAP_MS;
    let since = Timestamp(since);
    let store = world.store.lock();
    let mut found = ChangedFound { now, ..ChangedFound::default() };
    for (&id, chat) in &store.chats {
        if chat.changed_at >= since {
            found.chats.push((id, chat.last_seq));
        }
        let joined = chat.members.iter().filter(|(_, at)| **at >= since);
        found.joined.extend(joined.map(|(&user_id, _)| UserChat { user_id, chat_id: id }));
    }
    let parted =
        store.departures.iter().filter(|(pair, at)| *at >= since && store.view(*pair).is_err());
    found.parted.extend(parted.map(|(pair, _)| *pair));
    if world.weather.lock().cuts_lists() {
        found.chats.clear();
        found.joined.clear();
        found.parted.clear();
        found.truncated = true;
        found.cut = Cut { chats: true, joined: true, parted: true, ..Cut::default() };
    }
    found
}
