//! The gateway's numbers, each with its reason. What an operator sets is in [`crate::settings`];
//! the rest is here because changing it needs the code's knowledge.

use platform::limit::Rate;
use protocol::limits::{MAX_BATCH, MAX_BATCH_BYTES, MAX_LIVE_CHATS, MAX_TEXT_CHARS};
use std::time::Duration;

/// All of a gateway's numbers.
#[derive(Clone, Debug)]
pub struct Config {
    /// A socket must have said `hello` with a good token within this time.
    pub hello_timeout: Duration,
    /// A client of which nothing was heard for this long, and up to a fifth more, is pinged. Half of
    /// the shortest idle timeout of common load balancers (60 s) at most, so that an idle socket is
    /// never taken for a dead one.
    pub heartbeat: Duration,
    /// The largest frame a client may send: a text of [`MAX_TEXT_CHARS`] characters in the longest
    /// JSON escapes (12 bytes each), and space for the rest.
    pub max_frame_bytes: usize,
    /// What waits to be written to one client, what is being written included. A chat whose events find
    /// no space goes on when the client has read, by a join from where it stopped. Bounds the node at
    /// (connections × this) in the worst case, which only happens when all clients stop reading at
    /// once; most of it is shared by the watchers of a chat.
    pub max_outbox_bytes: usize,
    /// What incomplete frames of clients that nobody knows yet hold together, beyond what each may
    /// hold anyway: a few hundred of the longest hellos at once, each for the moment that it takes …
    pub strangers_bytes: usize,
    /// … and those of one network, so that one cannot use up all of it.
    pub strangers_bytes_of_network: usize,
    /// Pings, pongs and fragments without payload of one connection; more are abuse. Clients ping every
    /// few seconds at most, and our own pings bring a pong each heartbeat.
    pub signs: Rate,
    /// A client is slow when the kernel took nothing for it for this long.
    pub write_timeout: Duration,
    /// The chats of a user that each of its connections holds live, the most recently active first.
    pub live_chats: u32,
    /// The most chats one connection may watch in all, woken and subscribed ones included. For one
    /// more that wakes the one that has been quiet longest is let go; one more subscription is refused.
    pub max_chats: usize,
    /// Connections of one account on this node: a phone, a laptop, a window for each of a handful of
    /// chats, twice that while a line that broke is not known to be dead. One more ends the oldest.
    pub account_connections: usize,
    /// Connections that one account opens: all of them twice, because a node and then its balancer may
    /// restart, and then one a second, which is faster than a phone without a steady line tries.
    pub openings: Rate,
    /// Commands of one account without an answer: more than it may send at once (`frames`), so that
    /// nothing that came in time is refused, and a small part of a lane, so that no account's commands
    /// are the queue that others wait in.
    pub account_in_flight: usize,
    /// Frames of one account's connections together: people type far slower, programs that send faster
    /// are told to wait.
    pub frames: Rate,
    /// Refused or undecodable frames of one account before the connection of the next one is closed for
    /// abuse.
    pub refused_frames: Rate,
    /// Typing signals relayed for one account; more are dropped unseen.
    pub typing: Rate,
    /// A connection in an older dialect lives for at most this long: its frames cannot bring a fresh token, so
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
    /// The feeds' memory: about 64 KiB a chat while it is active, and as much again for a thousand
    /// watchers: they come back together.
    pub feed: FeedConfig,
    /// A feed without watchers is kept for this long: a client that reconnects finds it warm, and a
    /// reload does not cost an unsubscribe and a subscribe.
    pub chat_linger: Duration,
    /// A feed's replay is let go when the chat was quiet for this long.
    pub replay_age: Duration,
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
    /// Of each of them.
    pub post: LaneConfig,
    /// Of each of the lanes for look-ups.
    pub query: LaneConfig,
    /// Calls in flight in the lane that opens sessions. One session alone costs several times what one of
    /// ten does, and ten come together only while others are asked about. One call that is slow still
    /// leaves one.
    pub open_at_once: usize,
    /// Calls in flight in the lane of read marks. Two would only wait for each other's rows.
    pub read_at_once: usize,
    /// Idle chats are let go and overdue requests sent this often.
    pub sweep_interval: Duration,
    /// How long a client waits before it repeats a frame that the api did not answer. The lane has just
    /// tried for long.
    pub unavailable_wait: Duration,
    /// … that found a lane full. A lane that is full is emptied within about a second.
    pub overloaded_wait: Duration,
    /// … that found too many commands of its account in flight. Some are answered at any moment.
    pub in_flight_wait: Duration,
}

/// The bounds of a feed's memory.
#[derive(Clone, Copy, Debug)]
pub struct FeedConfig {
    /// The most recent events kept for clients that resume.
    pub replay_events: usize,
    /// The most bytes of them in a chat that nobody watches …
    pub replay_bytes: usize,
    /// … and for each watcher so many more: as many come back together after a restart.
    pub replay_bytes_each: usize,
    /// The most events kept that came before their turn; more are fetched again.
    pub max_ahead: usize,
    /// The most bytes of them.
    pub max_ahead_bytes: usize,
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

impl Default for Config {
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
            hello_timeout: Duration::from_secs(10),
            heartbeat: Duration::from_secs(25),
            max_frame_bytes: MAX_TEXT_CHARS * 12 + 4096,
            max_outbox_bytes: 512 * 1024,
            strangers_bytes: 16 << 20,
            strangers_bytes_of_network: 4 << 20,
            signs: Rate { per: Duration::from_secs(1), burst: 20 },
            write_timeout: Duration::from_secs(20),
            live_chats: MAX_LIVE_CHATS,
            max_chats: 400,
            account_connections: 20,
            openings: Rate { per: Duration::from_secs(1), burst: 40 },
            account_in_flight: 256,
            frames: Rate { per: Duration::from_millis(20), burst: 200 },
            refused_frames: Rate { per: Duration::from_millis(500), burst: 50 },
            typing: Rate { per: Duration::from_secs(1), burst: 5 },
            max_session: Duration::from_secs(24 * 60 * 60),
            guests: false,
            guest_messages: Rate { per: Duration::from_millis(500), burst: 120 },
            guest_names: Rate { per: Duration::from_secs(2), burst: 60 },
            arrivals: Rate { per: Duration::from_millis(200), burst: 50 },
            feed: FeedConfig {
                replay_events: 1_000,
                replay_bytes: 64 * 1024,
                replay_bytes_each: 64,
                max_ahead: 1_000,
                max_ahead_bytes: 256 * 1024,
            },
            chat_linger: Duration::from_secs(10),
            replay_age: Duration::from_secs(60),
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
            open_at_once: 2,
            read_at_once: 1,
            sweep_interval: Duration::from_secs(1),
            unavailable_wait: Duration::from_secs(2),
            overloaded_wait: Duration::from_secs(1),
            in_flight_wait: Duration::from_millis(500),
        }
    }
}
