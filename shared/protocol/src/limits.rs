//! The bounds of the calls between a gateway and an api, beside each other, because both sides hold
//! to the same ones and they depend on each other. The gateway's tests do the sums.

/// The most items in one call. About 100 rows a transaction is where PostgreSQL's cost per row
/// flattens (shared measurements: 8.7 µs a row at 100, 7.5 at 500); beyond it only latency grows.
pub const MAX_BATCH: usize = 200;

/// Longest text of a message, in characters.
pub const MAX_TEXT_CHARS: usize = 4_000;

/// Longest client message id, in bytes: a uuid with room for a prefix.
pub const MAX_CLIENT_ID_BYTES: usize = 64;

/// The most bytes of questions in one call, by the measure of the gateway's lanes: all texts and
/// names, and 256 for the rest of each. JSON makes at most six of a byte (`\u0007`), so a body has at
/// most 6 MiB, which is less than [`MAX_CALL_BYTES`]. A test of the gateway does the sums.
pub const MAX_BATCH_BYTES: usize = 1 << 20;

/// The largest body that the api takes from a gateway.
pub const MAX_CALL_BYTES: usize = 8 << 20;

/// The largest answer that a gateway takes from an api. The longest are those of `open`, 24 MiB when
/// a full batch of users has as many chats with as long names as there may be, and of `events`.
pub const MAX_ANSWER_BYTES: usize = 32 << 20;

/// The most bytes of events, as JSON, in the answer to one range: what a connection takes at once. One
/// event is always there, whatever it has. When many ranges missed much, each is cut earlier.
pub const MAX_RANGE_BYTES: usize = 64 << 10;

/// The same for all ranges of one call together.
pub const MAX_EVENTS_BYTES: usize = 8 << 20;

/// The most chats that a connection holds live, and that `open` tells of each user.
pub const MAX_LIVE_CHATS: u32 = 200;

/// The most events in the answer to one range; the rest is asked for from `upto`. See also
/// [`MAX_RANGE_BYTES`].
pub const MAX_RANGE_EVENTS: usize = 200;

/// Longest list in a [`crate::calls::ChangedFound`].
pub const MAX_CHANGED: usize = 10_000;
