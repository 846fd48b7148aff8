//! One round: a message that one gateway sent, and what became of it at each listener. Pure, as the
//! [`crate::ledger`] that it belongs to; the rules are told there.

use protocol::id::ChatId;
use std::{collections::BTreeMap, net::SocketAddr, time::Duration};
use tokio::time::Instant;

/// One thing that was found out. `at` is the listener's gateway.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum RoundVerdict {
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

/// A message, the signal before it, and those who should get both.
#[derive(Debug)]
pub(crate) struct Round {
    pub id: String,
    pub chat: ChatId,
    /// The gateway that sent the message last.
    pub from: SocketAddr,
    sent: Instant,
    sending: SendState,
    listeners: BTreeMap<SocketAddr, Listener>,
    /// Nothing went wrong so far and `Passed` was not said.
    may_pass: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SendState {
    Open,
    Acknowledged,
    Failed,
}

#[derive(Debug)]
struct Listener {
    message: MessageState,
    signal: Signal,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MessageState {
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

impl Round {
    pub(crate) fn new(
        id: String,
        chat: ChatId,
        from: SocketAddr,
        listeners: impl IntoIterator<Item = SocketAddr>,
        now: Instant,
    ) -> Self {
        let message = MessageState::Expected { since: now, timed: true };
        let listener = |at| (at, Listener { message, signal: Signal::Expected });
        let listeners = listeners.into_iter().map(listener).collect();
        Self { id, chat, from, sent: now, sending: SendState::Open, listeners, may_pass: true }
    }

    /// Whether nobody has acknowledged or refused the message yet.
    pub(crate) fn is_unacknowledged(&self) -> bool {
        self.sending == SendState::Open
    }

    pub(crate) fn on_ack(&mut self) -> Vec<RoundVerdict> {
        self.sending = SendState::Acknowledged;
        [RoundVerdict::Acknowledged].into_iter().chain(self.passed()).collect()
    }

    /// The message will not be stored, or nobody says that it is.
    pub(crate) fn fail(&mut self) -> RoundVerdict {
        self.sending = SendState::Failed;
        self.may_pass = false;
        RoundVerdict::SendFailed { from: self.from }
    }

    /// The connection that sent has ended before the message was acknowledged. The signal went before
    /// it on the same connection: both may be gone.
    pub(crate) fn on_sender_away(&mut self) {
        self.listeners.values_mut().for_each(|one| one.signal = Signal::Decided);
    }

    pub(crate) fn on_sent_again(&mut self, from: SocketAddr, now: Instant) {
        self.from = from;
        for one in self.listeners.values_mut() {
            if let MessageState::Expected { since, timed } = &mut one.message {
                // The first connection's end delayed this message, so its time says nothing about the
                // relay.
                (*since, *timed) = (now, false);
            }
        }
    }

    pub(crate) fn on_message(
        &mut self,
        at: SocketAddr,
        now: Instant,
        late: Duration,
    ) -> Vec<RoundVerdict> {
        let Some(one) = self.listeners.get_mut(&at) else { return Vec::new() };
        let verdict = match one.message {
            MessageState::Expected { since, timed: true } => match now.duration_since(since) {
                took if took > late => RoundVerdict::Late { at, took },
                took => RoundVerdict::Delivered { at, took: Some(took) },
            },
            MessageState::Expected { timed: false, .. } | MessageState::Away => {
                RoundVerdict::Delivered { at, took: None }
            }
            MessageState::Arrived => RoundVerdict::Repeated { at },
            // Judged or let off already: better late than never, and no second verdict.
            MessageState::Lost | MessageState::Excused => return Vec::new(),
        };
        one.message = MessageState::Arrived;
        self.may_pass &= matches!(verdict, RoundVerdict::Delivered { .. });
        [verdict].into_iter().chain(self.passed()).collect()
    }

    pub(crate) fn on_signal(&mut self, at: SocketAddr) -> Vec<RoundVerdict> {
        let Some(one) = self.listeners.get_mut(&at) else { return Vec::new() };
        if std::mem::replace(&mut one.signal, Signal::Decided) == Signal::Decided {
            return Vec::new();
        }
        [RoundVerdict::SignalDelivered].into_iter().chain(self.passed()).collect()
    }

    /// Whatever signal has not come by now is lost.
    pub(crate) fn end_signals(&mut self) -> Vec<RoundVerdict> {
        let mut verdicts = Vec::new();
        for (at, one) in &mut self.listeners {
            if std::mem::replace(&mut one.signal, Signal::Decided) == Signal::Expected {
                verdicts.push(RoundVerdict::SignalLost { at: *at });
                self.may_pass = false;
            }
        }
        verdicts
    }

    pub(crate) fn on_listener_away(&mut self, at: SocketAddr) {
        let Some(one) = self.listeners.get_mut(&at) else { return };
        one.signal = Signal::Decided;
        if one.message.is_open() {
            one.message = MessageState::Away;
        }
    }

    pub(crate) fn on_listener_back(&mut self, at: SocketAddr, now: Instant) {
        if let Some(one) = self.listeners.get_mut(&at)
            && one.message == MessageState::Away
        {
            one.message = MessageState::Expected { since: now, timed: false };
        }
    }

    pub(crate) fn excuse(&mut self, at: SocketAddr) -> Option<RoundVerdict> {
        let one = self.listeners.get_mut(&at)?;
        one.signal = Signal::Decided;
        if one.message.is_open() {
            one.message = MessageState::Excused;
        }
        self.passed()
    }

    /// Judges what time has decided.
    pub(crate) fn pass_time(&mut self, now: Instant, patience: Duration) -> Vec<RoundVerdict> {
        let mut verdicts = Vec::new();
        let age = now.duration_since(self.sent);
        if age >= patience {
            if self.sending == SendState::Open {
                verdicts.push(self.fail());
            }
            // Without an ack and without an arrival nobody promised the message: then the failed send is
            // the only verdict.
            let arrived = self.listeners.values().any(|one| one.message == MessageState::Arrived);
            let promised = arrived || self.sending == SendState::Acknowledged;
            for (at, one) in &mut self.listeners {
                one.message = match one.message {
                    MessageState::Expected { since, .. }
                        if now.duration_since(since) >= patience =>
                    {
                        if !promised {
                            MessageState::Excused
                        } else {
                            verdicts.push(RoundVerdict::Lost { at: *at });
                            self.may_pass = false;
                            MessageState::Lost
                        }
                    }
                    // A connection that comes and goes must not keep a round open for ever.
                    MessageState::Expected { .. } | MessageState::Away if age >= 2 * patience => {
                        MessageState::Excused
                    }
                    other => other,
                };
            }
        }
        verdicts.extend(self.passed());
        verdicts
    }

    /// `Passed` when that is so now.
    fn passed(&mut self) -> Option<RoundVerdict> {
        let mut all = self.listeners.values();
        let passed = self.may_pass
            && self.sending == SendState::Acknowledged
            && all.all(|one| one.signal == Signal::Decided && !one.message.is_open())
            && self.listeners.values().any(|one| one.message == MessageState::Arrived);
        self.may_pass &= !passed;
        passed.then_some(RoundVerdict::Passed)
    }

    /// Nothing is left to find out but repeats, and time is up for those.
    pub(crate) fn is_over(&self, now: Instant, patience: Duration) -> bool {
        now.duration_since(self.sent) >= patience
            && self.listeners.values().all(|one| !one.message.is_open())
    }
}

impl MessageState {
    /// Whether it may still come.
    fn is_open(self) -> bool {
        matches!(self, Self::Expected { .. } | Self::Away)
    }
}
