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
    gauge("gateway_connections", &[], "Open connections of identified clients, including guests"),
    gauge("gateway_connections_limit", &[], "Maximum number of sockets that this node accepts"),
    gauge(
        "gateway_rooms",
        &[],
        "Chats that connections on this node watch, or watched until a moment ago",
    ),
    gauge("gateway_draining", &[], "1 while the node closes its connections in order to stop"),
    counter(
        "gateway_openings_total",
        &[("result", Values::These(&["opened", "refused", "failed", "sent_on"]))],
        "Attempts to open a socket. refused: the client is the cause (token, origin, silence, too many sockets of its network). failed: Switchboard is the cause. sent_on: the node was stopping",
    ),
    counter(
        "gateway_opened_total",
        &[(
            "dialect",
            Values::From(|| Dialect::ALL.iter().map(|dialect| dialect.name()).collect()),
        )],
        "Connections opened, by dialect",
    ),
    histogram(
        "gateway_handshake_duration_seconds",
        &[],
        "Time from the upgrade request until the client is told it is ready",
    ),
    counter(
        "gateway_closes_total",
        &[("reason", Values::From(|| Close::ALL.iter().map(|close| close.reason()).collect()))],
        "Connections closed, by reason",
    ),
    counter(
        "gateway_resumes_total",
        &[("result", Values::These(&["new", "resumed", "other_epoch"]))],
        "Native connections opened, by whether they resumed. other_epoch: the cursors belonged to another database",
    ),
    counter("gateway_resyncs_total", &[], "Chats that a client was told to reload"),
    counter("gateway_commands_total", &[], "Sends, edits and deletes accepted from clients"),
    counter(
        "gateway_command_results_total",
        &[("result", Values::These(&["acknowledged", "refused", "unavailable", "overloaded"]))],
        "Replies to clients' commands. unavailable: the api did not answer. overloaded: too many commands were waiting",
    ),
    histogram(
        "gateway_command_duration_seconds",
        &[],
        "Time from receiving a command's frame to its reply, whatever the result",
    ),
    counter(
        "gateway_lagging_total",
        &[],
        "Connections detached from a chat because their outbox was full. They catch up as the client reads",
    ),
    counter(
        "gateway_crowd_overflows_total",
        &[],
        "Bus messages that a crowded chat's task could not handle in time. The gateway requests their events from the api instead",
    ),
    counter(
        "gateway_invitations_put_off_total",
        &[],
        "Invitations to a chat that arrived faster than a connection could process them. The next poll finds them",
    ),
    counter(
        "gateway_let_go_total",
        &[],
        "Quiet chats that connections at their limit of watched chats dropped because another chat became active",
    ),
    counter("gateway_deliveries_total", &[], "Events placed in connections' outboxes"),
    histogram("gateway_fanout_size", &[], "Connections that watch the chat at each delivery"),
    histogram(
        "gateway_relay_lag_seconds",
        &[],
        "Time from the api's publish to the arrival at this node. Includes the difference between the two clocks",
    ),
    histogram(
        "gateway_write_wait_seconds",
        &[],
        "Time from queueing a frame in an empty outbox until the kernel accepts it. Sampled on 1 in 64 connections",
    ),
    counter("gateway_repeats_dropped_total", &[], "Events received again and dropped"),
    counter("gateway_gaps_total", &[], "Requests to the api for missing events"),
    counter("gateway_gap_events_total", &[], "Missing events that the api returned"),
    counter(
        "gateway_dropped_frames_total",
        &[("reason", Values::These(&["outbox_half_full", "many_arrivals", "many_watchers"]))],
        "Ephemeral frames dropped, by reason",
    ),
    counter(
        "gateway_reading_pauses_total",
        &[("reason", Values::These(&["look_ups", "answers"]))],
        "Times a gateway stopped reading a connection for a while because too many of its frames waited for look-ups or for answers",
    ),
    counter(
        "gateway_strangers_refused_total",
        &[],
        "Connections of unidentified clients closed because incomplete frames of such clients held too much memory",
    ),
    counter(
        "gateway_rate_limited_total",
        &[],
        "Frames refused because the client exceeded its rate limit",
    ),
    histogram("gateway_lane_batch_size", &[CALL_LANE], "Items per call to the api, by lane"),
    counter("gateway_lane_full_total", &[CALL_LANE], "Items refused because the lane was full"),
    counter(
        "gateway_lane_refused_total",
        &[CALL_LANE],
        "Items whose call the api refused. These items fail; the others in their batch do not",
    ),
    counter(
        "gateway_set_aside_total",
        &[CALL_LANE],
        "Items set aside from their lane because another transaction held the chat's lock",
    ),
    histogram("gateway_backend_duration_seconds", &[CALL], "Duration of calls to the api, by call"),
    counter("gateway_backend_errors_total", &[CALL], "Calls that the api did not answer, by call"),
    counter(
        "gateway_stream_openings_total",
        &[("result", Values::These(&["opened", "refused", "failed"]))],
        "Attempts to open a stream to an api. refused: the api has no streams of this version, so calls go by HTTP for a while",
    ),
    counter(
        "gateway_stream_waits_total",
        &[],
        "Calls that waited for a place on their stream because too many were unanswered",
    ),
    counter("gateway_presence_errors_total", &[], "Presence updates that failed"),
    counter(
        "gateway_bad_payloads_total",
        &[],
        "Bus messages, and runs of events in answers, that could not be read",
    ),
];
