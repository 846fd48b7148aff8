//! What the canary tells operators: each verdict as a metric, and a log line when a gateway becomes
//! unhealthy or healthy again. It decides nothing.

use crate::round::RoundVerdict;
use protocol::time::Timestamp;
use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

/// How each gateway is.
#[derive(Debug)]
pub(crate) struct HealthReport {
    /// Good rounds in a row after which an unhealthy gateway is healthy again.
    good_rounds: u32,
    gateways: BTreeMap<SocketAddr, GatewayHealth>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum GatewayHealth {
    Healthy,
    /// With this many good rounds since.
    Unhealthy(u32),
}

impl HealthReport {
    pub(crate) fn new(good_rounds: u32) -> Self {
        Self { good_rounds, gateways: BTreeMap::new() }
    }

    /// Notes what was found out, while these gateways were connected.
    pub(crate) fn verdicts(&mut self, verdicts: Vec<RoundVerdict>, connected: &[SocketAddr]) {
        for verdict in verdicts {
            measure(&verdict);
            match verdict {
                RoundVerdict::Acknowledged
                | RoundVerdict::Delivered { .. }
                | RoundVerdict::SignalDelivered => {}
                RoundVerdict::SendFailed { from } => self.trouble(from, "it takes no message"),
                RoundVerdict::Late { at, .. } => self.trouble(at, "messages come late"),
                RoundVerdict::Lost { at } => self.trouble(at, "messages are lost"),
                RoundVerdict::Repeated { at } => self.trouble(at, "messages are repeated"),
                RoundVerdict::SignalLost { at } => {
                    self.trouble(at, "typing signals are lost: is Redis reached?");
                }
                // A passed round speaks for every connected gateway: nothing expected of one is missing.
                RoundVerdict::Passed => connected.iter().for_each(|gateway| self.good(*gateway)),
            }
        }
    }

    /// Something is wrong with a gateway.
    pub(crate) fn trouble(&mut self, gateway: SocketAddr, why: &str) {
        let before = self.gateways.insert(gateway, GatewayHealth::Unhealthy(0));
        if !matches!(before, Some(GatewayHealth::Unhealthy(_))) {
            tracing::warn!(%gateway, why, "a gateway is unhealthy");
        }
    }

    /// The gateway has left: nothing is known of it any more.
    pub(crate) fn forget(&mut self, gateway: SocketAddr) {
        self.gateways.remove(&gateway);
    }

    fn good(&mut self, gateway: SocketAddr) {
        let before = self.gateways.get(&gateway);
        let after = match before {
            Some(GatewayHealth::Unhealthy(rounds)) if rounds + 1 < self.good_rounds => {
                GatewayHealth::Unhealthy(rounds + 1)
            }
            _ => GatewayHealth::Healthy,
        };
        if before != Some(&GatewayHealth::Healthy) && after == GatewayHealth::Healthy {
            tracing::info!(%gateway, "a gateway is healthy");
        }
        self.gateways.insert(gateway, after);
    }
}

fn measure(verdict: &RoundVerdict) {
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
        RoundVerdict::Acknowledged => sending("acknowledged"),
        RoundVerdict::SendFailed { .. } => sending("failed"),
        RoundVerdict::Delivered { took: time, .. } => {
            message("delivered");
            time.map(took);
        }
        RoundVerdict::Late { took: time, .. } => {
            message("late");
            took(*time);
        }
        RoundVerdict::Lost { .. } => message("lost"),
        RoundVerdict::Repeated { .. } => message("repeated"),
        RoundVerdict::SignalDelivered => signal("delivered"),
        RoundVerdict::SignalLost { .. } => signal("lost"),
        RoundVerdict::Passed => {
            let now = Timestamp::now().0 as f64 / 1e3;
            metrics::gauge!("canary_last_success_timestamp_seconds").set(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unhealthy_gateway_needs_some_good_rounds() {
        let gateway = SocketAddr::from(([10, 0, 0, 1], 8100));
        let mut report = HealthReport::new(3);
        let state = |report: &HealthReport| report.gateways.get(&gateway).copied();
        report.verdicts(vec![RoundVerdict::Passed], &[]);
        assert_eq!(state(&report), None);
        report.verdicts(vec![RoundVerdict::Passed], &[gateway]);
        assert_eq!(
            state(&report),
            Some(GatewayHealth::Healthy),
            "at once, when it was never unhealthy"
        );
        report.verdicts(vec![RoundVerdict::Lost { at: gateway }, RoundVerdict::Passed], &[gateway]);
        report.verdicts(vec![RoundVerdict::Passed], &[gateway]);
        assert_eq!(state(&report), Some(GatewayHealth::Unhealthy(2)));
        report.verdicts(vec![RoundVerdict::SignalLost { at: gateway }], &[gateway]);
        report.verdicts(vec![RoundVerdict::Passed; 2], &[gateway]);
        assert_eq!(state(&report), Some(GatewayHealth::Unhealthy(2)));
        report.verdicts(vec![RoundVerdict::Passed], &[gateway]);
        assert_eq!(state(&report), Some(GatewayHealth::Healthy));
    }
}
