//! A chat's events as a process heard of them: for each place what was told, and whether it was
//! acknowledged. It does not judge; several contents of one place are kept side by side.

use super::fact::EventFact;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Somebody's word on what happened at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Claim {
    pub fact: EventFact,
    /// The number of the first device that heard it; none when only an `ack` said so.
    pub by: Option<u32>,
    /// When it was first acknowledged, in milliseconds since the ledger was opened.
    pub acked: Option<u32>,
}

/// Claims that differ, at one place: the original and later states of a message, as catch-ups show it.
/// More than so many are not recorded, which the verdict tells.
const MAX_CLAIMS: usize = 16;

/// A chat's events by their place.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Timeline {
    /// The first claim on each place.
    first: BTreeMap<i64, Claim>,
    /// The others, where there are any.
    more: BTreeMap<i64, Vec<Claim>>,
}

impl Timeline {
    /// Enters a claim. Gives its variant: 0 for the first content told of this place, and `None` when
    /// there is no room for another one.
    pub(super) fn enter(&mut self, seq: i64, claim: Claim) -> Option<u8> {
        let Some(first) = self.first.get_mut(&seq) else {
            self.first.insert(seq, claim);
            return Some(0);
        };
        if first.join(&claim) {
            return Some(0);
        }
        let more = self.more.entry(seq).or_default();
        let known = more.iter_mut().position(|known| known.join(&claim));
        if known.is_none() && more.len() + 1 == MAX_CLAIMS {
            return None;
        }
        let place = known.unwrap_or_else(|| {
            more.push(claim);
            more.len() - 1
        });
        u8::try_from(place + 1).ok()
    }

    /// All claims on this place, by their variants.
    pub(super) fn claims(&self, seq: i64) -> impl Iterator<Item = &Claim> {
        let more = self.more.get(&seq).into_iter().flatten();
        self.first.get(&seq).into_iter().chain(more)
    }

    pub(super) fn knows(&self, seq: i64) -> bool {
        self.first.contains_key(&seq)
    }

    /// The places that anything is known of, in order.
    pub(super) fn places(&self) -> impl Iterator<Item = i64> {
        self.first.keys().copied()
    }

    /// Makes room for the numbers of other devices below this ledger's.
    pub(super) fn renumber(&mut self, offset: u32) {
        let more = self.more.values_mut().flatten();
        for claim in self.first.values_mut().chain(more) {
            claim.by = claim.by.map(|by| by + offset);
        }
    }
}

impl Claim {
    /// Takes in another word on the same content. Whether it was the same.
    fn join(&mut self, other: &Self) -> bool {
        if !self.fact.agrees(&other.fact) {
            return false;
        }
        if let (EventFact::Message { key, .. }, EventFact::Message { key: told, .. }) =
            (&mut self.fact, other.fact)
            && *key == 0
        {
            *key = told;
        }
        self.by = self.by.or(other.by);
        self.acked = self.acked.or(other.acked);
        true
    }
}
