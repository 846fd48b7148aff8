//! The canary: clients of Switchboard's own that pass messages between all gateways all the time. What
//! they see is what users see, and no single node could know it: a partition of the relay, say.

#![warn(missing_docs, unreachable_pub)]

pub mod account;
pub mod config;
pub mod connection;
pub mod keeper;
mod ledger;
pub mod lookup;
mod pair;
mod pairs;
mod report;
mod rest;
pub mod resume;
mod round;
pub mod settings;
pub mod watch;

use crate::{
    config::CanaryConfig,
    keeper::AccountKeeper,
    lookup::Gateways,
    watch::{Inputs, Watch},
};
use platform::{
    lifecycle::Lifecycle,
    metric::{Kind, Metric, Values, counter, gauge, histogram},
    serve, telemetry,
};
use std::sync::{Arc, atomic::AtomicBool};
use tokio::sync::{mpsc, watch as channel};

/// Complaints of all connections at once say the same; some waiting ones are plenty.
const MAX_COMPLAINTS: usize = 16;

/// Sets the gauges to what is so before anything is known: a canary that cannot even sign in has
/// never had a good round, and says so. After the recorder has been installed.
pub fn start_gauges() {
    for metric in OWN.iter().filter(|metric| metric.kind == Kind::Gauge) {
        metrics::gauge!(metric.name).set(0.0);
    }
}

/// Watches until the lifecycle's soft stop. `begun` becomes true with the first round.
pub fn start(
    config: CanaryConfig,
    keeper: AccountKeeper,
    lifecycle: &Lifecycle,
    begun: Arc<AtomicBool>,
) {
    let (tell, credentials) = channel::channel(keeper.credentials());
    let (complaints, to_help) = mpsc::channel(MAX_COMPLAINTS);
    let (found, gateways) = channel::channel(Gateways::new());
    let inputs = Inputs { credentials, gateways, complaints, begun, lifecycle: lifecycle.clone() };
    lifecycle.spawn(keeper.run(tell, to_help));
    lifecycle.spawn_background(lookup::run(config.clone(), found));
    lifecycle.spawn(Watch::run(config, inputs));
}

/// The metrics of the `canary` binary.
pub const METRICS: &[&[Metric]] = &[telemetry::METRICS, serve::METRICS, OWN];

/// The canary's own among them.
pub const OWN: &[Metric] = &[
    gauge("canary_gateways", &[], "Gateways found by name. The canary should be connected to each"),
    gauge(
        "canary_connections",
        &[],
        "Gateways to which both accounts have an open and ready connection",
    ),
    counter(
        "canary_connects_total",
        &[("result", Values::These(&["ok", "failed"]))],
        "Attempts to sign in, connect and become ready",
    ),
    counter(
        "canary_messages_total",
        &[("result", Values::These(&["delivered", "late", "lost", "repeated"]))],
        "Expected deliveries of the messages sent. delivered: in time. late: too late. lost: not within 30 s. repeated: more than once",
    ),
    counter(
        "canary_sends_total",
        &[("result", Values::These(&["acknowledged", "failed"]))],
        "Messages sent",
    ),
    counter(
        "canary_signals_total",
        &[("result", Values::These(&["delivered", "lost"]))],
        "Expected deliveries of typing signals, which only the live relay carries and nothing repairs",
    ),
    histogram(
        "canary_delivery_seconds",
        &[],
        "Time from sending a message to one gateway until it arrives from another",
    ),
    gauge(
        "canary_last_success_timestamp_seconds",
        &[],
        "Unix time of the last round in which everything arrived in time",
    ),
];
