//! The bounds of the calls between a gateway and an api. They stand together because both sides keep the same
//! bounds, and because they depend on each other. The gateway's tests do the sums.

/// The maximum number of items in one call. PostgreSQL's cost per row hardly falls beyond about 100 rows in a
/// transaction (measured: 8.7 µs a row with 100, 7.5 with 500), while the latency grows.
pub const MAX_BATCH: usize = 200;

/// Longest text of a message, in characters.
pub const MAX_TEXT_CHARS: usize = 4_000;

/// Longest client message id, in bytes: a uuid with room for a prefix.
pub const MAX_CLIENT_ID_BYTES: usize = 64;

/// The maximum number of bytes of the requests in one call, as the gateway's lanes count them: all texts and names,
/// and 256 for the rest of each request. JSON makes at most six bytes of one (`\u0007`), so a body has at most
/// 6 MiB, which is less than [`MAX_CALL_BYTES`].
pub const MAX_BATCH_BYTES: usize = 1 << 20;

/// The largest body that the api accepts from a gateway.
pub const MAX_CALL_BYTES: usize = 8 << 20;

/// The largest answer that a gateway accepts from an api. The largest answers are those of `events`, and of `open`:
/// 26 MiB if every user of a gateway's batch has the most chats with the longest names.
pub const MAX_ANSWER_BYTES: usize = 32 << 20;

/// The maximum number of bytes of events, as JSON, in the answer to one range: the size of the pieces that a
/// connection sends. The answer always has one event, however large. If many ranges of a call are long, each is
/// cut earlier.
pub const MAX_RANGE_BYTES: usize = 64 << 10;

/// The maximum number of bytes of events, as JSON, in the answer to one call.
pub const MAX_EVENTS_BYTES: usize = 8 << 20;

/// The maximum number of chats that a connection holds live, and that `open` returns for each user.
pub const MAX_LIVE_CHATS: u32 = 200;

/// The maximum number of events in the answer to one range. The caller asks for the rest from `upto`. See also
/// [`MAX_RANGE_BYTES`].
pub const MAX_RANGE_EVENTS: usize = 200;

/// The maximum length of each list in a [`crate::calls::ChangedFound`].
pub const MAX_CHANGED: usize = 10_000;
