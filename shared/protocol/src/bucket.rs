//! The bucket of a chat: which of 4,096 parts of all chats it belongs to, for ever. A chat's id carries it, so whoever
//! knows the id knows where the chat's rows are; nobody is asked. Which server has which buckets is not known here.

use crate::id::{ChatId, UserId};
use std::fmt;

/// One of [`ChatBucket::COUNT`]. A chat's id is `n × 4096 + bucket`, and stays below 2^53, the largest whole number that
/// every JSON reader keeps, for 2^41 chats. Ids from before are as good: what remains of them is their bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChatBucket(u16);

impl ChatBucket {
    /// How many there are: enough to spread over more servers than anybody runs, few enough to list.
    pub const COUNT: i64 = 4_096;

    /// The bucket of a chat.
    pub fn of(chat: ChatId) -> Self {
        Self(chat.0.rem_euclid(Self::COUNT) as u16)
    }

    /// Where the private chat of two users is made, whoever of them asks. So one server sees that they have one.
    ///
    /// The upper 12 of the 32 bits that Knuth's multiplicative hash makes of the pair's lower 24: arithmetic that SQL
    /// does alike. It never changes.
    pub fn of_pair(one: UserId, other: UserId) -> Self {
        let (low, high) = (one.min(other).0, one.max(other).0);
        let pair = low.wrapping_mul(31).wrapping_add(high) & 0xff_ffff;
        Self((((pair * 2_654_435_761) >> 20) & 0xfff) as u16)
    }

    /// The bucket that belongs to a number, for chats that may be anywhere: give it a random one.
    pub fn drawn(number: u64) -> Self {
        Self((number % Self::COUNT.unsigned_abs()) as u16)
    }

    /// Its number, from 0 on.
    pub fn number(self) -> i64 {
        i64::from(self.0)
    }

    /// Which of this many groups it belongs to, from 0 on. With twice as many groups each splits into two, so whatever
    /// is divided into a multiple of the groups is divided into the groups as well.
    pub fn group(self, groups: usize) -> usize {
        usize::from(self.0) % groups.max(1)
    }
}

impl fmt::Display for ChatBucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Chats lie where these say, for ever.
    #[test]
    fn buckets_never_change() {
        for (chat, bucket) in [(1, 1), (4_095, 4_095), (4_096, 0), (3 * 4_096 + 17, 17)] {
            assert_eq!(ChatBucket::of(ChatId(chat)), ChatBucket(bucket), "{chat}");
        }
        for (one, other, bucket) in [(1, 2, 1_618), (3, 9, 161), (1_000_000, 2_000_000, 3_571)] {
            let (one, other) = (UserId(one), UserId(other));
            assert_eq!(ChatBucket::of_pair(one, other), ChatBucket(bucket), "{one}:{other}");
            assert_eq!(ChatBucket::of_pair(other, one), ChatBucket(bucket));
        }
    }

    #[test]
    fn pairs_spread_over_the_buckets() {
        let mut counts = vec![0_u32; ChatBucket::COUNT as usize];
        for low in 1..400 {
            for high in low + 1..=400 {
                counts[ChatBucket::of_pair(UserId(low), UserId(high)).0 as usize] += 1;
            }
        }
        // 79,800 pairs: 19 each on average.
        let most = counts.iter().max();
        assert!(most.is_some_and(|most| *most < 60), "{most:?}");
        assert!(counts.iter().filter(|count| **count == 0).count() < 40);
    }

    #[test]
    fn groups_of_groups_meet_one_group() {
        for chat in (1..100_000).step_by(37) {
            let bucket = ChatBucket::of(ChatId(chat));
            assert_eq!(bucket.group(8) % 4, bucket.group(4));
            assert_eq!(bucket.group(1), 0);
        }
    }
}
