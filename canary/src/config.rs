//! The canary's numbers, each with its reason. What an operator sets is in [`crate::settings`].

use crate::ledger::Rules;
use platform::settings::{Secret, ServerUrl};
use std::time::Duration;

/// What watching needs.
#[derive(Clone, Debug)]
pub struct CanaryConfig {
    /// Where to sign in.
    pub api: ServerUrl,
    /// Each name stands for all of its addresses.
    pub gateways: Vec<ServerUrl>,
    /// The password of both accounts.
    pub password: Secret,
    /// A round begins this often. Not below a second: gateways relay one typing signal a second of a
    /// connection, and with one gateway all come from the same.
    pub interval: Duration,
    /// When a message counts as late or lost.
    pub rules: Rules,
    /// The most gateways that are watched; of more, as many chosen by chance. Each costs two
    /// connections, and each message one delivery: the canary shall see trouble and not make it.
    pub max_gateways: usize,
    /// A connection takes part in rounds when it has had the chat for this long: the gateway
    /// subscribes to a chat when its first watcher comes, and what passes before is repaired if it is
    /// a message and gone if it is a signal.
    pub settle: Duration,
    /// A connection that is ready and was not told of the chat for this long takes part all the same,
    /// so that this is noticed.
    pub overdue: Duration,
    /// The chat is replaced by a new one this often, so that none grows for ever: 17,280 messages by
    /// default.
    pub chat_age: Duration,
    /// Tokens are renewed this long after they were given, unless that is later than half of their
    /// time.
    pub renew_after: Duration,
    /// A gateway that was unhealthy is healthy again after this many good rounds in a row, so that one
    /// that fails now and then does not log a line in each round.
    pub good_rounds: u32,
}

impl CanaryConfig {
    /// The defaults, for these servers.
    pub fn new(api: ServerUrl, gateways: Vec<ServerUrl>, password: Secret) -> Self {
        Self {
            api,
            gateways,
            password,
            interval: Duration::from_secs(5),
            // The gateways' repair finds everything within a few seconds, also while Redis hangs, and
            // a new PostgreSQL primary takes over in about 20.
            rules: Rules { late: Duration::from_millis(500), patience: Duration::from_secs(30) },
            max_gateways: 50,
            settle: Duration::from_secs(1),
            overdue: Duration::from_secs(30),
            chat_age: Duration::from_secs(24 * 60 * 60),
            renew_after: Duration::from_secs(5 * 60),
            good_rounds: 3,
        }
    }
}
