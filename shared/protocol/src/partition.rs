//! The partitions of the bus: every channel belongs to one of them, for ever. Which server carries a partition is not
//! known here.

use std::fmt;

/// The number of partitions. More than any installation has servers, so that each carries about as much as the others,
/// and few enough to be listed.
pub const PARTITIONS: u16 = 1_024;

/// A share of all channels. Servers are given partitions, never single channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition(u16);

impl Partition {
    /// The partition of this number; `None` if there are not so many.
    pub fn new(number: u16) -> Option<Self> {
        (number < PARTITIONS).then_some(Self(number))
    }

    /// All of them, in order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..PARTITIONS).map(Self)
    }

    /// Its number, less than [`PARTITIONS`].
    pub fn number(self) -> u16 {
        self.0
    }

    /// The upper ten bits of what the last step of `SplitMix64` (Steele, Lea, Flood 2014) makes of `id`, in the
    /// sequence of `kind`. Ids in a row spread evenly. All processes of all versions must compute the same, or they
    /// meet on different servers.
    pub(crate) fn of(kind: u64, id: u64) -> Self {
        let mut bits = id.wrapping_add(kind.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
        Self((bits >> 54) as u16)
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        id::{ChatId, UserId},
        relay::Channel,
    };

    /// They must never change: see [`Partition::of`].
    #[test]
    fn partitions_are_fixed_for_ever() {
        let chats = [1, 2, 3, 1_000_000, i64::MAX].map(|id| Channel::Chat(ChatId(id)));
        let users = [1, 2, 3].map(|id| Channel::User(UserId(id)));
        let all = chats.into_iter().chain(users).chain([Channel::Control, Channel::Orders]);
        let numbers: Vec<u16> = all.map(|channel| channel.partition().number()).collect();
        assert_eq!(numbers, [580, 605, 116, 416, 169, 763, 767, 717, 27, 994]);
    }

    #[test]
    fn ids_in_a_row_spread_evenly() {
        let mut counts = vec![0; usize::from(PARTITIONS)];
        for id in 1..=102_400 {
            counts[usize::from(Channel::Chat(ChatId(id)).partition().number())] += 1;
        }
        // As chance would have it: a hundred in each, ten is the standard deviation.
        assert!(counts.iter().all(|count| (55..=150).contains(count)), "{counts:?}");
    }
}
