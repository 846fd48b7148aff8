//! Finds mistakes in phases, each by itself and in their order: every action needs connections.

use super::{
    bounds::{MAX_CONNECTIONS, between, name, share},
    mistakes::Mistake,
};
use crate::scenario::{ClientDialect, Phase, PhaseRate, Scenario};
use protocol::limits::MAX_TEXT_CHARS;
use std::collections::BTreeSet;

/// More a second than any deployment takes through one entrance.
const MAX_RATE: f64 = 1_000_000.0;
/// A text begins with who sent it, which of its messages it is and when it was due.
const MIN_BYTES: usize = 64;
/// Messages of one sender on their way at once.
const MAX_WINDOW: usize = 1_000;

pub(super) fn check(found: &mut Vec<Mistake>, scenario: &Scenario) {
    let mut names = BTreeSet::new();
    // As of the phase before.
    let (mut connected, mut messages) = (0, false);
    for (index, phase) in scenario.phases.iter().enumerate() {
        let index = index.to_string();
        name(found, &["phases", &index, "name"], &phase.name);
        if !names.insert(&phase.name) {
            let why = format!("two phases are named {}: give them different names", phase.name);
            found.push(Mistake::new(["phases", &index, "name"], why));
        }
        let most = phase.connections.unwrap_or(connected).max(connected);
        messages |= is_some(phase.messages) || phase.closed.is_some();
        let mut at = At { found, index: &index };
        at.numbers(phase);
        at.beginning(phase, connected);
        at.check_combinations(phase, most, messages, scenario);
        connected = phase.connections.unwrap_or(connected);
    }
    let nobody = scenario.phases.iter().all(|phase| phase.connections.unwrap_or(0) == 0);
    if nobody && !scenario.phases.is_empty() {
        let why = "nobody connects: set connections in the first phase";
        found.push(Mistake::new(["phases", "0"], why));
    }
}

/// One phase.
struct At<'a> {
    found: &'a mut Vec<Mistake>,
    index: &'a str,
}

impl At<'_> {
    fn note(&mut self, key: &str, why: impl Into<String>) {
        self.found.push(Mistake::new(["phases", self.index, key], why));
    }

    fn numbers(&mut self, phase: &Phase) {
        let index = self.index;
        if phase.duration.is_zero() {
            self.note("duration", "a phase must take some time: write a duration such as \"1s\"");
        }
        let path = ["phases", index, "connections"];
        let connections = phase.connections.unwrap_or(0);
        between(self.found, &path, "connections", connections, 0, MAX_CONNECTIONS);
        for (key, rate) in rates(phase) {
            let good = |rate: f64| (0.0..=MAX_RATE).contains(&rate);
            if !(good(rate.from) && good(rate.to)) {
                self.note(key, format!("write a rate from 0 to {MAX_RATE} per second"));
            }
        }
        share(self.found, &["phases", index, "storm"], phase.storm);
        let bytes = phase.bytes;
        if bytes.min < MIN_BYTES || bytes.max > MAX_TEXT_CHARS || bytes.min > bytes.max {
            let why = "a text must have room for the load tester's mark and fit in a message";
            self.note("bytes", format!("{why}: write {MIN_BYTES} to {MAX_TEXT_CHARS}"));
        }
        if let Some(closed) = phase.closed {
            let (senders, window) = (closed.senders, closed.window);
            let path = ["phases", index, "closed", "senders"];
            between(self.found, &path, "senders", senders, 1, MAX_CONNECTIONS);
            let path = ["phases", index, "closed", "window"];
            between(self.found, &path, "messages in flight", window, 1, MAX_WINDOW);
        }
    }

    /// Checks the actions of the `connected` devices that are online when the phase begins.
    fn beginning(&mut self, phase: &Phase, connected: usize) {
        const EARLIER: &str = "this needs connections when the phase begins: set connections in an earlier \
                               phase";
        if phase.storm > 0.0 && connected == 0 {
            self.note("storm", EARLIER);
        }
        match phase.closed {
            Some(_) if connected == 0 => self.note("closed", EARLIER),
            Some(closed) if closed.senders > connected => {
                let senders = closed.senders;
                self.note(
                    "closed",
                    format!("{senders} senders are more than {connected} connections"),
                );
            }
            _ => {}
        }
    }

    /// What does not go together. `connected` is the most connections at any time in the phase,
    /// `messages` whether there are any to edit, delete and read.
    fn check_combinations(
        &mut self,
        phase: &Phase,
        connected: usize,
        messages: bool,
        scenario: &Scenario,
    ) {
        if phase.closed.is_some() && is_some(phase.messages) {
            let why = "this phase also has messages on schedule: use only one of the two";
            self.note("closed", why);
        }
        let speaks = |dialect: &ClientDialect| {
            scenario.people.dialects.get(dialect).is_some_and(|share| *share > 0.0)
        };
        let somewhere = !scenario.chats.is_empty() || speaks(&ClientDialect::Lobby);
        let done = rates(phase).into_iter().filter(|(_, rate)| is_some(*rate));
        let closed = phase.closed.map(|_| "closed");
        for key in done.map(|(key, _)| key).chain(closed) {
            if connected == 0 {
                if key != "closed" {
                    self.note(
                        key,
                        "nobody is connected: set connections in this or an earlier phase",
                    );
                }
                continue;
            }
            let needs_chats = !matches!(key, "reconnects" | "churn");
            if needs_chats && !somewhere {
                self.note(key, "there is no chat for this: add [[chats]]");
            }
            if matches!(key, "edits" | "deletes" | "reads") && !messages {
                self.note(
                    key,
                    "there are no messages yet: set messages in this or an earlier phase",
                );
            }
            if matches!(key, "edits" | "deletes" | "typing") && !speaks(&ClientDialect::Native) {
                self.note(
                    key,
                    "only native clients do this: set a share of native in people.dialects",
                );
            }
        }
    }
}

fn rates(phase: &Phase) -> [(&'static str, PhaseRate); 8] {
    [
        ("messages", phase.messages),
        ("edits", phase.edits),
        ("deletes", phase.deletes),
        ("typing", phase.typing),
        ("reads", phase.reads),
        ("history", phase.history),
        ("reconnects", phase.reconnects),
        ("churn", phase.churn),
    ]
}

fn is_some(rate: PhaseRate) -> bool {
    rate.from > 0.0 || rate.to > 0.0
}
