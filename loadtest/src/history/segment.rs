//! A segment: the part of a chat that one device watched without a break it could not resume from. It knows where
//! it began, how far it got and what was left out. Not a list of what it heard, so that it stays small
//! however much that is. Pure; it knows places, not contents.

use serde::{Deserialize, Serialize};

/// Places that were passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Hole {
    /// The first and the last place of it.
    pub from: i64,
    pub to: i64,
    /// Whether it came about outside of a catch-up.
    pub live: bool,
}

/// What a place that arrived was to the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SeqArrival {
    Next,
    /// Something was left out before it.
    Skipping,
    /// It was left out before, and came after this one.
    Late {
        after: i64,
    },
    Repeated,
}

/// What one device watched of one chat in one go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Segment {
    /// It should have heard what comes after this place.
    pub start: i64,
    /// It has got everything up to here but for the holes.
    pub last: i64,
    /// How many events it heard, each counted once.
    pub heard: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holes: Vec<Hole>,
    /// What it heard at these places was another variant than the first of its process.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub odd: Vec<(i64, u8)>,
    /// A resumed connection is being caught up.
    pub catching: bool,
    /// It ended here: nothing after `last` is expected.
    pub ended: bool,
}

impl Segment {
    pub(super) fn new(start: i64) -> Self {
        Self {
            start,
            last: start,
            heard: 0,
            holes: Vec::new(),
            odd: Vec::new(),
            catching: false,
            ended: false,
        }
    }

    /// The event at this place arrived.
    #[inline]
    pub(super) fn step(&mut self, seq: i64) -> SeqArrival {
        if seq == self.last + 1 {
            self.last = seq;
            self.heard += 1;
            return SeqArrival::Next;
        }
        self.leap(seq)
    }

    fn leap(&mut self, seq: i64) -> SeqArrival {
        if seq > self.last {
            self.pass(seq - 1);
            self.last = seq;
            self.heard += 1;
            return SeqArrival::Skipping;
        }
        let Some(at) = self.holes.iter().position(|hole| hole.from <= seq && seq <= hole.to) else {
            return SeqArrival::Repeated;
        };
        let hole = self.holes.remove(at);
        let rest = [Hole { to: seq - 1, ..hole }, Hole { from: seq + 1, ..hole }];
        let rest = rest.into_iter().filter(|hole| hole.from <= hole.to);
        self.holes.splice(at..at, rest);
        self.heard += 1;
        SeqArrival::Late { after: self.last }
    }

    /// Everything up to here has been sent.
    pub(super) fn caught_up(&mut self, seq: i64) {
        if seq > self.last {
            self.pass(seq);
            self.last = seq;
        }
        self.catching = false;
    }

    /// Leaves out the places after the last one up to this one.
    fn pass(&mut self, to: i64) {
        self.holes.push(Hole { from: self.last + 1, to, live: !self.catching });
    }

    /// The hole that this place is in.
    pub(super) fn hole(&self, seq: i64) -> Option<&Hole> {
        let at = self.holes.partition_point(|hole| hole.to < seq);
        self.holes.get(at).filter(|hole| hole.from <= seq)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hole(from: i64, to: i64, live: bool) -> Hole {
        Hole { from, to, live }
    }

    #[test]
    fn what_is_left_out_is_a_hole_until_it_comes() {
        let mut segment = Segment::new(3);
        assert_eq!(segment.step(4), SeqArrival::Next);
        assert_eq!(segment.step(9), SeqArrival::Skipping);
        assert_eq!(segment.holes, [hole(5, 8, true)]);
        assert_eq!(segment.step(6), SeqArrival::Late { after: 9 });
        assert_eq!(segment.holes, [hole(5, 5, true), hole(7, 8, true)]);
        assert_eq!(segment.step(5), SeqArrival::Late { after: 9 });
        assert_eq!(segment.step(5), SeqArrival::Repeated);
        assert_eq!(segment.step(9), SeqArrival::Repeated);
        assert_eq!(segment.step(2), SeqArrival::Repeated, "it had it before the start");
        assert_eq!((segment.heard, segment.last), (4, 9));
        assert!(segment.hole(6).is_none() && segment.hole(7).is_some());
    }

    #[test]
    fn holes_of_a_catch_up_are_told_apart() {
        let mut segment = Segment::new(0);
        segment.catching = true;
        segment.step(2);
        segment.caught_up(4);
        segment.step(6);
        assert_eq!(segment.holes, [hole(1, 1, false), hole(3, 4, false), hole(5, 5, true)]);
        assert_eq!((segment.heard, segment.last), (2, 6));
    }
}
