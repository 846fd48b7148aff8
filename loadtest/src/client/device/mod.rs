//! One device: a task that owns one connection at a time and reconnects as a good client does, until it is
//! told to leave or refused for good. `connected` runs a connection.

mod connected;
mod incoming;
mod memory;
mod open;
mod outgoing;

use super::{
    TestAccount,
    account::Pass,
    dialect::{self, Acks, ConnectionView, Me},
    order::{DeviceState, Inbox},
    wire::WireError,
    worker::DeviceWorker,
};
use crate::{history::Log, measure::Count, scenario::ClientDialect};
use connected::ConnectedDevice;
use memory::{Commands, DeviceChats};
use open::OpenError;
use platform::backoff::Backoff;
use protocol::{
    close::{Close, Retry},
    id::ChatId,
};
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use std::{rc::Rc, sync::Arc, time::Duration};
use tokio::time::{Instant, sleep_until};

/// A connection that held for so long has not failed: it comes back at once, and the next pause is the
/// shortest again.
const HELD: Duration = Duration::from_secs(10);

/// "At once", and not all in the same moment.
const AT_ONCE: Duration = Duration::from_millis(100);

/// What a device is.
#[derive(Clone, Debug)]
pub(crate) struct DeviceSpec {
    /// Unique in the run, over all agents: part of every key.
    pub number: u32,
    pub account: Arc<TestAccount>,
    pub window: ConnectionView,
    /// The most that it reads; no limit when `None`.
    pub read_bytes_per_second: Option<u64>,
    /// The moment that it was meant to connect at: the first connection's latency counts from there.
    pub due: Instant,
}

/// A device, over all its connections.
pub(super) struct Device {
    spec: DeviceSpec,
    inbox: Arc<Inbox>,
    worker: Rc<DeviceWorker>,
    log: Log,
    chance: SmallRng,
    chats: DeviceChats,
    commands: Commands,
    closed_loop: Option<ClosedLoop>,
    /// The database that the cursors are of.
    epoch: Option<Box<str>>,
    /// Latency of messages that were due earlier is not recorded: the device was offline on purpose.
    measure_from: i64,
}

/// A closed loop.
#[derive(Debug)]
struct ClosedLoop {
    chat: ChatId,
    window: usize,
    bytes: usize,
    /// The numbers of those on their way.
    on_way: Vec<u32>,
}

/// Why a connection ended.
#[derive(Debug)]
enum Disconnection {
    /// Told to leave.
    Left,
    /// Told to drop it and to be back then.
    Cut {
        back: Instant,
    },
    /// The server announced it, and said when to come back.
    Told {
        back: Instant,
    },
    /// The server's close.
    Closed {
        code: u16,
        reason: String,
    },
    Lost(WireError),
}

impl From<WireError> for Disconnection {
    fn from(error: WireError) -> Self {
        Self::Lost(error)
    }
}

impl Device {
    pub(super) fn new(spec: DeviceSpec, inbox: Arc<Inbox>, worker: Rc<DeviceWorker>) -> Box<Self> {
        let log = worker.ledger.log(format!("{} #{}", spec.account.username, spec.number));
        let chance = SmallRng::seed_from_u64(worker.seed ^ (u64::from(spec.number) << 32));
        Box::new(Self {
            spec,
            inbox,
            worker,
            log,
            chance,
            chats: DeviceChats::default(),
            commands: Commands::default(),
            closed_loop: None,
            epoch: None,
            measure_from: i64::MIN,
        })
    }

