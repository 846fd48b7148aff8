//! The gateway's numbers, each with its reason. What an operator sets is in [`crate::settings`];
//! the rest is here because changing it needs the code's knowledge.

use crate::{feed::FeedConfig, lane::LaneConfig};
use shared::{
    internal::{MAX_BATCH, MAX_TEXT_CHARS},
    limit::Rate,
};
use std::time::Duration;

/// All of a gateway's numbers.
#[derive(Clone, Debug)]
pub struct Config {
    /// A socket must have said `hello` with a good token within this time.
    pub hello_timeout: Duration,
    /// The server pings this often. Below half of the shortest idle timeout of common load
    /// balancers (60 s), so that an idle socket is never taken for a dead one.
    pub heartbeat: Duration,
    /// The largest frame a client may send: a text of [`MAX_TEXT_CHARS`] characters in the longest
    /// JSON escapes (12 bytes each), and room for the rest.
    pub max_frame_bytes: usize,
    /// What waits to be written to one client before it counts as a slow consumer: some seconds of
    /// a very busy chat. Bounds the node at (connections × this) in the worst case, which only
    /// happens when all clients stop reading at once.
    pub max_outbox_bytes: usize,
    /// How long a write may take before the client counts as a slow consumer.
    pub write_timeout: Duration,
    /// The chats of a user that each of its connections holds live, the most recently active first.
    pub live_chats: u32,
    /// The most chats one connection may watch in all, woken and subscribed ones included. One more
    /// woken chat makes the connection start again; one more subscription is refused.
    pub max_chats: usize,
    /// Connections of one account on this node: a phone, a laptop, a window for each of a handful of
    /// chats, twice that while a line that broke is not known to be dead. One more ends the oldest.
    pub account_connections: usize,
    /// Connections that one account opens: all of them twice, because a node and then its balancer may
    /// restart, and then one a second, which is faster than a phone without a steady line tries.
    pub openings: Rate,
    /// Commands of one account without an answer: what a program needs to fill a batch now and then,
    /// and a 60th of a lane, so that no account's commands are the queue that others wait in.
    pub account_in_flight: usize,
    /// Frames of one account's connections together: people type far slower, programs that send faster
    /// are told to wait.
    pub frames: Rate,
    /// Refused or undecodable frames of one account before the connection of the next one is closed for
    /// abuse.
    pub refused_frames: Rate,
    /// Typing signals relayed for one account; more are dropped unseen.
    pub typing: Rate,
    /// A connection of a family lives for at most this long: its frames cannot bring a fresh token, so
    /// it lives as long as its session, and a session that nobody ends runs out unheard.
    pub max_session: Duration,
    /// Whether people without an account may come into the lobby.
    pub guests: bool,
    /// Messages of all guests of one address, on all gateways together.
    pub guest_messages: Rate,
    /// Names that the guests of one address may take, on all gateways together: each is a row in the
    /// database.
    pub guest_names: Rate,
    /// Newcomers that this node announces to the lobby; more come in unannounced. Each one is a frame
    /// to everybody there: 10,000 people who come back together would be a hundred million.
    pub arrivals: Rate,
    /// The feeds' memory: about 64 KiB a chat while it is active.
    pub feed: FeedConfig,
    /// A feed without watchers is kept for this long: a client that reconnects finds it warm, and a
    /// reload does not cost an unsubscribe and a subscribe.
    pub room_linger: Duration,
    /// A feed's window is let go when the chat was quiet for this long.
    pub window_age: Duration,
    /// A gap waits this long for the missing events to come by themselves before the api is asked:
    /// two apis publishing at once swap order by a few milliseconds.
    pub gap_patience: Duration,
    /// The feeds are compared with the api's list of changed chats this often while the bus is up …
    pub repair_interval: Duration,
    /// … and this often while it is down, when polling is all there is.
    pub repair_interval_down: Duration,
    /// A user whose last connection here closed stays online for this long: a reconnect is no news.
    pub presence_grace: Duration,
    /// The node renews its presence lease this often: a third of the lease.
    pub presence_renewal: Duration,
    /// The most chats that are told when a user comes or goes.
    pub presence_chats: usize,
    /// Lanes for commands, by hash of the chat.
    pub post_lanes: usize,
    pub post: LaneConfig,
    pub query: LaneConfig,
}

impl Default for Config {
    fn default() -> Self {
        let query = LaneConfig {
            max_batch: MAX_BATCH,
            max_batch_bytes: 1 << 20,
            // Every connection may be asking at once after a restart of the api.
            max_waiting: 20_000,
            give_up_after: Duration::from_secs(10),
        };
        Self {
            hello_timeout: Duration::from_secs(10),
            heartbeat: Duration::from_secs(25),
            max_frame_bytes: MAX_TEXT_CHARS * 12 + 4096,
            max_outbox_bytes: 512 * 1024,
            write_timeout: Duration::from_secs(20),
            live_chats: 200,
            max_chats: 400,
            account_connections: 20,
            openings: Rate { per: Duration::from_secs(1), burst: 40 },
            account_in_flight: 64,
            frames: Rate { per: Duration::from_millis(20), burst: 200 },
            refused_frames: Rate { per: Duration::from_millis(500), burst: 50 },
            typing: Rate { per: Duration::from_secs(1), burst: 5 },
            max_session: Duration::from_secs(24 * 60 * 60),
            guests: false,
            guest_messages: Rate { per: Duration::from_millis(500), burst: 120 },
            guest_names: Rate { per: Duration::from_secs(2), burst: 60 },
            arrivals: Rate { per: Duration::from_millis(200), burst: 50 },
            feed: FeedConfig { window_events: 256, window_bytes: 64 * 1024, max_ahead: 1_000 },
            room_linger: Duration::from_secs(10),
            window_age: Duration::from_secs(60),
            gap_patience: Duration::from_millis(30),
            repair_interval: Duration::from_secs(4),
            repair_interval_down: Duration::from_secs(1),
            presence_grace: Duration::from_secs(5),
            presence_renewal: Duration::from_secs(10),
            presence_chats: 50,
            // Two overlap: one commits while the other gathers. More would halve the batches, and a
            // batch costs the api and the database nearly the same whatever is in it.
            post_lanes: 2,
            post: LaneConfig {
                max_batch: MAX_BATCH,
                max_batch_bytes: 1 << 20,
                // About 16 MiB of the longest texts a lane.
                max_waiting: 4_000,
                give_up_after: Duration::from_secs(15),
            },
            query,
        }
    }
}
