//! Who is connected: opens, closes, cuts and replaces devices as the schedule says, and hands everybody
//! what is due. What a device makes of it is its own business.

use super::{
    RunOptions, Shortfall,
    plan::Plan,
    schedule::{Action, Deed},
};
use crate::{
    cast::{Cast, Chat},
    client::{
        Account, DeviceHandle, DeviceSpec, Fleet, Order, Standing,
        dialect::{Peer, Window},
    },
    measure::Count,
    recorder::Shard,
    scenario::{Dialect, TextBytes},
};
use shared::{chat::ChatType, id::ChatId, time::Timestamp};
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
    accounts: Vec<Arc<Account>>,
    /// By slot; none where nobody is connected, or another part of the run does it.
    places: Vec<Option<Place>>,
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

struct Place {
    device: DeviceHandle,
    /// When it was to connect.
    due: Instant,
    /// Where it can write.
    chats: Arc<[ChatId]>,
}

/// How far everybody is, when nothing more is due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Standings {
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
        let account = |person| Arc::new(Account::new(person, now, unix_seconds));
        Self {
            options,
            plan,
            fleet,
            shard,
            accounts: options.cast.people.iter().map(account).collect(),
            places: (0..plan.slots()).map(|_| None).collect(),
            connecting: Vec::new(),
            waiting: VecDeque::new(),
            devices: 0,
            looping: Vec::new(),
            missed: 0,
        }
    }

    /// The people, as in the cast.
    pub(super) fn accounts(&self) -> &[Arc<Account>] {
        &self.accounts
    }

    /// Does what falls to this process. What nobody is there for, or nobody gets done, is counted as
    /// skipped. Reading history is not a device's business: that is given back, as who reads what.
    pub(super) fn carry_out(
        &mut self,
        action: &Action,
        due: Instant,
        bytes: TextBytes,
    ) -> Option<(Arc<Account>, ChatId)> {
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
            Deed::Open => self.waiting.push_back((slot, due)),
            Deed::Close => self.close(slot),
            Deed::Replace => {
                self.close(slot);
                self.waiting.push_back((slot, due));
            }
            Deed::History => {
                let person = self.plan.person(slot);
                let chat = self.chat(slot, action.chance);
                let asked = chat.zip(self.accounts.get(person).cloned());
                if asked.is_none() {
                    self.skip();
                }
                return asked.map(|(chat, account)| (account, chat));
            }
            Deed::Cut { away } => self.order(slot, Order::Cut { due, back: due + away }),
            what => self.order_in_chat(slot, what, action.chance, due, bytes),
        }
        None
    }

    /// Ends the closed loop of a phase.
    pub(super) fn end_loops(&mut self) {
        for slot in std::mem::take(&mut self.looping) {
            if let (Some(place), Some(chat)) = (&self.places[slot], self.chat(slot, 0)) {
                // A device that is too busy to hear of it has left.
                let _ = place.device.order(Order::Loop { chat, window: 0, bytes: 0 });
            }
        }
    }

    /// Begins handshakes, as many as may be on their way at once. Whoever waits is late by that, and
    /// its latency counts from when it was due.
    pub(super) fn connect(&mut self) {
        let places = &self.places;
        let is_away = |slot: &usize| {
            let place = places[*slot].as_ref();
            place.is_some_and(|place| place.device.standing() == Standing::Away)
        };
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

    /// Asks all devices how far they are. Whether one is behind is as it was when it last
    /// looked.
    pub(super) fn standings(&self) -> Standings {
        let mut sum = Standings { away: self.waiting.len() as u64, ..Standings::default() };
        for place in self.places.iter().flatten() {
            match place.device.standing() {
                Standing::Away => sum.away += 1,
                Standing::Gone => continue,
                Standing::Ready if place.device.is_even() => {}
                Standing::Ready => sum.behind += 1,
            }
            sum.unacked += place.device.unsettled() as u64;
        }
        sum
    }

    /// What is missing when it has been waited for.
    pub(super) fn shortfall(&self) -> Shortfall {
        let there = self.places.iter().flatten().map(|place| &place.device);
        let (mut unconnected, mut unsent) = (self.missed + self.waiting.len() as u64, 0);
        for device in there {
            unconnected += u64::from(device.standing() != Standing::Ready);
            unsent += device.unsent() as u64;
        }
        Shortfall { unconnected, unsent }
    }

    /// Has every device that had not look whether it has everything.
    pub(super) fn look(&self) {
        for place in self.places.iter().flatten().filter(|place| !place.device.is_even()) {
            // One whose queue is full is behind anyway.
            let _ = place.device.order(Order::Look);
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
            slow: slow.map(|slow| slow.bytes_per_second),
            due,
        };
        self.devices += 1;
        match self.fleet.spawn(spec) {
            Ok(device) => self.places[slot] = Some(Place { device, due, chats }),
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
        if let Some(place) = self.places[slot].take() {
            let never_came = !place.device.was_ready() && place.due.elapsed() > PATIENCE;
            self.missed += u64::from(never_came);
            // Refused only by one that is gone.
            let _ = place.device.order(Order::Leave);
        }
    }

    fn order_in_chat(
        &mut self,
        slot: usize,
        what: Deed,
        chance: u64,
        due: Instant,
        bytes: TextBytes,
    ) {
        let Some(chat) = self.chat(slot, chance) else { return self.skip() };
        let spread = bytes.max.saturating_sub(bytes.min) as u64 + 1;
        let bytes = bytes.min + ((u64::from(chance as u32) * spread) >> 32) as usize;
        let order = match what {
            Deed::Message => Order::Send { chat, due, bytes },
            Deed::Edit => Order::Edit { chat, due, bytes },
            Deed::Delete => Order::Delete { chat, due },
            Deed::Typing => Order::Typing { chat, due },
            Deed::Read => Order::Read { chat, due },
            Deed::Loop { window } => {
                self.looping.push(slot);
                Order::Loop { chat, window, bytes }
            }
            Deed::Open | Deed::Close | Deed::Cut { .. } | Deed::Replace | Deed::History => return,
        };
        self.order(slot, order);
    }

    fn order(&mut self, slot: usize, order: Order) {
        let taken =
            self.places[slot].as_ref().is_some_and(|place| place.device.order(order).is_ok());
        if !taken {
            self.skip();
        }
    }

    /// One of the chats that the slot's device can write in.
    fn chat(&self, slot: usize, chance: u64) -> Option<ChatId> {
        let chats = &self.places[slot].as_ref()?.chats;
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
    dialect: Dialect,
) -> (Window, Arc<[ChatId]>) {
    let chats: Vec<&Chat> = chats.iter().filter_map(|chat| cast.chats.get(*chat)).collect();
    let ids = |chats: &[&Chat]| chats.iter().map(|chat| chat.id).collect();
    match dialect {
        Dialect::Native => (Window::Native, ids(&chats)),
        Dialect::Lobby => (Window::Lobby, Arc::new([ChatId::LOBBY])),
        Dialect::Chat => {
            let chat = chats.get(turn % chats.len().max(1)).map_or(ChatId::LOBBY, |chat| chat.id);
            (Window::Chat(chat), Arc::new([chat]))
        }
        Dialect::Names | Dialect::Numbers => {
            let private: Vec<&Chat> =
                chats.into_iter().filter(|chat| chat.chat_type == ChatType::Private).collect();
            let peer = |chat: &&Chat| {
                let other = chat.members.iter().find(|member| **member != person)?;
                let other = cast.people.get(*other)?;
                Some(Peer { chat: chat.id, id: other.id, username: other.username.clone() })
            };
            let peers: Arc<[Peer]> = private.iter().filter_map(peer).collect();
            let window = match dialect {
                Dialect::Names => Window::Names(peers),
                _ => Window::Numbers(peers),
            };
            (window, ids(&private))
        }
    }
}
