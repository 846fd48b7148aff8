//! Counts who types in a chat with too many watchers to name each person. Pure.

use platform::limit::{Bucket, Rate};
use protocol::id::UserId;
use std::{collections::HashSet, time::Duration};
use tokio::time::Instant;

/// How often the watchers of a crowded chat hear how many type.
const COUNT_EVERY: Duration = Duration::from_secs(1);

/// A crowd in which nobody typed for so long is remembered no more: all that may be relayed of it has
/// come back, and a count has no past.
const FORGOTTEN: Duration = Duration::from_secs(10);

/// The most who are counted between two counts: what that takes in memory is 16 KiB a chat.
const MAX_TYPISTS: usize = 1_000;

/// What a node tells others of those who type in a crowded chat: enough that each of them has
/// something to count.
const TYPISTS_RELAYED: Rate = Rate { per: Duration::from_millis(100), burst: 10 };

/// Who types in a crowded chat.
#[derive(Debug, Default)]
pub(crate) struct Typists {
    told_at: Option<Instant>,
    since: HashSet<UserId>,
    relayed: Bucket,
}

impl Typists {
    /// Whether nobody has typed for long, so that all may be forgotten.
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        self.told_at.is_none_or(|told_at| now.duration_since(told_at) >= FORGOTTEN)
    }

    /// Somebody types: how many have since the last count, when it is time for the next one. People
    /// who type say so again and again, so the last ones of a second are counted in the next.
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

    /// Whether other nodes are to hear of one more; `now` counts from any fixed start.
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