    /// Keeps connected until it leaves or is refused for good.
    pub(super) async fn run(mut self: Box<Self>) {
        let (mut backoff, mut due) = (Backoff::of_client(), self.spec.due);
        let mut refused_pass = None;
        loop {
            // Boxed, because a device is on its way up for a moment and connected for hours.
            let opened = Box::pin(self.open(refused_pass.take(), due)).await;
            let again = match opened {
                Ok(live) => {
                    let (end, ready, pass) = live.run().await;
                    let held = ready.is_some_and(|since| since.elapsed() > HELD);
                    if held {
                        backoff = Backoff::of_client();
                    }
                    if is_token_expired(&end) {
                        refused_pass = Some(pass);
                    }
                    self.ended(&end, ready.is_some());
                    self.back(end, held, &mut backoff)
                }
                Err(OpenError::Left) => None,
                Err(OpenError::NoToken(error)) => {
                    self.worker.shard.lock().error(&error.kind());
                    let pause = backoff.pause(self.chance.random());
                    let pause = error.retry_after().unwrap_or_default() + pause;
                    (!error.is_final()).then(|| Instant::now() + pause)
                }
                Err(OpenError::Failed(error)) => {
                    self.worker.shard.lock().error(&error.to_string());
                    Some(Instant::now() + backoff.pause(self.chance.random()))
                }
            };
            let Some(again) = again else { break };
            due = again;
            tokio::select! {
                () = sleep_until(again) => {}
                () = self.inbox.leaving() => break,
            }
        }
        self.inbox.set_state(DeviceState::Gone);
        // Nobody does it any more.
        let unsent = self.inbox.unsent() as u64;
        if unsent > 0 {
            self.worker.shard.lock().count(Count::Skipped, unsent);
        }
        self.worker.end(self.spec.number);
    }

    /// Records the end of a connection.
    fn ended(&mut self, end: &Disconnection, was_ready: bool) {
        self.inbox.set_state(DeviceState::Away);
        // Who is there when the run ends has had its time: what it has not received is missing. Only
        // one that reads slowly may have it all before it.
        let to_the_end = matches!(end, Disconnection::Left) && self.worker.is_stopping();
        if to_the_end && was_ready && self.spec.read_bytes_per_second.is_none() {
            self.worker.shard.lock().disconnected();
            return;
        }
        self.log.away();
        if !dialect::greets(self.dialect()) {
            // Nothing is resumed there, and what was sent cannot be sent again.
            for chat in self.spec.window.chats() {
                self.log.unwatch(chat);
            }
            self.commands.forget_all();
            self.closed_loop = None;
            self.inbox.in_flight(0);
        }
        let mut counters = self.worker.shard.lock();
        if was_ready {
            counters.disconnected();
        }
        match end {
            Disconnection::Left | Disconnection::Cut { .. } => return,
            Disconnection::Told { .. } => {}
            Disconnection::Closed { code, reason } => {
                counters.close(format!("{code} {reason}").trim_end())
            }
            Disconnection::Lost(error) => counters.error(&error.to_string()),
        }
        if was_ready {
            counters.count(Count::Dropped, 1);
        }
    }

    /// When to come back; never, when it left or is not wanted.
    fn back(&mut self, end: Disconnection, held: bool, backoff: &mut Backoff) -> Option<Instant> {
        let retry = match end {
            Disconnection::Left => return None,
            Disconnection::Cut { back } => {
                // Until it is ready again: messages due meanwhile are late on purpose.
                self.measure_from = i64::MAX;
                return Some(back);
            }
            Disconnection::Told { back } => return Some(back),
            Disconnection::Closed { code, ref reason } => retry(code, reason),
            Disconnection::Lost(_) => Retry::Now,
        };
        let pause = match retry {
            Retry::Never => return None,
            // A server that drops connections at once must not be asked again at once.
            Retry::Now if held => AT_ONCE.mul_f64(self.chance.random()),
            Retry::Now | Retry::Backoff => backoff.pause(self.chance.random()),
        };
        Some(Instant::now() + pause)
    }

    fn dialect(&self) -> ClientDialect {
        self.spec.window.dialect()
    }

    fn acks(&self) -> Acks {
        dialect::acks(self.dialect())
    }

    fn me(&self) -> Me<'_> {
        Me { id: self.spec.account.id, username: &self.spec.account.username }
    }
}

/// Whether to come back after this close.
fn retry(code: u16, reason: &str) -> Retry {
    let known = Close::ALL.iter().find(|close| close.code() == code && close.reason() == reason);
    match known {
        // Nobody said bye: that is the server's answer to a close, or somebody in between.
        Some(Close::ByPeer) | None => Retry::Backoff,
        Some(close) => close.retry(),
    }
}

fn is_token_expired(end: &Disconnection) -> bool {
    let Disconnection::Closed { code, reason } = end else { return false };
    let expired = Close::TokenExpired;
    *code == expired.code() && reason == expired.reason()
}

#[cfg(test)]
mod tests;
