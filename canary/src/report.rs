//! What the canary tells operators: each verdict as a metric, and a log line when a gateway turns
//! unwell or well again. It decides nothing.

use crate::round::Verdict;
use protocol::time::Timestamp;
use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

/// How each gateway is.
#[derive(Debug)]
pub struct Report {
    /// Good rounds in a row after which an unwell gateway is well again.
    good_rounds: u32,
    gateways: BTreeMap<SocketAddr, State>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Well,
    /// And so many good rounds since.
    Unwell(u32),
}

impl Report {
    pub fn new(good_rounds: u32) -> Self {
        Self { good_rounds, gateways: BTreeMap::new() }
    }

    /// Notes what was found out, while these gateways were connected.
    pub fn verdicts(&mut self, verdicts: Vec<Verdict>, connected: &[SocketAddr]) {
        for verdict in verdicts {
            measure(&verdict);
            match verdict {
                Verdict::Acknowledged | Verdict::Delivered { .. } | Verdict::SignalDelivered => {}
                Verdict::SendFailed { from } => self.trouble(from, "it takes no message"),
                Verdict::Late { at, .. } => self.trouble(at, "messages come late"),
                Verdict::Lost { at } => self.trouble(at, "messages are lost"),
                Verdict::Repeated { at } => self.trouble(at, "messages are repeated"),
                Verdict::SignalLost { at } => {
                    self.trouble(at, "typing signals are lost: is Redis reached?");
                }
                Verdict::Passed => connected.iter().for_each(|gateway| self.good(*gateway)),
            }
        }
    }

    /// Something is wrong with a gateway.
    pub fn trouble(&mut self, gateway: SocketAddr, why: &str) {
        let before = self.gateways.insert(gateway, State::Unwell(0));
        if !matches!(before, Some(State::Unwell(_))) {
            tracing::warn!(%gateway, why, "a gateway is unwell");
        }
    }

    /// The gateway has left: nothing is known of it any more.
    pub fn forget(&mut self, gateway: SocketAddr) {
        self.gateways.remove(&gateway);
    }

    fn good(&mut self, gateway: SocketAddr) {
        let before = self.gateways.get(&gateway);
        let after = match before {
            Some(State::Unwell(rounds)) if rounds + 1 < self.good_rounds => {
                State::Unwell(rounds + 1)
            }
            _ => State::Well,
        };
        if before != Some(&State::Well) && after == State::Well {
            tracing::info!(%gateway, "a gateway is well");
        }
        self.gateways.insert(gateway, after);
    }
}

fn measure(verdict: &Verdict) {
    let message = |result: &'static str| {
        metrics::counter!("canary_messages_total", "result" => result).increment(1);
    };
    let took = |time: Duration| metrics::histogram!("canary_delivery_seconds").record(time);
    let signal = |result: &'static str| {
        metrics::counter!("canary_signals_total", "result" => result).increment(1);
    };
    let sending = |result: &'static str| {
        metrics::counter!("canary_sends_total", "result" => result).increment(1);
    };
    match verdict {
        Verdict::Acknowledged => sending("acknowledged"),
        Verdict::SendFailed { .. } => sending("failed"),
        Verdict::Delivered { took: time, .. } => {
            message("delivered");
            time.map(took);
        }
        Verdict::Late { took: time, .. } => {
            message("late");
            took(*time);
        }
        Verdict::Lost { .. } => message("lost"),
        Verdict::Repeated { .. } => message("repeated"),
        Verdict::SignalDelivered => signal("delivered"),
        Verdict::SignalLost { .. } => signal("lost"),
        Verdict::Passed => {
            let now = Timestamp::now().0 as f64 / 1e3;
            metrics::gauge!("canary_last_success_timestamp_seconds").set(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unwell_gateway_needs_some_good_rounds() {
        let gateway = SocketAddr::from(([10, 0, 0, 1], 8100));
        let mut report = Report::new(3);
        let state = |report: &Report| report.gateways.get(&gateway).copied();
        report.verdicts(vec![Verdict::Passed], &[]);
        assert_eq!(state(&report), None);
        report.verdicts(vec![Verdict::Passed], &[gateway]);
        assert_eq!(state(&report), Some(State::Well), "at once, when it was never unwell");
        report.verdicts(vec![Verdict::Lost { at: gateway }, Verdict::Passed], &[gateway]);
        report.verdicts(vec![Verdict::Passed], &[gateway]);
        assert_eq!(state(&report), Some(State::Unwell(2)));
        report.verdicts(vec![Verdict::SignalLost { at: gateway }], &[gateway]);
        report.verdicts(vec![Verdict::Passed; 2], &[gateway]);
        assert_eq!(state(&report), Some(State::Unwell(2)));
        report.verdicts(vec![Verdict::Passed], &[gateway]);
        assert_eq!(state(&report), Some(State::Well));
    }
}
