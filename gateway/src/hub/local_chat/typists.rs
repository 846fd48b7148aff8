//! Counts the typists in a chat that has too many watchers to name each of them. Pure.

use platform::limit::{Bucket, Rate};
use protocol::id::UserId;
use std::{collections::HashSet, time::Duration};
use tokio::time::Instant;

/// The shortest time between two counts that the watchers get.
const COUNT_EVERY: Duration = Duration::from_secs(1);

/// The typists are forgotten when nobody has typed for this long. By then the rate limit has recovered, and no
/// count depends on older ones.
const FORGOTTEN: Duration = Duration::from_secs(10);

/// The maximum number of typists that are remembered between two counts, which takes 16 KiB of memory a chat.
const MAX_TYPISTS: usize = 1_000;

/// The rate at which a node relays typing signals of a chat to other nodes. It is enough for a count there.
const TYPISTS_RELAYED: Rate = Rate { per: Duration::from_millis(100), burst: 10 };

/// The typists of a chat with many watchers.
#[derive(Debug, Default)]
pub(crate) struct Typists {
    told_at: Option<Instant>,
    since: HashSet<UserId>,
    relayed: Bucket,
}

impl Typists {
    /// Whether nobody has typed for long, so that this state may be dropped.
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        self.told_at.is_none_or(|told_at| now.duration_since(told_at) >= FORGOTTEN)
    }

    /// Notes that a user types. Returns the number of typists since the last count, if the next count is due.
    /// Clients repeat the signal while a person types, so nobody is missed for long.
    pub(crate) fn on_typing(&mut self, user: UserId, now: Instant) -> Option<u32> {
        if self.since.len() < MAX_TYPISTS {
            self.since.insert(user);
        }
        if self.told_at.is_some_and(|told_at| now.duration_since(told_at) < COUNT_EVERY) {
            return None;
        }
        self.told_at = Some(now);
        let count = std::mem::take(&mut self.since).len();
        u32::try_from(count).ok()
    }

    /// Whether other nodes may hear of one more typist. `now` counts from any fixed start.
    pub(crate) fn try_relay(&mut self, now: Duration) -> bool {
        self.relayed.try_take(&TYPISTS_RELAYED, now, 1).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_nodes_hear_of_ten_a_second_at_most() {
        let mut typists = Typists::default();
        let mut relayed = |at: Duration| (0..100).filter(|_| typists.try_relay(at)).count();
        let start = Duration::from_secs(5);
        assert_eq!(relayed(start), 10);
        assert_eq!(relayed(start + Duration::from_millis(300)), 3);
    }

    #[test]
    fn a_crowd_is_counted_once_a_second_and_each_of_it_once() {
        let (mut typists, start) = (Typists::default(), Instant::now());
        assert_eq!(typists.on_typing(UserId(0), start), Some(1));
        for id in 0..5_000i64 {
            let now = start + Duration::from_micros(id.unsigned_abs() * 199);
            assert_eq!(typists.on_typing(UserId(id % 30), now), None, "{id}");
        }
        assert_eq!(typists.on_typing(UserId(30), start + COUNT_EVERY), Some(31));
        let later = start + 3 * COUNT_EVERY;
        assert_eq!(typists.on_typing(UserId(1), later), Some(1), "who has stopped is no more");
        for id in 0..5_000 {
            assert_eq!(typists.on_typing(UserId(id), later), None);
        }
        assert_eq!(typists.since.len(), MAX_TYPISTS);
    }
}
