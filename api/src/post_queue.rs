//! Where calls of `post` meet. While as many transactions run as may, the calls that come wait, and what waits is
//! the next batch. So a call that comes alone waits for nothing, and batches grow with the load. It stores nothing,
//! and does not know how a batch is stored.

use crate::{config::PostQueueConfig, db::Databases, error::Result};
use parking_lot::Mutex;
use platform::telemetry::trace;
use protocol::{
    command::{Action, Command, Receipt},
    encoded_run::EncodedRun,
    id::ChatId,
    refusal::Refusal,
    traceparent::Traceparent,
};
use std::{
    collections::{HashMap, HashSet, VecDeque},
    mem,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

#[cfg(test)]
mod tests;

/// A queue for each server, so that one that is slow or away holds up nobody else's calls. Clones share them.
#[derive(Clone)]
pub struct PostQueues(Arc<[PostQueue]>);

impl PostQueues {
    /// Empty ones.
    pub fn new(db: &Databases, config: PostQueueConfig) -> Self {
        Self(db.each().iter().map(|_| PostQueue::new(config)).collect())
    }

    /// That of a server, by its place in [`Databases::each`].
    pub(crate) fn at(&self, server: usize) -> &PostQueue {
        &self.0[server]
    }
}

/// The calls that wait. Clones share it.
#[derive(Clone)]
pub(crate) struct PostQueue {
    config: PostQueueConfig,
    state: Arc<Mutex<PostQueueState>>,
}

#[derive(Default)]
struct PostQueueState {
    waiting: VecDeque<QueuedPost>,
    /// Of all commands that wait.
    bytes: usize,
    /// Writers that have not found the queue empty.
    writers: usize,
    /// Chats that were held lately. A batch that finds a chat held adds its own and waits for `patience`, so there are
    /// never more than `writers` times `apart_for` ÷ `patience` times `max_batch`: 8,000.
    apart: HashMap<ChatId, HeldLately>,
}

/// A chat whose calls go alone.
#[derive(Clone, Copy)]
struct HeldLately {
    until: Instant,
    /// Whether an impatient caller has waited for it in vain.
    busy: bool,
}

/// A call that waits, or is in a batch. Dropping it tells the caller that nothing is known of its commands.
pub(crate) struct QueuedPost {
    pub(crate) commands: Vec<Command>,
    /// The span that the call belongs to, if its trace is recorded.
    pub(crate) cause: Option<Traceparent>,
    end: oneshot::Sender<Result<PostEnd>>,
}

/// What became of a call.
pub(crate) enum PostEnd {
    /// It is committed, and the gateways are told: a result for each command, and the events that they made.
    Stored(Vec<Result<Receipt, Refusal>>, Vec<EncodedRun>),
    /// Nothing is stored, and this call is why.
    Declined,
    /// Nothing is stored, and another call may be why: the caller goes on alone.
    Alone,
}

/// A call's place in the queue.
pub(crate) struct Queued {
    pub(crate) end: oneshot::Receiver<Result<PostEnd>>,
    /// Whoever gets one has to store what waits, until nothing does.
    pub(crate) writer: Option<QueueWriter>,
}

impl PostQueue {
    /// An empty one.
    fn new(config: PostQueueConfig) -> Self {
        Self { config, state: Arc::default() }
    }

    /// How long a batch waits for a chat that another transaction holds.
    pub(crate) fn patience(&self) -> Duration {
        self.config.patience
    }

    /// Puts a call at the end of the queue. `None`: it has to go alone, because one of its chats was held lately,
    /// or because too much waits, which is counted.
    pub(crate) fn join(&self, commands: &[&Command]) -> Option<Queued> {
        let bytes: usize = commands.iter().map(|command| bytes(command)).sum();
        let (answer, end) = oneshot::channel();
        let mut state = self.state.lock();
        if state.held_lately(commands.iter().copied()).next().is_some() {
            return None;
        }
        let PostQueueState { waiting, bytes: waiting_bytes, writers, .. } = &mut *state;
        if waiting.len() >= self.config.max_calls || *waiting_bytes + bytes > self.config.max_bytes
        {
            metrics::counter!("post_queue_full_total").increment(1);
            return None;
        }
        *waiting_bytes += bytes;
        let commands = commands.iter().map(|command| (*command).clone()).collect();
        waiting.push_back(QueuedPost { commands, cause: trace::current(), end: answer });
        let starts = *writers < self.config.writers;
        let writer = starts.then(|| {
            *writers += 1;
            QueueWriter { queue: self.clone(), writes: true }
        });
        Some(Queued { end, writer })
    }

    /// Somebody holds one of these chats. For a while, their calls go alone.
    pub(crate) fn keep_apart(&self, chats: impl IntoIterator<Item = ChatId>) {
        let mut state = self.state.lock();
        let held = state.held_from_now(self.config.apart_for);
        for chat in chats {
            state.apart.entry(chat).or_insert(held);
        }
    }

    /// These chats are held for longer than an impatient caller waits. For a while, no other one needs to.
    pub(crate) fn found_busy(&self, chats: &HashSet<ChatId>) {
        let mut state = self.state.lock();
        let held = HeldLately { busy: true, ..state.held_from_now(self.config.apart_for) };
        state.apart.extend(chats.iter().map(|chat| (*chat, held)));
    }

    /// Nobody holds the chats of these commands any more.
    pub(crate) fn found_free(&self, commands: &[&Command]) {
        let mut state = self.state.lock();
        if !state.apart.is_empty() {
            for command in commands {
                state.apart.remove(&command.chat_id);
            }
        }
    }

    /// Whether one of the chats was found busy lately.
    pub(crate) fn are_busy(&self, commands: &[&Command]) -> bool {
        self.state.lock().held_lately(commands.iter().copied()).any(|held| held.busy)
    }
}

impl PostQueueState {
    /// The mark of a chat that is held now. Forgets the chats that were held before, so that they do not pile up.
    fn held_from_now(&mut self, apart_for: Duration) -> HeldLately {
        let now = Instant::now();
        self.apart.retain(|_, held| held.until > now);
        HeldLately { until: now + apart_for, busy: false }
    }

    fn held_lately<'a>(
        &self,
        commands: impl IntoIterator<Item = &'a Command>,
    ) -> impl Iterator<Item = HeldLately> {
        let now = Instant::now();
        let some = commands.into_iter().take_while(|_| !self.apart.is_empty());
        let held = some.filter_map(|command| self.apart.get(&command.chat_id).copied());
        held.filter(move |held| held.until > now)
    }

    /// The calls of the next batch, in their order: as many as are within the bounds, or one. Those for chats that
    /// were found held meanwhile leave the queue.
    fn batch(&mut self, config: &PostQueueConfig) -> Vec<QueuedPost> {
        let (mut batch, mut commands, mut batch_bytes) = (Vec::new(), 0, 0);
        while let Some(call) = self.waiting.pop_front() {
            let call_bytes: usize = call.commands.iter().map(bytes).sum();
            let apart = self.held_lately(&call.commands).next().is_some();
            if !apart {
                commands += call.commands.len();
                batch_bytes += call_bytes;
            }
            let fits = commands <= config.max_batch && batch_bytes <= config.max_batch_bytes;
            if !fits && !batch.is_empty() {
                self.waiting.push_front(call);
                break;
            }
            self.bytes -= call_bytes;
            if apart {
                call.finish(Ok(PostEnd::Alone));
            } else {
                batch.push(call);
            }
        }
        batch
    }
}

