//! The verdicts: what was sent by which gateway, who should have it, what came when. Pure: it knows
//! neither sockets nor clocks, and counts nothing itself.
//!
//! A message belongs to a round, and several rounds are open at once, because a message that only the
//! gateways' repair brings may take longer than the pause between two rounds. What is judged how:
//!
//! - A message must arrive at each listener once, at last after [`Rules::patience`]. One that comes
//!   after [`Rules::late`] is late. Only a message that the server acknowledged, or showed to
//!   anybody, can be lost: of another one nobody promised anything, and the sending has failed.
//! - Where a listener's connection ended meanwhile, the message must come within the patience after
//!   the listener is back, because it resumes; how long that took is not judged. A listener that does
//!   not come back is not asked: that its gateway is away is told by other metrics.
//! - A typing signal must arrive before the next round begins. Nothing repairs one, so it is not
//!   asked for where the connection that sent it or the one that should get it ended meanwhile.

use shared::id::ChatId;
use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    time::Duration,
};
use tokio::time::Instant;

/// The numbers of a judgement.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// What takes longer is late.
    pub late: Duration,
    /// What takes longer is lost.
    pub patience: Duration,
}

/// One thing that was found out. `at` is the listener's gateway.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    Acknowledged,
    /// The gateway `from` refused the message, or nobody acknowledged it.
    SendFailed {
        from: SocketAddr,
    },
    /// `took` is missing where an interrupted connection makes it meaningless.
    Delivered {
        at: SocketAddr,
        took: Option<Duration>,
    },
    Late {
        at: SocketAddr,
        took: Duration,
    },
    Lost {
        at: SocketAddr,
    },
    Repeated {
        at: SocketAddr,
    },
    SignalDelivered,
    SignalLost {
        at: SocketAddr,
    },
    /// Everything that was expected of a round came, and in time. Once a round.
    Passed,
}

/// All open rounds, the newest last. Bounded by what the caller begins within twice the patience.
#[derive(Debug)]
pub struct Ledger {
    rules: Rules,
    rounds: VecDeque<Round>,
}

