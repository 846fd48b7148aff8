//! The connected devices: opens, closes, cuts and replaces them as the schedule says, and gives each its
//! actions. How a device performs an action is its own business.

use super::{
    RunOptions, Shortfall,
    plan::Plan,
    schedule::{ActionKind, ScheduledAction},
};
use crate::{
    cast::{Cast, CastChat},
    client::{
        DeviceHandle, DeviceSpec, DeviceState, Fleet, Order, TestAccount,
        dialect::{ConnectionView, PrivatePeer},
    },
    measure::Count,
    recorder::Shard,
    scenario::{ClientDialect, TextBytes},
};
use protocol::{chat::ChatType, id::ChatId, time::Timestamp};
use std::{collections::VecDeque, sync::Arc, time::Duration};
use tokio::time::Instant;

/// A connection that is not there for so long after it was due does not come: servers answer a handshake
/// within some seconds, or refuse it.
const PATIENCE: Duration = Duration::from_secs(10);

/// All devices of this process.
pub(super) struct Population<'a> {
    options: &'a RunOptions,
    plan: &'a Plan,
    fleet: &'a Fleet,
    shard: Shard,
    accounts: Vec<Arc<TestAccount>>,
    /// By slot number; none where nobody is connected, or another part of the run does it.
    slots: Vec<Option<OpenDevice>>,
    /// Slots whose handshake is on its way, and those that wait for one of them to end.
    connecting: Vec<usize>,
    waiting: VecDeque<(usize, Instant)>,
    /// Devices that there have been.
    devices: usize,
    /// Slots of the closed loop that goes on.
    looping: Vec<usize>,
    /// Connections that were to go before they had ever come.
    missed: u64,
}

struct OpenDevice {
    device: DeviceHandle,
    /// When it was to connect.
    due: Instant,
    /// Where it can write.
    chats: Arc<[ChatId]>,
}

/// What is still open when nothing more is due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Backlog {
    /// Commands without an answer.
    pub(super) unacked: u64,
    /// Devices that are on their way back.
    pub(super) away: u64,
    /// Devices that have not received everything that this process knows to exist.
    pub(super) behind: u64,
}

impl<'a> Population<'a> {
    pub(super) fn new(
        options: &'a RunOptions,
        plan: &'a Plan,
        fleet: &'a Fleet,
        shard: Shard,
    ) -> Self {
        let (now, unix_seconds) = (Instant::now(), Timestamp::now().unix_seconds());
        let account = |person| Arc::new(TestAccount::new(person, now, unix_seconds));
        Self {
            options,
            plan,
            fleet,
            shard,
            accounts: options.cast.people.iter().map(account).collect(),
            slots: (0..plan.slots()).map(|_| None).collect(),
            connecting: Vec::new(),
            waiting: VecDeque::new(),
            devices: 0,
            looping: Vec::new(),
            missed: 0,
        }
    }

    /// The people, as in the cast.
    pub(super) fn accounts(&self) -> &[Arc<TestAccount>] {
        &self.accounts
    }

    /// Executes this process's share of one scheduled action, or counts it as skipped if no device can. History
    /// reads are returned as (account, chat), because devices do not perform them.
    pub(super) fn execute(
        &mut self,
        action: &ScheduledAction,
        due: Instant,
        bytes: TextBytes,
    ) -> Option<(Arc<TestAccount>, ChatId)> {
        let Some(slot) = action.slot else {
            // One part speaks for nobody.
            if self.options.share.index == 0 {
                self.skip();
            }
            return None;
        };
        if !self.plan.has(slot) {
            return None;
        }
        match action.what {
            ActionKind::Open => self.waiting.push_back((slot, due)),
            ActionKind::Close => self.close(slot),
            ActionKind::Replace => {
                self.close(slot);
                self.waiting.push_back((slot, due));
            }
            ActionKind::History => {
                let person = self.plan.person(slot);
                let chat = self.chat(slot, action.chance);
                let asked = chat.zip(self.accounts.get(person).cloned());
                if asked.is_none() {
                    self.skip();
                }
                return asked.map(|(chat, account)| (account, chat));
            }
            ActionKind::Cut { away } => self.order(slot, Order::Cut { due, back: due + away }),
            ActionKind::Loop { window } => {
                if self.chat(slot, action.chance).is_some() {
                    self.looping.push(slot);
                }
                let order = |chat, bytes| Order::Loop { chat, window, bytes };
                self.order_in_chat(slot, action.chance, bytes, order);
            }
            ActionKind::InChat(chat_action) => {
                let order = |chat, bytes| Order::Act { action: chat_action, chat, due, bytes };
                self.order_in_chat(slot, action.chance, bytes, order);
            }
        }
        None
    }

