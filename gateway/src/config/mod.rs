//! The gateway's numbers, each with its reason. What an operator sets is in [`crate::settings`];
//! the rest is here because changing it needs the code's knowledge.
//!
//! - `account.rs`: what accounts and guests may do; `lanes.rs`: how the api is called

mod account;
mod lanes;

pub use account::{AccountConfig, GuestConfig};
pub use lanes::{LaneConfig, LanesConfig};

use platform::{limit::Rate, settings::SettingInForce};
use protocol::limits::{MAX_LIVE_CHATS, MAX_TEXT_CHARS};
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
    /// The writes to sockets by whoever delivers events; the connections' tasks do all others. A write takes about
    /// 3 µs, so these take a third of a core at most. A chat with more watchers than the burst needs the whole
    /// burst, and no chat writes again until as many have come back: a chat of 1,000 holds up the others'
    /// deliveries for 3 ms, once in 10 ms at most.
    pub direct_writes: Rate,
    /// The chats of a user that each of its connections holds live, the most recently active first.
    pub live_chats: u32,
    /// The most chats one connection may watch in all, woken and subscribed ones included. For one
    /// more that wakes the one that has been quiet longest is let go; one more subscription is refused.
    pub max_chats: usize,
    /// A connection in an older dialect lives for at most this long: its frames cannot bring a fresh token, so
    /// it lives as long as its session, and a session that nobody ends runs out unheard.
    pub max_session: Duration,
    /// Newcomers that this node announces to the lobby; more come in unannounced. Each one is a frame
    /// to everybody there: 10,000 people who come back together would be a hundred million.
    pub arrivals: Rate,
    /// What one account may do here.
    pub account: AccountConfig,
    /// What people without an account may do.
    pub guests: GuestConfig,
    /// When others hear of a user.
    pub presence: OnlineConfig,
    /// How the api is called.
    pub lanes: LanesConfig,
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
    /// How long the same goes on after the bus is back.
    pub repair_settling: Duration,
    /// Idle chats are let go and overdue requests sent this often.
    pub sweep_interval: Duration,
    /// How long a client waits before it repeats a frame that the api did not answer. The lane has just
    /// tried for long.
    pub unavailable_wait: Duration,
    /// … that found a lane full. A lane that is full is emptied within about a second.
    pub overloaded_wait: Duration,
    /// … that found too many commands of its account in flight. Some are answered at any moment.
    pub in_flight_wait: Duration,
    /// What the process was set to, for administrators to see. Nothing here goes by it.
    pub settings: Vec<SettingInForce>,
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

/// When others hear that a user comes or goes.
#[derive(Clone, Copy, Debug)]
pub struct OnlineConfig {
    /// A user whose last connection here closed stays online for this long: a reconnect is no news.
    pub grace: Duration,
    /// The node renews its presence lease this often: a third of the lease.
    pub renewal: Duration,
    /// The most chats that are told when a user comes or goes.
    pub max_chats: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            hello_timeout: Duration::from_secs(10),
            heartbeat: Duration::from_secs(25),
            max_frame_bytes: MAX_TEXT_CHARS * 12 + 4096,
            max_outbox_bytes: 512 * 1024,
            strangers_bytes: 16 << 20,
            strangers_bytes_of_network: 4 << 20,
            signs: Rate { per: Duration::from_secs(1), burst: 20 },
            write_timeout: Duration::from_secs(20),
            direct_writes: Rate { per: Duration::from_micros(10), burst: 300 },
            live_chats: MAX_LIVE_CHATS,
            max_chats: 400,
            max_session: Duration::from_secs(24 * 60 * 60),
            arrivals: Rate { per: Duration::from_millis(200), burst: 50 },
            account: AccountConfig::default(),
            guests: GuestConfig::default(),
            presence: OnlineConfig::default(),
            lanes: LanesConfig::default(),
            feed: FeedConfig::default(),
            chat_linger: Duration::from_secs(10),
            replay_age: Duration::from_secs(60),
            gap_patience: Duration::from_millis(30),
            repair_interval: Duration::from_secs(4),
            repair_interval_down: Duration::from_secs(1),
            // The longest pause after which other processes connect again. What they publish before that is dropped.
            repair_settling: Duration::from_secs(2),
            sweep_interval: Duration::from_secs(1),
            unavailable_wait: Duration::from_secs(2),
            overloaded_wait: Duration::from_secs(1),
            in_flight_wait: Duration::from_millis(500),
            settings: Vec::new(),
        }
    }
}

impl Default for FeedConfig {
    fn default() -> Self {
        Self {
            replay_events: 1_000,
            replay_bytes: 64 * 1024,
            replay_bytes_each: 64,
            max_ahead: 1_000,
            max_ahead_bytes: 256 * 1024,
        }
    }
}

impl Default for OnlineConfig {
    fn default() -> Self {
        Self { grace: Duration::from_secs(5), renewal: Duration::from_secs(10), max_chats: 50 }
    }
}
