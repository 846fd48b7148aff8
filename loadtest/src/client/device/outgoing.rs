//! Turns orders into frames to write. It starts no order while the device is not ready, is told to wait by
//! the server, or has reached its limit of messages in flight.

use super::{
    ClosedLoop, ConnectedDevice, Disconnection, dialect, incoming::micros, memory::PendingCommand,
};
use crate::{
    client::{
        Stamp,
        dialect::{Acks, ClientMessage, CommandKind},
        order::{ChatAction, Order},
        stamp::{key, text},
        wire::{Opcode, close_frame_of},
    },
    measure::{Count, Op},
    recorder::Counters,
};
use protocol::id::ChatId;
use std::rc::Rc;
use tokio::time::Instant;

/// Bytes that wait for the kernel: beyond that nothing more is begun.
const MAX_UNSENT_BYTES: usize = 64 << 10;

impl ConnectedDevice<'_> {
    /// Does what there is to do and may be done now. Whether there may be more once these bytes are
    /// written.
    pub(super) fn do_orders(&mut self, now: Instant) -> Result<bool, Disconnection> {
        let inbox = &self.device.inbox;
        if self.ready.is_none() || self.held_until > now {
            // Whoever is to leave does not wait for a server that makes it wait.
            return if inbox.is_leaving() { Err(Disconnection::Left) } else { Ok(false) };
        }
        let busy = self.device.commands.has_repeats() || self.device.closed_loop.is_some();
        if !busy && !inbox.has_orders() {
            return Ok(false);
        }
        let worker = Rc::clone(&self.device.worker);
        let mut counters = worker.shard.lock();
        self.repeat(&mut counters);
        self.go_round(&mut counters, now);
        while !self.is_congested() {
            let Some(order) = self.device.inbox.take() else { return Ok(false) };
            self.obey(order, &mut counters, now)?;
        }
        Ok(!self.device.commands.is_full() || self.device.commands.has_repeats())
    }

    fn is_congested(&mut self) -> bool {
        self.device.commands.is_full() || self.stream.unsent().len() >= MAX_UNSENT_BYTES
    }

    /// Writes again what is to be repeated, under the same keys.
    fn repeat(&mut self, counters: &mut Counters) {
        let device = &mut *self.device;
        while self.stream.unsent().len() < MAX_UNSENT_BYTES
            && let Some(command) = device.commands.next_repeat()
        {
            let key = key(&device.worker.run, device.spec.number, command.n);
            let me =
                super::Me { id: device.spec.account.id, username: &device.spec.account.username };
            if let Some(text) = device.spec.window.encode(me, command.message(&key)) {
                let unsent = self.stream.unsent();
                let before = unsent.len();
                let mask = rand::RngExt::random(&mut device.chance);
                crate::client::wire::put(unsent, Opcode::Text, mask, text.as_bytes());
                counters.count(Count::BytesOut, (unsent.len() - before) as u64);
            }
        }
    }

    /// Keeps the closed loop's messages in flight.
    fn go_round(&mut self, counters: &mut Counters, now: Instant) {
        while let Some(ClosedLoop { chat, window, bytes, ref on_way }) = self.device.closed_loop {
            if on_way.len() >= window || self.is_congested() {
                return;
            }
            let Some(n) = self.command(chat, now, CommandKind::Send, bytes, counters) else {
                // No words for it, or no answers: the loop would never come round.
                self.device.closed_loop = None;
                return;
            };
            if let Some(closed_loop) = &mut self.device.closed_loop {
                closed_loop.on_way.push(n);
            }
        }
    }

    fn obey(
        &mut self,
        order: Order,
        counters: &mut Counters,
        now: Instant,
    ) -> Result<(), Disconnection> {
        if let Some(due) = order.due().filter(|due| *due >= self.free_since) {
            counters.time(Op::Lag, micros(now, due));
        }
        let done = match order {
            Order::Act { action, chat, due, bytes } => self.act(action, chat, due, bytes, counters),
            Order::Loop { chat, window, bytes } => {
                let on_way =
                    self.device.closed_loop.take().map(|old| old.on_way).unwrap_or_default();
                let possible = dialect::acks(self.device.dialect()) != Acks::Never;
                self.device.closed_loop =
                    (possible && window > 0).then_some(ClosedLoop { chat, window, bytes, on_way });
                self.go_round(counters, now);
                possible
            }
            // What was to be cut was away by itself then.
            Order::Cut { due, .. } if self.ready.is_none_or(|since| due < since) => false,
            Order::Cut { back, .. } => return Err(Disconnection::Cut { back }),
            Order::Recheck => {
                self.device.inbox.set_complete(self.device.log.is_complete());
                true
            }
            Order::Leave => {
                self.put(counters, Opcode::Close, &close_frame_of(1000));
                return Err(Disconnection::Left);
            }
        };
        if !done {
            counters.count(Count::Skipped, 1);
        }
        Ok(())
    }

    /// Whether it could be done.
    fn act(
        &mut self,
        action: ChatAction,
        chat: ChatId,
        due: Instant,
        bytes: usize,
        counters: &mut Counters,
    ) -> bool {
        let kind = match action {
            ChatAction::Message => Some(CommandKind::Send),
            ChatAction::Edit => self.device.commands.newest_own(chat).map(CommandKind::Edit),
            ChatAction::Delete => self.device.commands.take_own(chat).map(CommandKind::Delete),
            ChatAction::Typing => return self.say(counters, ClientMessage::Typing { chat }),
            ChatAction::Read => {
                let newest = self.device.chats.newest(chat);
                return newest.is_some_and(|message| {
                    self.say(counters, ClientMessage::Read { chat, message })
                });
            }
        };
        kind.is_some_and(|kind| self.command(chat, due, kind, bytes, counters).is_some())
    }

    /// Begins a command; its number, unless the dialect has no words for it.
    fn command(
        &mut self,
        chat: ChatId,
        due: Instant,
        kind: CommandKind,
        bytes: usize,
        counters: &mut Counters,
    ) -> Option<u32> {
        let device = &mut *self.device;
        let (n, number) = (device.commands.next(), device.spec.number);
        let due_micros = device.worker.clock.micros(due);
        let text = match kind {
            CommandKind::Send | CommandKind::Edit(_) => {
                text(&device.worker.run, Stamp { device: number, n, due_micros }, bytes)
            }
            CommandKind::Delete(_) => String::new(),
        };
        let key = key(&device.worker.run, number, n);
        let command = PendingCommand { n, due, chat, kind, text, to_write: false };
        if !self.say(counters, command.message(&key)) {
            return None;
        }
        counters.count(Count::Sent, 1);
        if self.device.acks() != Acks::Never {
            self.device.commands.begin(command);
            self.device.inbox.in_flight(self.device.commands.len());
        }
        Some(n)
    }
}