    /// Ends the closed loop of a phase.
    pub(super) fn end_loops(&mut self) {
        for slot in std::mem::take(&mut self.looping) {
            if let (Some(opened), Some(chat)) = (&self.slots[slot], self.chat(slot, 0)) {
                // A device that is too busy to hear of it has left.
                let _ = opened.device.order(Order::Loop { chat, window: 0, bytes: 0 });
            }
        }
    }

    /// Begins handshakes, as many as may be on their way at once. Whoever waits is late by that, and
    /// its latency counts from when it was due.
    pub(super) fn connect(&mut self) {
        let slots = &self.slots;
        let is_away = |slot: &usize| {
            let opened = slots[*slot].as_ref();
            opened.is_some_and(|opened| opened.device.state() == DeviceState::Away)
        };
        // While nobody waits, the number of handshakes on their way does not matter.
        if !self.waiting.is_empty() {
            self.connecting.retain(is_away);
        }
        while self.connecting.len() < self.options.tuning.handshakes {
            let Some((slot, due)) = self.waiting.pop_front() else { return };
            self.open(slot, due);
            self.connecting.push(slot);
        }
    }

    /// Whether somebody waits for a handshake to end.
    pub(super) fn is_crowded(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Adds up what the devices still have open. Whether one is behind is as its last check found.
    pub(super) fn backlog(&self) -> Backlog {
        let mut sum = Backlog { away: self.waiting.len() as u64, ..Backlog::default() };
        for opened in self.slots.iter().flatten() {
            match opened.device.state() {
                DeviceState::Away => sum.away += 1,
                DeviceState::Gone => continue,
                DeviceState::Ready if opened.device.is_complete() => {}
                DeviceState::Ready => sum.behind += 1,
            }
            sum.unacked += opened.device.unsettled() as u64;
        }
        sum
    }

    /// What is missing when it has been waited for.
    pub(super) fn shortfall(&self) -> Shortfall {
        let there = self.slots.iter().flatten().map(|opened| &opened.device);
        let (mut unconnected, mut unsent) = (self.missed + self.waiting.len() as u64, 0);
        for device in there {
            unconnected += u64::from(device.state() != DeviceState::Ready);
            unsent += device.unsent() as u64;
        }
        Shortfall { unconnected, unsent }
    }

    /// Asks every device that is not yet complete to check again whether it has received everything.
    pub(super) fn recheck_incomplete(&self) {
        for opened in self.slots.iter().flatten().filter(|opened| !opened.device.is_complete()) {
            // One whose queue is full is behind anyway.
            let _ = opened.device.order(Order::Recheck);
        }
    }

    fn open(&mut self, slot: usize, due: Instant) {
        let person = self.plan.person(slot);
        let (Some(account), Some(of_cast)) =
            (self.accounts.get(person), self.options.cast.people.get(person))
        else {
            return self.skip();
        };
        let turn = slot / self.options.scenario.people.accounts.max(1);
        let (window, chats) =
            window(&self.options.cast, person, &of_cast.chats, turn, self.plan.dialect(slot));
        let share = self.options.share;
        let slow = self.options.scenario.people.slow.filter(|_| self.plan.is_slow(slot));
        let spec = DeviceSpec {
            number: u32::try_from(self.devices * share.of + share.index).unwrap_or(u32::MAX),
            account: Arc::clone(account),
            window,
            read_bytes_per_second: slow.map(|slow| slow.bytes_per_second),
            due,
        };
        self.devices += 1;
        match self.fleet.spawn(spec) {
            Ok(device) => self.slots[slot] = Some(OpenDevice { device, due, chats }),
            Err(_) => {
                self.missed += 1;
                self.skip();
            }
        }
    }

    fn close(&mut self, slot: usize) {
        let waited = self.waiting.iter().position(|(waiting, _)| *waiting == slot);
        if let Some((_, due)) = waited.and_then(|at| self.waiting.remove(at)) {
            self.missed += u64::from(due.elapsed() > PATIENCE);
        }
        if let Some(opened) = self.slots[slot].take() {
            let never_came = !opened.device.was_ready() && opened.due.elapsed() > PATIENCE;
            self.missed += u64::from(never_came);
            // Refused only by one that is gone.
            let _ = opened.device.order(Order::Leave);
        }
    }

    /// Gives the device an order in one of its chats, with a text of this size.
    fn order_in_chat(
        &mut self,
        slot: usize,
        chance: u64,
        bytes: TextBytes,
        order: impl FnOnce(ChatId, usize) -> Order,
    ) {
        let Some(chat) = self.chat(slot, chance) else { return self.skip() };
        let spread = bytes.max.saturating_sub(bytes.min) as u64 + 1;
        let bytes = bytes.min + ((u64::from(chance as u32) * spread) >> 32) as usize;
        self.order(slot, order(chat, bytes));
    }

    fn order(&mut self, slot: usize, order: Order) {
        let taken =
            self.slots[slot].as_ref().is_some_and(|opened| opened.device.order(order).is_ok());
        if !taken {
            self.skip();
        }
    }

    /// One of the chats that the slot's device can write in.
    fn chat(&self, slot: usize, chance: u64) -> Option<ChatId> {
        let chats = &self.slots[slot].as_ref()?.chats;
        let at = ((chance >> 32) * chats.len() as u64) >> 32;
        chats.get(at as usize).copied()
    }

    fn skip(&self) {
        self.shard.lock().count(Count::Skipped, 1);
    }
}

/// What the person's device shows in this dialect, and where it can write. `turn` tells the devices of
/// a person apart, where one shows a single chat.
fn window(
    cast: &Cast,
    person: usize,
    chats: &[usize],
    turn: usize,
    dialect: ClientDialect,
) -> (ConnectionView, Arc<[ChatId]>) {
    let chats: Vec<&CastChat> = chats.iter().filter_map(|chat| cast.chats.get(*chat)).collect();
    let ids = |chats: &[&CastChat]| chats.iter().map(|chat| chat.id).collect();
    match dialect {
        ClientDialect::Native => (ConnectionView::Native, ids(&chats)),
        ClientDialect::Lobby => (ConnectionView::Lobby, Arc::new([ChatId::LOBBY])),
        ClientDialect::Chat => {
            let chat = chats.get(turn % chats.len().max(1)).map_or(ChatId::LOBBY, |chat| chat.id);
            (ConnectionView::Chat(chat), Arc::new([chat]))
        }
        ClientDialect::Names | ClientDialect::Numbers => {
            let private: Vec<&CastChat> =
                chats.into_iter().filter(|chat| chat.chat_type == ChatType::Private).collect();
            let peer = |chat: &&CastChat| {
                let other = chat.members.iter().find(|member| **member != person)?;
                let other = cast.people.get(*other)?;
                Some(PrivatePeer { chat: chat.id, id: other.id, username: other.username.clone() })
            };
            let peers: Arc<[PrivatePeer]> = private.iter().filter_map(peer).collect();
            let window = match dialect {
                ClientDialect::Names => ConnectionView::Names(peers),
                _ => ConnectionView::Numbers(peers),
            };
            (window, ids(&private))
        }
    }
}
