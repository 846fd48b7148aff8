//! What the people behind connections may do: accounts and guests.

use platform::limit::Rate;
use std::time::Duration;

/// The share of a node that one account has, with all its connections there.
#[derive(Clone, Copy, Debug)]
pub struct AccountConfig {
    /// Connections of one account on this node: a phone, a laptop, a window for each of a handful of
    /// chats, twice that while a line that broke is not known to be dead. One more ends the oldest.
    pub connections: usize,
    /// Connections that one account opens: all of them twice, because a node and then its balancer may
    /// restart, and then one a second, which is faster than a phone without a steady line tries.
    pub openings: Rate,
    /// Commands of one account without an answer: more than it may send at once (`frames`), so that
    /// nothing that came in time is refused, and a small part of a lane, so that no account's commands
    /// are the queue that others wait in.
    pub in_flight: usize,
    /// Frames of one account's connections together: people type far slower, programs that send faster
    /// are told to wait.
    pub frames: Rate,
    /// Refused or undecodable frames of one account before the connection of the next one is closed for
    /// abuse.
    pub refused_frames: Rate,
    /// Typing signals relayed for one account; more are dropped unseen.
    pub typing: Rate,
}

/// What people without an account may do.
#[derive(Clone, Copy, Debug)]
pub struct GuestConfig {
    /// Whether people without an account may come into the lobby.
    pub enabled: bool,
    /// Messages of all guests of one address, on all gateways together.
    pub messages: Rate,
    /// Names that the guests of one address may take, on all gateways together: each is a row in the
    /// database.
    pub names: Rate,
}

impl Default for AccountConfig {
    fn default() -> Self {
        Self {
            connections: 20,
            openings: Rate { per: Duration::from_secs(1), burst: 40 },
            in_flight: 256,
            frames: Rate { per: Duration::from_millis(20), burst: 200 },
            refused_frames: Rate { per: Duration::from_millis(500), burst: 50 },
            typing: Rate { per: Duration::from_secs(1), burst: 5 },
        }
    }
}

impl Default for GuestConfig {
    fn default() -> Self {
        Self {
            enabled: false,
            messages: Rate { per: Duration::from_millis(500), burst: 120 },
            names: Rate { per: Duration::from_secs(2), burst: 60 },
        }
    }
}
