//! The books: what was sent by which gateway, who should have it, what came when, and the verdicts.
//! Pure: it knows neither sockets nor clocks, and counts nothing itself.
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

use crate::round::{Round, RoundVerdict};
use protocol::id::ChatId;
use std::{collections::VecDeque, net::SocketAddr, time::Duration};
use tokio::time::Instant;

/// The numbers of a judgement.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// What takes longer is late.
    pub late: Duration,
    /// What takes longer is lost.
    pub patience: Duration,
}

/// All open rounds, the newest last. Bounded by what the caller begins within twice the patience.
#[derive(Debug)]
pub(crate) struct RoundLedger {
    rules: Rules,
    rounds: VecDeque<Round>,
}

impl RoundLedger {
    pub(crate) fn new(rules: Rules) -> Self {
        Self { rules, rounds: VecDeque::new() }
    }

    /// The gateway `from` is about to send a signal and the message `id` to a chat, for these
    /// listeners. Signals of the round before that have not come are lost with that.
    pub(crate) fn begin(
        &mut self,
        id: String,
        chat: ChatId,
        from: SocketAddr,
        listeners: impl IntoIterator<Item = SocketAddr>,
        now: Instant,
    ) -> Vec<RoundVerdict> {
        let verdicts = self.rounds.back_mut().map(Round::end_signals);
        self.rounds.push_back(Round::new(id, chat, from, listeners, now));
        verdicts.unwrap_or_default()
    }

    /// The server has promised that the message will never be lost.
    pub(crate) fn on_ack(&mut self, id: &str) -> Vec<RoundVerdict> {
        self.open(id).map(Round::on_ack).unwrap_or_default()
    }

    /// The server has refused the message for good.
    pub(crate) fn on_refusal(&mut self, id: &str) -> Option<RoundVerdict> {
        self.open(id).map(Round::fail)
    }

    /// The connection of this gateway that sends has ended. What has to be sent again, by whichever
    /// connection there is: what it sent and nobody acknowledged.
    pub(crate) fn on_sender_away(&mut self, from: SocketAddr) -> Vec<String> {
        let of_it = |round: &&mut Round| round.from == from && round.is_unacknowledged();
        let again = self.rounds.iter_mut().filter(of_it).map(|round| {
            round.on_sender_away();
            round.id.clone()
        });
        again.collect()
    }

    /// The message was sent again by `from`, because the connection that sent it first has ended.
    pub(crate) fn on_sent_again(&mut self, id: &str, from: SocketAddr, now: Instant) {
        if let Some(round) = self.open(id) {
            round.on_sent_again(from, now);
        }
    }

    /// The chat of a message that nobody has acknowledged or refused yet, and the gateway that sent it.
    pub(crate) fn open_send(&self, id: &str) -> Option<(ChatId, SocketAddr)> {
        let mut open = self.rounds.iter().filter(|round| round.is_unacknowledged());
        open.find(|round| round.id == id).map(|round| (round.chat, round.from))
    }

    /// A message came to a listener.
    pub(crate) fn on_message(
        &mut self,
        id: &str,
        at: SocketAddr,
        now: Instant,
    ) -> Vec<RoundVerdict> {
        let round = self.rounds.iter_mut().find(|round| round.id == id);
        round.map(|round| round.on_message(at, now, self.rules.late)).unwrap_or_default()
    }

    /// A typing signal came to a listener. It has no number: it is taken for the newest round's.
    pub(crate) fn on_signal(&mut self, at: SocketAddr) -> Vec<RoundVerdict> {
        self.rounds.back_mut().map(|round| round.on_signal(at)).unwrap_or_default()
    }

    /// A listener's connection has ended.
    pub(crate) fn on_listener_away(&mut self, at: SocketAddr) {
        self.rounds.iter_mut().for_each(|round| round.on_listener_away(at));
    }

    /// A listener's connection is back and resumes: what it missed will be sent to it.
    pub(crate) fn on_listener_back(&mut self, at: SocketAddr, now: Instant) {
        self.rounds.iter_mut().for_each(|round| round.on_listener_back(at, now));
    }

    /// Nothing more is expected at a listener: its gateway left, or cannot send what was missed.
    pub(crate) fn excuse(&mut self, at: SocketAddr) -> Vec<RoundVerdict> {
        self.rounds.iter_mut().filter_map(|round| round.excuse(at)).collect()
    }

    /// Judges what time has decided, and forgets rounds that are over. To be called now and then.
    pub(crate) fn pass_time(&mut self, now: Instant) -> Vec<RoundVerdict> {
        let patience = self.rules.patience;
        let verdicts = self.rounds.iter_mut().flat_map(|round| round.pass_time(now, patience));
        let verdicts = verdicts.collect();
        // The newest one's signals are waited for until the next one begins.
        let newest = self.rounds.pop_back();
        self.rounds.retain(|round| !round.is_over(now, patience));
        self.rounds.extend(newest);
        verdicts
    }

    fn open(&mut self, id: &str) -> Option<&mut Round> {
        self.rounds.iter_mut().find(|round| round.id == id && round.is_unacknowledged())
    }
}

#[cfg(test)]
mod tests;
