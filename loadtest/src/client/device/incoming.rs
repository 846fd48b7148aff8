//! Handles the server's frames: records measurements, reports to the history checker, and updates the
//! device's state. Another device of the thread has already parsed most frames; such a frame costs a
//! comparison of bytes and some additions.

use super::{ConnectedDevice, dialect, memory::PendingCommand};
use crate::{
    client::{
        Stamp,
        dialect::{
            Acks, ClientMessage, CommandKind, Content, Observation, Of, ServerMessage, decode,
        },
        events::{EventKey, Frames, RememberedFrame},
        order::DeviceState,
        stamp::{key, number_in},
    },
    history::{ReportedContent, ReportedEvent},
    measure::{Count, Op},
    recorder::Counters,
};
use protocol::id::{ChatId, Seq};
use rand::RngExt;
use std::time::Duration;
use tokio::time::Instant;

/// How long a refused command waits where the server does not say: about that, jittered.
const TRY_AGAIN: Duration = Duration::from_millis(500);

impl ConnectedDevice<'_> {
    /// Says hello, with cursors where there are any.
    pub(super) fn greet(&mut self, token: &str) {
        if !dialect::greets(self.device.dialect()) {
            return;
        }
        let worker = std::rc::Rc::clone(&self.device.worker);
        let mut counters = worker.shard.lock();
        let epoch = self.device.epoch.take();
        self.resuming = epoch.is_some() && self.device.chats.resume();
        let cursors = self.device.chats.cursors();
        let resumed = epoch.as_deref().filter(|_| self.resuming);
        self.say(&mut counters, ClientMessage::Hello { token, epoch: resumed, cursors: &cursors });
        self.device.epoch = epoch;
    }

    /// A window without hello is live with the answer to its handshake.
    pub(super) fn open_window(&mut self) {
        let shows_own = dialect::shows_own(self.device.dialect());
        let not_from = (!shows_own).then_some(self.device.spec.account.id);
        for chat in self.device.spec.window.chats() {
            self.device.log.watch_texts(chat, not_from);
            self.device.chats.live(chat, Seq::ZERO);
        }
    }

    /// It is ready.
    pub(super) fn on_ready(&mut self, counters: &mut Counters, now: Instant, heartbeat: Duration) {
        self.heartbeat = heartbeat;
        self.ready = Some(now);
        self.free_since = now;
        self.device.log.on_connected();
        counters.connected();
        if !self.resuming {
            counters.time(Op::Connect, micros(now, self.due));
        }
        if self.device.measure_from == i64::MAX {
            self.device.measure_from = self.device.worker.clock.micros(now);
        }
        // Whatever was sent on another connection and has no answer.
        self.device.commands.repeat_all();
        if dialect::greets(self.device.dialect()) {
            self.plan_renewal(now);
        }
        self.set_state(DeviceState::Ready);
    }

    /// A text frame.
    #[inline]
    pub(super) fn on_text(
        &mut self,
        payload: &[u8],
        frames: &mut Frames,
        counters: &mut Counters,
        now: Instant,
        now_micros: i64,
    ) {
        match frames.find(payload) {
            Some(RememberedFrame::Ephemeral) => counters.count(Count::Ephemeral, 1),
            Some(RememberedFrame::Event { chat, place, message, stamp }) => {
                match place {
                    EventKey::Seq(seq) => {
                        self.device.log.on_event_again(*chat, *seq);
                        self.device.chats.on_event(*chat, *seq, *message);
                    }
                    EventKey::Text(text) => self.on_text_event(*chat, text, *message),
                }
                let (chat, message, stamp) = (*chat, *message, *stamp);
                self.on_delivery(counters, now, now_micros, chat, message, stamp);
            }
            None => {
                let text = std::str::from_utf8(payload).unwrap_or_default();
                match decode(self.device.dialect(), &self.device.worker.run, text) {
                    ServerMessage::Ephemeral => {
                        counters.count(Count::Ephemeral, 1);
                        frames.remember(payload, RememberedFrame::Ephemeral);
                    }
                    ServerMessage::Event(heard) => {
                        let (chat, message, stamp) = (heard.chat, heard.message, heard.stamp);
                        if self.on_event(&heard) {
                            frames.remember(payload, heard.into());
                        }
                        self.on_delivery(counters, now, now_micros, chat, message, stamp);
                    }
                    message => self.on_message(message, counters, now),
                }
            }
        }
    }

    /// An event in bytes that were not seen before; whether they may be recognised from now on.
    fn on_event(&mut self, heard: &Observation) -> bool {
        match &heard.what {
            Content::Numbered(event) => {
                let known = self.device.log.on_event(&ReportedEvent::from(&**event));
                self.device.chats.on_event(heard.chat, event.event.seq, heard.message);
                known
            }
            Content::Text(text) => {
                self.on_text_event(heard.chat, text, heard.message);
                true
            }
        }
    }

    fn on_text_event(&mut self, chat: ChatId, text: &str, message: Option<Seq>) {
        self.device.log.on_text_event(chat, text);
        self.device.chats.on_event(chat, message.unwrap_or(Seq::ZERO), message);
    }

    /// Counts and times an event, and knows the device's own.
    #[inline]
    fn on_delivery(
        &mut self,
        counters: &mut Counters,
        now: Instant,
        now_micros: i64,
        chat: ChatId,
        message: Option<Seq>,
        stamp: Option<Stamp>,
    ) {
        counters.count(Count::Delivered, 1);
        let Some(stamp) = stamp else { return };
        if stamp.due_micros >= self.device.measure_from {
            counters.time(Op::Delivery, u64::try_from(now_micros - stamp.due_micros).unwrap_or(0));
        }
        if stamp.device == self.device.spec.number {
            self.end_of_way(stamp.n);
            if let (Acks::Echo, Some(message)) = (self.device.acks(), message)
                && let Some(command) = self.answered(stamp.n)
            {
                self.on_ack(counters, now, &command, chat, message, message);
            }
        }
    }

    fn on_message(&mut self, message: ServerMessage, counters: &mut Counters, now: Instant) {
        match message {
            ServerMessage::Ready { epoch, heartbeat, chats } => {
                self.on_hello(&epoch, &chats);
                self.on_ready(counters, now, heartbeat);
            }
            ServerMessage::CaughtUp { chat, seq } => {
                self.device.log.caught_up(chat, seq);
                let last = self.device.chats.caught_up(chat, seq);
                self.on_caught_up(last, counters, now);
            }
            ServerMessage::Resync { chat, seq } => {
                self.device.log.resync(chat, seq);
                let last = self.device.chats.caught_up(chat, seq);
                self.on_caught_up(last, counters, now);
            }
            ServerMessage::Live { chat, seq } => {
                self.device.log.watch(chat, seq);
                self.device.chats.live(chat, seq);
            }
            ServerMessage::ChatRemoved(chat) => {
                self.device.log.unwatch(chat);
                let last = self.device.chats.remove(chat);
                self.on_caught_up(last, counters, now);
            }
            ServerMessage::Ack { of, chat, message, seq } => {
                if let Some(command) = self.number_of(&of).and_then(|n| self.answered(n)) {
                    self.on_ack(counters, now, &command, chat, message, seq);
                }
            }
            ServerMessage::Refused { of, code, retry_after } => {
                counters.error(&code);
                self.on_refusal(&of, &code, retry_after, now);
            }
            ServerMessage::Reconnect(after) => {
                self.back = Some(now + after);
                self.replan(now);
            }
            ServerMessage::Unknown => counters.error("frames: not understood"),
            ServerMessage::Other | ServerMessage::Ephemeral | ServerMessage::Event(_) => {}
        }
    }

    /// The answer to hello.
    fn on_hello(&mut self, epoch: &str, chats: &[(ChatId, Seq)]) {
        if self.resuming && self.device.epoch.as_deref() == Some(epoch) {
            self.device.log.catching_up();
        } else {
            // Another database: the cursors mean nothing there.
            self.resuming = false;
            for chat in self.device.chats.clear() {
                self.device.log.unwatch(chat);
            }
        }
        self.device.epoch = Some(epoch.into());
        for (chat, seq) in chats {
            self.device.log.watch(*chat, *seq);
            self.device.chats.live(*chat, *seq);
        }
    }

    /// `last`: that was the last chat to be caught up.
    fn on_caught_up(&mut self, last: bool, counters: &mut Counters, now: Instant) {
        if last && self.resuming {
            self.resuming = false;
            counters.time(Op::Resume, micros(now, self.due));
        }
    }

    /// A command's effect is committed: `seq` is its event.
    fn on_ack(
        &mut self,
        counters: &mut Counters,
        now: Instant,
        command: &PendingCommand,
        chat: ChatId,
        message: Seq,
        seq: Seq,
    ) {
        counters.count(Count::Acked, 1);
        counters.time(Op::Ack, micros(now, command.due));
        let key = if dialect::shows_key(self.device.dialect()) {
            key(&self.device.worker.run, self.device.spec.number, command.n)
        } else {
            String::new()
        };
        let text = &command.text;
        let what = match command.kind {
            CommandKind::Send => {
                self.device.commands.own(chat, message);
                let sender = self.device.spec.account.id;
                ReportedContent::Message { id: message, sender, key: &key, text }
            }
            CommandKind::Edit(id) => ReportedContent::Edited { id, text },
            CommandKind::Delete(id) => ReportedContent::Deleted { id },
        };
        self.device.worker.ledger.acked(&ReportedEvent { chat, seq, what });
        if !dialect::shows_own(self.device.dialect()) {
            self.end_of_way(command.n);
        }
    }

    /// A command or a frame without an answer was refused. What is refused for now is written again,
    /// with the same key, when the server wants it.
    fn on_refusal(&mut self, of: &Of, code: &str, after: Option<Duration>, now: Instant) {
        let for_now = match code {
            "rate_limited" | "overloaded" => true,
            // Perhaps it was stored: a repeat must be known as one.
            "unavailable" => dialect::shows_key(self.device.dialect()),
            _ => false,
        };
        let n = self.number_of(of);
        if for_now {
            let jitter = self.device.chance.random_range(0.5..1.5);
            let pause = after.unwrap_or_else(|| TRY_AGAIN.mul_f64(jitter));
            self.held_until = self.held_until.max(now + pause);
            self.free_since = self.held_until;
            n.inspect(|n| self.device.commands.repeat(*n));
            self.replan(now);
        } else if let Some(n) = n.filter(|n| self.answered(*n).is_some()) {
            let closed_loop = &mut self.device.closed_loop;
            if closed_loop.as_ref().is_some_and(|closed_loop| closed_loop.on_way.contains(&n)) {
                // It would be refused again, as fast as answers come.
                *closed_loop = None;
            }
        }
    }

    /// The number of the command that an answer belongs to.
    fn number_of(&self, of: &Of) -> Option<u32> {
        match of {
            Of::Key(key) => number_in(&self.device.worker.run, self.device.spec.number, key),
            Of::Oldest => self.device.commands.oldest(),
            Of::OldestIn(chat) => self.device.commands.oldest_in(*chat),
            Of::Nothing => None,
        }
    }

    fn answered(&mut self, n: u32) -> Option<PendingCommand> {
        let command = self.device.commands.answered(n);
        self.device.inbox.in_flight(self.device.commands.len());
        command
    }

    /// A message of the closed loop is not on its way any more.
    fn end_of_way(&mut self, n: u32) {
        if let Some(closed_loop) = &mut self.device.closed_loop {
            closed_loop.on_way.retain(|way| *way != n);
        }
    }
}

pub(super) fn micros(now: Instant, since: Instant) -> u64 {
    u64::try_from(now.saturating_duration_since(since).as_micros()).unwrap_or(u64::MAX)
}
