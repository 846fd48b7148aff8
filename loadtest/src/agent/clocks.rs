//! Estimates the offset of another machine's clock from question and answer, as NTP does. Pure; the
//! coordinator asks.

/// A question and its answer: when it left and came back by our clock, and what theirs said in between.
/// All in microseconds since the Unix epoch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    pub sent: i64,
    pub theirs: i64,
    pub received: i64,
}

/// Their clock minus ours, and by how much that may be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Offset {
    pub micros: i64,
    pub uncertainty: u64,
}

impl Offset {
    /// From the sample with the shortest way: their reading belongs to some moment between ours, so the
    /// middle is wrong by half of the way at most, however unequal its two halves are. None without a
    /// sample that makes sense.
    pub(super) fn of(samples: &[Sample]) -> Option<Self> {
        let way = |sample: &Sample| sample.received.saturating_sub(sample.sent);
        let best = samples.iter().filter(|sample| way(sample) >= 0).min_by_key(|one| way(one))?;
        let half = way(best) / 2;
        let micros = best.theirs.saturating_sub(best.sent.saturating_add(half));
        Some(Self { micros, uncertainty: half.unsigned_abs() + 1 })
    }

    /// What is to be reckoned with for a run with this offset at its start and another one at its end:
    /// the run kept to the first.
    pub(super) fn until(self, end: Self) -> u64 {
        self.uncertainty.max(end.uncertainty) + self.micros.abs_diff(end.micros)
    }
}

/// By how much stamps of one agent may be wrong at another, in milliseconds: the worst pair.
pub(super) fn worst_pair(uncertainties: &[u64]) -> f64 {
    let mut sorted = uncertainties.to_vec();
    sorted.sort_unstable_by(|a, b| b.cmp(a));
    match sorted.as_slice() {
        [first, second, ..] => (first + second) as f64 / 1e3,
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever the ways there and back take, the truth is within the uncertainty.
        #[test]
        fn the_truth_is_within_the_uncertainty(
            offset in -10_000_000_000_i64..10_000_000_000,
            ways in prop::collection::vec((0_i64..200_000, 0_i64..200_000), 1..20),
        ) {
            let samples: Vec<Sample> = ways
                .iter()
                .enumerate()
                .map(|(n, (there, back))| {
                    let sent = 1_700_000_000_000_000 + 1_000_000 * n as i64;
                    Sample { sent, theirs: sent + there + offset, received: sent + there + back }
                })
                .collect();
            let found = Offset::of(&samples).unwrap();
            prop_assert!(found.micros.abs_diff(offset) <= found.uncertainty, "{found:?}");
            let shortest = ways.iter().map(|(there, back)| there + back).min().unwrap();
            prop_assert!(found.uncertainty <= shortest.unsigned_abs() / 2 + 1);
        }
    }

    #[test]
    fn answers_before_questions_say_nothing() {
        assert_eq!(Offset::of(&[]), None);
        assert_eq!(Offset::of(&[Sample { sent: 10, theirs: 10, received: 9 }]), None);
    }

    #[test]
    fn clocks_that_went_apart_make_a_run_uncertain() {
        let at = |micros, uncertainty| Offset { micros, uncertainty };
        assert_eq!(at(500, 40).until(at(530, 60)), 90);
        assert_eq!(at(500, 40).until(at(-500, 10)), 1_040);
        assert_eq!(worst_pair(&[90, 1_040, 200]), 1.24);
        assert_eq!(worst_pair(&[90]), 0.0, "one agent has one clock");
    }
}
