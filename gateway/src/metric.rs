//! The gateway's own metrics: every name once, with what it means.

use crate::dialect::Dialect;
use platform::metric::{Metric, Name, Values, counter, gauge, histogram};
use protocol::close::Close;

const CALL: Name = (
    "call",
    Values::These(&[
        "open", "post", "read", "events", "view", "dormant", "changed", "peers", "guests",
    ]),
);

/// A call that is a lane.
const CALL_LANE: Name =
    ("lane", Values::These(&["open", "post", "read", "events", "view", "peers", "guests"]));

/// Of a gateway, and of the one process.
pub const METRICS: &[Metric] = &[
    gauge("gateway_connections", &[], "Connections whose clients are known, guests too"),
    gauge("gateway_connections_limit", &[], "The most sockets that this node takes"),
    gauge("gateway_rooms", &[], "Chats watched here, or watched a moment ago"),
    gauge("gateway_draining", &[], "1 while the node lets its connections go"),
    counter(
        "gateway_openings_total",
        &[("result", Values::These(&["opened", "refused", "failed", "sent_on"]))],
        "Sockets that tried to open: refused for the client's reasons (token, origin, silence, too many of its network), failed for ours, sent on by a node that stops",
    ),
    counter(
        "gateway_opened_total",
        &[(
            "dialect",
            Values::From(|| Dialect::ALL.iter().map(|dialect| dialect.name()).collect()),
        )],
        "Connections opened, by dialect",
    ),
    histogram("gateway_handshake_duration_seconds", &[], "From upgrade to ready"),
    counter(
        "gateway_closes_total",
        &[("reason", Values::From(|| Close::ALL.map(Close::reason).to_vec()))],
        "Connections ended, by reason",
    ),
    counter(
        "gateway_resumes_total",
        &[("result", Values::These(&["new", "resumed", "other_epoch"]))],
        "Native connections opened, by kind of resume",
    ),
    counter("gateway_resyncs_total", &[], "Chats a client had to load anew"),
    counter("gateway_commands_total", &[], "Sends, edits and deletes taken from clients"),
    counter(
        "gateway_command_results_total",
        &[("result", Values::These(&["acknowledged", "refused", "unavailable", "overloaded"]))],
        "What clients were told of their commands; unavailable: the api did not answer, overloaded: too much waited",
    ),
    histogram(
        "gateway_command_duration_seconds",
        &[],
        "From a command's frame to its answer, whatever it is",
    ),
    counter(
        "gateway_lagging_total",
        &[],
        "Watchers detached from a chat because their outbox was full, and caught up as they read",
    ),
    counter(
        "gateway_crowd_overflows_total",
        &[],
        "What the bus said of a crowded chat faster than its task handled it, asked for from the api instead",
    ),
    counter(
        "gateway_invitations_put_off_total",
        &[],
        "Chats that a connection was invited to faster than it took them, left to the next poll",
    ),
    counter(
        "gateway_let_go_total",
        &[],
        "Quiet chats let go by connections that watched as many as they may when another one woke",
    ),
    counter("gateway_deliveries_total", &[], "Events put into connections' outboxes"),
    histogram("gateway_fanout_size", &[], "Watchers of a chat at each delivery"),
    histogram(
        "gateway_relay_lag_seconds",
        &[],
        "From the api's publish to the arrival here; includes the difference of the clocks",
    ),
    histogram(
        "gateway_write_wait_seconds",
        &[],
        "From a frame's way into an empty outbox until its socket took it, of one connection in 64",
    ),
    counter("gateway_repeats_dropped_total", &[], "Events that came more than once"),
    counter("gateway_gaps_total", &[], "Questions to the api because events were missing"),
    counter("gateway_gap_events_total", &[], "Events that came from the api"),
    counter(
        "gateway_dropped_frames_total",
        &[("reason", Values::These(&["outbox_half_full", "many_arrivals", "many_watchers"]))],
        "Ephemeral frames left out, by reason",
    ),
    counter(
        "gateway_reading_pauses_total",
        &[("reason", Values::These(&["look_ups", "answers"]))],
        "Connections whose frames were left unread for a while, because so many waited for look-ups or for answers",
    ),
    counter(
        "gateway_strangers_refused_total",
        &[],
        "Connections closed before their clients were known, because incomplete frames of such held too much memory",
    ),
    counter("gateway_rate_limited_total", &[], "Frames refused because they came too fast"),
    histogram("gateway_lane_batch_size", &[CALL_LANE], "Items in one call to the api, by lane"),
    counter("gateway_lane_full_total", &[CALL_LANE], "Items refused because a lane was full"),
    counter(
        "gateway_lane_refused_total",
        &[CALL_LANE],
        "Items whose call the api refused: they fail, the others of their batch do not",
    ),
    counter(
        "gateway_set_aside_total",
        &[CALL_LANE],
        "Items put beside their lane because somebody else held their chat",
    ),
    histogram("gateway_backend_duration_seconds", &[CALL], "Calls to the api, by call"),
    counter("gateway_backend_errors_total", &[CALL], "Calls the api did not answer, by call"),
    counter("gateway_presence_errors_total", &[], "Presence updates that failed"),
    counter("gateway_bad_payloads_total", &[], "Bus messages that could not be read"),
];
