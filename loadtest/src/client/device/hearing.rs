//! What the server's frames lead to: what is recorded, what the history checker is told, what the
//! device keeps. Most frames were parsed before for another device of the thread; these cost a
//! comparison of bytes and some additions.

use super::{Doing, Live, dialect, memory::Command};
use crate::{
    client::{
        Stamp,
        dialect::{Acks, Content, Heard, Of, Said, Saying, decode},
        events::{Frames, Known, Place},
        order::Standing,
        stamp::{key, number_in},
    },
    history::{Told, What},
    measure::{Count, Op},
    recorder::Tally,
};
use rand::RngExt;
use shared::id::{ChatId, Seq};
use std::time::Duration;
use tokio::time::Instant;

/// How long a refused command waits where the server does not say: about that, jittered.
const TRY_AGAIN: Duration = Duration::from_millis(500);

impl Live<'_> {
    /// Says hello, with cursors where there are any.
    pub(super) fn greet(&mut self, token: &str) {
        if !dialect::greets(self.device.dialect()) {
            return;
        }
        let worker = std::rc::Rc::clone(&self.device.worker);
        let mut tally = worker.shard.lock();
        let epoch = self.device.epoch.take();
        self.resuming = epoch.is_some() && self.device.chats.resume();
        let cursors = self.device.chats.cursors();
        let resumed = epoch.as_deref().filter(|_| self.resuming);
        self.say(&mut tally, Saying::Hello { token, epoch: resumed, cursors: &cursors });
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
    pub(super) fn on_ready(&mut self, tally: &mut Tally, now: Instant, heartbeat: Duration) {
        self.heartbeat = heartbeat;
        self.ready = Some(now);
        self.free_since = now;
        self.device.log.here();
        tally.connected();
        if !self.resuming {
            tally.time(Op::Connect, micros(now, self.due));
        }
        if self.device.timed_from == i64::MAX {
            self.device.timed_from = self.device.worker.clock.micros(now);
        }
        // Whatever was sent on another connection and has no answer.
        self.device.commands.repeat_all();
        if dialect::greets(self.device.dialect()) {
            self.plan_renewal(now);
        }
        self.stands(Standing::Ready);
    }

    /// A text frame.
    #[inline]
    pub(super) fn on_text(
        &mut self,
        payload: &[u8],
        frames: &mut Frames,
        tally: &mut Tally,
        now: Instant,
        now_micros: i64,
    ) {
        match frames.find(payload) {
            Some(Known::Ephemeral) => tally.count(Count::Ephemeral, 1),
            Some(Known::Event { chat, place, message, stamp }) => {
                match place {
                    Place::Seq(seq) => {
                        self.device.log.heard_again(*chat, *seq);
                        self.device.chats.heard(*chat, *seq, *message);
                    }
                    Place::Text(text) => self.heard_text(*chat, text, *message),
                }
                let (chat, message, stamp) = (*chat, *message, *stamp);
                self.on_delivery(tally, now, now_micros, chat, message, stamp);
            }
            None => {
                let text = std::str::from_utf8(payload).unwrap_or_default();
                match decode(self.device.dialect(), &self.device.worker.run, text) {
                    Said::Ephemeral => {
                        tally.count(Count::Ephemeral, 1);
                        frames.remember(payload, Known::Ephemeral);
                    }
                    Said::Event(heard) => {
                        let (chat, message, stamp) = (heard.chat, heard.message, heard.stamp);
                        if self.on_event(&heard) {
                            frames.remember(payload, heard.into());
                        }
                        self.on_delivery(tally, now, now_micros, chat, message, stamp);
                    }
                    said => self.on_said(said, tally, now),
                }
            }
        }
    }

    /// An event in bytes that were not seen before; whether they may be recognised from now on.
    fn on_event(&mut self, heard: &Heard) -> bool {
        match &heard.what {
            Content::Numbered(event) => {
                let known = self.device.log.heard(&Told::from(&**event));
                self.device.chats.heard(heard.chat, event.event.seq, heard.message);
                known
            }
            Content::Text(text) => {
                self.heard_text(heard.chat, text, heard.message);
                true
            }
        }
    }

    fn heard_text(&mut self, chat: ChatId, text: &str, message: Option<Seq>) {
        self.device.log.heard_text(chat, text);
        self.device.chats.heard(chat, message.unwrap_or(Seq::ZERO), message);
    }

    /// Counts and times an event, and knows the device's own.
    #[inline]
    fn on_delivery(
        &mut self,
        tally: &mut Tally,
        now: Instant,
        now_micros: i64,
        chat: ChatId,
        message: Option<Seq>,
        stamp: Option<Stamp>,
    ) {
        tally.count(Count::Delivered, 1);
        let Some(stamp) = stamp else { return };
        if stamp.due_micros >= self.device.timed_from {
            tally.time(Op::Delivery, u64::try_from(now_micros - stamp.due_micros).unwrap_or(0));
        }
        if stamp.device == self.device.spec.number {
            self.end_of_way(stamp.n);
            if let (Acks::Echo, Some(message)) = (self.device.acks(), message)
                && let Some(command) = self.answered(stamp.n)
            {
                self.on_ack(tally, now, &command, chat, message, message);
            }
        }
    }

    fn on_said(&mut self, said: Said, tally: &mut Tally, now: Instant) {
        match said {
            Said::Ready { epoch, heartbeat, chats } => {
                self.on_hello(&epoch, &chats);
                self.on_ready(tally, now, heartbeat);
            }
            Said::CaughtUp { chat, seq } => {
                self.device.log.caught_up(chat, seq);
                let last = self.device.chats.caught_up(chat, seq);
                self.on_caught_up(last, tally, now);
            }
            Said::Resync { chat, seq } => {
                self.device.log.resync(chat, seq);
                let last = self.device.chats.caught_up(chat, seq);
                self.on_caught_up(last, tally, now);
            }
            Said::Live { chat, seq } => {
                self.device.log.watch(chat, seq);
                self.device.chats.live(chat, seq);
            }
            Said::ChatRemoved(chat) => {
                self.device.log.unwatch(chat);
                let last = self.device.chats.remove(chat);
                self.on_caught_up(last, tally, now);
            }
            Said::Ack { of, chat, message, seq } => {
                if let Some(command) = self.number_of(&of).and_then(|n| self.answered(n)) {
                    self.on_ack(tally, now, &command, chat, message, seq);
                }
            }
            Said::Refused { of, code, retry_after } => {
                tally.error(&code);
                self.on_refusal(&of, &code, retry_after, now);
            }
            Said::Reconnect(after) => {
                self.back = Some(now + after);
                self.replan(now);
            }
            Said::Unknown => tally.error("frames: not understood"),
            Said::Other | Said::Ephemeral | Said::Event(_) => {}
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
    fn on_caught_up(&mut self, last: bool, tally: &mut Tally, now: Instant) {
        if last && self.resuming {
            self.resuming = false;
            tally.time(Op::Resume, micros(now, self.due));
        }
    }

    /// A command's effect is committed: `seq` is its event.
    fn on_ack(
        &mut self,
        tally: &mut Tally,
        now: Instant,
        command: &Command,
        chat: ChatId,
        message: Seq,
        seq: Seq,
    ) {
        tally.count(Count::Acked, 1);
        tally.time(Op::Ack, micros(now, command.due));
        let key = if dialect::shows_key(self.device.dialect()) {
            key(&self.device.worker.run, self.device.spec.number, command.n)
        } else {
            String::new()
        };
        let text = &command.text;
        let what = match command.what {
            Doing::Send => {
                self.device.commands.own(chat, message);
                let sender = self.device.spec.account.id;
                What::Message { id: message, sender, key: &key, text }
            }
            Doing::Edit(id) => What::Edited { id, text },
            Doing::Delete(id) => What::Deleted { id },
        };
        self.device.worker.ledger.acked(&Told { chat, seq, what });
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
            let looping = &mut self.device.looping;
            if looping.as_ref().is_some_and(|looping| looping.on_way.contains(&n)) {
                // It would be refused again, as fast as answers come.
                *looping = None;
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

    fn answered(&mut self, n: u32) -> Option<Command> {
        let command = self.device.commands.answered(n);
        self.device.inbox.in_flight(self.device.commands.len());
        command
    }

    /// A message of the closed loop is not on its way any more.
    fn end_of_way(&mut self, n: u32) {
        if let Some(looping) = &mut self.device.looping {
            looping.on_way.retain(|way| *way != n);
        }
    }
}

pub(super) fn micros(now: Instant, since: Instant) -> u64 {
    u64::try_from(now.saturating_duration_since(since).as_micros()).unwrap_or(u64::MAX)
}
