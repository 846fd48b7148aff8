//! The lanes to the api: how many there are, and what each holds and tries.

use protocol::limits::{MAX_BATCH, MAX_BATCH_BYTES};
use std::time::Duration;

/// The lanes of a gateway.
#[derive(Clone, Copy, Debug)]
pub struct LanesConfig {
    /// Lanes for commands, by hash of the chat.
    pub post_lanes: usize,
    /// Of each of them.
    pub post: LaneConfig,
    /// Of each of the lanes for look-ups.
    pub query: LaneConfig,
    /// Of the lane that opens sessions.
    pub open: LaneConfig,
    /// Calls in flight in the lane of read marks. Two would only wait for each other's rows.
    pub read_at_once: usize,
}

/// The numbers of a lane.
#[derive(Clone, Copy, Debug)]
pub struct LaneConfig {
    /// The most items in one call.
    pub max_batch: usize,
    /// The most bytes in one call, by `lane::Request::bytes`. An item larger than that goes alone.
    pub max_batch_bytes: usize,
    /// The most items that the lane holds, waiting and asked. One more is refused at once.
    pub max_items: usize,
    /// The most bytes of them.
    pub max_bytes: usize,
    /// The most calls in flight. More than one only where order means nothing.
    pub at_once: usize,
    /// How long a batch is tried for before its items fail.
    pub give_up_after: Duration,
    /// A call that takes longer is slow: the next one goes beside it. Until then what comes waits for
    /// it, and is one call then: one for many costs the api and its database far less than many for a
    /// few each.
    pub slow_after: Duration,
    /// How long busy chats are left alone between two tries. The api has waited for them by itself.
    pub busy_pause: Duration,
    /// A call without an answer is repeated after this long, and after twice as long each time …
    pub first_retry: Duration,
    /// … up to this long. A random half of it is left out, so that many gateways do not come back
    /// together.
    pub longest_retry: Duration,
}

impl Default for LanesConfig {
    fn default() -> Self {
        let query = LaneConfig {
            max_batch: MAX_BATCH,
            max_batch_bytes: MAX_BATCH_BYTES,
            // Every connection may be asking at once after a restart of the api …
            max_items: 20_000,
            // … with the longest name that anybody can have.
            max_bytes: 8 << 20,
            // One that is slow or large leaves three for the others.
            at_once: 4,
            give_up_after: Duration::from_secs(10),
            slow_after: Duration::from_millis(50),
            busy_pause: Duration::from_millis(50),
            first_retry: Duration::from_millis(50),
            longest_retry: Duration::from_secs(1),
        };
        Self {
            // Two overlap: one commits while the other gathers. More would halve the batches, and a
            // batch costs the api and the database nearly the same whatever is in it.
            post_lanes: 2,
            post: LaneConfig {
                max_batch: MAX_BATCH,
                max_batch_bytes: MAX_BATCH_BYTES,
                // A second of all that one lane can do.
                max_items: 4_000,
                // As many texts of 4 KiB, or 1,000 of the longest.
                max_bytes: 16 << 20,
                // A sender's commands keep their order.
                at_once: 1,
                give_up_after: Duration::from_secs(15),
                ..query
            },
            query,
            open: LaneConfig {
                // Of users with the most chats and the longest names, as many as one answer may tell of.
                max_batch: 50,
                // One session alone costs several times what one of ten does, and ten come together only while
                // others are asked about. One call that is slow still leaves one.
                at_once: 2,
                ..query
            },
            read_at_once: 1,
        }
    }
}