#[derive(Debug)]
struct Round {
    id: String,
    chat: ChatId,
    from: SocketAddr,
    sent: Instant,
    sending: Sending,
    listeners: BTreeMap<SocketAddr, Listener>,
    /// Nothing went wrong so far and `Passed` was not said.
    may_pass: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sending {
    Open,
    Acknowledged,
    Failed,
}

#[derive(Debug)]
struct Listener {
    message: Message,
    signal: Signal,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Message {
    /// `timed`: the time since then is the time it took.
    Expected {
        since: Instant,
        timed: bool,
    },
    /// The connection is away.
    Away,
    Arrived,
    Lost,
    /// Not asked for any more.
    Excused,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Signal {
    Expected,
    Decided,
}

impl Ledger {
    pub fn new(rules: Rules) -> Self {
        Self { rules, rounds: VecDeque::new() }
    }

    /// The gateway `from` is about to send a signal and the message `id` to a chat, for these
    /// listeners. Signals of the round before that have not come are lost with that.
    pub fn begin(
        &mut self,
        id: String,
        chat: ChatId,
        from: SocketAddr,
        listeners: impl IntoIterator<Item = SocketAddr>,
        now: Instant,
    ) -> Vec<Verdict> {
        let verdicts = self.end_signals();
        let message = Message::Expected { since: now, timed: true };
        let listener = |at| (at, Listener { message, signal: Signal::Expected });
        self.rounds.push_back(Round {
            id,
            chat,
            from,
            sent: now,
            sending: Sending::Open,
            listeners: listeners.into_iter().map(listener).collect(),
            may_pass: true,
        });
        verdicts
    }

    /// The server has promised that the message will never be lost.
    pub fn on_ack(&mut self, id: &str) -> Vec<Verdict> {
        let Some(round) = self.open_sending(id) else { return Vec::new() };
        round.sending = Sending::Acknowledged;
        let mut verdicts = vec![Verdict::Acknowledged];
        verdicts.extend(round.passed());
        verdicts
    }

    /// The server has refused the message for good.
    pub fn on_refusal(&mut self, id: &str) -> Option<Verdict> {
        let round = self.open_sending(id)?;
        Some(round.fail())
    }

    /// The connection of this gateway that sends has ended. What has to be sent again, by whichever
    /// connection there is: what it sent and nobody acknowledged.
    pub fn on_sender_away(&mut self, from: SocketAddr) -> Vec<String> {
        let mut again = Vec::new();
        for round in &mut self.rounds {
            if round.from == from && round.sending == Sending::Open {
                // The signal went before the message on the same connection: both may be gone.
                round.listeners.values_mut().for_each(|one| one.signal = Signal::Decided);
                again.push(round.id.clone());
            }
        }
        again
    }

    /// The message was sent again by `from`, because the connection that sent it first has ended.
    pub fn on_sent_again(&mut self, id: &str, from: SocketAddr, now: Instant) {
        let Some(round) = self.open_sending(id) else { return };
        round.from = from;
        for one in round.listeners.values_mut() {
            if let Message::Expected { since, timed } = &mut one.message {
                (*since, *timed) = (now, false);
            }
        }
    }

    /// The chat of a message that nobody has acknowledged or refused yet, and the gateway that sent it.
    pub fn unacknowledged(&self, id: &str) -> Option<(ChatId, SocketAddr)> {
        let mut open = self.rounds.iter().filter(|round| round.sending == Sending::Open);
        open.find(|round| round.id == id).map(|round| (round.chat, round.from))
    }

    /// A message came to a listener.
    pub fn on_message(&mut self, id: &str, at: SocketAddr, now: Instant) -> Vec<Verdict> {
        let late = self.rules.late;
        let Some(round) = self.rounds.iter_mut().find(|round| round.id == id) else {
            return Vec::new();
        };
        let Some(one) = round.listeners.get_mut(&at) else { return Vec::new() };
        let verdict = match one.message {
            Message::Expected { since, timed: true } => match now.duration_since(since) {
                took if took > late => Verdict::Late { at, took },
                took => Verdict::Delivered { at, took: Some(took) },
            },
            Message::Expected { timed: false, .. } | Message::Away => {
                Verdict::Delivered { at, took: None }
            }
            Message::Arrived => Verdict::Repeated { at },
            // Judged or let off already: better late than never, and no second verdict.
            Message::Lost | Message::Excused => return Vec::new(),
        };
        one.message = Message::Arrived;
        round.may_pass &= matches!(verdict, Verdict::Delivered { .. });
        [verdict].into_iter().chain(round.passed()).collect()
    }

    /// A typing signal came to a listener. It has no number: it is taken for the newest round's.
    pub fn on_signal(&mut self, at: SocketAddr) -> Vec<Verdict> {
        let Some(round) = self.rounds.back_mut() else { return Vec::new() };
        let Some(one) = round.listeners.get_mut(&at) else { return Vec::new() };
        if std::mem::replace(&mut one.signal, Signal::Decided) == Signal::Decided {
            return Vec::new();
        }
        [Verdict::SignalDelivered].into_iter().chain(round.passed()).collect()
    }

    /// A listener's connection has ended.
    pub fn on_listener_away(&mut self, at: SocketAddr) {
        self.each(at, |one| {
            one.signal = Signal::Decided;
            if matches!(one.message, Message::Expected { .. }) {
                one.message = Message::Away;
            }
        });
    }

    /// A listener's connection is back and resumes: what it missed will be sent to it.
    pub fn on_listener_back(&mut self, at: SocketAddr, now: Instant) {
        self.each(at, |one| {
            if one.message == Message::Away {
                one.message = Message::Expected { since: now, timed: false };
            }
        });
    }

    /// Nothing more is expected at a listener: its gateway left, or cannot send what was missed.
    pub fn excuse(&mut self, at: SocketAddr) -> Vec<Verdict> {
        self.each(at, |one| {
            one.signal = Signal::Decided;
            if matches!(one.message, Message::Expected { .. } | Message::Away) {
                one.message = Message::Excused;
            }
        });
        self.rounds.iter_mut().filter_map(Round::passed).collect()
    }

    /// Judges what time has decided, and forgets rounds that are over. To be called now and then.
    pub fn pass_time(&mut self, now: Instant) -> Vec<Verdict> {
        let patience = self.rules.patience;
        let verdicts = self.rounds.iter_mut().flat_map(|round| round.pass_time(now, patience));
        let verdicts = verdicts.collect();
        // The newest one's signals are waited for until the next one begins.
        let newest = self.rounds.pop_back();
        self.rounds.retain(|round| !round.is_over(now, patience));
        self.rounds.extend(newest);
        verdicts
    }

    /// Whatever signal has not come by now is lost.
    fn end_signals(&mut self) -> Vec<Verdict> {
        let Some(round) = self.rounds.back_mut() else { return Vec::new() };
        let mut verdicts = Vec::new();
        for (at, one) in &mut round.listeners {
            if std::mem::replace(&mut one.signal, Signal::Decided) == Signal::Expected {
                verdicts.push(Verdict::SignalLost { at: *at });
                round.may_pass = false;
            }
        }
        verdicts
    }

    fn open_sending(&mut self, id: &str) -> Option<&mut Round> {
        self.rounds.iter_mut().find(|round| round.id == id && round.sending == Sending::Open)
    }

    fn each(&mut self, at: SocketAddr, change: impl Fn(&mut Listener)) {
        self.rounds.iter_mut().filter_map(|round| round.listeners.get_mut(&at)).for_each(change);
    }
}

impl Round {
    fn pass_time(&mut self, now: Instant, patience: Duration) -> Vec<Verdict> {
        let mut verdicts = Vec::new();
        let age = now.duration_since(self.sent);
        if age >= patience {
            if self.sending == Sending::Open {
                verdicts.push(self.fail());
            }
            let arrived = self.listeners.values().any(|one| one.message == Message::Arrived);
            let promised = arrived || self.sending == Sending::Acknowledged;
            for (at, one) in &mut self.listeners {
                one.message = match one.message {
                    Message::Expected { since, .. } if now.duration_since(since) >= patience => {
                        if !promised {
                            Message::Excused
                        } else {
                            verdicts.push(Verdict::Lost { at: *at });
                            self.may_pass = false;
                            Message::Lost
                        }
                    }
                    // A connection that comes and goes must not keep a round open for ever.
                    Message::Expected { .. } | Message::Away if age >= 2 * patience => {
                        Message::Excused
                    }
                    other => other,
                };
            }
        }
        verdicts.extend(self.passed());
        verdicts
    }

    fn fail(&mut self) -> Verdict {
        self.sending = Sending::Failed;
        self.may_pass = false;
        Verdict::SendFailed { from: self.from }
    }

    /// `Passed` when that is so now.
    fn passed(&mut self) -> Option<Verdict> {
        let mut all = self.listeners.values();
        let passed = self.may_pass
            && self.sending == Sending::Acknowledged
            && all.all(|one| one.signal == Signal::Decided && !one.message.is_open())
            && self.listeners.values().any(|one| one.message == Message::Arrived);
        self.may_pass &= !passed;
        passed.then_some(Verdict::Passed)
    }

    /// Nothing is left to find out but repeats, and time is up for those.
    fn is_over(&self, now: Instant, patience: Duration) -> bool {
        now.duration_since(self.sent) >= patience
            && self.listeners.values().all(|one| !one.message.is_open())
    }
}

impl Message {
    /// Whether it may still come.
    fn is_open(self) -> bool {
        matches!(self, Self::Expected { .. } | Self::Away)
    }
}

#[cfg(test)]
mod tests;
