//! Names the gateway's metrics and starts the counters at zero, so that a rate over one that has
//! not happened yet is 0 and not missing.

use crate::dialect::Dialect;
use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge};
use shared::close::Close;

pub(crate) fn describe() {
    describe_gauge!("gateway_connections", "Connections whose clients are known, guests too");
    describe_gauge!("gateway_rooms", "Chats watched here, or watched a moment ago");
    describe_gauge!("gateway_draining", "1 while the node lets its connections go");
    describe_counter!("gateway_closes_total", "Connections ended, by reason");
    describe_counter!("gateway_opened_total", "Connections opened, by dialect");
    describe_counter!("gateway_resumes_total", "Native connections opened, by kind of resume");
    describe_counter!("gateway_resyncs_total", "Chats a client had to load anew");
    describe_counter!("gateway_commands_total", "Sends, edits and deletes taken from clients");
    describe_counter!("gateway_deliveries_total", "Events put into connections' outboxes");
    describe_counter!("gateway_repeats_dropped_total", "Events that came more than once");
    describe_counter!("gateway_gaps_total", "Questions to the api because events were missing");
    describe_counter!("gateway_gap_events_total", "Events that came from the api");
    describe_counter!("gateway_dropped_frames_total", "Ephemeral frames left out, by reason");
    describe_counter!("gateway_rate_limited_total", "Frames refused because they came too fast");
    describe_counter!("gateway_lane_full_total", "Items refused because a lane was full");
    describe_counter!("gateway_backend_errors_total", "Calls the api did not answer, by call");
    describe_counter!("gateway_presence_errors_total", "Presence updates that failed");
    describe_counter!("gateway_bad_payloads_total", "Bus messages that could not be read");
    describe_histogram!("gateway_fanout_size", "Watchers of a chat at each delivery");
    describe_histogram!("gateway_lane_batch_size", "Items in one call to the api, by lane");
    describe_histogram!("gateway_backend_duration_seconds", "Calls to the api, by call");
    describe_histogram!("gateway_handshake_duration_seconds", "From upgrade to ready");
    describe_histogram!(
        "gateway_relay_lag_seconds",
        "From the api's publish to the arrival here; includes the difference of the clocks"
    );
    for name in ["gateway_connections", "gateway_rooms", "gateway_draining"] {
        gauge!(name).set(0.0);
    }
    for close in Close::ALL {
        counter!("gateway_closes_total", "reason" => close.reason()).absolute(0);
    }
    for dialect in Dialect::ALL {
        counter!("gateway_opened_total", "dialect" => dialect.name()).absolute(0);
    }
    for result in ["new", "resumed", "other_epoch"] {
        counter!("gateway_resumes_total", "result" => result).absolute(0);
    }
    for lane in ["view", "read", "post"] {
        counter!("gateway_lane_full_total", "lane" => lane).absolute(0);
    }
    for call in ["open", "post", "read", "events", "view", "changed", "peers", "guests"] {
        counter!("gateway_backend_errors_total", "call" => call).absolute(0);
    }
    for reason in ["outbox_half_full", "many_arrivals"] {
        counter!("gateway_dropped_frames_total", "reason" => reason).absolute(0);
    }
    for name in [
        "gateway_resyncs_total",
        "gateway_commands_total",
        "gateway_deliveries_total",
        "gateway_repeats_dropped_total",
        "gateway_gaps_total",
        "gateway_gap_events_total",
        "gateway_rate_limited_total",
        "gateway_presence_errors_total",
        "gateway_bad_payloads_total",
    ] {
        counter!(name).absolute(0);
    }
}
