//! How long to wait before the next try: longer each time, jittered, so that those who failed
//! together do not come back together. Chance is an argument: a run repeats with its seed.

use rand::{RngExt, rngs::SmallRng};
use std::time::Duration;

const FIRST: Duration = Duration::from_millis(250);
/// Short enough that a deployment that is back is noticed soon, as a good client does.
const LONGEST: Duration = Duration::from_secs(8);

/// The pauses of one who tries.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Backoff {
    tries: u32,
}

impl Backoff {
    /// The next pause: between a half and the whole of a time that doubles.
    pub(super) fn pause(&mut self, chance: &mut SmallRng) -> Duration {
        let whole = FIRST.saturating_mul(1 << self.tries.min(10)).min(LONGEST);
        self.tries = self.tries.saturating_add(1);
        whole.mul_f64(chance.random_range(0.5..1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn pauses_grow_to_a_limit() {
        let mut chance = SmallRng::seed_from_u64(1);
        let mut backoff = Backoff::default();
        let pauses: Vec<Duration> = (0..100).map(|_| backoff.pause(&mut chance)).collect();
        assert!(pauses[0] >= FIRST / 2 && pauses[0] <= FIRST);
        assert!(pauses[2] > pauses[0]);
        assert!(pauses[50..].iter().all(|pause| *pause >= LONGEST / 2 && *pause <= LONGEST));
    }
}