/// One that takes batches, until nothing waits.
pub(crate) struct QueueWriter {
    queue: PostQueue,
    /// Whether it is counted among the writers.
    writes: bool,
}

impl QueueWriter {
    /// The next batch. `None`: nothing waits, and the next call gets a writer of its own.
    pub(crate) fn next(&mut self) -> Option<Vec<QueuedPost>> {
        let mut state = self.queue.state.lock();
        let batch = state.batch(&self.queue.config);
        if batch.is_empty() {
            state.writers -= 1;
            self.writes = false;
            return None;
        }
        drop(state);
        metrics::histogram!("post_transaction_size").record(batch.len() as f64);
        Some(batch)
    }
}

/// It panicked, or the process stops hard.
impl Drop for QueueWriter {
    fn drop(&mut self) {
        if !self.writes {
            return;
        }
        let mut state = self.queue.state.lock();
        state.writers -= 1;
        // Nobody would come for them.
        if state.writers == 0 {
            state.bytes = 0;
            let abandoned = mem::take(&mut state.waiting);
            drop(state);
            drop(abandoned);
        }
    }
}

impl QueuedPost {
    /// Tells the caller, who may have gone meanwhile.
    pub(crate) fn finish(self, end: Result<PostEnd>) {
        let _ = self.end.send(end);
    }
}

/// What a command takes while it waits.
fn bytes(command: &Command) -> usize {
    let texts = match &command.action {
        Action::Send { client_message_id, text, .. } => client_message_id.len() + text.len(),
        Action::Edit { text, .. } => text.len(),
        Action::Delete { .. } => 0,
    };
    size_of::<Command>() + texts
}
