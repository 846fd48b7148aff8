//! The canary: clients of Switchboard's own that pass messages between all gateways all the time. What
//! they see is what users see, and no single node could know it: a partition of the relay, say.

pub mod settings;

use shared::{
    metric::{Metric, Values, counter, gauge, histogram},
    serve, telemetry,
};

/// The metrics of the `canary` binary.
pub const METRICS: &[&[Metric]] = &[telemetry::METRICS, serve::METRICS, OWN];

/// The canary's own among them.
pub const OWN: &[Metric] = &[
    gauge("canary_gateways", &[], "Gateways found by name; each should have a connection"),
    gauge("canary_connections", &[], "Gateways to which a connection is open and ready"),
    counter(
        "canary_connects_total",
        &[("result", Values::These(&["ok", "failed"]))],
        "Attempts to sign in, connect and get ready",
    ),
    counter(
        "canary_messages_total",
        &[("result", Values::These(&["delivered", "late", "lost", "repeated"]))],
        "Deliveries expected of messages sent: in time, late, not within the round, or more than once",
    ),
    counter(
        "canary_sends_total",
        &[("result", Values::These(&["acknowledged", "failed"]))],
        "Messages sent",
    ),
    counter(
        "canary_signals_total",
        &[("result", Values::These(&["delivered", "lost"]))],
        "Deliveries expected of typing signals, which only the live relay carries and nothing repairs",
    ),
    histogram(
        "canary_delivery_seconds",
        &[],
        "From a message's sending on one gateway to its arrival from another",
    ),
    gauge(
        "canary_last_success_timestamp_seconds",
        &[],
        "When a round last passed in which everything arrived in time, since 1970",
    ),
];
